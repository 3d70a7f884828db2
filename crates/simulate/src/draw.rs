//! The report as drawings.

mod queue;

use crate::{
    Report, StrategyReport,
    canvas::{COLOURS, Canvas, Scale, WIDTH, round, short},
    table::{percent, seconds},
};

/// Where bars begin, beside the names of strategies.
const LEFT: f64 = 214.0;

/// How wide bars may be.
const SPAN: f64 = WIDTH - LEFT - 90.0;

/// How high what is shown over time is.
const HEIGHT: f64 = 84.0;

pub(crate) fn svg(report: &Report) -> String {
    let mut canvas = Canvas::default();
    let title = format!("{} (seed {})", short(&report.scenario, 90), report.seed);
    canvas.y = 34.0;
    canvas.text(24.0, canvas.y, "h ink", &title);
    canvas.y -= 8.0;
    latencies(&mut canvas, report);
    let series = Coloured::of(report);
    shares(&mut canvas, report, &series);
    over_time(&mut canvas, report, &series);
    if report.strategies.iter().any(StrategyReport::has_waited) {
        queue::draw(&mut canvas, report);
    }
    canvas.finish(&title)
}

fn latencies(canvas: &mut Canvas, report: &Report) {
    const BAR: f64 = 11.0;
    const ROW: f64 = 45.0;
    canvas.heading(
        "Time to first token",
        "of requests that were answered; a torn bar goes on beyond the scale",
    );
    let percentiles = ["p50", "p95", "p99"].into_iter().enumerate();
    canvas.legend(percentiles.map(|(i, name)| (format!("p{i}"), name.to_owned())));
    let top = canvas.y;
    let scale = Scale::fair(report.strategies.iter().map(|s| s.first_token.p99), SPAN);
    let height = report.strategies.len() as f64 * ROW;
    for tick in scale.ticks(6.0) {
        let x = LEFT + scale.at(tick);
        canvas.rule((x, top), (x, top + height));
        canvas.text(
            x,
            top + height + 16.0,
            "s soft m",
            format!("{} s", round(tick)),
        );
    }
    for strategy in &report.strategies {
        let middle = 1.5_f64.mul_add(BAR, canvas.y + 10.0);
        canvas.text(LEFT - 12.0, middle, "ink r", short(&strategy.strategy, 28));
        let latency = strategy.first_token;
        canvas.y += 6.0;
        for (i, value) in [latency.p50, latency.p95, latency.p99]
            .into_iter()
            .enumerate()
        {
            let (at, size) = ((LEFT, canvas.y), (scale.at(value), BAR - 1.0));
            let class = format!("p{i}");
            if scale.holds(value) {
                canvas.bar(at, size, &class);
            } else {
                canvas.torn_bar(at, size, &class);
            }
            let x = LEFT + size.0 + 6.0;
            canvas.text(x, canvas.y + 9.0, "s ink", seconds(value));
            canvas.y += BAR;
        }
        canvas.y += ROW - 3.0f64.mul_add(BAR, 6.0);
    }
    canvas.y = top + height + 16.0;
}

/// The deployments that have a colour each, and the others, which share one.
struct Coloured {
    names: Vec<String>,
    /// The colour of each deployment.
    colours: Vec<usize>,
}

impl Coloured {
    fn of(report: &Report) -> Self {
        let Some(first) = report.strategies.first() else {
            return Self {
                names: Vec::new(),
                colours: Vec::new(),
            };
        };
        let count = first.deployments.len();
        let served = |i: usize| -> u64 {
            let all = report.strategies.iter();
            all.map(|s| s.deployments[i].attempts).sum()
        };
        let mut busiest: Vec<usize> = (0..count).collect();
        busiest.sort_by_key(|i| std::cmp::Reverse(served(*i)));
        let own = if count > COLOURS { COLOURS - 1 } else { count };
        let mut kept = busiest[..own].to_vec();
        kept.sort_unstable();
        let name = |i: &usize| short(&first.deployments[*i].id, 32);
        let mut names: Vec<_> = kept.iter().map(name).collect();
        if own < count {
            names.push(format!("{} others", count - own));
        }
        let colour = |i| kept.iter().position(|k| *k == i).unwrap_or(own);
        Self {
            names,
            colours: (0..count).map(colour).collect(),
        }
    }

    /// The class of a colour; what others share is grey.
    fn class(&self, prefix: char, colour: usize) -> String {
        let is_shared = self.names.len() == COLOURS && self.colours.len() > COLOURS;
        if is_shared && colour == COLOURS - 1 {
            return format!("{prefix}8");
        }
        format!("{prefix}{colour}")
    }

    /// Adds up something of the deployments by their colours.
    fn sums(&self, strategy: &StrategyReport, of: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut sums = vec![0.0; self.names.len()];
        for (i, _) in strategy.deployments.iter().enumerate() {
            sums[self.colours[i]] += of(i);
        }
        sums
    }

