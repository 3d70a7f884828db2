//! The table of `docs/failover.md`.

use std::{env, fmt::Write as _, fs};

use crate::failover::{
    faults::FAULTS,
    rules::Outcome,
    run::Row,
    shapes::{PLAINS, SHAPES},
};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/failover.md");
const BEGIN: &str = "<!-- The test run writes what follows. -->\n";
const END: &str = "<!-- The test run wrote what precedes. -->\n";

/// Writes what happened into the page if the environment says so, and otherwise holds that it
/// stands there.
///
/// # Panics
///
/// If it does not.
pub(crate) fn tell(rows: &[Row]) {
    let page = fs::read_to_string(PAGE).expect("the page is there");
    let (before, rest) = page.split_once(BEGIN).expect("the table has a beginning");
    let (told, after) = rest.split_once(END).expect("the table has an end");
    let table = table(rows);
    if env::var_os("ZIGGURAT_WRITE_DOCS").is_some() {
        fs::write(PAGE, [before, BEGIN, &table, END, after].concat()).expect("can be written");
        return;
    }
    assert_eq!(
        told, table,
        "docs/failover.md says how to write the table anew"
    );
}

fn table(rows: &[Row]) -> String {
    [plain(rows), crossed(rows)].join("\n")
}

/// What became of each fault where everybody speaks OpenAI's dialect: a row for each fault.
fn plain(rows: &[Row]) -> String {
    let mut table = "| | the provider |".to_owned();
    for shape in &SHAPES[..PLAINS] {
        write!(table, " {} |", shape.name()).expect("is text");
    }
    table += "\n| --- | --- |";
    table += &" --- |".repeat(PLAINS);
    for (fault, row) in FAULTS.iter().zip(rows) {
        write!(table, "\n| {} | {} |", fault.number, fault.provider).expect("is text");
        for cell in &row[..PLAINS] {
            let told = match cell {
                Some(cell) => cell.to_string(),
                None => "–".to_owned(),
            };
            write!(table, " {told} |").expect("is text");
        }
    }
    table += "\n| | **as configured above** |";
    for shape in 0..PLAINS {
        write!(table, " {} |", sum(rows, shape)).expect("is text");
    }
    table + "\n"
}

/// What became of them over several dialects: a column for each fault.
fn crossed(rows: &[Row]) -> String {
    let mut table = "| the client | `primary` → `backup` |".to_owned();
    for fault in &FAULTS {
        write!(table, " {} |", fault.number).expect("is text");
    }
    table += " **as configured above** |\n| --- | --- |";
    table += &" --- |".repeat(FAULTS.len() + 1);
    for (at, shape) in SHAPES.iter().enumerate().skip(PLAINS) {
        let (a, b) = (shape.a.name, shape.b.name);
        write!(table, "\n| {} | {a} → {b} |", shape.name()).expect("is text");
        for row in rows {
            let told = match &row[at] {
                Some(cell) => format!("{} {}+{}", cell.outcome, cell.asked[0], cell.asked[1]),
                None => "–".to_owned(),
            };
            write!(table, " {told} |").expect("is text");
        }
        write!(table, " {} |", sum(rows, at)).expect("is text");
    }
    table + "\n"
}

/// How often each outcome is found on a shape, in the rows with the ordinary configuration.
fn sum(rows: &[Row], shape: usize) -> String {
    let ordinary = FAULTS.iter().zip(rows);
    let ordinary = ordinary.filter(|(fault, _)| fault.number.parse::<u8>().is_ok());
    let outcomes: Vec<_> = ordinary
        .filter_map(|(_, row)| Some(row[shape].as_ref()?.outcome))
        .collect();
    let count = |outcome| {
        let count = outcomes.iter().filter(|it| **it == outcome).count();
        (count > 0).then(|| format!("{count} {outcome}"))
    };
    let counts = [Outcome::Pass, Outcome::Safe].map(count);
    counts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
