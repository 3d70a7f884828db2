//! Numbers that nobody else has.

use std::{
    fmt,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// A number that nothing else has: random for each process, and counted on within it.
///
/// Its text is 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UniqueId {
    process: u64,
    number: u64,
}

impl UniqueId {
    /// The next one. Allocates nothing.
    #[must_use]
    pub fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // The keys of the standard library's hasher come from the operating system.
        static PROCESS: LazyLock<u64> = LazyLock::new(|| {
            use std::hash::{BuildHasher, RandomState};
            RandomState::new().hash_one(std::process::id())
        });
        Self {
            process: *PROCESS,
            number: NEXT.fetch_add(1, Relaxed),
        }
    }
}

impl fmt::Display for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.process, self.number)
    }
}

impl fmt::Debug for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The name of a request: what the application calls it, or a number of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(Name);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Name {
    Given(Arc<str>),
    Own(UniqueId),
}

impl RequestId {
    /// A number of its own.
    #[must_use]
    pub const fn own(id: UniqueId) -> Self {
        Self(Name::Own(id))
    }

    pub(crate) fn new(given: Option<&Arc<str>>, own: UniqueId) -> Self {
        Self(match given {
            Some(name) => Name::Given(Arc::clone(name)),
            None => Name::Own(own),
        })
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Name::Given(name) => f.write_str(name),
            Name::Own(id) => write!(f, "{id}"),
        }
    }
}
