//! Who is told of settlements.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::Settlement;

/// Is told of each settlement, once.
///
/// A closure `Fn(&Settlement)` is one.
pub trait SettlementSink: Send + Sync {
    /// Takes note of it. It is called on the task that reads the answer, and must neither block nor
    /// panic. A copy is cheap, and may be kept.
    fn settle(&self, settlement: &Settlement);
}

impl<F: Fn(&Settlement) + Send + Sync> SettlementSink for F {
    fn settle(&self, settlement: &Settlement) {
        self(settlement);
    }
}

impl<T: SettlementSink + ?Sized> SettlementSink for Arc<T> {
    fn settle(&self, settlement: &Settlement) {
        (**self).settle(settlement);
    }
}

/// Several sinks, which can be added to while requests run. Copies are the same sinks.
#[derive(Clone, Default)]
pub struct Sinks(Arc<ArcSwap<Vec<Arc<dyn SettlementSink>>>>);

impl Sinks {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one, which is told of what is settled from now on.
    pub fn add(&self, sink: impl SettlementSink + 'static) {
        let sink: Arc<dyn SettlementSink> = Arc::new(sink);
        self.0.rcu(|sinks| {
            let mut more = Vec::clone(sinks);
            more.push(Arc::clone(&sink));
            more
        });
    }
}

impl SettlementSink for Sinks {
    fn settle(&self, settlement: &Settlement) {
        for sink in self.0.load().iter() {
            sink.settle(settlement);
        }
    }
}

impl std::fmt::Debug for Sinks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Sinks").field(&self.0.load().len()).finish()
    }
}
