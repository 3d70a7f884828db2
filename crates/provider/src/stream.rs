//! A provider's stream as items.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use ziggurat_core::{BoxError, Error, Item};

use crate::{dialect::openai::Reader, transport::stream_failure};

pin_project! {
    /// The events of an answer; those that came in one read are one item.
    ///
    /// Dropping it drops the body, and so closes the connection of an answer that has not ended.
    pub(crate) struct EventStream<B> {
        #[pin]
        body: Option<B>,
        reader: Reader,
        #[pin]
        grace: Option<Sleep>,
    }
}

impl<B> EventStream<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    pub(crate) fn new(body: B, reader: Reader) -> Self {
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

impl<B> Stream for EventStream<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
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
