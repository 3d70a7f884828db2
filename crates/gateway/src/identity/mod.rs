//! Who asks: what a request proves it by, and what follows for it.

mod future;
mod layer;
mod presented;
mod ring;
mod service;

use std::{future::Future, sync::Arc};

use http::request::Parts;
use ziggurat::{Caller, Error, ErrorKind, LlmRequest};

pub use self::{
    future::ResponseFuture as IdentifyFuture, layer::IdentifyLayer, presented::presented_keys,
    ring::KeyRing, service::Identified,
};

/// Tells who sends a request.
///
/// [`KeyRing`] does it by the keys of a configuration. An application with an identity of its own
/// (a session, a token that somebody else checks) gives its own to [`IdentifyLayer`] or to
/// [`Gateway::identify`](crate::Gateway::identify); a closure is enough:
///
/// ```
/// use http::request::Parts;
/// use ziggurat::{Caller, Error, ErrorKind};
/// use ziggurat_gateway::{Identity, IdentifyLayer};
///
/// let layer = IdentifyLayer::new(|parts: &Parts| {
///     let user = parts.headers.get("x-user").and_then(|name| name.to_str().ok());
///     let caller = user.map(|user| Caller::new().with_key(user).with_user(user));
///     async move {
///         let nobody = || Error::new(ErrorKind::Authentication, "nobody is logged in");
///         Ok(Identity::of(caller.ok_or_else(nobody)?))
///     }
/// });
/// # let _ = layer;
/// ```
pub trait Identify: Send + Sync + 'static {
    /// Who sends it, or why it is not let in.
    ///
    /// [`Authentication`](ErrorKind::Authentication) is answered with 401,
    /// [`Permission`](ErrorKind::Permission) with 403, and what is wrong with the request itself, or
    /// its rate, as always. Every other kind says that it could not be found out, and is answered
    /// with 503: that a store is down is never told as a bad key.
    type Future: Future<Output = Result<Identity, Error>> + Send + 'static;

    /// Finds out who sends a request. The body is not read yet.
    fn identify(&self, parts: &Parts) -> Self::Future;
}

impl<I, F> Identify for I
where
    I: Fn(&Parts) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Identity, Error>> + Send + 'static,
{
    type Future = F;

    fn identify(&self, parts: &Parts) -> F {
        self(parts)
    }
}

/// Who sends a request. [`IdentifyLayer`] puts it among the extensions of the HTTP request, where an
/// [`Endpoint`](crate::Endpoint) and the routes of a [`Gateway`](crate::Gateway) find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    caller: Option<Arc<Caller>>,
}

impl Identity {
    /// This caller.
    #[must_use]
    pub fn of(caller: impl Into<Arc<Caller>>) -> Self {
        Self {
            caller: Some(caller.into()),
        }
    }

    /// Anybody, where nobody is asked who he is: everything is open.
    #[must_use]
    pub const fn open() -> Self {
        Self { caller: None }
    }

    /// The caller, if it is known.
    #[must_use]
    pub fn caller(&self) -> Option<&Arc<Caller>> {
        self.caller.as_ref()
    }

    /// Whether what concerns all callers may be seen: settings, deployments and their health. An
    /// [admin](Caller::is_admin) may, and everybody where nobody is asked who he is.
    #[must_use]
    pub fn may_manage(&self) -> bool {
        self.caller.as_ref().is_none_or(|caller| caller.is_admin)
    }

    /// The request as one of this caller's: with its tags added, and with its priority unless the
    /// request names one.
    #[must_use]
    pub fn put_into(&self, mut request: LlmRequest) -> LlmRequest {
        let Some(caller) = &self.caller else {
            return request;
        };
        for tag in &caller.tags {
            if !request.tags().contains(tag) {
                request.add_tags([&**tag]);
            }
        }
        if let Some(priority) = caller.priority
            && request.controls().priority.is_none()
        {
            request.controls_mut().priority = Some(priority);
        }
        request.with_caller(Arc::clone(caller))
    }
}

/// The error for a client whose identity could not be had.
fn refused(error: Error) -> Error {
    use ErrorKind::{
        Authentication, BadRequest, Budget, NotFound, Permission, RateLimited, Rejected,
        Unavailable,
    };
    match error.kind() {
        Authentication | Permission | BadRequest | NotFound | RateLimited | Budget | Rejected => {
            error
        }
        _ => Error::new(Unavailable, "who asks cannot be found out now; try again")
            .with_code("identity_unavailable")
            .with_source(error),
    }
}
