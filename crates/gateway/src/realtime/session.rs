//! A connection that stands: messages go both ways until one side ends it.

use std::{
    future::{pending, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{SinkExt as _, Stream as _, StreamExt as _};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::{Instant, Interval, MissedTickBehavior, interval_at, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self,
        error::ProtocolError,
        protocol::{CloseFrame, Role, WebSocketConfig},
    },
};
use ziggurat::{Close, Items, Message, Uplink};

use super::counted::{Counted, NoRoom};
use crate::{reading::Bounds, serve::Standing};

/// How long the other side may take to say goodbye.
pub(crate) const GOODBYE: Duration = Duration::from_secs(5);

/// How often a client is asked whether it is still there.
const PING: Duration = Duration::from_secs(30);
/// How many of these times it may be silent before it is taken for gone.
const UNHEARD: u32 = 2;

/// How much is read, and how much is joined into one write.
const BUFFER: usize = 16 * 1024;

/// Codes of RFC 6455, section 7.4.1.
const GOING_AWAY: u16 = 1001;
const PROTOCOL: u16 = 1002;
const NO_TEXT: u16 = 1007;
const TOO_LONG: u16 = 1009;
const FAILED: u16 = 1011;
/// Of the registry that it set up.
const AGAIN_LATER: u16 = 1013;

/// What ends a session.
enum End {
    /// The client hung up, or has not been heard of for too long.
    Gone,
    /// The client closes.
    Closes(Option<Close>),
    /// The client does what it must not.
    Wrong(Close),
    /// The provider's side has ended; what is left is to tell the client.
    Over(Option<Close>),
}

struct Session<I> {
    client: WebSocketStream<Counted<I>>,
    items: Items,
    uplink: Box<dyn Uplink>,
    /// What waits to be taken: at most one message each way, and who waits is not read.
    up: Option<Message>,
    down: Option<tungstenite::Message>,
    pings: Interval,
    unheard: u32,
}

/// Passes messages on until the session ends, and ends both sides properly. The bounds are those of a
/// message.
pub(super) async fn run<I>(
    io: I,
    bounds: Bounds,
    items: Items,
    uplink: Box<dyn Uplink>,
    standing: Option<Standing>,
) where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_message_size(Some(bounds.longest))
        .max_frame_size(Some(bounds.longest));
    let io = Counted::new(io, bounds);
    let mut pings = interval_at(Instant::now() + PING, PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut session = Session {
        client: WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await,
        items,
        uplink,
        up: None,
        down: None,
        pings,
        unheard: 0,
    };
    let stops = async {
        match standing {
            // It is held until the end: the server waits for it.
            Some(mut standing) => {
                standing.ended().await;
                standing
            }
            None => pending().await,
        }
    };
    let mut stops = std::pin::pin!(stops);
    let end = tokio::select! {
        end = poll_fn(|cx| session.poll(cx)) => end,
        _standing = &mut stops => {
            let close = Close::new(GOING_AWAY, "the gateway stops");
            return session.part(close).await;
        }
    };
    match end {
        End::Gone => {}
        End::Closes(close) => session.follow(close).await,
        End::Wrong(close) => session.part(close).await,
        End::Over(close) => {
            // What is left is the client's: the provider's part is settled.
            drop(session.items);
            _ = timeout(GOODBYE, goodbye(session.client, close)).await;
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Session<I> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if let Poll::Ready(end) = self.poll_up(cx) {
            return Poll::Ready(end);
        }
        if let Poll::Ready(end) = self.poll_down(cx) {
            return Poll::Ready(end);
        }
        self.poll_pings(cx)
    }

    fn poll_up(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            if self.up.is_some() {
                ready!(self.uplink.poll_ready(cx));
            }
            if let Some(message) = self.up.take() {
                // A ping may stand between the parts of a message.
                if !matches!(message, Message::Ping(_)) {
                    self.client.get_mut().taken();
                }
                self.uplink.send(message);
            }
            let Poll::Ready(next) = self.client.poll_next_unpin(cx) else {
                _ = self.uplink.poll_flush(cx);
                return Poll::Pending;
            };
            self.unheard = 0;
            self.up = match next {
                Some(Ok(tungstenite::Message::Text(text))) => Some(Message::Text(text.into())),
                Some(Ok(tungstenite::Message::Binary(bytes))) => Some(Message::Binary(bytes)),
                // It is answered here, and keeps the rest of the way open too.
                Some(Ok(tungstenite::Message::Ping(bytes))) => Some(Message::Ping(bytes)),
                Some(Ok(tungstenite::Message::Close(frame))) => {
                    let close = frame.map(|it| Close::new(it.code.into(), &it.reason));
                    return Poll::Ready(End::Closes(close));
                }
                Some(Ok(_)) => None,
                Some(Err(error)) => return Poll::Ready(wrong(&error)),
                None => return Poll::Ready(End::Gone),
            };
        }
    }

    fn poll_down(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            if self.down.is_some() {
                let sent = match ready!(self.client.poll_ready_unpin(cx)) {
                    Ok(()) => self.down.take().map(|it| self.client.start_send_unpin(it)),
                    Err(error) => Some(Err(error)),
                };
                if let Some(Err(_)) = sent {
                    return Poll::Ready(End::Gone);
                }
            }
            let Poll::Ready(next) = Pin::new(&mut self.items).poll_next(cx) else {
                return match self.client.poll_flush_unpin(cx) {
                    Poll::Ready(Err(_)) => Poll::Ready(End::Gone),
                    _ => Poll::Pending,
                };
            };
            let item = match next {
                Some(Ok(item)) => item,
                Some(Err(error)) => {
                    let failed = || Close::new(FAILED, error.message());
                    let close = self.uplink.closed().unwrap_or_else(failed);
                    return Poll::Ready(End::Over(Some(close)));
                }
                None => return Poll::Ready(End::Over(self.uplink.closed())),
            };
            self.down = Some(match item.is_binary {
                true => tungstenite::Message::Binary(item.bytes),
                false => match item.bytes.try_into() {
                    Ok(text) => tungstenite::Message::Text(text),
                    Err(_) => continue,
                },
            });
        }
    }

    /// Asks now and then whether the client is still there. One that is not read cannot answer.
    fn poll_pings(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            ready!(self.pings.poll_tick(cx));
            if self.unheard >= UNHEARD {
                return Poll::Ready(End::Gone);
            }
            self.unheard += u32::from(self.up.is_none());
            let Poll::Ready(Ok(())) = self.client.poll_ready_unpin(cx) else {
                continue;
            };
            let ping = tungstenite::Message::Ping(Bytes::new());
            let sent = self.client.start_send_unpin(ping);
            if sent.is_err() || matches!(self.client.poll_flush_unpin(cx), Poll::Ready(Err(_))) {
                return Poll::Ready(End::Gone);
            }
        }
    }

    /// The client has closed: the provider is told so, and its last words are heard to the end.
    async fn follow(mut self, close: Option<Close>) {
        let following = async {
            // The answer to the client; it may be gone by now.
            _ = self.client.flush().await;
            tell(&mut *self.uplink, Message::Close(close)).await;
            while let Some(Ok(_)) = self.items.next().await {}
        };
        _ = timeout(GOODBYE, following).await;
    }

    /// Parts from both sides. Nobody waits for the provider's last words.
    async fn part(self, close: Close) {
        let (client, items, mut uplink) = (self.client, self.items, self.uplink);
        let provider = async {
            let away = Close::new(GOING_AWAY, "");
            tell(&mut *uplink, Message::Close(Some(away))).await;
            drop(items);
        };
        let parting = async { tokio::join!(goodbye(client, Some(close)), provider) };
        _ = timeout(GOODBYE, parting).await;
    }
}

