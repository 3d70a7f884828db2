//! The stream of an answer: a JSON object on each line.

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;
use serde_json::Value;
use ziggurat_core::{Deployment, Error, ErrorKind};

use super::{calls, finish, usage};
use crate::{
    chat::Events,
    dialect::{Decoder, openai},
};

/// How long a line may be.
const MAX_LINE: usize = 16 * 1024 * 1024;

/// Splits what is read into lines.
#[derive(Debug)]
pub(super) struct Stream {
    deployment: Arc<Deployment>,
    pending: BytesMut,
    /// How much of it holds no end of a line.
    searched: usize,
}

impl Stream {
    pub(super) fn new(deployment: &Arc<Deployment>) -> Self {
        Self {
            deployment: Arc::clone(deployment),
            pending: BytesMut::new(),
            searched: 0,
        }
    }

    fn line(&self, line: &[u8], out: &mut Events) -> Result<(), Error> {
        let Ok(line) = serde_json::from_slice::<Value>(line) else {
            return Ok(());
        };
        if !line["error"].is_null() {
            let body = line.to_string();
            return Err(openai::in_band(body.as_bytes(), &self.deployment));
        }
        out.set_model(line["model"].as_str().unwrap_or_default());
        out.begin();
        let message = &line["message"];
        out.reasoning(0, message["thinking"].as_str().unwrap_or_default());
        out.text(0, message["content"].as_str().unwrap_or_default());
        for call in calls(message) {
            let number = out.call(0, &call.id, &call.name);
            out.arguments(0, number, &call.arguments);
        }
        if line["done"] == true {
            out.finish(0, finish(&line, out.calls() > 0));
            if let Some(usage) = usage(&line) {
                out.usage(usage);
            }
            out.done();
        }
        Ok(())
    }
}

impl Decoder for Stream {
    fn read(&mut self, bytes: Bytes, out: &mut Events) -> Result<(), Error> {
        self.pending.extend_from_slice(&bytes);
        while let Some(end) = memchr(b'\n', &self.pending[self.searched..]) {
            let line = self.pending.split_to(self.searched + end);
            self.pending.advance(1);
            self.searched = 0;
            self.line(&line, out)?;
        }
        self.searched = self.pending.len();
        if self.searched > MAX_LINE {
            let message = "the provider sent a line that does not end";
            return Err(Error::new(ErrorKind::BadAnswer, message));
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Events) -> Result<(), Error> {
        let rest = self.pending.split();
        self.line(&rest, out)
    }
}
