//! The body of an answer on its way to the client.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use http_body::{Body, Frame, SizeHint};
use ziggurat::{Error, Items, LlmResponse};

use crate::{json_list::JsonList, keep_alive::KeepAlive, shape::ErrorShape};

/// How much is joined into one write.
const JOIN_AT_MOST: usize = 32 * 1024;

/// How often the body yields to the connection that feeds it before it gives up joining.
///
/// The provider's connection is driven by a task of its own, which hands over one read at a time. A
/// server polls a body up to three times within one poll of its connection, so a few more make sure
/// that the other task had its turn, and whatever is there leaves in one write.
const YIELDS: u8 = 4;

/// An answer that has not begun.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Result<LlmResponse, Error>> + Send>>;

/// The body of an answer: complete bytes, or events that are written as they come.
///
/// Events that are ready together leave in one write. A stream that breaks ends with an error
/// event, so that it is never taken for whole. While it is silent, a comment now and then keeps the
/// connection alive.
///
/// A stream of bytes, such as audio, has no room for either: one that breaks fails, so that the
/// connection ends without the end of the body.
pub struct ResponseBody(Inner);

enum Inner {
    Complete(Option<Bytes>),
    Stream(Box<Joined>),
}

impl ResponseBody {
    pub(crate) fn complete(bytes: impl Into<Bytes>) -> Self {
        Self(Inner::Complete(Some(bytes.into())))
    }

    /// A stream of events, whose failure is told in that shape.
    pub(crate) fn stream(items: Items, keep_alive: KeepAlive, errors: ErrorShape) -> Self {
        let joined = Joined::new(Source::Answer(items), keep_alive, Some(errors));
        Self(Inner::Stream(Box::new(joined)))
    }

    /// A stream of bytes that are no events.
    pub(crate) fn bytes(items: Items) -> Self {
        let joined = Joined::new(Source::Answer(items), KeepAlive::new(None), None);
        Self(Inner::Stream(Box::new(joined)))
    }

    /// A stream whose answer has not begun, and which has been silent for long enough.
    pub(crate) fn late(answer: Answering, keep_alive: KeepAlive, errors: ErrorShape) -> Self {
        let mut joined = Joined::new(Source::Late(answer), keep_alive, Some(errors));
        joined.push(Bytes::from_static(errors.silence()));
        Self(Inner::Stream(Box::new(joined)))
    }
}

#[expect(clippy::large_enum_variant, reason = "it is kept in a box")]
enum Source {
    Late(Answering),
    Answer(Items),
}

impl Source {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if let Self::Late(answer) = self {
            match std::task::ready!(answer.as_mut().poll(cx)) {
                Ok(response) => *self = Self::Answer(response.into_parts().1),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        match self {
            Self::Answer(items) => {
                let next = std::task::ready!(Pin::new(items).poll_next(cx));
                Poll::Ready(next.map(|item| item.map(|item| item.bytes)))
            }
            Self::Late(_) => Poll::Pending,
        }
    }
}

struct Joined {
    source: Source,
    keep_alive: KeepAlive,
    /// What came first, passed on as it is if nothing joins it.
    first: Option<Bytes>,
    more: BytesMut,
    yields: u8,
    ended: bool,
    /// How a failure is told in an event, if there are events.
    errors: Option<ErrorShape>,
    /// What makes a list of the events, if the client wants one.
    list: Option<JsonList>,
    /// The failure that ends a stream without events.
    failure: Option<Error>,
    flushed: bool,
}

impl Joined {
    fn new(source: Source, keep_alive: KeepAlive, errors: Option<ErrorShape>) -> Self {
        Self {
            source,
            keep_alive,
            first: None,
            more: BytesMut::new(),
            yields: 0,
            ended: false,
            errors,
            list: (errors == Some(ErrorShape::GoogleList)).then(JsonList::default),
            failure: None,
            flushed: false,
        }
    }

    fn push(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        if self.first.is_none() && self.more.is_empty() {
            self.first = Some(bytes);
            return;
        }
        if let Some(first) = self.first.take() {
            self.more.extend_from_slice(&first);
        }
        self.more.extend_from_slice(&bytes);
    }

    /// Takes events, as the client is to get them.
    fn write(&mut self, events: Bytes) {
        let written = match &mut self.list {
            Some(list) => list.write(&events),
            None => events,
        };
        self.push(written);
    }

    fn end(&mut self) {
        self.ended = true;
        if let Some(end) = self.list.as_mut().map(JsonList::end) {
            self.push(end);
        }
    }

    fn has_some(&self) -> bool {
        self.first.is_some() || !self.more.is_empty()
    }

