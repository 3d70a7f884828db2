//! What several instances know together.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    future::{Future, ready},
    ops::RangeInclusive,
    sync::Arc,
};

use parking_lot::Mutex;
use ziggurat_core::BoxError;

use crate::{Minute, Row, Subject};

/// Keeps the usage of several instances.
///
/// An instance writes whole rows, and writes a row again when it has changed, so a write that is
/// repeated, or comes late, counts once. Who reads gets the rows of all instances, and
/// [adds them up](Row::merge).
pub trait UsageStore: Send + Sync {
    /// What may go wrong.
    type Error: Into<BoxError> + Send;

    /// Keeps the rows of an instance, each in the place of the one of the same instance, subject and
    /// minute.
    ///
    /// Says whether the store still knows the instance: it does not at the first time, nor after it
    /// has lost all that it knew. Then the instance writes again what it has.
    fn push(
        &self,
        instance: &str,
        rows: Vec<Row>,
    ) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// The rows of these minutes, in no order: of all instances, or of all but one. Rows of the same
    /// subject and minute may have been [added up](Row::merge).
    fn fetch(
        &self,
        minutes: RangeInclusive<Minute>,
        but: Option<&str>,
    ) -> impl Future<Output = Result<Vec<Row>, Self::Error>> + Send;
}

/// The usage of several instances in one process, for tests. Copies are the same store.
///
/// It forgets what is older than the last 1,440 minutes that were written.
#[derive(Clone, Debug, Default)]
pub struct MemoryUsageStore(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    /// By minute, instance and subject.
    rows: BTreeMap<(Minute, Arc<str>, Subject), Row>,
    instances: BTreeSet<Arc<str>>,
}

const KEPT: u64 = 1_440;

impl MemoryUsageStore {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything, as a store that was restarted without its data.
    pub fn lose(&self) {
        *self.0.lock() = Kept::default();
    }
}

impl UsageStore for MemoryUsageStore {
    type Error = Infallible;

    fn push(
        &self,
        instance: &str,
        rows: Vec<Row>,
    ) -> impl Future<Output = Result<bool, Infallible>> + Send {
        let instance: Arc<str> = instance.into();
        let kept = &mut *self.0.lock();
        for row in rows {
            let place = (row.minute(), Arc::clone(&instance), row.subject().clone());
            kept.rows.insert(place, row);
        }
        if let Some(((last, ..), _)) = kept.rows.last_key_value() {
            let oldest = last.minus(KEPT);
            kept.rows.retain(|(minute, ..), _| *minute > oldest);
        }
        ready(Ok(!kept.instances.insert(instance)))
    }

    fn fetch(
        &self,
        minutes: RangeInclusive<Minute>,
        but: Option<&str>,
    ) -> impl Future<Output = Result<Vec<Row>, Infallible>> + Send {
        let kept = self.0.lock();
        let wanted = kept.rows.iter().filter(|((minute, instance, _), _)| {
            minutes.contains(minute) && but.is_none_or(|but| **instance != *but)
        });
        ready(Ok(wanted.map(|(_, row)| row.clone()).collect()))
    }
}
