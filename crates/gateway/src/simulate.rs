//! `ziggurat simulate`.

use std::io::{IsTerminal as _, Write as _};

use ziggurat_simulate::{Progress, Scenario, run_with};

use crate::{
    cli::Simulate,
    stack::{load, print_warnings},
};

pub(crate) fn run(args: &Simulate) -> Result<(), String> {
    let scenario = scenario(args)?;
    let shows = std::io::stderr().is_terminal();
    let report = run_with(&scenario, |progress| {
        if shows {
            show(&progress);
        }
    });
    if shows {
        eprint!("\r\x1b[K");
    }
    let report = report.map_err(|error| error.to_string())?;
    if args.json {
        println!("{}", report.to_json());
    } else {
        print!("{report}");
    }
    if let Some(file) = &args.svg {
        let shown = file.display();
        std::fs::write(file, report.svg()).map_err(|error| format!("{shown}: {error}"))?;
        eprintln!("drawn into {shown}");
    }
    Ok(())
}

fn scenario(args: &Simulate) -> Result<Scenario, String> {
    let plan = args.config.as_deref().map(load).transpose()?;
    if let Some(plan) = &plan {
        print_warnings(plan);
    }
    let scenario = args.scenario.as_ref().map(Scenario::load).transpose();
    let scenario = scenario.map_err(|error| error.to_string())?;
    let mut scenario = match (scenario, plan) {
        (Some(scenario), Some(plan)) => scenario.with_plan(plan),
        (Some(scenario), None) => scenario,
        // A steady stream of requests for every group.
        (None, Some(plan)) => Scenario::new(plan),
        (None, None) => Scenario::built_in(),
    };
    if let Some(file) = &args.trace {
        let shown = file.display().to_string();
        let trace = std::fs::File::open(file).map_err(|error| format!("{shown}: {error}"))?;
        let traced = scenario.with_trace(trace, &shown);
        scenario = traced.map_err(|error| error.to_string())?;
    }
    if !args.strategies.is_empty() {
        scenario = scenario.with_strategies(&args.strategies);
    }
    Ok(match args.seed {
        Some(seed) => scenario.with_seed(seed),
        None => scenario,
    })
}

/// One line that is written over and over.
fn show(progress: &Progress<'_>) {
    eprint!("\r\x1b[K{progress}");
    let _ = std::io::stderr().flush();
}
