//! Sessions over WebSockets, as OpenAI's Realtime API has them.

use std::{future, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{
        CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
    },
    request::Parts,
};
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use serde_json::{Value, json};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{CloseFrame, Role},
    },
};

use super::{
    Step, answer,
    record::InFlight,
    refusal,
    serve::{Line, Wire},
    step::{Break, Reply},
};

/// The key of the handshake, if a connection is asked for.
pub(super) fn key(head: &Parts) -> Option<HeaderValue> {
    let upgrade = head.headers.get(UPGRADE)?;
    let is_socket = upgrade.as_bytes().eq_ignore_ascii_case(b"websocket");
    let key = head.headers.get(SEC_WEBSOCKET_KEY);
    key.filter(|_| is_socket).cloned()
}

/// The protocol that is chosen, if it is offered.
pub(super) fn protocol(head: &Parts) -> Option<HeaderValue> {
    const CHOSEN: &str = "realtime";
    let offered = head.headers.get(SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    let mut names = offered.split(',').map(str::trim);
    names
        .any(|name| name == CHOSEN)
        .then(|| HeaderValue::from_static(CHOSEN))
}

/// Whether a step accepts a connection.
pub(super) fn accepts(step: &Step) -> bool {
    step.status == StatusCode::OK && !matches!(step.reply, Reply::Raw(..))
}

/// The headers of an answer that accepts.
pub(super) fn headers(key: &HeaderValue, protocol: Option<HeaderValue>) -> HeaderMap {
    let mut digest = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    digest.update(key.as_bytes());
    digest.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let accept = STANDARD.encode(digest.finish());
    let accept = HeaderValue::try_from(accept).expect("Base64 is a header value");
    let protocol = protocol.map(|protocol| (SEC_WEBSOCKET_PROTOCOL, protocol));
    let usual = [
        (UPGRADE, HeaderValue::from_static("websocket")),
        (CONNECTION, HeaderValue::from_static("Upgrade")),
        (SEC_WEBSOCKET_ACCEPT, accept),
    ];
    usual.into_iter().chain(protocol).collect()
}

/// A session that is to be played.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) step: Arc<Step>,
    pub(super) name: String,
    pub(super) path: String,
    pub(super) in_flight: InFlight,
}

/// Plays a session until one of the two sides ends it.
pub(super) async fn play<W: Wire>(mut session: Session, stream: W, read: Bytes, line: &Line) {
    let read = read.to_vec();
    let mut socket = WebSocketStream::from_partially_read(stream, read, Role::Server, None).await;
    tokio::select! {
        biased;
        () = line.cut_off() => {}
        _ = session.run(&mut socket, line) => {}
    }
    if line.is_reset() {
        socket.get_ref().reset();
    }
}

/// The client is gone.
struct Gone;

impl Session {
    async fn run<W: Wire>(
        &mut self,
        socket: &mut WebSocketStream<W>,
        line: &Line,
    ) -> Result<(), Gone> {
        tokio::time::sleep(self.step.first_token_delay).await;
        let first = match self.step.reply {
            Reply::Error => {
                let error = refusal::error(&self.step, &self.name);
                let mut error: Value = serde_json::from_slice(&error).unwrap_or_default();
                error["type"] = "error".into();
                error
            }
            _ => self.created(),
        };
        say(socket, &first).await?;
        loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    let event: Value = serde_json::from_str(&text).unwrap_or_default();
                    match event["type"].as_str() {
                        Some("response.create") => self.respond(socket, line).await?,
                        Some("session.update") => {
                            let session = &event["session"];
                            let updated = json!({"type": "session.updated", "session": session});
                            say(socket, &updated).await?;
                        }
                        _ => send(socket, Message::Text(text)).await?,
                    }
                }
                Some(Ok(message @ Message::Binary(_))) => send(socket, message).await?,
                Some(Ok(Message::Close(frame))) => {
                    self.in_flight.closed(frame.map(|frame| frame.code.into()));
                    self.in_flight.finish();
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(Gone),
            }
        }
    }

    fn created(&self) -> Value {
        let model = self.path.split(['?', '&']).find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            matches!(name, "model" | "deployment").then_some(value)
        });
        let id = format!("sess_{}_{}", self.name, self.in_flight.serial());
        json!({
            "type": "session.created",
            "session": {"type": "realtime", "id": id, "model": model},
        })
    }

    /// One response, up to its break.
    async fn respond<W: Wire>(
        &mut self,
        socket: &mut WebSocketStream<W>,
        line: &Line,
    ) -> Result<(), Gone> {
        let step = Arc::clone(&self.step);
        let text = answer::text(&step, &self.name, step.chunks.unwrap_or(4));
        say(socket, &json!({"type": "response.created", "response": {}})).await?;
        let breaks = step.breaks.as_ref();
        let most = breaks.map_or(usize::MAX, |(events, _)| *events);
        for word in text.split_inclusive(' ').take(most) {
            let delta = json!({"type": "response.output_text.delta", "delta": word});
            say(socket, &delta).await?;
            tokio::time::sleep(step.chunk_delay).await;
        }
        match breaks.map(|(_, how)| how) {
            None => {}
            Some(Break::End) => return self.close(socket).await,
            Some(Break::Error(error)) => {
                return say(socket, &json!({"type": "error", "error": error})).await;
            }
            Some(Break::Stall(None)) => return future::pending().await,
            Some(Break::Stall(Some(silence))) => {
                tokio::time::sleep(*silence).await;
                line.close();
                return future::pending().await;
            }
            Some(Break::Cut) => {
                line.reset();
                return future::pending().await;
            }
        }
        let (input, output) = answer::usage(&step);
        let usage = json!({
            "input_tokens": input,
            "output_tokens": output,
            "total_tokens": input.saturating_add(output),
        });
        let response = json!({"status": "completed", "usage": usage});
        say(
            socket,
            &json!({"type": "response.done", "response": response}),
        )
        .await
    }

    /// Closes as the step has it.
    async fn close<W: Wire>(&mut self, socket: &mut WebSocketStream<W>) -> Result<(), Gone> {
        let (code, reason) = self.step.close.clone().unwrap_or((1000, String::new()));
        self.in_flight.finish();
        let frame = CloseFrame {
            code: code.into(),
            reason: reason.into(),
        };
        send(socket, Message::Close(Some(frame))).await
    }
}

async fn say<W: Wire>(socket: &mut WebSocketStream<W>, event: &Value) -> Result<(), Gone> {
    send(socket, Message::text(event.to_string())).await
}

async fn send<W: Wire>(socket: &mut WebSocketStream<W>, message: Message) -> Result<(), Gone> {
    socket.send(message).await.map_err(|_| Gone)
}
