//! The page about metrics.

use std::collections::BTreeSet;

use ziggurat_telemetry::METRICS;

/// The rows of the tables: the names in the first column, and the second.
fn rows() -> Vec<(Vec<String>, String)> {
    let page = include_str!("../../../docs/metrics.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let mut columns = row.trim_matches('|').split('|');
        let names = columns.next().expect("has a column").split('`');
        let names = names.skip(1).step_by(2).map(str::to_owned).collect();
        let kind = columns.next().expect("has a second column");
        (names, kind.trim().to_owned())
    })
    .collect()
}

#[test]
fn every_metric_stands_on_the_page_once_with_its_kind_and_nothing_else_does() {
    let mut told = Vec::new();
    for (names, kind) in rows() {
        for name in names {
            told.push((name, kind.clone()));
        }
    }
    let there: BTreeSet<_> = METRICS
        .iter()
        .map(|metric| (metric.name.to_owned(), metric.kind.as_str().to_owned()))
        .collect();
    let unique: BTreeSet<_> = told.iter().cloned().collect();
    assert_eq!(unique, there);
    assert_eq!(told.len(), unique.len(), "none stands there twice");
}
