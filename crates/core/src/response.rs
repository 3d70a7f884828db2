//! The response that comes back through the stack.

mod items;

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::Instant;

pub use self::items::{BoxItems, Drain, Item, Items};
use crate::{Attach, Clocked, End, Error, Money, Observer, ProviderLimits, Uplink, Usage};

/// Who made an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Maker {
    /// The provider of the deployment.
    #[default]
    Provider,
    /// The router itself, in the place of the provider: nothing was sent, and nothing is billed.
    Mock,
    /// A cache, from an earlier answer: nothing was sent, and nothing is billed.
    Cache,
}

/// What a complete answer is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// What it costs, if the prices are known.
    pub cost: Option<Money>,
    /// Whether what it used is our estimate.
    pub estimated: bool,
}

/// An answer: headers, and a body that is complete or a stream.
///
/// A stream has one wrapper, whatever the number of layers: each attaches its [`Observer`] to it
/// instead of wrapping the stream again. An answer that is complete ends when it is attached to.
#[derive(Debug)]
pub struct LlmResponse {
    headers: HeaderMap,
    body: Body,
    limits: Option<Box<ProviderLimits>>,
    maker: Maker,
    charge: Option<Charge>,
}

#[derive(Debug)]
enum Body {
    Complete { bytes: Bytes, usage: Option<Usage> },
    // A response is moved at each layer on its way up.
    Stream(Box<Items>),
}

impl LlmResponse {
    /// A complete answer, in the client's dialect.
    #[must_use]
    pub fn complete(bytes: impl Into<Bytes>, usage: Option<Usage>) -> Self {
        Self {
            headers: HeaderMap::new(),
            body: Body::Complete {
                bytes: bytes.into(),
                usage,
            },
            limits: None,
            maker: Maker::Provider,
            charge: None,
        }
    }

    /// A streamed answer. The first item must be at hand: the response resolves with it.
    #[must_use]
    pub fn stream(items: BoxItems) -> Self {
        Self {
            headers: HeaderMap::new(),
            body: Body::Stream(Box::new(Items::new(items))),
            limits: None,
            maker: Maker::Provider,
            charge: None,
        }
    }

    /// An answer that is a connection: each item is a message of the provider, and what the client
    /// says goes back through the [`Uplink`], which [`Items::take_uplink`] gives out.
    ///
    /// Silence and length are its nature, so no clock ends it. It is neither held back nor drained:
    /// nobody would speak.
    #[must_use]
    pub fn connection(items: BoxItems, uplink: Box<dyn Uplink>) -> Self {
        let mut response = Self::stream(items);
        if let Body::Stream(items) = &mut response.body {
            items.connect(uplink);
        }
        response
    }

    /// Says who made it.
    #[must_use]
    pub fn with_maker(mut self, maker: Maker) -> Self {
        self.maker = maker;
        self
    }

    /// Who made it.
    #[must_use]
    pub fn maker(&self) -> Maker {
        self.maker
    }

    /// Says what it is charged: the word of the one layer that charges.
    #[must_use]
    pub fn with_charge(mut self, charge: Charge) -> Self {
        self.charge = Some(charge);
        self
    }

    /// What it is charged, if it is complete and somebody charges.
    #[must_use]
    pub fn charge(&self) -> Option<&Charge> {
        self.charge.as_ref()
    }

    /// Adds what the provider says is left of its own limits.
    #[must_use]
    pub fn with_provider_limits(mut self, limits: ProviderLimits) -> Self {
        self.limits = (!limits.is_empty()).then(|| Box::new(limits));
        self
    }

    /// What the provider says is left of its own limits.
    #[must_use]
    pub fn provider_limits(&self) -> Option<&ProviderLimits> {
        self.limits.as_deref()
    }

    /// Sets the headers for the client.
    #[must_use]
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// The headers for the client.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The same, to change them.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    /// Whether the body is a stream.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        matches!(self.body, Body::Stream(_))
    }

    /// The body, if it is complete.
    #[must_use]
    pub fn bytes(&self) -> Option<&Bytes> {
        match &self.body {
            Body::Complete { bytes, .. } => Some(bytes),
            Body::Stream(_) => None,
        }
    }

    /// What a complete answer used.
    #[must_use]
    pub fn usage(&self) -> Option<&Usage> {
        match &self.body {
            Body::Complete { usage, .. } => usage.as_ref(),
            Body::Stream(items) => items.usage(),
        }
    }

    /// Waits until `events` of a stream are there, or `bytes`, or all of it; what is there is kept
    /// for the reader. A failure that comes before is one of the response: nothing of it has been
    /// passed on. A complete answer is there already.
    ///
    /// Watchers see what is kept when it is read.
    ///
    /// # Errors
    ///
    /// The stream's, which has ended then.
    pub fn poll_hold(
        &mut self,
        cx: &mut Context<'_>,
        events: u32,
        bytes: usize,
    ) -> Poll<Result<(), Error>> {
        match &mut self.body {
            Body::Complete { .. } => Poll::Ready(Ok(())),
            Body::Stream(items) => items.poll_hold(cx, events, bytes),
        }
    }

    /// If the stream is dropped before its end, `drain` gets it with all its observers.
    #[must_use]
    pub fn draining(mut self, drain: Arc<dyn Drain>) -> Self {
        if let Body::Stream(items) = &mut self.body {
            items.drained_by(drain);
        }
        self
    }

    /// The headers and the body, if it is complete.
    ///
    /// # Errors
    ///
    /// The response itself, if its body is a stream.
    #[expect(
        clippy::result_large_err,
        reason = "it is the response itself, given back"
    )]
    pub fn into_complete(self) -> Result<(HeaderMap, Bytes), Self> {
        match self.body {
            Body::Complete { bytes, .. } => Ok((self.headers, bytes)),
            Body::Stream(_) => Err(self),
        }
    }

    /// The headers, and the body as a stream: a complete one has one item.
    #[must_use]
    pub fn into_parts(self) -> (HeaderMap, Items) {
        let items = match self.body {
            Body::Stream(items) => *items,
            Body::Complete { bytes, usage } => Items::once(Item {
                bytes,
                events: 1,
                usage,
                ..Item::default()
            }),
        };
        (self.headers, items)
    }
}

impl<O: Observer + 'static> Attach<O> for LlmResponse {
    type Output = Self;

    fn attach(mut self, mut observer: O) -> Self {
        if let Some(limits) = &self.limits {
            observer.provider_limits(limits);
        }
        match &mut self.body {
            Body::Complete { bytes, usage } => {
                observer.body(bytes);
                observer.end(End::Complete {
                    usage: usage.as_ref(),
                });
            }
            Body::Stream(items) => {
                observer.streams();
                items.attach(Box::new(observer));
            }
        }
        self
    }
}

impl Clocked for LlmResponse {
    fn limit_idle(&mut self, idle: Duration) {
        if let Body::Stream(items) = &mut self.body {
            items.limit_idle(idle, false);
        }
    }

    fn limit_idle_for_caller(&mut self, idle: Duration) {
        if let Body::Stream(items) = &mut self.body {
            items.limit_idle(idle, true);
        }
    }

    fn limit_total(&mut self, at: Instant) {
        if let Body::Stream(items) = &mut self.body {
            items.limit_total(at);
        }
    }
}

#[cfg(test)]
mod tests;
