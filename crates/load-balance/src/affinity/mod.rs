//! Requests that belong together go to the same deployment.

mod learn;
mod map;
mod news;
mod pins;
mod response_id;
mod sharing;
mod signatures;
mod ties;

pub(crate) use self::learn::Learn;
pub use self::{
    pins::{AffinityKind, Pins},
    ties::Ties,
};

/// Says to what a request is tied: [`Pins`], an option of them, or `()` for nothing.
pub trait Affinity<R>: Send + Sync + 'static {
    /// The ties of a request for a group, if it has some.
    fn ties(&self, request: &R, group: &str) -> Option<Ties>;

    /// How many bytes of a request are read to find its ties, at most: of very many, that is done [off
    /// the reactor](ziggurat_core::off_reactor). 0 if it is not said.
    fn bytes_read(&self, _: &R) -> usize {
        0
    }
}

/// No affinity.
impl<R> Affinity<R> for () {
    fn ties(&self, _: &R, _: &str) -> Option<Ties> {
        None
    }
}

/// Some, if there is one: what a configuration turns on or off.
impl<R, A: Affinity<R>> Affinity<R> for Option<A> {
    fn ties(&self, request: &R, group: &str) -> Option<Ties> {
        self.as_ref()?.ties(request, group)
    }

    fn bytes_read(&self, request: &R) -> usize {
        self.as_ref().map_or(0, |it| it.bytes_read(request))
    }
}
