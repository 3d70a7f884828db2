//! Who is told of limits.

use std::{fmt, sync::Arc};

use parking_lot::RwLock;
use ziggurat_rate_limit::{Crossing, LimitSink};

/// Several who are told, to whom others may be added.
#[derive(Clone, Default)]
pub(crate) struct LimitSinks(Arc<RwLock<Vec<Arc<dyn LimitSink>>>>);

impl LimitSinks {
    pub(crate) fn add(&self, sink: impl LimitSink + 'static) {
        self.0.write().push(Arc::new(sink));
    }
}

impl LimitSink for LimitSinks {
    fn crossed(&self, crossing: &Crossing) {
        // Told without the lock: a sink may add another.
        let sinks = self.0.read().clone();
        sinks.iter().for_each(|sink| sink.crossed(crossing));
    }
}

impl fmt::Debug for LimitSinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LimitSinks")
            .field(&self.0.read().len())
            .finish()
    }
}
