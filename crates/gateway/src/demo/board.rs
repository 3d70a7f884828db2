//! The picture of the demo.

use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use ziggurat_testkit::provider::Simulator;

use super::{
    cast::CAST,
    traffic::{Tally, Traffic},
};

const BAR: usize = 24;

pub(crate) struct Board {
    simulator: Arc<Simulator>,
    traffic: Arc<Traffic>,
    live: bool,
    lines_up: AtomicUsize,
}

impl Board {
    /// A picture that is redrawn in place if `live`, and else drawn once at the end.
    pub(crate) fn new(simulator: Arc<Simulator>, traffic: Arc<Traffic>, live: bool) -> Self {
        Self {
            simulator,
            traffic,
            live,
            lines_up: AtomicUsize::new(0),
        }
    }

    pub(crate) fn draw(&self) {
        if !self.live {
            return;
        }
        let text = self.text();
        let up = self.lines_up.swap(text.lines().count(), Relaxed);
        if up > 0 {
            print!("\x1b[{up}A\x1b[J");
        }
        print!("{text}");
    }

    pub(crate) fn finish(&self) {
        if self.live {
            self.draw();
        } else {
            print!("{}", self.text());
        }
    }

    fn text(&self) -> String {
        let tally = self.traffic.tally();
        let mut text = format!(
            "{:<11}{:<9}{:>7} {:>9}  {:<BAR$}  attempts\n",
            "deployment", "group", "calls", "answered", ""
        );
        let most = tally.served.values().copied().max().unwrap_or(1).max(1);
        for (name, group, trouble) in CAST {
            let served = tally.served.get(name).copied().unwrap_or_default();
            let bar = "█".repeat((served * BAR).div_ceil(most));
            let calls = self.simulator.count(name);
            let outcomes = outcomes(&tally, name);
            let _ = writeln!(
                text,
                "{name:<11}{group:<9}{calls:>7} {served:>9}  {bar:<BAR$}  {outcomes}"
            );
            let _ = writeln!(text, "  {trouble}");
        }
        let _ = writeln!(
            text,
            "\n{} of {} requests sent, {} answered, {} failed; {} retries, {} fallbacks; {}",
            tally.sent,
            tally.planned,
            tally.answered,
            tally.failed,
            tally.retries,
            tally.fallbacks,
            latency(&tally.took),
        );
        if !tally.last_trail.is_empty() {
            let _ = writeln!(text, "a trail: {}", tally.last_trail);
        }
        if let Some(failure) = &tally.first_failure {
            let _ = writeln!(text, "the first failure: {failure}");
        }
        text
    }
}

fn outcomes(tally: &Tally, name: &str) -> String {
    let of_it = tally
        .outcomes
        .iter()
        .filter(|((deployment, _), _)| deployment == name);
    of_it
        .map(|((_, outcome), count)| format!("{outcome} {count}"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn latency(took: &[Duration]) -> String {
    let mut sorted = took.to_vec();
    sorted.sort();
    let at =
        |share: usize| sorted.get((sorted.len() * share / 100).min(sorted.len().saturating_sub(1)));
    match (at(50), at(95)) {
        (Some(p50), Some(p95)) => format!("p50 {} ms, p95 {} ms", p50.as_millis(), p95.as_millis()),
        _ => "no answer yet".to_owned(),
    }
}
