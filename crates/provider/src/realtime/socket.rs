//! The two halves of a connection to a provider.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::Sink;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self,
        protocol::{CloseFrame, WebSocketConfig},
    },
};
use ziggurat_core::{Close, Error, ErrorKind, Item, Message, Uplink, Usage};

use super::event;
use crate::transport::stream_failure;

/// How much is read, and how much is joined into one write.
const BUFFER: usize = 16 * 1024;

/// The bounds of a WebSocket whose messages, and frames, have at most so many bytes.
pub(super) fn config(max_message: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message))
}

/// What the two halves have in common. They are polled by one task as a rule, so nobody waits.
struct Shared<I> {
    /// Gone when the stream is: that hangs up.
    socket: Option<WebSocketStream<I>>,
    /// Whether the client has closed.
    is_closing: bool,
    closed: Option<Close>,
}

/// The provider's messages. Dropping it hangs up.
pub(super) struct Events<I> {
    shared: Arc<Mutex<Shared<I>>>,
    first: Option<Item>,
    usage: Option<Usage>,
}

/// The client's.
struct Up<I>(Arc<Mutex<Shared<I>>>);

pub(super) fn halves<I>(socket: WebSocketStream<I>) -> (Events<I>, impl Uplink + use<I>)
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let shared = Arc::new(Mutex::new(Shared {
        socket: Some(socket),
        is_closing: false,
        closed: None,
    }));
    let events = Events {
        shared: Arc::clone(&shared),
        first: None,
        usage: None,
    };
    (events, Up(shared))
}

impl<I: AsyncRead + AsyncWrite + Unpin> Shared<I> {
    /// The next message that is for the client; none when the connection is closed well.
    fn poll_message(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<tungstenite::Message, Error>>> {
        loop {
            let Some(socket) = &mut self.socket else {
                return Poll::Ready(None);
            };
            let end = match ready!(Pin::new(&mut *socket).poll_next(cx)) {
                Some(Ok(tungstenite::Message::Close(frame))) => {
                    // The answer to it leaves if there is room; nobody waits for more.
                    _ = Pin::new(socket).poll_flush(cx);
                    self.closed = frame.map(|it| Close::new(it.code.into(), &it.reason));
                    let code = self.closed.as_ref().map(|close| close.code);
                    code.filter(|code| is_failure(*code))
                        .map(closed_by_provider)
                }
                Some(Ok(
                    message @ (tungstenite::Message::Text(_) | tungstenite::Message::Binary(_)),
                )) => {
                    return Poll::Ready(Some(Ok(message)));
                }
                // A ping is answered by the next read.
                Some(Ok(_)) => continue,
                Some(Err(error)) => Some(broken(error)),
                None => Some(broken(tungstenite::Error::ConnectionClosed)),
            };
            self.socket = None;
            // Whoever said goodbye does not mind how the other one leaves.
            return Poll::Ready(end.filter(|_| !self.is_closing).map(Err));
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Events<I> {
    /// The same stream, with what was read of it.
    pub(super) fn beginning_with(mut self, first: Item) -> Self {
        self.first = Some(first);
        self
    }

    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Item, Error>>> {
        let message = ready!(self.shared.lock().poll_message(cx));
        let (bytes, is_binary) = match message {
            Some(Ok(tungstenite::Message::Text(text))) => (Bytes::from(text), false),
            Some(Ok(message)) => (message.into_data(), true),
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => return Poll::Ready(None),
        };
        let used = event::usage(&bytes);
        if let Some(used) = used {
            self.usage = Some(self.usage.map_or(used, |before| before.plus(&used)));
        }
        Poll::Ready(Some(Ok(Item {
            bytes,
            events: 1,
            usage: used.and(self.usage),
            is_binary,
        })))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Stream for Events<I> {
    type Item = Result<Item, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        match this.first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => this.poll_event(cx),
        }
    }
}

impl<I> Drop for Events<I> {
    fn drop(&mut self) {
        self.shared.lock().socket = None;
    }
}

impl<I> Uplink for Up<I>
where
    I: AsyncRead + AsyncWrite + Send + Unpin,
{
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0.lock().socket {
            Some(socket) => Pin::new(socket).poll_ready(cx).map(drop),
            None => Poll::Ready(()),
        }
    }

    fn send(&mut self, message: Message) {
        let mut shared = self.0.lock();
        let message = match message {
            Message::Text(text) => match text.try_into() {
                Ok(text) => tungstenite::Message::Text(text),
                Err(_) => return,
            },
            Message::Binary(bytes) => tungstenite::Message::Binary(bytes),
            Message::Ping(bytes) => tungstenite::Message::Ping(bytes),
            Message::Close(close) => {
                shared.is_closing = true;
                tungstenite::Message::Close(close.map(|close| CloseFrame {
                    code: close.code.into(),
                    reason: (&*close.reason).into(),
                }))
            }
            _ => return,
        };
        if let Some(socket) = &mut shared.socket {
            // A failure is seen by who reads.
            _ = Pin::new(socket).start_send(message);
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0.lock().socket {
            Some(socket) => Pin::new(socket).poll_flush(cx).map(drop),
            None => Poll::Ready(()),
        }
    }

    fn closed(&self) -> Option<Close> {
        self.0.lock().closed.clone()
    }
}

/// Whether a code says that the provider failed: an internal error, a restart, too much to do, and a
/// gateway of its own.
fn is_failure(code: u16) -> bool {
    (1011..=1014).contains(&code)
}

fn closed_by_provider(code: u16) -> Error {
    let message = format!("the provider closed the connection with code {code}");
    Error::new(ErrorKind::StreamBroken, message)
}

fn broken(error: tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::Capacity(_) => {
            let message = "a message of the provider is too long";
            Error::new(ErrorKind::BadAnswer, message).with_source(error)
        }
        error => stream_failure(error.into()),
    }
}

#[cfg(test)]
mod tests;
