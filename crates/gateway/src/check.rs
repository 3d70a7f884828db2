//! `ziggurat check`.

use std::fmt::Write as _;

use crate::cli::Check;
use crate::stack::{load, print_warnings};

pub(crate) fn run(check: &Check) -> Result<(), String> {
    let plan = load(&check.file)?;
    print_warnings(&plan);
    ziggurat::Router::check(&plan).map_err(|error| format!("{}: {error}", check.file.display()))?;
    print!("{}", explain(&plan));
    Ok(())
}

/// The effective plan: what the configuration says, and the layers that carry it out, in order.
fn explain(plan: &ziggurat::config::Plan) -> String {
    let mut text = plan.explanation().to_string();
    text.push_str("\nlayers, from the client to the provider\n");
    for (layer, what) in ziggurat::Router::layers(plan) {
        let _ = writeln!(text, "  {layer:<18} {what}");
    }
    text
}
