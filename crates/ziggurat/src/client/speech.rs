//! Texts that are spoken.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use futures_util::StreamExt as _;
use http::{HeaderMap, header::CONTENT_TYPE};
use serde::Serialize;
use tower_service::Service;
use ziggurat_core::{Deployment, Error, Items, LlmRequest, LlmResponse, Operation, Trail};

use super::{Client, answer::Served, bounded, to_request};

/// Speech, which comes piece by piece. Dropping it hangs up.
#[derive(Debug)]
pub struct Speech {
    items: Items,
    served: Served,
}

impl Speech {
    /// All of what has not been read yet.
    ///
    /// # Errors
    ///
    /// That of the stream, if it breaks; [`ErrorKind::BadAnswer`] if it is longer than 256 MiB.
    ///
    /// [`ErrorKind::BadAnswer`]: ziggurat_core::ErrorKind::BadAnswer
    pub async fn bytes(mut self) -> Result<Bytes, Error> {
        let mut all = BytesMut::new();
        while let Some(bytes) = self.next().await {
            all.extend_from_slice(&bytes?);
            bounded(all.len())?;
        }
        Ok(all.freeze())
    }

    /// What it is written in, for instance `audio/mpeg`.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.headers().get(CONTENT_TYPE)?.to_str().ok()
    }

    /// The deployment that serves it; `None` if the service keeps no account.
    #[must_use]
    pub fn deployment(&self) -> Option<Arc<Deployment>> {
        self.served.deployment()
    }

    /// The attempts that were made for it, in order.
    #[must_use]
    pub fn trail(&self) -> Trail {
        self.served.trail()
    }

    /// The headers that came with it.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.served.headers
    }
}

impl Stream for Speech {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = self.items.poll_next_unpin(cx);
        item.map(|item| item.map(|item| item.map(|item| item.bytes)))
    }
}

impl<S> Client<S>
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone,
    S::Error: Into<Error>,
{
    /// Asks for a text to be spoken.
    ///
    /// # Errors
    ///
    /// Those of [`ask`](Self::ask), until the first byte has come; later ones are the stream's.
    pub async fn speech(&self, request: &(impl Serialize + ?Sized)) -> Result<Speech, Error> {
        let request = to_request(Operation::Speech, request)?;
        let (response, served) = self.serve(request).await?;
        let (_, items) = response.into_parts();
        Ok(Speech { items, served })
    }
}
