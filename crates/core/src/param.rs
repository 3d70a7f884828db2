//! How a generic layer asks a request for a small value.
//!
//! A layer that limits, queues or caches needs one value of a request: a key, a cost, a priority.
//! It asks by [`Extract`]. The default extractor, [`FromParam`], uses what the request itself
//! offers through [`Param`]; any closure `Fn(&Request) -> Value` replaces it, so a layer works on
//! requests that know nothing of Ziggurat, and is tested on a `&'static str`.
//!
//! The idea and the names are linkerd's (`linkerd/stack`).
//!
//! ```
//! use ziggurat_core::{Extract, FromParam, Param};
//!
//! struct Tenant(&'static str);
//! struct MyRequest;
//!
//! impl Param<Tenant> for MyRequest {
//!     fn param(&self) -> Tenant {
//!         Tenant("alice")
//!     }
//! }
//!
//! fn tenant_of<R, X: Extract<Tenant, R>>(extract: &X, request: &R) -> &'static str {
//!     extract.extract(request).0
//! }
//!
//! assert_eq!(tenant_of(&FromParam, &MyRequest), "alice");
//! assert_eq!(tenant_of(&|_: &&'static str| Tenant("bob"), &"any request"), "bob");
//! ```

use crate::{HasLedger, Ledger, ModelGroup, Operation, Priority, Routed};

/// A request that can produce a `T`.
pub trait Param<T> {
    /// Produces it. Cheap: called once or more for each request.
    fn param(&self) -> T;
}

/// Something that gets a `P` out of a `T`.
pub trait Extract<P, T> {
    /// Gets it. Cheap: called once or more for each request.
    fn extract(&self, from: &T) -> P;
}

/// The extractor that asks the request itself, through [`Param`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FromParam;

impl<P, T: Param<P>> Extract<P, T> for FromParam {
    fn extract(&self, from: &T) -> P {
        from.param()
    }
}

impl<P, T, F: Fn(&T) -> P> Extract<P, T> for F {
    fn extract(&self, from: &T) -> P {
        self(from)
    }
}

/// A value that means the same above and below the balancer: [`Routed`] passes it on.
pub trait PassThrough {}

impl PassThrough for ModelGroup {}
impl PassThrough for Operation {}
impl PassThrough for Priority {}

impl<T: PassThrough, R: Param<T>> Param<T> for Routed<R> {
    fn param(&self) -> T {
        self.request().param()
    }
}

impl<R: HasLedger> HasLedger for Routed<R> {
    fn ledger(&self) -> Option<&Ledger> {
        self.request().ledger()
    }
}
