//! InvokeModel: Claude in Anthropic's own words, which is asked only where a deployment says so.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Map, Value};
use ziggurat_core::{Deployment, Error, ErrorKind};

use super::{error, frame::Frames};
use crate::{
    chat::Events,
    dialect::{
        Call, Decoder,
        anthropic::{self, Host},
    },
};

/// The version of the Messages API in a body.
const VERSION: &str = "bedrock-2023-05-31";

/// The body of a request: as others want it who have the model in the path, but that the path says
/// as well whether the answer is to be a stream.
///
/// # Errors
///
/// [`ErrorKind::BadRequest`], naming what cannot be said.
pub(super) fn body(call: &Call<'_>) -> Result<Vec<u8>, Error> {
    let body = anthropic::body(call, Host::Vertex)?;
    let mut body: Map<String, Value> = serde_json::from_slice(&body)
        .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
    body.remove("stream");
    body.insert("anthropic_version".to_owned(), VERSION.into());
    Ok(Value::Object(body).to_string().into_bytes())
}

/// Takes Anthropic's events out of frames.
#[derive(Debug)]
pub(super) struct InvokeDecoder {
    frames: Frames,
    deployment: Arc<Deployment>,
    events: Box<dyn Decoder>,
}

impl InvokeDecoder {
    pub(super) fn new(call: &Call<'_>) -> Self {
        Self {
            frames: Frames::default(),
            deployment: Arc::clone(call.deployment),
            events: anthropic::decoder(call),
        }
    }
}

impl Decoder for InvokeDecoder {
    fn read(&mut self, bytes: Bytes, out: &mut Events) -> Result<(), Error> {
        self.frames.push(&bytes);
        while let Some(frame) = self.frames.next()? {
            if let Some(error) = error::in_frame(&frame, &self.deployment) {
                return Err(error);
            }
            // What nobody can read is no reason to lose the rest.
            if let Some(event) = event(&frame.payload) {
                self.events.read(event, out)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Events) -> Result<(), Error> {
        self.events.finish(out)
    }
}

/// The event in a frame, as a server sends it over HTTP.
fn event(payload: &[u8]) -> Option<Bytes> {
    let payload: Value = serde_json::from_slice(payload).ok()?;
    let data = STANDARD.decode(payload["bytes"].as_str()?).ok()?;
    let mut event = BytesMut::with_capacity(data.len() + 8);
    for line in data.split(|byte| matches!(byte, b'\n' | b'\r')) {
        event.put_slice(b"data: ");
        event.put_slice(line);
        event.put_u8(b'\n');
    }
    event.put_u8(b'\n');
    Some(event.freeze())
}
