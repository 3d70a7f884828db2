//! Reads a stream of bytes that hold no events: audio.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use ziggurat_core::{Deployment, Error, ErrorKind, Item, Usage};

use crate::stream::Read;

/// Passes on what comes as it comes. The answer begins with its first byte and ends with its body.
#[derive(Debug)]
pub(crate) struct Chunks {
    deployment: Arc<Deployment>,
    chunk: Option<Bytes>,
    /// What it uses, told with the first chunk.
    usage: Option<Usage>,
    begun: bool,
    end: Option<Result<(), Error>>,
}

impl Chunks {
    pub(crate) fn new(deployment: Arc<Deployment>, usage: Option<Usage>) -> Self {
        Self {
            deployment,
            chunk: None,
            usage,
            begun: false,
            end: None,
        }
    }
}

impl Read for Chunks {
    fn is_committed(&self) -> bool {
        self.begun
    }

    fn is_ended(&self) -> bool {
        self.end.is_some()
    }

    fn take_item(&mut self) -> Option<Item> {
        let bytes = self.chunk.take()?;
        Some(Item {
            bytes,
            events: 1,
            usage: self.usage.take(),
            ..Item::default()
        })
    }

    fn take_error(&mut self) -> Option<Error> {
        let error = std::mem::replace(self.end.as_mut()?, Ok(())).err()?;
        Some(error.with_deployment(self.deployment.id().clone()))
    }

    fn grace(&self) -> Option<Duration> {
        None
    }

    /// Takes what was read; it must be taken before the next comes.
    fn read(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.begun = true;
            self.chunk = Some(bytes);
        }
    }

    fn finish(&mut self) {
        let message = "the provider's answer is empty";
        self.end = Some(match self.begun {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::BadAnswer, message)),
        });
    }

    fn broke(&mut self, error: Error) {
        self.end = Some(Err(error));
    }
}
