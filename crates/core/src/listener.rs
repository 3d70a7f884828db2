//! Who is told when something has changed.

use std::{fmt, sync::OnceLock};

/// Who is told of changes: nobody, until somebody [wants to](Self::set). For a layer whose state is
/// part of what another one goes by.
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
/// use ziggurat_core::Listener;
///
/// static TOLD: AtomicU32 = AtomicU32::new(0);
///
/// let listener = Listener::new();
/// listener.tell(&1);
/// assert!(listener.set(|number: &u32| TOLD.store(*number, Relaxed)));
/// listener.tell(&2);
/// assert_eq!(TOLD.load(Relaxed), 2);
/// assert!(!listener.set(|_| {}), "there is one already");
/// ```
pub struct Listener<T>(OnceLock<Box<dyn Fn(&T) + Send + Sync>>);

impl<T> Listener<T> {
    /// Nobody listens yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Lets somebody be told from now on. `false` if there is somebody already: then nothing changes.
    pub fn set(&self, tell: impl Fn(&T) + Send + Sync + 'static) -> bool {
        self.0.set(Box::new(tell)).is_ok()
    }

    /// Tells of something that has changed. To be called without a lock that who listens may want.
    pub fn tell(&self, changed: &T) {
        if let Some(tell) = self.0.get() {
            tell(changed);
        }
    }
}

impl<T> Default for Listener<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Listener<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listens = self.0.get().is_some();
        f.debug_tuple("Listener").field(&listens).finish()
    }
}
