//! A plain client for the tests of the simulated providers.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its own part"
)]

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::Instant};
use ziggurat_testkit::provider::Simulator;

pub(crate) const CHAT: &str = "/v1/chat/completions";

pub(crate) fn chat(streamed: bool) -> Value {
    json!({
        "model": "small",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": streamed,
    })
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn bytes(&self) -> Bytes {
        self.body.clone()
    }
}

/// A stream as it came: chunks of the body, when they came, and the data of the events in them.
#[derive(Debug)]
pub(crate) struct Streamed {
    pub(crate) headers_at: Instant,
    pub(crate) frames: Vec<Bytes>,
    pub(crate) arrivals: Vec<Instant>,
    pub(crate) data: Vec<String>,
    pub(crate) error: Option<hyper::Error>,
    pub(crate) ended_at: Instant,
}

impl Streamed {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.frames.concat()).unwrap()
    }

    /// The events that are JSON.
    pub(crate) fn json_events(&self) -> Vec<Value> {
        let events = self.data.iter();
        events
            .filter_map(|data| serde_json::from_str(data).ok())
            .collect()
    }

    pub(crate) fn content(&self) -> String {
        let events = self.json_events();
        let contents = events
            .iter()
            .filter_map(|event| event["choices"][0]["delta"]["content"].as_str());
        contents.collect()
    }
}

/// Sends a request over a connection of its own that nobody reads yet.
pub(crate) async fn connect(sim: &Simulator, name: &str, path: &str, body: &Value) -> TcpStream {
    let body = body.to_string();
    let request = format!(
        "POST /{name}{path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut client = TcpStream::connect(sim.addr()).await.unwrap();
    client.write_all(request.as_bytes()).await.unwrap();
    client
}

pub(crate) async fn try_post(
    sim: &Simulator,
    name: &str,
    path: &str,
    body: &Value,
) -> Result<Answer, hyper::Error> {
    let request = Request::post(format!("/{name}{path}"))
        .header("authorization", "Bearer key")
        .body(Full::from(body.to_string()))
        .unwrap();
    collect(send(sim, request).await?).await
}

pub(crate) async fn post(sim: &Simulator, name: &str, path: &str, body: &Value) -> Answer {
    try_post(sim, name, path, body).await.unwrap()
}

pub(crate) async fn get(sim: &Simulator, name: &str, path: &str) -> Answer {
    let request = Request::get(format!("/{name}{path}"))
        .body(Full::default())
        .unwrap();
    collect(send(sim, request).await.unwrap()).await.unwrap()
}

pub(crate) async fn send_as(
    sim: &Simulator,
    method: Method,
    name: &str,
    path: &str,
    content_type: &str,
    body: String,
) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(format!("/{name}{path}"))
        .header("content-type", content_type)
        .body(Full::from(body))
        .unwrap();
    collect(send(sim, request).await.unwrap()).await.unwrap()
}

pub(crate) async fn stream(sim: &Simulator, name: &str, body: &Value) -> Streamed {
    stream_from(sim, name, CHAT, body).await
}

pub(crate) async fn stream_from(sim: &Simulator, name: &str, path: &str, body: &Value) -> Streamed {
    let request = Request::post(format!("/{name}{path}"))
        .body(Full::from(body.to_string()))
        .unwrap();
    let mut body = send(sim, request).await.unwrap().into_body();
    let headers_at = Instant::now();
    let (mut frames, mut arrivals, mut error) = (Vec::new(), Vec::new(), None);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                frames.push(frame.into_data().unwrap());
                arrivals.push(Instant::now());
            }
            Err(failed) => error = Some(failed),
        }
    }
    let text = String::from_utf8(frames.concat()).unwrap();
    let lines = text.lines();
    Streamed {
        headers_at,
        data: lines
            .filter_map(|line| line.strip_prefix("data: ").map(str::to_owned))
            .collect(),
        frames,
        arrivals,
        error,
        ended_at: Instant::now(),
    }
}

async fn send(
    sim: &Simulator,
    mut request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, hyper::Error> {
    request.headers_mut().insert("host", "x".parse().unwrap());
    let client = TcpStream::connect(sim.addr()).await.unwrap();
    let (mut sender, conn) = http1::handshake(TokioIo::new(client)).await?;
    #[expect(clippy::disallowed_methods, reason = "a client connection is a task")]
    tokio::spawn(conn);
    sender.send_request(request).await
}

async fn collect(response: Response<Incoming>) -> Result<Answer, hyper::Error> {
    let (head, body) = response.into_parts();
    Ok(Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: body.collect().await?.to_bytes(),
    })
}
