//! What is wrong with a file, all of it at once.

use std::{fmt, sync::Arc};

use crate::yaml::Pos;

/// How many problems are kept; of the rest only the number.
const KEPT: usize = 200;

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Severity {
    /// There is no plan.
    Error,
    /// There is a plan, and it may not be what was meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One finding, and where it is. Its text holds no credential.
///
/// Displayed as compilers do it: `config.yaml:12:7: error: …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    file: Arc<str>,
    at: Option<Pos>,
    severity: Severity,
    message: String,
}

impl Problem {
    /// How bad it is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// The line, from 1; `None` if it is about the whole file.
    #[must_use]
    pub fn line(&self) -> Option<u32> {
        self.at.map(|at| at.line)
    }

    /// The column in characters, from 1; `None` if it is about the whole file.
    #[must_use]
    pub fn column(&self) -> Option<u32> {
        self.at.map(|at| at.column)
    }

    /// What is wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if let Some(Pos { line, column }) = self.at {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}: {}", self.severity, self.message)
    }
}

/// Why there is no plan: every error in the file, and every warning. One line each.
#[derive(Debug)]
pub struct Problems {
    found: Vec<Problem>,
    left_out: usize,
}

impl Problems {
    /// Errors and warnings, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.found.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.found.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        if self.left_out > 0 {
            write!(f, "\n… and {} more", self.left_out)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Collects problems while a file is read.
#[derive(Debug)]
pub(crate) struct Report {
    file: Arc<str>,
    /// What problems call that which stands in no file.
    elsewhere: Arc<str>,
    found: Vec<Problem>,
    left_out: usize,
    failed: bool,
}

impl Report {
    pub(crate) fn new(file: &str) -> Self {
        let file: Arc<str> = Arc::from(file);
        Self {
            elsewhere: Arc::clone(&file),
            file,
            found: Vec::new(),
            left_out: 0,
            failed: false,
        }
    }

    /// For a file and for values that stand in no file, which are called `elsewhere`.
    pub(crate) fn with_elsewhere(file: &Arc<str>, elsewhere: &str) -> Self {
        Self {
            elsewhere: Arc::from(elsewhere),
            ..Self::new(file)
        }
    }

    pub(crate) fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// Whether what comes now is only counted, so that no work needs to go into its text.
    pub(crate) fn is_full(&self) -> bool {
        self.found.len() >= KEPT
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    pub(crate) fn error(&mut self, at: impl Into<Option<Pos>>, message: impl Into<String>) {
        self.failed = true;
        self.add(Severity::Error, at.into(), message.into());
    }

    pub(crate) fn warning(&mut self, at: impl Into<Option<Pos>>, message: impl Into<String>) {
        self.add(Severity::Warning, at.into(), message.into());
    }

    /// Errors push warnings out, so that no flood of warnings hides one.
    fn add(&mut self, severity: Severity, at: Option<Pos>, message: String) {
        let (file, at) = match at {
            Some(Pos::NOWHERE) => (&self.elsewhere, None),
            at => (&self.file, at),
        };
        let problem = Problem {
            file: Arc::clone(file),
            at,
            severity,
            message,
        };
        if !self.is_full() {
            // An anchor that is used often would repeat what is wrong with it.
            if !self.found.contains(&problem) {
                self.found.push(problem);
            }
            return;
        }
        self.left_out += 1;
        if severity == Severity::Error
            && let Some(warning) = self
                .found
                .iter_mut()
                .find(|p| p.severity == Severity::Warning)
        {
            *warning = problem;
        }
    }

    /// The warnings, if there is no error.
    pub(crate) fn finish(mut self) -> Result<Vec<Problem>, Problems> {
        self.found.sort_by_key(|problem| problem.at);
        if self.failed {
            return Err(Problems {
                found: self.found,
                left_out: self.left_out,
            });
        }
        Ok(self.found)
    }
}
