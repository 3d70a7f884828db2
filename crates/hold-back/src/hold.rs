//! How much is held back.

use ziggurat_core::Extract;

/// How many bytes are held back at most, if nobody says otherwise.
const MAX_BYTES: usize = 1 << 20;

/// How much of a streamed answer must be there before it begins.
///
/// It is the extractor that says the same of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldBack {
    events: u32,
    bytes: usize,
}

impl HoldBack {
    /// So many events, or all of it if it has fewer. Zero and one change nothing: an answer has an
    /// event when it begins.
    #[must_use]
    pub const fn events(events: u32) -> Self {
        Self {
            events,
            bytes: MAX_BYTES,
        }
    }

    /// All of it.
    #[must_use]
    pub const fn all() -> Self {
        Self::events(u32::MAX)
    }

    /// Nothing: the answer begins as it would without the layer.
    #[must_use]
    pub const fn none() -> Self {
        Self::events(0)
    }

    /// Begins the answer also when that many bytes are there; 1 MiB if not set. It is passed by no
    /// more than an item of the stream.
    #[must_use]
    pub const fn max_bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// The number of events.
    #[must_use]
    pub const fn event_count(&self) -> u32 {
        self.events
    }

    /// The number of bytes.
    #[must_use]
    pub const fn byte_count(&self) -> usize {
        self.bytes
    }
}

impl Default for HoldBack {
    /// [`none`](Self::none).
    fn default() -> Self {
        Self::none()
    }
}

impl<R> Extract<Self, R> for HoldBack {
    fn extract(&self, _: &R) -> Self {
        *self
    }
}
