//! Decoders of streams of server-sent events.

use bytes::Bytes;
use ziggurat_core::{Error, ErrorKind};

use super::Decoder;
use crate::{
    chat::Events,
    sse::{BOM, Event, Splitter, TooLong},
};

/// How long an event may be.
const MAX_EVENT: usize = 16 * 1024 * 1024;

/// What a dialect makes of the events of one answer.
pub(crate) trait OnEvent: std::fmt::Debug + Send {
    /// One event that has data. What nobody can read is [skipped](Events::skip).
    ///
    /// # Errors
    ///
    /// The failure that it tells.
    fn event(&mut self, data: &[u8], out: &mut Events) -> Result<(), Error>;

    /// The end of the body.
    ///
    /// # Errors
    ///
    /// As [`event`](Self::event).
    fn end(&mut self, out: &mut Events) -> Result<(), Error> {
        let _ = out;
        Ok(())
    }
}

/// Splits what is read into events.
#[derive(Debug)]
pub(crate) struct SseDecoder<E> {
    splitter: Splitter,
    started: bool,
    on_event: E,
}

impl<E: OnEvent> SseDecoder<E> {
    pub(crate) fn new(on_event: E) -> Self {
        Self {
            splitter: Splitter::new(MAX_EVENT),
            started: false,
            on_event,
        }
    }

    fn event(&mut self, event: &[u8], out: &mut Events) -> Result<(), Error> {
        match Event::read(event).data {
            Some(data) if !data.trim_ascii().is_empty() => self.on_event.event(&data, out),
            _ => Ok(()),
        }
    }
}

impl<E: OnEvent> Decoder for SseDecoder<E> {
    fn read(&mut self, bytes: Bytes, out: &mut Events) -> Result<(), Error> {
        let whole = self.splitter.push(bytes).map_err(|TooLong| {
            let message = "the provider sent an event that does not end";
            Error::new(ErrorKind::BadAnswer, message)
        })?;
        let mut start = 0;
        let is_first = !whole.is_empty() && !std::mem::replace(&mut self.started, true);
        if is_first && whole.starts_with(BOM) {
            start = BOM.len();
        }
        for event in 0..self.splitter.ends().len() {
            let end = self.splitter.ends()[event];
            self.event(&whole[start..end], out)?;
            start = end;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Events) -> Result<(), Error> {
        let rest = self.splitter.rest();
        if !rest.trim_ascii().is_empty() {
            self.event(&rest, out)?;
        }
        self.on_event.end(out)
    }
}