async fn tell(uplink: &mut dyn Uplink, message: Message) {
    poll_fn(|cx| uplink.poll_ready(cx)).await;
    uplink.send(message);
    poll_fn(|cx| uplink.poll_flush(cx)).await;
}

/// Closes the client's side. What it still sends is read, unseen: a socket that is closed with
/// something unread is reset, and the last words may be lost.
async fn goodbye<I>(mut client: WebSocketStream<Counted<I>>, close: Option<Close>)
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let frame = close.map(|close| CloseFrame {
        code: close.code.into(),
        reason: (&*close.reason).into(),
    });
    if client.close(frame).await.is_err() {
        return;
    }
    let mut io = client.into_inner().into_inner();
    if io.shutdown().await.is_err() {
        return;
    }
    let mut unseen = vec![0; BUFFER];
    while let Ok(1..) = io.read(&mut unseen).await {}
}

/// What a failure of the client's side means.
fn wrong(error: &tungstenite::Error) -> End {
    let (code, reason) = match error {
        tungstenite::Error::Capacity(_) => (TOO_LONG, "the message is too long"),
        tungstenite::Error::Utf8(_) => (NO_TEXT, "the text is not UTF-8"),
        tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            return End::Gone;
        }
        tungstenite::Error::Protocol(_) => (PROTOCOL, "that is no WebSocket"),
        tungstenite::Error::Io(error) if NoRoom::is(error) => {
            (AGAIN_LATER, "there is no room for the message now")
        }
        _ => return End::Gone,
    };
    End::Wrong(Close::new(code, reason))
}

#[cfg(test)]
mod tests;
