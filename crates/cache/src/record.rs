//! Takes an answer down while it passes.

use bytes::Bytes;
use ziggurat_core::{Attach, End, Item, LlmResponse, Maker, Observer, Usage};

use crate::{Entry, entry::Recorded};

/// What becomes of an answer that was taken down. Dropped without a word, its reader has left.
pub(crate) trait Keep: Send + 'static {
    /// It is complete.
    fn complete(self, entry: Entry);

    /// It failed, is too long, or is nobody's own answer.
    fn spoilt(self);
}

/// Takes an answer down: now if it is whole, at its end if it is a stream. Answers of so many bytes
/// at most, of providers only.
pub(crate) fn record<K: Keep>(keep: K, response: LlmResponse, max_bytes: usize) -> LlmResponse {
    if response.maker() != Maker::Provider {
        keep.spoilt();
        return response;
    }
    if let Some(bytes) = response.bytes() {
        if bytes.len() > max_bytes {
            keep.spoilt();
            return response;
        }
        // A copy: what is kept for long must not count among what is on its way.
        let body = Recorded::Whole(Bytes::copy_from_slice(bytes));
        let entry = Entry::new(response.headers(), body).used(response.usage());
        match entry.size() <= max_bytes {
            true => keep.complete(entry),
            false => keep.spoilt(),
        }
        return response;
    }
    let head = Entry::new(response.headers(), Recorded::Stream(Vec::new()));
    response.attach(Recorder {
        keep: Some(keep),
        head,
        pieces: Vec::new(),
        size: 0,
        max_bytes,
    })
}

/// Takes a stream down.
struct Recorder<K> {
    /// Gone once the stream is too long.
    keep: Option<K>,
    head: Entry,
    pieces: Vec<(Bytes, u32)>,
    size: usize,
    max_bytes: usize,
}

impl<K: Keep> Recorder<K> {
    fn is_full(&self) -> bool {
        self.head.size() + self.size > self.max_bytes
    }

    fn whole(&mut self, usage: Option<&Usage>) -> Entry {
        let body = Recorded::Stream(std::mem::take(&mut self.pieces));
        self.head.with(body).used(usage)
    }
}

impl<K: Keep> Observer for Recorder<K> {
    fn wants_items(&self) -> bool {
        true
    }

    fn item(&mut self, item: &Item) {
        if self.keep.is_none() || item.bytes.is_empty() {
            return;
        }
        self.size += Recorded::size_of(&item.bytes);
        if self.is_full() {
            self.pieces = Vec::new();
            if let Some(keep) = self.keep.take() {
                keep.spoilt();
            }
            return;
        }
        // A copy: a small piece must not keep the whole buffer that it was read into.
        let bytes = Bytes::copy_from_slice(&item.bytes);
        self.pieces.push((bytes, item.events));
    }

    fn end(&mut self, end: End<'_>) {
        let Some(keep) = self.keep.take() else {
            return;
        };
        match end {
            End::Complete { usage } => {
                let entry = self.whole(usage);
                keep.complete(entry);
            }
            End::Failed(_) => keep.spoilt(),
            End::Abandoned => {}
        }
    }
}