    fn take(&mut self) -> Bytes {
        self.yields = 0;
        self.keep_alive.sent();
        self.first
            .take()
            .unwrap_or_else(|| self.more.split().freeze())
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            if self.ended && !self.has_some() {
                // The server forgets what it has not written yet when a body fails.
                if self.failure.is_some() && !std::mem::replace(&mut self.flushed, true) {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                return Poll::Ready(self.failure.take().map(Err));
            }
            if self.ended || self.more.len() >= JOIN_AT_MOST {
                return Poll::Ready(Some(Ok(self.take())));
            }
            match self.source.poll_next(cx) {
                Poll::Ready(Some(Ok(bytes))) => {
                    self.yields = 0;
                    self.write(bytes);
                }
                Poll::Ready(Some(Err(error))) => {
                    match self.errors {
                        Some(shape) => self.write(shape.event(&error)),
                        None => self.failure = Some(error),
                    }
                    self.end();
                }
                Poll::Ready(None) => self.end(),
                Poll::Pending if !self.has_some() => {
                    std::task::ready!(self.keep_alive.poll(cx));
                    let silence = self.errors.unwrap_or_default().silence();
                    self.push(Bytes::from_static(silence));
                    return Poll::Ready(Some(Ok(self.take())));
                }
                Poll::Pending if self.yields < YIELDS => {
                    self.yields += 1;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Pending => return Poll::Ready(Some(Ok(self.take()))),
            }
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let bytes = match &mut self.0 {
            Inner::Complete(bytes) => bytes.take().map(Ok),
            Inner::Stream(joined) => std::task::ready!(joined.poll(cx)),
        };
        Poll::Ready(bytes.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Complete(bytes) => bytes.is_none(),
            Inner::Stream(joined) => joined.ended && !joined.has_some() && joined.failure.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Complete(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64)
            }
            Inner::Stream(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Inner::Complete(_) => f.write_str("Complete"),
            Inner::Stream(joined) => match &joined.source {
                Source::Answer(items) => f.debug_tuple("Stream").field(items).finish(),
                Source::Late(_) => f.write_str("Late"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, time::Duration};

    use http_body_util::BodyExt;
    use ziggurat::{BoxItems, ErrorKind, Item, LlmResponse};

    use super::*;

    /// Gives what is in it, with a pause wherever `None` stands.
    struct Script(VecDeque<Option<Result<&'static str, ErrorKind>>>);

    impl Stream for Script {
        type Item = Result<Item, Error>;

        fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            match self.0.pop_front() {
                None => Poll::Ready(None),
                Some(None) => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                Some(Some(Ok(text))) => Poll::Ready(Some(Ok(Item {
                    bytes: Bytes::from(text),
                    events: 1,
                    usage: None,
                    ..Item::default()
                }))),
                Some(Some(Err(kind))) => Poll::Ready(Some(Err(Error::new(kind, "it broke")))),
            }
        }
    }

    async fn frames(
        script: impl IntoIterator<Item = Option<Result<&'static str, ErrorKind>>>,
    ) -> Vec<Bytes> {
        let items: BoxItems = Box::pin(Script(script.into_iter().collect()));
        let (_, items) = LlmResponse::stream(items).into_parts();
        let mut body = ResponseBody::stream(items, KeepAlive::default(), ErrorShape::OpenAi);
        let mut frames = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.expect("does not fail");
            frames.push(frame.into_data().expect("there are no trailers"));
        }
        frames
    }

    #[tokio::test]
    async fn what_is_ready_together_leaves_in_one_frame() {
        assert_eq!(
            frames([Some(Ok("a")), Some(Ok("b")), None, Some(Ok("c"))]).await,
            ["abc"]
        );
    }

    #[tokio::test]
    async fn what_comes_later_leaves_later() {
        let pause = [None; YIELDS as usize + 1];
        let script = [Some(Ok("a"))]
            .into_iter()
            .chain(pause)
            .chain([Some(Ok("b"))]);
        assert_eq!(frames(script).await, ["a", "b"]);
    }

    #[tokio::test]
    async fn a_stream_that_breaks_ends_with_an_error_event() {
        let frames = frames([Some(Ok("data: x\n\n")), Some(Err(ErrorKind::StreamBroken))]).await;
        let text = String::from_utf8(frames.concat()).expect("is text");
        let (_, event) = text.split_once("data: {").expect("has an error event");
        assert!(
            event.contains("\"code\":\"stream_broken\"") && event.ends_with("}\n\n"),
            "{event}"
        );
    }

    #[tokio::test]
    async fn a_stream_of_bytes_that_breaks_fails_after_what_came_of_it() {
        let script = [Some(Ok("ID3")), None, Some(Err(ErrorKind::StreamBroken))];
        let items: BoxItems = Box::pin(Script(script.into()));
        let (_, items) = LlmResponse::stream(items).into_parts();
        let mut body = ResponseBody::bytes(items);
        let frame = body.frame().await.expect("has a frame").expect("is one");
        assert_eq!(frame.into_data().expect("is data"), "ID3");
        assert!(!body.is_end_stream());
        let error = body.frame().await.expect("ends").expect_err("has failed");
        assert_eq!(error.kind(), ErrorKind::StreamBroken);
        assert!(body.is_end_stream());
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_long_burst_is_cut_into_bounded_frames() {
        const EVENT: &str = "data: 0123456789012345678901234567890123456789012345678901234567\n\n";
        let frames = frames(std::iter::repeat_n(Some(Ok(EVENT)), 2_000)).await;
        assert_eq!(frames.concat().len(), 2_000 * EVENT.len());
        assert!(
            frames
                .iter()
                .all(|frame| frame.len() < JOIN_AT_MOST + EVENT.len())
        );
    }

    async fn late(answer: Result<LlmResponse, Error>, after: u64) -> String {
        let answering = async move {
            tokio::time::sleep(Duration::from_secs(after)).await;
            answer
        };
        let keep_alive = KeepAlive::new(Some(Duration::from_secs(15)));
        let body = ResponseBody::late(Box::pin(answering), keep_alive, ErrorShape::OpenAi);
        let bytes = body.collect().await.expect("does not fail").to_bytes();
        String::from_utf8(bytes.to_vec()).expect("is text")
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_late_comes_after_comments() {
        let items: BoxItems = Box::pin(Script(VecDeque::from([Some(Ok("data: x\n\n"))])));
        let text = late(Ok(LlmResponse::stream(items)), 40).await;
        let comment = ": keep-alive\n\n";
        assert_eq!(text, format!("{comment}{comment}{comment}data: x\n\n"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_never_begins_ends_with_an_error_event() {
        let text = late(Err(Error::new(ErrorKind::Unavailable, "all are down")), 1).await;
        let (_, event) = text.split_once("data: {").expect("has an error event");
        assert!(event.contains("all are down"), "{event}");
    }
}
