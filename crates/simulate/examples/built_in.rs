//! Prints the built-in scenario, or that of a file: `cargo run --example built_in -- mix.yaml out.svg`.

use ziggurat_simulate::{Scenario, run};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let scenario = match arguments.next().as_deref() {
        None | Some("-") => Scenario::built_in(),
        Some(file) => Scenario::load(file)?,
    };
    let report = run(&scenario)?;
    print!("{report}");
    if let Some(file) = arguments.next() {
        std::fs::write(file, report.svg())?;
    }
    Ok(())
}
