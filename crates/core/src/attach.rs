//! How a layer learns how a response ended.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::{BoxError, Error, Item, ProviderLimits, Usage};

/// How a response ended.
#[derive(Clone, Copy, Debug)]
pub enum End<'a> {
    /// It came to its end.
    Complete {
        /// What it used, if that is known.
        usage: Option<&'a Usage>,
    },
    /// It broke.
    Failed(&'a Error),
    /// Nobody waited for its end.
    Abandoned,
}

/// Watches a response until it ends.
///
/// A guard that only has to live as long as the response implements it with nothing:
/// `impl Observer for MyPermit {}`, and gives back what it holds in its `Drop`.
///
/// Methods must not block or panic. They run on the task that reads the response.
pub trait Observer: Send {
    /// Whether [`item`](Self::item) is to be called; asked once, when it is attached.
    fn wants_items(&self) -> bool {
        false
    }

    /// The answer is a stream; called once, when it is attached.
    fn streams(&mut self) {}

    /// Sees the whole of an answer that is not streamed, before its end.
    fn body(&mut self, bytes: &[u8]) {
        let _ = bytes;
    }

    /// Sees what the provider says is left of its limits; called once, when it is attached, if the
    /// provider says something.
    fn provider_limits(&mut self, limits: &ProviderLimits) {
        let _ = limits;
    }

    /// Sees an item of a stream that is about to be passed on.
    fn item(&mut self, item: &Item) {
        let _ = item;
    }

    /// Sees an item that was held back and that nobody will read: the stream ended before. Only
    /// those are called that want items.
    fn unread(&mut self, item: &Item) {
        let _ = item;
    }

    /// Called exactly once: at the end, at the first error, or when the response is dropped.
    /// The observer itself is dropped right after.
    fn end(&mut self, end: End<'_>) {
        let _ = end;
    }
}

impl<O: Observer + ?Sized> Observer for Box<O> {
    fn wants_items(&self) -> bool {
        (**self).wants_items()
    }

    fn streams(&mut self) {
        (**self).streams();
    }

    fn body(&mut self, bytes: &[u8]) {
        (**self).body(bytes);
    }

    fn provider_limits(&mut self, limits: &ProviderLimits) {
        (**self).provider_limits(limits);
    }

    fn item(&mut self, item: &Item) {
        (**self).item(item);
    }

    fn unread(&mut self, item: &Item) {
        (**self).unread(item);
    }

    fn end(&mut self, end: End<'_>) {
        (**self).end(end);
    }
}

/// A response that takes an observer along.
///
/// [`LlmResponse`](crate::LlmResponse) keeps its type. An `http::Response` changes its body to
/// [`Observed`]. Plain values (`&str`, `String`, `()`), which unit tests use, are complete already.
pub trait Attach<O> {
    /// The response with the observer in it.
    type Output;

    /// Attaches it.
    fn attach(self, observer: O) -> Self::Output;
}

/// A response whose stream can be held to clocks.
pub trait Clocked {
    /// Ends the stream with [`Clock::Idle`](crate::Clock::Idle) when it is silent for that long
    /// while somebody waits for it.
    fn limit_idle(&mut self, idle: Duration);

    /// The same by a limit that the caller chose: if it runs out, that speaks against no deployment.
    fn limit_idle_for_caller(&mut self, idle: Duration) {
        self.limit_idle(idle);
    }

    /// Ends the stream with [`Clock::Total`](crate::Clock::Total) at that time.
    fn limit_total(&mut self, at: Instant);
}

macro_rules! complete {
    ($($response:ty),+) => {$(
        impl<O: Observer> Attach<O> for $response {
            type Output = Self;

            fn attach(self, mut observer: O) -> Self {
                observer.end(End::Complete { usage: None });
                self
            }
        }

        impl Clocked for $response {
            fn limit_idle(&mut self, _: Duration) {}

            fn limit_total(&mut self, _: Instant) {}
        }
    )+};
}

complete!((), &'static str, String);

impl<B, O: Observer> Attach<O> for http::Response<B> {
    type Output = http::Response<Observed<B, O>>;

    fn attach(self, observer: O) -> Self::Output {
        self.map(|body| Observed {
            body,
            observer: Ending(Some(observer)),
        })
    }
}

pin_project_lite::pin_project! {
    /// A body with an observer, which sees its end but no items.
    #[derive(Debug)]
    pub struct Observed<B, O: Observer> {
        #[pin]
        body: B,
        observer: Ending<O>,
    }
}

/// An observer that is told an end exactly once.
struct Ending<O: Observer>(Option<O>);

impl<O: Observer> Ending<O> {
    fn end(&mut self, end: End<'_>) {
        if let Some(mut observer) = self.0.take() {
            observer.end(end);
        }
    }
}

impl<O: Observer> Drop for Ending<O> {
    fn drop(&mut self) {
        self.end(End::Abandoned);
    }
}

impl<O: Observer> fmt::Debug for Ending<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ending")
            .field("ended", &self.0.is_none())
            .finish()
    }
}

impl<B, O> Body for Observed<B, O>
where
    B: Body,
    B::Error: Into<BoxError>,
    O: Observer,
{
    type Data = B::Data;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        let frame = std::task::ready!(this.body.as_mut().poll_frame(cx));
        Poll::Ready(match frame {
            None => {
                this.observer.end(End::Complete { usage: None });
                None
            }
            Some(Err(error)) => {
                let error = Error::from(error.into());
                this.observer.end(End::Failed(&error));
                Some(Err(error))
            }
            Some(Ok(frame)) => {
                // With an exact length nobody may ask for the final `None`.
                if this.body.is_end_stream() {
                    this.observer.end(End::Complete { usage: None });
                }
                Some(Ok(frame))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use http_body_util::{BodyExt, Full};
    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Ends(Arc<Mutex<Vec<&'static str>>>);

    impl Ends {
        fn take(&self) -> Vec<&'static str> {
            std::mem::take(&mut self.0.lock())
        }
    }

    impl Observer for Ends {
        fn end(&mut self, end: End<'_>) {
            self.0.lock().push(match end {
                End::Complete { .. } => "complete",
                End::Failed(_) => "failed",
                End::Abandoned => "abandoned",
            });
        }
    }

    #[tokio::test]
    async fn a_body_of_known_length_ends_with_its_last_frame() {
        let ends = Ends::default();
        let mut body = http::Response::new(Full::new(Bytes::from("x")))
            .attach(ends.clone())
            .into_body();
        body.frame().await.expect("has a frame").expect("is fine");
        assert_eq!(ends.take(), ["complete"]);
        drop(body);
        assert!(ends.take().is_empty(), "an end is told once");
    }

    #[test]
    fn a_body_that_nobody_reads_is_abandoned() {
        let ends = Ends::default();
        drop(http::Response::new(Full::new(Bytes::from("x"))).attach(ends.clone()));
        assert_eq!(ends.take(), ["abandoned"]);
    }

    #[test]
    fn a_plain_value_is_complete_at_once() {
        let ends = Ends::default();
        assert_eq!("answer".attach(ends.clone()), "answer");
        assert_eq!(ends.take(), ["complete"]);
    }
}
