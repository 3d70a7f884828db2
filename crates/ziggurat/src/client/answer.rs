//! What every answer has.

use std::{ops::Deref, sync::Arc};

use bytes::Bytes;
use http::HeaderMap;
use serde::de::DeserializeOwned;
use ziggurat_core::{
    Charge, Deployment, Error, Ledger, LlmResponse, Maker, Money, Operation, Trail, TrailEntry,
    Usage,
};

use super::read_json;

/// What an operation is answered with: how it is read.
///
/// Implement it for a type of your own to have that back from [`Client::ask`](super::Client::ask).
pub trait Reply: Sized {
    /// The operation that is answered so.
    const OPERATION: Operation;

    /// Reads it from a body and its headers.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadAnswer`](ziggurat_core::ErrorKind::BadAnswer) if it is none.
    fn read(body: &Bytes, headers: &HeaderMap) -> Result<Self, Error>;
}

/// An answer, and all that came beside it.
///
/// What it says are the methods of its `T`, to which it dereferences.
#[derive(Clone, Debug)]
pub struct Answer<T> {
    value: T,
    body: Bytes,
    usage: Option<Usage>,
    served: Served,
}

impl<T: Reply> Answer<T> {
    pub(super) fn read(body: Bytes, usage: Option<Usage>, served: Served) -> Result<Self, Error> {
        let value = T::read(&body, &served.headers)?;
        Ok(Self {
            value,
            body,
            usage,
            served,
        })
    }
}

impl<T> Answer<T> {
    /// What it says.
    pub fn into_value(self) -> T {
        self.value
    }

    /// The tokens it used, if that is known.
    #[must_use]
    pub fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }

    /// What it cost: what the stack says, or its usage at the prices of the deployment that served
    /// it. `None` if that is unknown.
    #[must_use]
    pub fn cost(&self) -> Option<Money> {
        self.served.cost(self.usage())
    }

    /// The deployment that served it; `None` if the service keeps no account.
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

    /// The body as it came. Of a stream that was collected, the body that it could have been.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.body
    }

    /// The whole body as a type of your own, or of another crate.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadAnswer`](ziggurat_core::ErrorKind::BadAnswer) if it is none.
    pub fn json<U: DeserializeOwned>(&self) -> Result<U, Error> {
        read_json(&self.body)
    }
}

impl<T> Deref for Answer<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Where an answer came from.
#[derive(Clone, Debug)]
pub(super) struct Served {
    pub(super) headers: HeaderMap,
    ledger: Option<Ledger>,
    maker: Maker,
    charge: Option<Charge>,
}

impl Served {
    /// Of that answer to the request with that ledger.
    pub(super) fn new(response: &mut LlmResponse, ledger: Option<Ledger>) -> Self {
        Self {
            headers: std::mem::take(response.headers_mut()),
            ledger,
            maker: response.maker(),
            charge: response.charge().copied(),
        }
    }

    pub(super) fn deployment(&self) -> Option<Arc<Deployment>> {
        let ledger = self.ledger.as_ref()?;
        ledger.with_trail(|trail| trail.served().map(TrailEntry::deployment).cloned())
    }

    pub(super) fn trail(&self) -> Trail {
        self.ledger.as_ref().map(Ledger::trail).unwrap_or_default()
    }

    pub(super) fn cost(&self, usage: Option<&Usage>) -> Option<Money> {
        match (&self.charge, self.maker) {
            (Some(charge), _) => charge.cost,
            (None, Maker::Provider) => self.deployment()?.cost(usage?),
            (None, _) => Some(Money::ZERO),
        }
    }
}
