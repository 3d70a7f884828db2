//! What one key did in one minute, as it travels between instances.

use std::{collections::BTreeMap, fmt, sync::Arc};

use ziggurat_core::{DeploymentId, ErrorKind, Money};

use crate::{
    Histogram, Minute, Tally,
    codec::{Reader, Writer},
};

/// The first byte of a row.
const VERSION: u64 = 1;

/// Whose usage it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Subject {
    /// A deployment.
    Deployment(DeploymentId),
    /// A model group, by its configured name.
    Group(Arc<str>),
}

/// What one deployment, or one group, did in one minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    subject: Subject,
    minute: Minute,
    tally: Tally,
}

/// The bytes are no [`Row`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRow(());

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes are no row of usage")
    }
}

impl std::error::Error for BadRow {}

impl Row {
    /// A row.
    #[must_use]
    pub const fn new(subject: Subject, minute: Minute, tally: Tally) -> Self {
        Self {
            subject,
            minute,
            tally,
        }
    }

    /// Who did it.
    #[must_use]
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// When.
    #[must_use]
    pub const fn minute(&self) -> Minute {
        self.minute
    }

    /// What.
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Adds up rows of the same subject and minute: those of several instances become those of all
    /// of them, ordered by subject and minute. The order in which they come does not matter.
    #[must_use]
    pub fn merge(rows: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut sums: BTreeMap<(Subject, Minute), Tally> = BTreeMap::new();
        for row in rows {
            let sum = sums.entry((row.subject, row.minute)).or_default();
            sum.merge(&row.tally);
        }
        sums.into_iter()
            .map(|((subject, minute), tally)| Self::new(subject, minute, tally))
            .collect()
    }

    /// The row in a few dozen bytes, for a store.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.whole(VERSION);
        match &self.subject {
            Subject::Deployment(id) => {
                to.whole(0);
                to.text(id.as_str());
            }
            Subject::Group(name) => {
                to.whole(1);
                to.text(name);
            }
        }
        to.whole(self.minute.number());
        let tally = &self.tally;
        for count in [
            tally.served,
            tally.cached,
            tally.mocked,
            tally.cancelled,
            tally.input,
            tally.output,
            tally.unpriced,
            tally.most_in_flight.into(),
        ] {
            to.whole(count);
        }
        to.large(tally.cost.picodollars());
        let failures = || tally.failures_by_kind();
        to.whole(failures().count() as u64);
        for (kind, count) in failures() {
            to.text(kind.as_str());
            to.whole(count);
        }
        for histogram in [&tally.latency, &tally.first_token] {
            let seen = || {
                let counts = histogram.counts().iter().enumerate();
                counts.filter(|(_, count)| **count > 0)
            };
            to.whole(seen().count() as u64);
            for (bucket, count) in seen() {
                to.whole(bucket as u64);
                to.whole(*count);
            }
        }
        to.finish()
    }

    /// The row that was made into these bytes.
    ///
    /// A failure of a kind that this version does not know, which a newer one may have written, is
    /// counted as [`ErrorKind::Internal`].
    ///
    /// # Errors
    ///
    /// If they are none of a row, or of another version of rows.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadRow> {
        let mut from = Reader(bytes);
        let row = read(&mut from).ok_or(BadRow(()))?;
        match from.is_at_end() {
            true => Ok(row),
            false => Err(BadRow(())),
        }
    }
}

fn read(from: &mut Reader<'_>) -> Option<Row> {
    if from.whole()? != VERSION {
        return None;
    }
    let subject = match from.whole()? {
        0 => Subject::Deployment(DeploymentId::new(from.text()?)),
        1 => Subject::Group(from.text()?.into()),
        _ => return None,
    };
    let minute = Minute::new(from.whole()?);
    let mut tally = Tally {
        served: from.whole()?,
        cached: from.whole()?,
        mocked: from.whole()?,
        cancelled: from.whole()?,
        input: from.whole()?,
        output: from.whole()?,
        unpriced: from.whole()?,
        most_in_flight: from.whole()?.try_into().ok()?,
        cost: Money::from_picodollars(from.large()?),
        ..Tally::default()
    };
    for _ in 0..from.whole()? {
        let name = from.text()?;
        let kind = ErrorKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == name);
        tally.add_failed(kind.unwrap_or(ErrorKind::Internal), from.whole()?);
    }
    tally.latency = histogram(from)?;
    tally.first_token = histogram(from)?;
    Some(Row::new(subject, minute, tally))
}

fn histogram(from: &mut Reader<'_>) -> Option<Histogram> {
    let mut histogram = Histogram::default();
    for _ in 0..from.whole()? {
        let bucket = from.whole()?.try_into().ok()?;
        histogram.add(bucket, from.whole()?);
    }
    Some(histogram)
}

#[cfg(test)]
mod tests;
