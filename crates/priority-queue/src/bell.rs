//! Tells a driver where somebody begins to wait.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Whoever rang, each once.
#[derive(Default)]
pub(crate) struct Bells {
    rung: Mutex<Vec<Arc<str>>>,
    any: Notify,
}

impl Bells {
    pub(crate) fn bell(self: &Arc<Self>, name: Arc<str>) -> Bell {
        Bell {
            name,
            is_rung: AtomicBool::new(false),
            bells: Arc::clone(self),
        }
    }

    /// Those that rang since they were taken last.
    pub(crate) fn take(&self) -> Vec<Arc<str>> {
        std::mem::take(&mut *self.rung.lock())
    }

    /// Waits until one rings. *Cancel safe*.
    pub(crate) async fn rings(&self) {
        self.any.notified().await;
    }

    /// Has the driver look, without a bell.
    pub(crate) fn call(&self) {
        self.any.notify_one();
    }
}

/// One bell.
pub(crate) struct Bell {
    name: Arc<str>,
    is_rung: AtomicBool,
    bells: Arc<Bells>,
}

impl Bell {
    pub(crate) fn ring(&self) {
        if !self.is_rung.swap(true, SeqCst) {
            self.bells.rung.lock().push(Arc::clone(&self.name));
            self.bells.call();
        }
    }

    /// Lets it ring anew, for what happens from now on.
    pub(crate) fn hush(&self) {
        self.is_rung.store(false, SeqCst);
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bell").field(&self.name).finish()
    }
}
