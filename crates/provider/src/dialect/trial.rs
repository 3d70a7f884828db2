//! What the tests of dialects have in common: a call of one, without anybody to be called.

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use ziggurat_core::{Deployment, Error, LlmRequest, Operation, Secret, Usage};

use super::{
    Call, Dialect, Outgoing,
    openai::{self, Asked},
};
use crate::{chat::Events, reader::Reader, stream::Read};

/// What no message may repeat.
pub(crate) const CANARY: &str = "canary-0123456789";

/// A dialect, and a request for it.
pub(crate) struct Trial {
    dialect: &'static dyn Dialect,
    deployment: Arc<Deployment>,
    request: LlmRequest,
    body: Vec<u8>,
}

impl Trial {
    pub(crate) fn new(
        dialect: &'static dyn Dialect,
        operation: Operation,
        mut body: Value,
    ) -> Self {
        body["model"] = "m".into();
        let deployment =
            Deployment::new("a", "gpt", "m").with_credential(Secret::new(CANARY.to_owned()));
        Self {
            dialect,
            deployment: Arc::new(deployment),
            request: LlmRequest::from_value(operation, &body).expect("is a request"),
            body: body.to_string().into_bytes(),
        }
    }

    pub(crate) fn chat(dialect: &'static dyn Dialect, body: Value) -> Self {
        Self::new(dialect, Operation::ChatCompletions, body)
    }

    #[must_use]
    pub(crate) fn with(mut self, change: impl FnOnce(Deployment) -> Deployment) -> Self {
        self.deployment = Arc::new(change(Deployment::clone(&self.deployment)));
        self
    }

    fn call(&self) -> Call<'_> {
        Call {
            deployment: &self.deployment,
            operation: self.request.operation(),
            request: &self.request,
            body: &self.body,
            model: self.deployment.model(),
            streams: self.request.is_stream(),
            now: 7,
        }
    }

    pub(crate) fn outgoing(&self) -> Result<Outgoing, Error> {
        self.dialect.request(&self.call())
    }

    /// What is sent for a body in the provider's own words.
    pub(crate) fn native(&self) -> Result<Outgoing, Error> {
        self.dialect.native(&self.call(), self.body.clone().into())
    }

    /// What is sent to have a body in Anthropic's words counted.
    pub(crate) fn count(&self) -> Result<Outgoing, Error> {
        self.dialect.count(&self.call())
    }

    /// The body that is sent.
    pub(crate) fn sent(&self) -> Value {
        let sent = self.outgoing().expect("can be asked");
        serde_json::from_slice(&sent.body).expect("is JSON")
    }

    /// A whole answer, if it is one, and what it used.
    pub(crate) fn answer(&self, body: &[u8]) -> Result<(Value, Option<Usage>), Error> {
        let call = self.call();
        let json = self.dialect.answer(&call, &HeaderMap::new(), body)?;
        let usage = openai::check(call.operation, &json, &self.deployment, false)?;
        Ok((serde_json::from_slice(&json).expect("is JSON"), usage))
    }

    /// The events of a stream that is read in these pieces, and what it used. Ids that are made up
    /// are the same each time.
    pub(crate) fn stream<'a>(
        &self,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(Vec<Value>, Option<Usage>), Error> {
        fastrand::seed(7);
        let asked = Asked {
            usage: true,
            choices: Some(1),
            refusals: false,
        };
        let call = self.call();
        let reader = openai::Reader::new(Arc::clone(&self.deployment), asked);
        let events = Events::new(call.model, call.now);
        let mut reader = Reader::decoding(reader, self.dialect.decoder(&call), events);
        for piece in pieces {
            reader.read(Bytes::copy_from_slice(piece));
        }
        reader.finish();
        let (mut text, mut usage) = (Vec::new(), None);
        while let Some(item) = reader.take_item() {
            text.extend_from_slice(&item.bytes);
            usage = item.usage.or(usage);
        }
        if let Some(error) = reader.take_error() {
            return Err(error);
        }
        let text = String::from_utf8(text).expect("is text");
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let events = data.filter_map(|data| serde_json::from_str(data).ok());
        Ok((events.collect(), usage))
    }

    /// What a client of the provider's own shape gets of a stream that is read in these pieces.
    pub(crate) fn native_stream<'a>(
        &self,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> (Vec<u8>, Option<Usage>, Option<Error>) {
        let asked = Asked {
            usage: false,
            choices: Some(1),
            refusals: false,
        };
        let call = self.call();
        let reader = openai::Reader::new(Arc::clone(&self.deployment), asked);
        let events = Events::new(call.model, call.now);
        let mut reader = Reader::native(reader, self.dialect.decoder(&call), events, b"");
        let (mut bytes, mut usage) = (Vec::new(), None);
        for piece in pieces {
            reader.read(Bytes::copy_from_slice(piece));
        }
        reader.finish();
        while let Some(item) = reader.take_item() {
            bytes.extend_from_slice(&item.bytes);
            usage = item.usage.or(usage);
        }
        (bytes, usage, reader.take_error())
    }

    /// The events of a stream, which must be the same wherever it is cut; in at most some 200 places if it is long.
    pub(crate) fn stream_cut_anywhere(
        &self,
        body: &[u8],
        name: &str,
    ) -> (Vec<Value>, Option<Usage>) {
        let whole = self.stream([body]);
        let whole = whole.unwrap_or_else(|error| panic!("{name}: {error}"));
        let step = if body.len() > 4_000 {
            body.len() / 200
        } else {
            1
        };
        for at in (1..body.len()).step_by(step) {
            let (head, tail) = body.split_at(at);
            let cut = self.stream([head, tail]);
            let cut = cut.unwrap_or_else(|error| panic!("{name} cut at {at}: {error}"));
            assert_eq!(cut, whole, "{name} cut at {at}");
        }
        let bytes = self.stream(body.chunks(1)).expect("is read byte by byte");
        assert_eq!(bytes, whole, "{name} cut everywhere");
        whole
    }

    pub(crate) fn failure(&self, status: StatusCode, body: &[u8]) -> Error {
        let (none, now) = (HeaderMap::new(), SystemTime::UNIX_EPOCH);
        self.dialect
            .failure(status, &none, body, &self.deployment, now)
    }
}

/// What the events of a stream say, joined: text, thoughts, the calls' names and arguments, and
/// the finish reason.
pub(crate) fn said(events: &[Value]) -> (String, String, Vec<(String, String)>, String) {
    let (mut text, mut thought, mut finish) = (String::new(), String::new(), String::new());
    let mut calls: Vec<(String, String)> = Vec::new();
    for event in events {
        let choice = &event["choices"][0];
        let delta = &choice["delta"];
        text.push_str(delta["content"].as_str().unwrap_or_default());
        thought.push_str(delta["reasoning_content"].as_str().unwrap_or_default());
        finish.push_str(choice["finish_reason"].as_str().unwrap_or_default());
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let function = &call["function"];
            if let Some(name) = function["name"].as_str() {
                assert_eq!(call["index"], calls.len(), "calls begin in order");
                calls.push((name.to_owned(), String::new()));
            }
            let index = call["index"].as_u64().expect("has a number") as usize;
            let arguments = function["arguments"].as_str().unwrap_or_default();
            calls[index].1.push_str(arguments);
        }
    }
    (text, thought, calls, finish)
}
