//! The `ziggurat` binary.

mod check;
mod cli;
mod demo;
mod explain;
mod hash_key;
mod machine;
mod simulate;
mod stack;

use std::{num::NonZeroUsize, process::ExitCode};

use clap::Parser as _;
use tokio::runtime::{self, Runtime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match &cli.command {
        // These make a runtime of their own, whose time is not that of the clock.
        cli::Command::Simulate(args) => return exit(simulate::run(args)),
        cli::Command::Explain(args) => return exit(explain::run(args)),
        cli::Command::HashKey(args) => return exit(hash_key::run(args)),
        _ => {}
    }
    let done = runtime().and_then(|runtime| {
        runtime.block_on(async {
            match cli.command {
                cli::Command::Serve(serve) => stack::run(serve).await,
                cli::Command::Check(check) => check::run(&check),
                cli::Command::Demo(demo) => demo::run(demo).await,
                cli::Command::Simulate(_) | cli::Command::Explain(_) | cli::Command::HashKey(_) => {
                    Ok(())
                }
            }
        })
    });
    exit(done)
}

fn exit(done: Result<(), String>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// A runtime with a thread for each core; with one core, one without the cost of threads.
fn runtime() -> Result<Runtime, String> {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let mut builder = if cores == 1 {
        runtime::Builder::new_current_thread()
    } else {
        runtime::Builder::new_multi_thread()
    };
    builder
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))
}
