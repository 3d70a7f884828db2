//! The contract that every Ziggurat layer keeps, as a suite that runs against a layer.
//!
//! ```
//! use std::task::{Context, Poll};
//!
//! use futures_util::{TryFutureExt, future::ErrInto};
//! use tower_layer::Layer;
//! use tower_service::Service;
//! use ziggurat_core::{Error, LlmRequest};
//! use ziggurat_testkit::contract::Contract;
//!
//! /// Does nothing.
//! struct PlainLayer;
//!
//! #[derive(Clone)]
//! struct Plain<S>(S);
//!
//! impl<S> Layer<S> for PlainLayer {
//!     type Service = Plain<S>;
//!
//!     fn layer(&self, inner: S) -> Plain<S> {
//!         Plain(inner)
//!     }
//! }
//!
//! impl<S, R> Service<R> for Plain<S>
//! where
//!     S: Service<R>,
//!     S::Error: Into<Error>,
//! {
//!     type Response = S::Response;
//!     type Error = Error;
//!     type Future = ErrInto<S::Future, Error>;
//!
//!     fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
//!         self.0.poll_ready(cx).map_err(Into::into)
//!     }
//!
//!     fn call(&mut self, request: R) -> Self::Future {
//!         self.0.call(request).err_into()
//!     }
//! }
//!
//! Contract::pass_through(|| PlainLayer, || LlmRequest::chat("gpt", "hi"))
//!     .allocations(0, |work| allocation_counter::measure(work).count_total)
//!     .run();
//! ```
//!
//! In a crate that has a layer, that is `tests/contract.rs`. A layer says more of itself with
//! [`idle`](Contract::idle), [`in_flight`](Contract::in_flight),
//! [`saturated`](Contract::saturated) and [`allocations`](Contract::allocations), and is checked for
//! it. Each check makes a fresh layer over a [`Probe`] and runs on a runtime of its own with paused
//! time, so an hour of waiting takes no time. A check that fails panics with
//! ``broken law `<name>` `` and what was seen.
//!
//! # Laws and checks
//!
//! | law | what it says | how it is checked |
//! | --- | --- | --- |
//! | `receiver` | `call` goes to an instance that said it is ready; a clone has said nothing | calls in a row, through clones, interleaved, with readiness that comes late; the probe panics otherwise |
//! | `readiness` | a readiness error reaches the caller, `Pending` is not made of it; pass-through layers forward readiness, deferring ones are always ready | the probe's readiness fails; it is pending for ever |
//! | `wake-up` | who waits is woken when there is something to see, and not before | polls are counted while the inner service takes a minute |
//! | `guard` | whatever a request takes is given back wherever the future is dropped | dropped after 0, 1, 2, … polls until it completes, over late readiness, late answers, failures and streams; with [`saturated`](Contract::saturated) also while it waits for its turn, and after it was given its turn |
//! | `settlement` | a stream's items pass unchanged and in order, as do its end and its error; the request is over then and not before, whoever keeps the response | streams that end, break and hang, read to each depth and dropped |
//! | `admission` | a refusal from beneath is still a refusal, and leaves nothing behind: the next request passes | a refusal of each scope |
//! | `errors` | a failure of each kind ends in a failure of that kind, or in a refusal | each kind, over and over |
//! | `foreign` | any Tower layer may stand beneath | over `ConcurrencyLimit` (of one) and `Timeout`: answers, streams, refusals, failures, drops |
//! | `allocations` | the success path allocates no more than was said | with [`allocations`](Contract::allocations): counted against the probe alone |
//! | (compiler) | services are `Clone + Send + Sync + 'static`, their futures `Send` | the bounds of [`Contract::run`] |
//!
//! [`Probe`], with [`Answer`], [`Readiness`] and [`Watched`], also serves a crate's own tests as an
//! inner service.

mod answer;
mod answering;
mod checks;
mod law;
mod probe;
mod rig;
mod watched;

use std::fmt;

use tower::{limit::ConcurrencyLimit, timeout::Timeout};
use tower_layer::Layer;
use tower_service::Service;
use ziggurat_core::{Error, LlmResponse};

pub use self::{
    answer::{Answer, Readiness, item},
    answering::Answering,
    law::Law,
    probe::{Ended, Probe},
    watched::{Stuck, Watched},
};

/// Layers that are not ours, over the probe.
pub type Foreign = ConcurrencyLimit<Timeout<Probe>>;

