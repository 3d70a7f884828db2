use tower_layer::Layer;
use ziggurat_core::FromParam;

use crate::RateLimit;

/// Limits requests, tokens and requests in flight, on any key. See the [crate docs](crate).
#[derive(Clone, Copy, Debug)]
pub struct RateLimitLayer<L, X = FromParam> {
    limiter: L,
    charges: X,
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
        }
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
        RateLimit::new(inner, self.limiter.clone(), self.charges.clone())
    }
}
