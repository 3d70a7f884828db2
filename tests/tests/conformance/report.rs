//! The table, the failures and the counts.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{exceptions::Exceptions, fixture::Fixture};

#[derive(Default)]
pub(crate) struct Report {
    /// How many passed of how many, and how many are exceptions.
    rows: BTreeMap<(String, String), [usize; 3]>,
    failures: Vec<String>,
    passed: usize,
    excepted: usize,
    total: usize,
}

impl Report {
    /// If all were tried, an exception that nothing falls under is a failure.
    pub(crate) fn new(
        fixtures: &[Fixture],
        outcomes: &[Result<(), String>],
        exceptions: &Exceptions,
        are_all: bool,
    ) -> Self {
        let mut report = Self {
            total: fixtures.len(),
            ..Self::default()
        };
        let mut used = BTreeSet::new();
        for (fixture, outcome) in fixtures.iter().zip(outcomes) {
            let name = fixture.name();
            let key = (fixture.provider.clone(), fixture.operation.clone());
            let [passed, all, excepted] = report.rows.entry(key).or_default();
            *all += 1;
            let exception = exceptions.of(&name);
            used.extend(exception);
            match (outcome, exception) {
                (Ok(()), None) => *passed += 1,
                (Err(_), Some(_)) => *excepted += 1,
                (Err(why), None) => report.failures.push(format!("{name}: {why}")),
                (Ok(()), Some(_)) => {
                    let why = "is an exception, and passes";
                    report.failures.push(format!("{name}: {why}"));
                }
            }
        }
        report.passed = report.rows.values().map(|row| row[0]).sum();
        report.excepted = report.rows.values().map(|row| row[2]).sum();
        if are_all {
            let unused = exceptions
                .patterns()
                .filter(|pattern| !used.contains(pattern));
            let unused = unused.map(|pattern| format!("{pattern}: is an exception to nothing"));
            report.failures.extend(unused);
        }
        report
    }

    pub(crate) fn is_good(&self) -> bool {
        self.failures.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((provider, operation), [passed, all, excepted]) in &self.rows {
            write!(f, "{provider} {operation} {passed}/{all}")?;
            match excepted {
                0 => writeln!(f)?,
                _ => writeln!(f, " ({excepted} excepted)")?,
            }
        }
        for failure in &self.failures {
            writeln!(f, "FAILED {failure}")?;
        }
        writeln!(
            f,
            "conformance: {} passed, {} failed, {} exceptions of {}",
            self.passed,
            self.failures.len(),
            self.excepted,
            self.total
        )
    }
}