/// What the compiler checks of a layer for requests `R` over an inner service `S`: its services are
/// `Clone + Send + Sync + 'static`, their futures are `Send`, answers and errors are the core's.
///
/// Every layer for which that holds implements it.
pub trait Lawful<S, R>:
    Layer<
        S,
        Service: Service<R, Response = LlmResponse, Error = Error, Future: Send>
                     + Clone
                     + Send
                     + Sync
                     + 'static,
    >
{
}

impl<L, S, R> Lawful<S, R> for L
where
    L: Layer<S>,
    L::Service: Service<R, Response = LlmResponse, Error = Error> + Clone + Send + Sync + 'static,
    <L::Service as Service<R>>::Future: Send,
{
}

/// The suite for one layer.
///
/// Nothing is checked before [`run`](Self::run).
#[must_use = "nothing is checked before `run`"]
pub struct Contract<L, R> {
    layer: Box<dyn Fn() -> L>,
    request: Box<dyn Fn() -> R>,
    deferring: bool,
    idle: Option<Box<dyn Fn(&L) -> bool>>,
    in_flight: Option<Box<dyn Fn(&L) -> usize>>,
    saturated: Option<Box<dyn Fn() -> L>>,
    allocations: Option<Allocations>,
}

struct Allocations {
    most: u64,
    count: Box<dyn Fn(&mut dyn FnMut()) -> u64>,
}

impl<L, R> Contract<L, R> {
    /// The suite for a layer that forwards `poll_ready` and calls the instance that was ready.
    ///
    /// `layer` makes a layer with fresh state, which lets a hundred requests in a row pass, as
    /// `request` makes them, without making them wait. Both are called inside a runtime.
    pub fn pass_through(
        layer: impl Fn() -> L + 'static,
        request: impl Fn() -> R + 'static,
    ) -> Self {
        Self {
            layer: Box::new(layer),
            request: Box::new(request),
            deferring: false,
            idle: None,
            in_flight: None,
            saturated: None,
            allocations: None,
        }
    }

    /// The suite for a layer that is always ready, and readies the inner service in its future.
    ///
    /// The arguments are those of [`pass_through`](Self::pass_through).
    pub fn deferring(layer: impl Fn() -> L + 'static, request: impl Fn() -> R + 'static) -> Self {
        Self {
            deferring: true,
            ..Self::pass_through(layer, request)
        }
    }

    /// Says how to see that the layer keeps nothing for any request: all its counters are zero.
    pub fn idle(mut self, idle: impl Fn(&L) -> bool + 'static) -> Self {
        self.idle = Some(Box::new(idle));
        self
    }

    /// Says how many requests the layer has on their way: one from the call of the inner service
    /// until the *end* of the response, then none.
    pub fn in_flight(mut self, in_flight: impl Fn(&L) -> usize + 'static) -> Self {
        self.in_flight = Some(Box::new(in_flight));
        self
    }

    /// Says how to make a layer that has room for one request, until the end of its response, and
    /// lets at least one other wait for a second of virtual time.
    pub fn saturated(mut self, layer: impl Fn() -> L + 'static) -> Self {
        self.saturated = Some(Box::new(layer));
        self
    }

    /// Says how many allocations the success path makes at most: readiness, call, future and a
    /// complete answer, on a clone of the service, beyond those of the inner service alone.
    ///
    /// A crate that counts installs a global allocator by being linked, which is why this one links
    /// none: it is given by the caller, and counts the allocations of this thread while it runs the
    /// closure. With the crate `allocation-counter` as a dev-dependency it is
    /// `|work| allocation_counter::measure(work).count_total`.
    pub fn allocations(
        mut self,
        most: u64,
        count: impl Fn(&mut dyn FnMut()) -> u64 + 'static,
    ) -> Self {
        self.allocations = Some(Allocations {
            most,
            count: Box::new(count),
        });
        self
    }

    /// Runs every check. To be called from a plain `#[test]`: each check has its own runtime.
    ///
    /// # Panics
    ///
    /// With the name of the first law that is broken; and if called inside a runtime.
    pub fn run(&self)
    where
        L: Lawful<Probe, R> + Lawful<Foreign, R>,
    {
        checks::run(self);
    }
}

impl<L, R> fmt::Debug for Contract<L, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contract")
            .field("deferring", &self.deferring)
            .finish_non_exhaustive()
    }
}
