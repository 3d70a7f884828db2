//! Reads a stream in whatever dialect it comes, for whatever shape it is to have.

use std::time::Duration;

use bytes::Bytes;
use ziggurat_core::{DeploymentId, Error, Item};

use crate::{
    chat::Events,
    dialect::{Decoder, openai},
    native::Native,
    shape::Encoder,
    stream::Read,
};

/// Reads the stream of one answer. One in another dialect is translated first, and then held to the
/// same rules: where it begins, and whether it ended well. What was let through is written in the
/// shape of a client that asked in another one.
#[derive(Debug)]
pub(crate) struct Reader {
    source: Source,
    reader: openai::Reader,
    encoding: Option<Encoding>,
}

#[derive(Debug)]
enum Source {
    OpenAi,
    Other {
        decoder: Box<dyn Decoder>,
        events: Events,
    },
    Native(Box<Native>),
}

#[derive(Debug)]
struct Encoding {
    encoder: Box<dyn Encoder>,
    /// Whether nothing more comes.
    is_over: bool,
}

impl Reader {
    /// A reader of OpenAI's events.
    pub(crate) fn new(reader: openai::Reader) -> Self {
        Self {
            source: Source::OpenAi,
            reader,
            encoding: None,
        }
    }

    /// A reader of another dialect's, which are written as those `events`.
    pub(crate) fn decoding(
        reader: openai::Reader,
        decoder: Box<dyn Decoder>,
        events: Events,
    ) -> Self {
        Self {
            source: Source::Other { decoder, events },
            reader,
            encoding: None,
        }
    }

    /// A reader of events that the client knows, which pass as they are. `last` is that which ends
    /// them, if it may be forgotten.
    pub(crate) fn native(
        reader: openai::Reader,
        decoder: Box<dyn Decoder>,
        events: Events,
        last: &'static [u8],
    ) -> Self {
        Self {
            source: Source::Native(Box::new(Native::new(decoder, events, last))),
            reader,
            encoding: None,
        }
    }

    /// The same reader, which passes ids of ours on for what the deployment keeps.
    pub(crate) fn minting(mut self, keeper: Option<&DeploymentId>) -> Self {
        if let (Source::Native(native), Some(keeper)) = (&mut self.source, keeper) {
            native.mint(keeper.clone());
        }
        self
    }

    /// The same reader, for a client of another shape.
    pub(crate) fn encoding(mut self, encoder: Option<Box<dyn Encoder>>) -> Self {
        self.encoding = encoder.map(|encoder| Encoding {
            encoder,
            is_over: false,
        });
        self
    }
}

impl Read for Reader {
    fn is_committed(&self) -> bool {
        self.reader.is_committed()
    }

    fn is_ended(&self) -> bool {
        self.reader.is_ended()
    }

    fn take_item(&mut self) -> Option<Item> {
        let item = match &mut self.source {
            Source::Native(native) => native.take_item(&mut self.reader),
            Source::OpenAi | Source::Other { .. } => self.reader.take_item(),
        };
        let Some(encoding) = &mut self.encoding else {
            return item;
        };
        encoding.encode(item, self.reader.is_complete())
    }

    fn take_error(&mut self) -> Option<Error> {
        let error = self.reader.take_error();
        if let (Some(_), Some(encoding)) = (&error, &mut self.encoding) {
            encoding.is_over = true;
        }
        error
    }

    fn grace(&self) -> Option<Duration> {
        self.reader.grace()
    }

    fn read(&mut self, bytes: Bytes) {
        let read = match &mut self.source {
            Source::OpenAi => return self.reader.read(bytes),
            Source::Native(native) => return native.read(bytes, &mut self.reader),
            Source::Other { decoder, events } => {
                let read = decoder.read(bytes, events);
                self.reader.read(events.take());
                read
            }
        };
        if let Err(error) = read {
            self.reader.broke(error);
        }
    }

    fn finish(&mut self) {
        match &mut self.source {
            Source::OpenAi => {}
            Source::Native(native) => return native.finish(&mut self.reader),
            Source::Other { decoder, events } => {
                let read = decoder.finish(events);
                self.reader.read(events.take());
                if let Err(error) = read {
                    self.reader.broke(error);
                }
            }
        }
        self.reader.finish();
    }

    fn broke(&mut self, error: Error) {
        self.reader.broke(error);
    }
}

impl Encoding {
    /// An item as the client is to get it. The last one has the end with it.
    fn encode(&mut self, item: Option<Item>, is_complete: bool) -> Option<Item> {
        let ends = is_complete && !std::mem::replace(&mut self.is_over, is_complete);
        if item.is_none() && !ends {
            return None;
        }
        let mut item = item.unwrap_or_default();
        let mut bytes = self.encoder.encode(&item.bytes);
        if ends {
            bytes = [bytes, self.encoder.end()].concat().into();
        }
        item.bytes = bytes;
        (!item.bytes.is_empty() || item.usage.is_some()).then_some(item)
    }
}
