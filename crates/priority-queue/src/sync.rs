//! The lock of the queue: a module of its own, so that `tests/loom.rs` can put loom's in its place.

pub(crate) use parking_lot::Mutex;
