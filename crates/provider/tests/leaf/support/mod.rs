//! An HTTP client that answers by a script, and what the tests ask of the leaf.

#![allow(unreachable_pub, reason = "only the tests use it")]

use std::{
    future::{Future, Ready, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::time::Sleep;
use tower::{Service, ServiceExt};
use ziggurat_core::{
    BoxError, Deployment, Error, Item, LlmRequest, LlmResponse, Operation, Routed, Secret, Usage,
};
use ziggurat_provider::{LlmService, RequestBody};

pub const CANARY: &str = "sk-canary-0123456789";
pub const HEADER_CANARY: &str = "header-canary-0123456789";

/// What the body of a scripted answer does next.
#[derive(Clone, Debug)]
pub enum Act {
    Send(Bytes),
    Wait(Duration),
    Break(&'static str),
}

pub fn send(text: impl Into<Bytes>) -> Act {
    Act::Send(text.into())
}

pub fn hang() -> Act {
    Act::Wait(Duration::from_secs(86_400 * 365))
}

/// A body that plays its acts.
pub struct Play {
    acts: std::vec::IntoIter<Act>,
    sleep: Option<Pin<Box<Sleep>>>,
    _alive: Arc<()>,
}

impl Body for Play {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            if let Some(sleep) = &mut self.sleep {
                ready!(sleep.as_mut().poll(cx));
                self.sleep = None;
            }
            match self.acts.next() {
                None => return Poll::Ready(None),
                Some(Act::Send(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Some(Act::Break(why)) => return Poll::Ready(Some(Err(why.into()))),
                Some(Act::Wait(time)) => self.sleep = Some(Box::pin(tokio::time::sleep(time))),
            }
        }
    }
}

/// A client that gives one answer to everything and keeps what it is sent. It panics if an instance
/// is called that was not ready.
pub struct Client {
    script: Arc<Script>,
    is_ready: bool,
}

struct Script {
    status: u16,
    headers: Vec<(&'static str, String)>,
    acts: Vec<Act>,
    sent: Mutex<Vec<Request<RequestBody>>>,
    alive: Arc<()>,
}

impl Client {
    pub fn new(status: u16, content_type: &str, acts: impl IntoIterator<Item = Act>) -> Self {
        let script = Script {
            status,
            headers: vec![("content-type", content_type.to_owned())],
            acts: acts.into_iter().collect(),
            sent: Mutex::default(),
            alive: Arc::default(),
        };
        Self {
            script: Arc::new(script),
            is_ready: false,
        }
    }

    pub fn json(status: u16, body: &str) -> Self {
        Self::new(status, "application/json", [send(body.to_owned())])
    }

    /// An event stream whose reads are these.
    pub fn stream(acts: impl IntoIterator<Item = Act>) -> Self {
        Self::new(200, "text/event-stream; charset=utf-8", acts)
    }

    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        let script = Arc::get_mut(&mut self.script).expect("is not in use yet");
        script.headers.push((name, value.to_owned()));
        self
    }

    /// The one request that was sent, and its body.
    pub fn sent(&self) -> Request<Bytes> {
        let mut sent = self.script.sent.lock();
        assert_eq!(sent.len(), 1, "one request was sent");
        let request = sent.pop().expect("was counted");
        request.map(|body| {
            let Ok(body) =
                futures_util::FutureExt::now_or_never(body.collect()).expect("is at hand");
            body.to_bytes()
        })
    }

    pub fn calls(&self) -> usize {
        self.script.sent.lock().len()
    }

    /// How many bodies of answers are held by somebody.
    pub fn open_bodies(&self) -> usize {
        Arc::strong_count(&self.script.alive) - 1
    }

    pub fn service(&self) -> LlmService<Self> {
        LlmService::with_client(self.clone())
    }

    pub async fn call(&self, request: LlmRequest) -> Result<LlmResponse, Error> {
        self.ask(deployment(), request).await
    }

    /// Calls a deployment other than the usual one.
    pub async fn ask(
        &self,
        deployment: Deployment,
        request: LlmRequest,
    ) -> Result<LlmResponse, Error> {
        let routed = Routed::new(request, Arc::new(deployment));
        self.service().oneshot(routed).await
    }

    /// The kind of failure of a streamed chat.
    pub async fn refusal(&self, request: LlmRequest) -> Error {
        self.call(request).await.expect_err("fails")
    }
}

impl Clone for Client {
    fn clone(&self) -> Self {
        Self {
            script: Arc::clone(&self.script),
            is_ready: false,
        }
    }
}

impl Service<Request<RequestBody>> for Client {
    type Response = Response<Play>;
    type Error = BoxError;
    type Future = Ready<Result<Response<Play>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.is_ready),
            "only a ready client is called"
        );
        self.script.sent.lock().push(request);
        let mut response = Response::builder().status(self.script.status);
        for (name, value) in &self.script.headers {
            response = response.header(*name, value);
        }
        let play = Play {
            acts: self.script.acts.clone().into_iter(),
            sleep: None,
            _alive: Arc::clone(&self.script.alive),
        };
        ready(Ok(response.body(play).expect("is a response")))
    }
}

