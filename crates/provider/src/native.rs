//! Reads a stream that is in the client's own shape.

use bytes::Bytes;
use ziggurat_core::{DeploymentId, Error, ErrorKind, Item};

use crate::{
    chat::Events,
    dialect::{
        Decoder,
        openai::{self, Out},
    },
    minted,
    sse::{BOM, Event, Splitter, TooLong},
};

/// How long an event may be, and all that comes before the first content.
const MAX_EVENT: usize = 16 * 1024 * 1024;

/// Passes the events of an answer byte for byte, each once what it says was held to the rules in
/// OpenAI's words.
#[derive(Debug)]
pub(crate) struct Native {
    splitter: Splitter,
    decoder: Box<dyn Decoder>,
    events: Events,
    out: Out,
    /// What ends a stream, if it is forgotten.
    last: &'static [u8],
    /// Who keeps what the answer names, if something is kept.
    keeper: Option<DeploymentId>,
    started: bool,
    /// How much was read before the answer began.
    unbegun: usize,
}

impl Native {
    pub(crate) fn new(decoder: Box<dyn Decoder>, events: Events, last: &'static [u8]) -> Self {
        Self {
            splitter: Splitter::new(MAX_EVENT),
            decoder,
            events,
            out: Out::default(),
            last,
            keeper: None,
            started: false,
            unbegun: 0,
        }
    }

    /// Passes ids of ours on for what the deployment keeps.
    pub(crate) fn mint(&mut self, keeper: DeploymentId) {
        self.keeper = Some(keeper);
    }

    /// Takes what was read.
    pub(crate) fn read(&mut self, bytes: Bytes, reader: &mut openai::Reader) {
        if reader.is_ended() {
            return;
        }
        self.unbegun += bytes.len();
        match self.splitter.push(bytes) {
            Ok(whole) => self.pass(&whole, reader),
            Err(TooLong) => reader.broke(bad("the provider sent an event that does not end")),
        }
        if reader.is_committed() {
            self.unbegun = 0;
        } else if self.unbegun > MAX_EVENT {
            reader.broke(bad("the provider's answer does not begin"));
        }
    }

    /// Takes the end of the body.
    pub(crate) fn finish(&mut self, reader: &mut openai::Reader) {
        let rest = self.splitter.rest();
        if !reader.is_ended() && !rest.trim_ascii().is_empty() {
            let event = Bytes::from([&rest[..], b"\n\n"].concat());
            if self.is_accepted(event.clone(), reader) {
                let instead = self.instead_of(&event);
                self.out.push(instead.unwrap_or(event));
            }
        }
        if reader.is_ended() {
            return;
        }
        let read = self.decoder.finish(&mut self.events);
        self.tell(read, reader);
        reader.finish();
        if reader.is_complete() {
            self.out.push(Bytes::from_static(self.last));
        }
    }

    /// What there is to pass on: the bytes, with what is known of them.
    pub(crate) fn take_item(&mut self, reader: &mut openai::Reader) -> Option<Item> {
        if let Some(item) = reader.take_item() {
            self.out.events += item.events;
            self.out.usage = item.usage.or(self.out.usage);
        }
        self.out.take()
    }

    fn pass(&mut self, whole: &Bytes, reader: &mut openai::Reader) {
        let mut start = 0;
        let is_first = !whole.is_empty() && !std::mem::replace(&mut self.started, true);
        if is_first && whole.starts_with(BOM) {
            start = BOM.len();
        }
        // They are passed on as one piece.
        let mut first = start;
        for event in 0..self.splitter.ends().len() {
            let end = self.splitter.ends()[event];
            if !self.is_accepted(whole.slice(start..end), reader) {
                break;
            }
            if let Some(instead) = self.instead_of(&whole[start..end]) {
                self.out.push(whole.slice(first..start));
                self.out.push(instead);
                first = end;
            }
            start = end;
            if reader.is_ended() {
                break;
            }
        }
        self.out.push(whole.slice(first..start));
    }

    /// What is passed on instead of an event that was just read, if it is not passed on as it is: one
    /// with another id, or nothing where nobody can read it.
    fn instead_of(&mut self, event: &[u8]) -> Option<Bytes> {
        let is_done = || {
            let data = Event::read(event).data;
            data.is_some_and(|data| data.trim_ascii() == b"[DONE]")
        };
        if self.events.take_skipped() && !is_done() {
            return Some(Bytes::new());
        }
        minted::event(self.keeper.as_ref()?, event)
    }

    /// Whether an event is none that ends the stream with a failure.
    fn is_accepted(&mut self, event: Bytes, reader: &mut openai::Reader) -> bool {
        let read = self.decoder.read(event, &mut self.events);
        let is_ok = read.is_ok();
        self.tell(read, reader);
        is_ok && (!reader.is_ended() || reader.is_complete())
    }

    fn tell(&mut self, read: Result<(), Error>, reader: &mut openai::Reader) {
        reader.read(self.events.take());
        if let Err(error) = read {
            reader.broke(error);
        }
    }
}

fn bad(message: &'static str) -> Error {
    Error::new(ErrorKind::BadAnswer, message)
}
