//! What keeps an answer when it is complete.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use ziggurat_core::{Attach, End, Item, LlmResponse, Maker, Observer};

use crate::{
    CacheKey, CacheStore, Entry, Produced,
    entry::{CACHE_KEY, Recorded, header},
    flight::Lead,
};

/// Keeps the answer to one request.
pub(crate) struct Record<R, C, X> {
    pub(crate) request: R,
    pub(crate) key: CacheKey,
    pub(crate) store: C,
    pub(crate) names: X,
    /// How long it is kept; `None` if it is not to be kept.
    pub(crate) ttl: Option<Duration>,
    pub(crate) max_bytes: usize,
    /// Those who wait for the same.
    pub(crate) lead: Option<Lead>,
}

impl<R, C, X> Record<R, C, X>
where
    R: Send + 'static,
    C: CacheStore,
    X: Produced<R> + Send + 'static,
{
    /// Keeps an answer: now if it is whole, at its end if it is a stream.
    pub(crate) fn keep(mut self, mut response: LlmResponse) -> LlmResponse {
        if response.maker() != Maker::Provider {
            self.land(None);
            return response;
        }
        response.headers_mut().insert(CACHE_KEY, header(&self.key));
        if let Some(bytes) = response.bytes() {
            let body = Recorded::Whole(bytes.clone());
            let entry = Entry::new(response.headers(), body);
            self.complete(entry);
            return response;
        }
        let head = Entry::new(response.headers(), Recorded::Stream(Vec::new()));
        response.attach(Recorder {
            record: Some(self),
            head,
            pieces: Vec::new(),
            size: 0,
        })
    }

    fn complete(&mut self, entry: Entry) {
        let entry = Some(Arc::new(entry)).filter(|entry| entry.size() <= self.max_bytes);
        if let (Some(entry), Some(ttl)) = (&entry, self.ttl)
            && let Some(key) = self.names.produced(&self.request, self.key)
        {
            self.store.put(key, Arc::clone(entry), ttl);
        }
        self.land(entry);
    }

    /// Tells those who wait for the same.
    pub(crate) fn land(&mut self, entry: Option<Arc<Entry>>) {
        if let Some(lead) = self.lead.take() {
            lead.land(entry);
        }
    }
}

/// Takes a stream down.
struct Recorder<R, C, X> {
    /// Gone once the stream is too long to be kept.
    record: Option<Record<R, C, X>>,
    head: Entry,
    pieces: Vec<(Bytes, u32)>,
    size: usize,
}

impl<R, C, X> Observer for Recorder<R, C, X>
where
    R: Send + 'static,
    C: CacheStore,
    X: Produced<R> + Send + 'static,
{
    fn wants_items(&self) -> bool {
        true
    }

    fn item(&mut self, item: &Item) {
        let Some(record) = &mut self.record else {
            return;
        };
        if item.bytes.is_empty() {
            return;
        }
        self.size += item.bytes.len();
        if self.size > record.max_bytes {
            record.land(None);
            self.record = None;
            self.pieces = Vec::new();
            return;
        }
        // A copy: a small piece must not keep the whole buffer that it was read into.
        let bytes = Bytes::copy_from_slice(&item.bytes);
        self.pieces.push((bytes, item.events));
    }

    fn end(&mut self, end: End<'_>) {
        let Some(mut record) = self.record.take() else {
            return;
        };
        match end {
            End::Complete { .. } => {
                let body = Recorded::Stream(std::mem::take(&mut self.pieces));
                record.complete(self.head.with(body));
            }
            End::Failed(_) => record.land(None),
            // Somebody else takes the lead.
            End::Abandoned => {}
        }
    }
}