pub fn deployment() -> Deployment {
    Deployment::new("a", "gpt", "real-model")
        .with_base_url("http://provider.test/v1")
        .with_credential(Secret::new(CANARY))
        .with_header("x-extra", HEADER_CANARY)
}

pub fn routed(request: LlmRequest) -> Routed<LlmRequest> {
    Routed::new(request, Arc::new(deployment()))
}

pub fn request(operation: Operation, body: &str) -> LlmRequest {
    LlmRequest::from_bytes(operation, body.to_owned()).expect("is a request")
}

pub fn chat() -> LlmRequest {
    LlmRequest::chat("gpt", "hi")
}

pub fn chat_stream() -> LlmRequest {
    request(
        Operation::ChatCompletions,
        r#"{"model":"gpt","stream":true,"messages":[]}"#,
    )
}

pub fn chat_stream_with_usage() -> LlmRequest {
    let body =
        r#"{"model":"gpt","stream":true,"stream_options":{"include_usage":true},"messages":[]}"#;
    request(Operation::ChatCompletions, body)
}

/// An event of a chat stream with that delta and finish reason.
pub fn event(delta: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"c1\",\"choices\":[{{\"index\":0,\"delta\":{{{delta}}},\"finish_reason\":{finish}}}]}}\n\n"
    )
}

pub fn role() -> String {
    event(r#""role":"assistant","content":"""#, "null")
}

pub fn content(text: &str) -> String {
    event(&format!("\"content\":\"{text}\""), "null")
}

pub fn finish() -> String {
    event("", "\"stop\"")
}

pub const USAGE_EVENT: &str = "data: {\"id\":\"c1\",\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}\n\n";
pub const DONE: &str = "data: [DONE]\n\n";

/// A chat stream that says `hello` in two pieces, calls `f`, and tells its usage.
pub fn text_and_tool_call() -> String {
    let call = r#""tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{}"}}]"#;
    let called = event(call, "null");
    let begun = [role(), content("he"), content("llo"), called, finish()];
    begun.concat() + USAGE_EVENT + DONE
}

/// The names of the events in a stream.
pub fn names(text: &str) -> Vec<&str> {
    let lines = text.lines();
    lines
        .filter_map(|line| line.strip_prefix("event: "))
        .collect()
}

/// What a stream gave until its end.
#[derive(Debug)]
pub struct Read {
    pub items: Vec<Item>,
    pub end: Result<(), Error>,
}

impl Read {
    pub async fn to_the_end(response: LlmResponse) -> Self {
        let (_, mut items) = response.into_parts();
        let mut read = Self {
            items: Vec::new(),
            end: Ok(()),
        };
        while let Some(item) = items.next().await {
            match item {
                Ok(item) => read.items.push(item),
                Err(error) => read.end = Err(error),
            }
        }
        read
    }

    pub fn text(&self) -> String {
        let bytes: Vec<_> = self.items.iter().map(|item| &item.bytes[..]).collect();
        String::from_utf8(bytes.concat()).expect("is text")
    }

    pub fn usage(&self) -> Option<Usage> {
        self.items.iter().rev().find_map(|item| item.usage)
    }

    pub fn events(&self) -> u32 {
        self.items.iter().map(|item| item.events).sum()
    }
}
