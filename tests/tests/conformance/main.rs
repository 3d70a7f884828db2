//! Every recorded answer, stream and error of every provider, through the real leaf.
//!
//! Runs over the folder that `ZIGGURAT_FIXTURES` names: `<provider>/<operation>/<case>.<ext>`, each
//! with a `<case>.meta.json`. An argument chooses those whose `provider/operation/case` begins with
//! it. What is not expected to hold is in `tests/conformance-exceptions.txt`, with the reason.
//!
//! - A whole answer is one; it says what the provider said, with the same calls, the finish reason
//!   in OpenAI's words, and the tokens that the provider counted.
//! - A stream says the same wherever it is cut: at every byte if it is short, else in 64 places.
//! - An error has its kind, a status and the provider's words, also in the middle of a stream.

mod answers;
mod call;
mod cases;
mod errors;
mod exceptions;
mod fixture;
mod frames;
mod media;
mod numbers;
mod report;
mod route;
mod said;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use self::{exceptions::Exceptions, fixture::Fixture, report::Report};

fn main() -> ExitCode {
    let Some(root) = std::env::var_os("ZIGGURAT_FIXTURES") else {
        println!("skipped: ZIGGURAT_FIXTURES is not set");
        return ExitCode::SUCCESS;
    };
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let mut fixtures = fixture::all(root.as_ref());
    if let Some(wanted) = &wanted {
        fixtures.retain(|fixture| fixture.name().starts_with(wanted));
    } else if fixtures.is_empty() {
        println!("ZIGGURAT_FIXTURES names a folder without recordings");
        return ExitCode::FAILURE;
    }
    let outcomes = outcomes(&fixtures);
    let exceptions = Exceptions::read(include_str!("../../conformance-exceptions.txt"));
    let report = Report::new(&fixtures, &outcomes, &exceptions, wanted.is_none());
    print!("{report}");
    match report.is_good() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// What is wrong with each, if anything.
fn outcomes(fixtures: &[Fixture]) -> Vec<Result<(), String>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build();
        let runtime = runtime.expect("can be built");
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(fixture) = fixtures.get(number) else {
                return done;
            };
            let case = || runtime.block_on(cases::check(fixture));
            let outcome = catch_unwind(AssertUnwindSafe(case));
            done.push((
                number,
                outcome.unwrap_or_else(|_| Err("it panicked".to_owned())),
            ));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut all = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let done = workers.into_iter().map(|worker| worker.join());
        done.flat_map(|done| done.expect("panics are caught"))
            .collect::<Vec<_>>()
    });
    all.sort_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, outcome)| outcome).collect()
}
