//! The report as text.

use std::fmt;

use crate::{ClassReport, DeploymentReport, Report, StrategyReport};

/// Rows of cells, the first row being the head. The first column is aligned left, the others right.
struct Table(Vec<Vec<String>>);

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.0.first().map_or(0, Vec::len);
        let width = |column: usize| {
            let cells = self.0.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        for row in &self.0 {
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                match column {
                    0 => write!(f, "  {cell:<width$}")?,
                    _ => write!(f, "  {cell:>width$}")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// Seconds, in three digits or so.
pub(crate) fn seconds(value: f64) -> String {
    match value {
        v if v < 0.9995 => format!("{:.0} ms", v * 1e3),
        v if v < 9.995 => format!("{v:.2} s"),
        v if v < 99.95 => format!("{v:.1} s"),
        v => format!("{v:.0} s"),
    }
}

pub(crate) fn percent(part: f64) -> String {
    match part * 100.0 {
        p if p == 0.0 || p >= 9.95 => format!("{p:.0} %"),
        p => format!("{p:.1} %"),
    }
}

fn dollars(value: f64) -> String {
    match value {
        0.0 => "-".to_owned(),
        v if v < 1.0 => format!("{v:.4}"),
        v => format!("{v:.2}"),
    }
}

fn or_dash(value: Option<f64>, show: impl Fn(f64) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), show)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} (seed {})\n", self.scenario, self.seed)?;
        writeln!(f, "latency of what was answered")?;
        let head = [
            "strategy",
            "first token p50",
            "p95",
            "p99",
            "total p50",
            "p95",
            "p99",
        ];
        let latencies = self.strategies.iter().map(|s| {
            let (first, total) = (&s.first_token, &s.total);
            let times = [
                first.p50, first.p95, first.p99, total.p50, total.p95, total.p99,
            ];
            let times = times.into_iter().map(seconds);
            [s.strategy.clone()].into_iter().chain(times).collect()
        });
        writeln!(f, "{}", table(row(head), latencies))?;

        writeln!(f, "requests")?;
        let head = [
            "strategy",
            "sent",
            "answered",
            "failed",
            "hung up",
            "attempts/request",
            "most",
            "retries",
            "fallbacks",
            "sticky",
            "skew",
            "cost $",
        ];
        let requests = self.strategies.iter().map(StrategyReport::requests_row);
        writeln!(f, "{}", table(row(head), requests))?;

        for strategy in &self.strategies {
            strategy.write_details(f)?;
        }
        for s in &self.strategies {
            let (wall, rate) = (s.speed.wall.as_secs_f64(), s.speed.requests_per_second);
            writeln!(
                f,
                "{}: {} simulated in {wall:.2} s, {rate:.0} requests a second",
                s.strategy,
                seconds(s.seconds),
            )?;
        }
        Ok(())
    }
}

fn table(head: Vec<String>, rows: impl Iterator<Item = Vec<String>>) -> Table {
    Table([head].into_iter().chain(rows).collect())
}

impl StrategyReport {
    fn requests_row(&self) -> Vec<String> {
        let failed = self.failures() + self.unfinished;
        let part = failed as f64 / self.requests.max(1) as f64;
        vec![
            self.strategy.clone(),
            self.requests.to_string(),
            self.answered.to_string(),
            format!("{failed} ({})", percent(part)),
            self.hung_up.to_string(),
            format!("{:.3}", self.attempts_per_request()),
            self.most_attempts.to_string(),
            self.retries.to_string(),
            self.fallbacks.to_string(),
            or_dash(self.stickiness, percent),
            or_dash(self.skew, |skew| format!("{skew:.2}")),
            dollars(self.cost),
        ]
    }

    fn write_details(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: deployments", self.strategy)?;
        let head = [
            "deployment",
            "served",
            "share",
            "attempts",
            "failures",
            "mean load",
            "peak",
            "cached input",
            "cost $",
        ];
        let rows = self.deployments.iter().map(DeploymentReport::row);
        writeln!(f, "{}", table(row(head), rows))?;
        if self.has_waited() {
            writeln!(f, "{}: waits for a turn", self.strategy)?;
            let head = [
                "class", "sent", "answered", "refused", "wait p50", "p95", "p99", "share",
            ];
            let rows = self.classes.iter().map(ClassReport::row);
            writeln!(f, "{}", table(row(head), rows))?;
        }
        if !self.failed.is_empty() || self.unfinished > 0 {
            write!(f, "  failed:")?;
            for (kind, count) in &self.failed {
                write!(f, " {kind} {count};")?;
            }
            if self.unfinished > 0 {
                write!(f, " never ended {};", self.unfinished)?;
            }
            writeln!(f, "\n")?;
        }
        Ok(())
    }
}

impl ClassReport {
    fn row(&self) -> Vec<String> {
        vec![
            self.class.clone(),
            self.requests.to_string(),
            self.answered.to_string(),
            self.refused.to_string(),
            seconds(self.wait.p50),
            seconds(self.wait.p95),
            seconds(self.wait.p99),
            percent(self.share),
        ]
    }
}

impl DeploymentReport {
    fn row(&self) -> Vec<String> {
        let failures: u64 = self.failures.values().sum();
        let cached = self.cached_tokens as f64 / self.input_tokens.max(1) as f64;
        vec![
            self.id.clone(),
            self.served.to_string(),
            percent(self.share),
            self.attempts.to_string(),
            failures.to_string(),
            format!("{:.1}", self.load),
            self.peak.to_string(),
            percent(cached),
            dollars(self.cost),
        ]
    }
}
