use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
    vec,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use super::record::InFlight;

/// One thing that the body of an answer does.
#[derive(Debug)]
pub(super) enum Act {
    Send(Bytes),
    Wait(Duration),
    /// Silence until somebody hangs up.
    Silence,
    /// The connection closes before the body has ended.
    Close,
    /// The connection is reset before the body has ended.
    Reset,
}

/// The body of an answer: a list of acts, played from the first to the last.
#[derive(Debug)]
pub(super) struct Play {
    acts: vec::IntoIter<Act>,
    now: Option<Act>,
    length: Option<u64>,
    sleep: Option<Pin<Box<Sleep>>>,
    flushed: bool,
    in_flight: Option<InFlight>,
}

impl Play {
    /// A body; its length is announced if there is one.
    pub(super) fn new(acts: Vec<Act>, length: Option<u64>, in_flight: Option<InFlight>) -> Self {
        let mut acts = acts.into_iter();
        let mut play = Self {
            now: acts.next(),
            acts,
            length,
            sleep: None,
            flushed: false,
            in_flight,
        };
        play.check_end();
        play
    }

    /// A body of these bytes that belongs to no recorded call.
    pub(super) fn whole(bytes: Bytes) -> Self {
        let length = bytes.len() as u64;
        Self::new(vec![Act::Send(bytes)], Some(length), None)
    }

    fn advance(&mut self) -> Option<Act> {
        let act = std::mem::replace(&mut self.now, self.acts.next());
        self.check_end();
        act
    }

    /// The answer counts as complete when its last byte is handed over, for the server does not ask
    /// for more when it has seen the announced length.
    fn check_end(&mut self) {
        if self.now.is_none()
            && let Some(in_flight) = &mut self.in_flight
        {
            in_flight.finish();
        }
    }

    fn poll_wait(&mut self, wait: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(wait)));
        ready!(sleep.as_mut().poll(cx));
        self.sleep = None;
        Poll::Ready(())
    }

    /// Lets the server write what it has before the connection goes.
    fn poll_flushed(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.flushed {
            return Poll::Ready(());
        }
        self.flushed = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Body for Play {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        loop {
            match &this.now {
                None => return Poll::Ready(None),
                Some(Act::Send(_)) => {
                    if let Some(Act::Send(bytes)) = this.advance() {
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                }
                Some(Act::Wait(wait)) => {
                    let wait = *wait;
                    ready!(this.poll_wait(wait, cx));
                    this.advance();
                }
                Some(Act::Silence) => return Poll::Pending,
                Some(last @ (Act::Close | Act::Reset)) => {
                    let reset = matches!(last, Act::Reset);
                    ready!(this.poll_flushed(cx));
                    if let Some(in_flight) = &this.in_flight {
                        if reset {
                            in_flight.line().reset();
                        } else {
                            in_flight.line().close();
                        }
                    }
                    this.now = Some(Act::Silence);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.now.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