    fn legend(&self, canvas: &mut Canvas) {
        let entries = self.names.iter().enumerate();
        canvas.legend(entries.map(|(i, name)| (self.class('c', i), name.clone())));
    }
}

fn shares(canvas: &mut Canvas, report: &Report, series: &Coloured) {
    const BAR: f64 = 20.0;
    canvas.heading(
        "Requests served by each deployment",
        "as parts of all that were answered; on the right, the cost where prices are known",
    );
    series.legend(canvas);
    for strategy in &report.strategies {
        canvas.text(
            LEFT - 12.0,
            canvas.y + 14.0,
            "ink r",
            short(&strategy.strategy, 28),
        );
        let mut x = LEFT;
        let parts = series.sums(strategy, |i| strategy.deployments[i].share);
        for (colour, part) in parts.into_iter().enumerate() {
            let width = part * SPAN;
            if width >= 0.5 {
                let class = format!("{} gap", series.class('c', colour));
                canvas.bar((x, canvas.y), (width, BAR), &class);
            }
            if width >= 44.0 {
                let class = format!("s m {}", series.class('t', colour));
                canvas.text(x + width / 2.0, canvas.y + 14.0, &class, percent(part));
            }
            x += width;
        }
        if strategy.cost > 0.0 {
            let cost = format!("$ {:.2}", strategy.cost);
            canvas.text(WIDTH - 24.0, canvas.y + 14.0, "s ink r", cost);
        }
        canvas.y += BAR + 8.0;
    }
}

fn over_time(canvas: &mut Canvas, report: &Report, series: &Coloured) {
    const WIDE: f64 = 560.0;
    const NARROW: f64 = 230.0;
    const GAP: f64 = WIDTH - 24.0 - NARROW;
    canvas.heading(
        "Over time",
        "left: requests in flight at each deployment, in its colour; right: failed attempts in a second",
    );
    let most = |s: &StrategyReport| {
        let levels = s.deployments.iter().flat_map(|d| d.in_flight.iter());
        levels.copied().fold(0.0, f64::max)
    };
    let errors = |s: &StrategyReport| s.errors.iter().copied().fold(0.0, f64::max) / s.step;
    let levels = Scale::fair(report.strategies.iter().map(most), HEIGHT);
    let failed = report.strategies.iter().map(errors).fold(0.0, f64::max);
    let failed = Scale::new(failed, HEIGHT);
    let longest = report.strategies.iter().map(|s| s.seconds);
    let longest = longest.fold(0.0, f64::max);
    for strategy in &report.strategies {
        let peak = most(strategy);
        let beyond = if levels.holds(peak) {
            String::new()
        } else {
            format!(", up to {peak:.0}")
        };
        canvas.y += 14.0;
        let name = format!("{}{beyond}", short(&strategy.strategy, 40));
        canvas.text(64.0, canvas.y, "ink", name);
        canvas.y += 8.0;
        let bottom = canvas.y + HEIGHT;
        let time = Scale::new(longest, WIDE);
        axes(canvas, (64.0, bottom), levels, time);
        let count = strategy
            .deployments
            .first()
            .map_or(0, |d| d.in_flight.len());
        let steps: Vec<Vec<f64>> = (0..count)
            .map(|at| series.sums(strategy, |i| strategy.deployments[i].in_flight[at]))
            .collect();
        let middle = |at: usize| (at as f64 + 0.5) * strategy.step;
        for colour in 0..series.names.len() {
            let points = steps.iter().enumerate().map(|(at, sums)| {
                let x = 64.0 + time.at(middle(at).min(longest));
                (x, bottom - levels.at(sums[colour]))
            });
            canvas.line(points, &series.class('l', colour));
        }
        let time = Scale::new(longest, NARROW);
        axes(canvas, (GAP, bottom), failed, time);
        for (at, count) in strategy
            .errors
            .iter()
            .enumerate()
            .filter(|(_, n)| **n > 0.0)
        {
            let x = GAP + time.at(at as f64 * strategy.step);
            let height = failed.at(count / strategy.step).max(1.0);
            let width = (time.at(strategy.step) - 0.5).max(0.8);
            canvas.bar((x, bottom - height), (width, height), "bad");
        }
        canvas.y = bottom + 26.0;
    }
}

pub(super) fn colour(prefix: char, number: usize) -> String {
    format!("{prefix}{}", number.min(COLOURS))
}

/// Axes whose origin is at a point: upwards a number, to the right seconds.
fn axes(canvas: &mut Canvas, (x, y): (f64, f64), up: Scale, right: Scale) {
    let width = right.at(f64::MAX);
    for tick in up.ticks(3.0) {
        let at = y - up.at(tick);
        canvas.rule((x, at), (x + width, at));
        canvas.text(x - 6.0, at + 4.0, "s soft r", round(tick));
    }
    let room = (width / 80.0).floor();
    for tick in right.ticks(room) {
        let shown = format!("{} s", round(tick));
        canvas.text(x + right.at(tick), y + 16.0, "s soft m", shown);
    }
}
