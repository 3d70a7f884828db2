//! A provider's stream as items.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use ziggurat_core::{BoxError, Error, Item};

use crate::transport::stream_failure;

/// Reads what a provider streams, without I/O: what to pass on, where the answer begins, and whether
/// it ended well.
pub(crate) trait Read {
    /// Whether the answer has begun.
    fn is_committed(&self) -> bool;

    /// Whether nothing more is to be read.
    fn is_ended(&self) -> bool;

    /// What there is to pass on: all that was read since the last time.
    fn take_item(&mut self) -> Option<Item>;

    /// Why the stream failed, if it did; told once.
    fn take_error(&mut self) -> Option<Error>;

    /// How long to wait for a next read, if there is no need of one.
    fn grace(&self) -> Option<Duration>;

    /// Takes what was read, wherever it is cut.
    fn read(&mut self, bytes: Bytes);

    /// Takes the end of the body.
    fn finish(&mut self);

    /// Takes the failure of the body.
    fn broke(&mut self, error: Error);
}

pin_project! {
    /// The events of an answer; those that came in one read are one item.
    ///
    /// Dropping it drops the body, and so closes the connection of an answer that has not ended.
    pub(crate) struct EventStream<B, R> {
        #[pin]
        body: Option<B>,
        reader: R,
        #[pin]
        grace: Option<Sleep>,
    }
}

impl<B, R> EventStream<B, R>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    R: Read,
{
    pub(crate) fn new(body: B, reader: R) -> Self {
        Self {
            body: Some(body),
            reader,
            grace: None,
        }
    }

    /// Waits for the first content, or for the failure that comes instead.
    pub(crate) fn poll_begin(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        loop {
            // A failure in the same read is no failure of a stream yet: all can be tried again.
            if let Some(error) = self.as_mut().project().reader.take_error() {
                return Poll::Ready(Err(error));
            }
            if self.reader.is_committed() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.as_mut().poll_read(cx));
        }
    }

    /// Reads once.
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let Some(body) = this.body.as_mut().as_pin_mut() else {
            return Poll::Ready(());
        };
        match body.poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.grace.set(None);
                if this.reader.is_ended() {
                    this.body.set(None);
                } else if let Ok(bytes) = frame.into_data() {
                    this.reader.read(bytes);
                }
            }
            Poll::Ready(Some(Err(error))) => {
                this.body.set(None);
                this.reader.broke(stream_failure(error.into()));
            }
            Poll::Ready(None) => {
                this.body.set(None);
                this.reader.finish();
            }
            Poll::Pending => {
                let Some(grace) = this.reader.grace() else {
                    return Poll::Pending;
                };
                if this.grace.is_none() {
                    this.grace.set(Some(tokio::time::sleep(grace)));
                }
                if let Some(alarm) = this.grace.as_mut().as_pin_mut() {
                    ready!(alarm.poll(cx));
                }
                this.body.set(None);
                this.reader.finish();
            }
        }
        Poll::Ready(())
    }
}

impl<B, R> Stream for EventStream<B, R>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    R: Read,
{
    type Item = Result<Item, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let mut this = self.as_mut().project();
            if let Some(item) = this.reader.take_item() {
                return Poll::Ready(Some(Ok(item)));
            }
            if let Some(error) = this.reader.take_error() {
                this.body.set(None);
                return Poll::Ready(Some(Err(error)));
            }
            if this.body.is_none() {
                return Poll::Ready(None);
            }
            ready!(self.as_mut().poll_read(cx));
        }
    }
}
