use std::time::Duration;

use tower_layer::Layer;
use ziggurat_core::FromParam;

use crate::RateLimit;

/// Limits requests, tokens and requests in flight, on any key. See the [crate docs](crate).
#[derive(Clone, Copy, Debug)]
pub struct RateLimitLayer<L, X = FromParam> {
    limiter: L,
    charges: X,
    patience: Option<Duration>,
}

impl<L> RateLimitLayer<L> {
    /// Limits by what a request says it is to be charged, through
    /// [`Param<Charges>`](crate::Charges).
    ///
    /// All services made by this layer and its clones count together if clones of the limiter do.
    #[must_use]
    pub const fn new(limiter: L) -> Self {
        Self {
            limiter,
            charges: FromParam,
            patience: None,
        }
    }
}

impl<L, X> RateLimitLayer<L, X> {
    /// Says instead what a request is charged: a closure `Fn(&Request) -> Charges`.
    #[must_use]
    pub fn with_charges<Y>(self, charges: Y) -> RateLimitLayer<L, Y> {
        RateLimitLayer {
            limiter: self.limiter,
            charges,
            patience: self.patience,
        }
    }

    /// Lets a request wait for room, for so long in all, rather than be refused; where `None`, as
    /// without it, nobody waits.
    ///
    /// It waits until the time that the refusal tells, and tries again. It is refused at once where
    /// that is later than its patience, or than the request's [deadline](ziggurat_core::Ledger);
    /// where the limit is a budget or one of requests in flight, which tell no time; and where it can
    /// never pass. What it waits for is not kept for it: there is no queue, so who comes at the
    /// right moment may go first, and who waits is told a new time. Who waits holds nothing, and
    /// leaves nothing behind when it is dropped.
    ///
    /// Below a balancer it would wait for a deployment while others are idle: it belongs above.
    #[must_use]
    pub fn paced(mut self, patience: impl Into<Option<Duration>>) -> Self {
        self.patience = patience.into();
        self
    }

    /// The limiter, to see what is used.
    #[must_use]
    pub const fn limiter(&self) -> &L {
        &self.limiter
    }
}

impl<S, L: Clone, X: Clone> Layer<S> for RateLimitLayer<L, X> {
    type Service = RateLimit<S, L, X>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit::new(
            inner,
            self.limiter.clone(),
            self.charges.clone(),
            self.patience,
        )
    }
}
