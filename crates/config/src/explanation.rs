//! The plan as a table, with the source of each value.

use std::{collections::HashMap, fmt, sync::Arc};

use ziggurat_core::{Deployment, DeploymentId};

use crate::{
    source::{Entry, Source, Subject},
    tables::GENERAL,
};

/// Every effective value of a plan and where it came from. No credential is in it.
///
/// Displayed as tables: deployments by model group, aliases, fallbacks, settings.
#[derive(Clone, Debug)]
pub struct Explanation {
    file: Arc<str>,
    groups: Vec<(String, Vec<DeploymentId>)>,
    entries: Vec<Entry>,
    warnings: usize,
}

impl Explanation {
    pub(crate) fn new(
        file: Arc<str>,
        deployments: &[Deployment],
        entries: Vec<Entry>,
        warnings: usize,
    ) -> Self {
        let mut groups: Vec<(String, Vec<DeploymentId>)> = Vec::new();
        let mut at: HashMap<&str, usize> = HashMap::new();
        for deployment in deployments {
            let at = *at.entry(deployment.group()).or_insert_with(|| {
                groups.push((deployment.group().escape_debug().to_string(), Vec::new()));
                groups.len() - 1
            });
            groups[at].1.push(deployment.id().clone());
        }
        Self {
            file,
            groups,
            entries,
            warnings,
        }
    }

    /// All values, in the order of the file.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What stays as it is when `router_settings` change.
    pub(crate) fn kept(&self) -> impl Iterator<Item = &Entry> {
        let stays = |entry: &&Entry| match entry.subject() {
            Subject::Deployment(_) | Subject::Callers | Subject::Limits => true,
            Subject::Settings => {
                let of_group = entry.name().starts_with("enable_tag_filtering of ");
                let of_alerts = entry.name().starts_with("alerts.");
                of_group || of_alerts || GENERAL.acted.contains(&entry.name())
            }
            _ => false,
        };
        self.entries.iter().filter(stays)
    }

    fn rows(&self, f: &mut fmt::Formatter<'_>, indent: usize, rows: &[&Entry]) -> fmt::Result {
        let width = |text: fn(&Entry) -> &str| {
            rows.iter()
                .map(|row| text(row).chars().count())
                .max()
                .unwrap_or(0)
                .min(60)
        };
        let (names, values) = (width(Entry::name), width(Entry::value));
        for row in rows {
            let (name, value) = (row.name(), row.value());
            write!(f, "{:indent$}{name:names$}  {value:values$}  ", "")?;
            match row.source() {
                Source::Default => writeln!(f, "default")?,
                Source::File { line } => writeln!(f, "{}:{line}", self.file)?,
                Source::Env { variable } => writeln!(f, "env {variable}")?,
                Source::Runtime => f.write_str("set at run time\n")?,
                Source::Catalog => f.write_str("catalog\n")?,
            }
        }
        Ok(())
    }

    fn section(&self, f: &mut fmt::Formatter<'_>, title: &str, subject: &Subject) -> fmt::Result {
        let about = |entry: &&Entry| entry.subject() == subject;
        let rows: Vec<_> = self.entries.iter().filter(about).collect();
        if rows.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n{title}")?;
        self.rows(f, 2, &rows)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deployments: usize = self.groups.iter().map(|(_, ids)| ids.len()).sum();
        writeln!(
            f,
            "{}: {} model groups, {deployments} deployments, {} warnings",
            self.file,
            self.groups.len(),
            self.warnings
        )?;
        let mut by_id: HashMap<&DeploymentId, Vec<&Entry>> = HashMap::new();
        for entry in &self.entries {
            if let Subject::Deployment(id) = entry.subject() {
                by_id.entry(id).or_default().push(entry);
            }
        }
        for (group, ids) in &self.groups {
            writeln!(f, "\nmodel group {group}")?;
            for id in ids {
                writeln!(f, "  deployment {id}")?;
                self.rows(f, 4, by_id.get(id).map_or(&[], Vec::as_slice))?;
            }
        }
        self.section(f, "aliases", &Subject::Alias)?;
        self.section(f, "routing groups", &Subject::RoutingGroup)?;
        self.section(f, "auto-routing", &Subject::AutoRoute)?;
        self.section(f, "fallbacks", &Subject::Fallbacks)?;
        self.section(f, "callers", &Subject::Callers)?;
        self.section(f, "limits", &Subject::Limits)?;
        self.section(f, "settings", &Subject::Settings)
    }
}
