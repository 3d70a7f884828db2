//! Reads a stream of server-sent events, after the WHATWG HTML standard.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use http::HeaderMap;
use serde::de::DeserializeOwned;
use ziggurat_core::{Deployment, Error, Items, Trail, Usage};

use super::{answer::Served, bounded, read_json};

/// An event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Its data: JSON, or the `[DONE]` at the end of some streams.
    pub data: String,
}

impl Event {
    /// The data as JSON.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadAnswer`](ziggurat_core::ErrorKind::BadAnswer) if it is not.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        read_json(self.data.as_bytes())
    }
}

/// An answer that comes as events. Dropping it hangs up.
pub struct Events {
    items: Option<Items>,
    usage: Option<Usage>,
    lines: Lines,
    served: Served,
}

impl Events {
    pub(super) fn new(items: Items, served: Served) -> Self {
        Self {
            items: Some(items),
            usage: None,
            lines: Lines::default(),
            served,
        }
    }

    /// What the answer used so far, if that is known.
    #[must_use]
    pub fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }

    /// The deployment that serves it; `None` if the service keeps no account.
    #[must_use]
    pub fn deployment(&self) -> Option<Arc<Deployment>> {
        self.served.deployment()
    }

    /// The attempts that were made for it, in order.
    #[must_use]
    pub fn trail(&self) -> Trail {
        self.served.trail()
    }

    /// The headers that came with it.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.served.headers
    }

    /// Ends it at once.
    pub(super) fn hang_up(&mut self) {
        self.items = None;
        self.lines.events.clear();
    }

    pub(super) fn into_served(self) -> Served {
        self.served
    }
}

impl Stream for Events {
    type Item = Result<Event, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(event) = this.lines.events.pop_front() {
                return Poll::Ready(Some(Ok(event)));
            }
            let Some(items) = &mut this.items else {
                return Poll::Ready(None);
            };
            let read = match ready!(Pin::new(&mut *items).poll_next(cx)) {
                Some(Ok(item)) => this.lines.push(&item.bytes),
                Some(Err(error)) => Err(error),
                None => {
                    this.items = None;
                    this.lines.finish();
                    continue;
                }
            };
            this.usage = items.usage().copied();
            if let Err(error) = read {
                this.hang_up();
                return Poll::Ready(Some(Err(error)));
            }
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("items", &self.items)
            .field("usage", &self.usage)
            .finish_non_exhaustive()
    }
}

/// The lines of a stream, wherever it is cut.
#[derive(Debug, Default)]
struct Lines {
    line: Vec<u8>,
    after_cr: bool,
    name: Option<String>,
    data: Option<Vec<u8>>,
    events: VecDeque<Event>,
}

impl Lines {
    fn push(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while let Some(at) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let is_of_crlf = self.after_cr && at == 0 && bytes[0] == b'\n';
            self.after_cr = bytes[at] == b'\r';
            if !is_of_crlf {
                self.line.extend_from_slice(&bytes[..at]);
                self.end_line();
            }
            bytes = &bytes[at + 1..];
        }
        if !bytes.is_empty() {
            self.after_cr = false;
            self.line.extend_from_slice(bytes);
        }
        bounded(self.line.len() + self.data.as_ref().map_or(0, Vec::len))
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return self.end_event();
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (field, value) = line.split_at(colon.unwrap_or(line.len()));
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => match &mut self.data {
                None => self.data = Some(value.to_vec()),
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
            },
            b"event" => self.name = Some(String::from_utf8_lossy(value).into_owned()),
            _ => {}
        }
    }

    fn end_event(&mut self) {
        let name = self.name.take();
        if let Some(data) = self.data.take() {
            let data = String::from_utf8_lossy(&data).into_owned();
            self.events.push_back(Event { name, data });
        }
    }

    /// The last event may lack the empty line behind it.
    fn finish(&mut self) {
        self.end_line();
        self.end_event();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &str = "event: a\r\ndata: {\"x\":1}\r\n\r\n: ping\n\ndata: one\ndata:  two\rdata\n\nevent: b\n\ndata: [DONE]";

    fn event(name: Option<&str>, data: &str) -> Event {
        Event {
            name: name.map(str::to_owned),
            data: data.to_owned(),
        }
    }

    proptest! {
        #[test]
        fn events_are_the_same_wherever_the_stream_is_cut(cuts in prop::collection::vec(0..STREAM.len(), 0..9)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            let mut lines = Lines::default();
            let mut start = 0;
            for cut in cuts.into_iter().chain([STREAM.len()]) {
                lines.push(&STREAM.as_bytes()[start..cut]).expect("is short");
                start = cut;
            }
            lines.finish();
            let expected = [
                event(Some("a"), "{\"x\":1}"),
                event(None, "one\n two\n"),
                event(None, "[DONE]"),
            ];
            prop_assert_eq!(Vec::from(lines.events), expected);
        }
    }
}
