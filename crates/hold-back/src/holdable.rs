//! What can be held back.

use std::task::{Context, Poll};

use ziggurat_core::{Error, LlmResponse};

use crate::HoldBack;

/// A response whose beginning can wait.
///
/// [`LlmResponse`] waits. Plain values (`&str`, `String`, `()`), which unit tests use, are there
/// already.
pub trait Holdable {
    /// Waits until so much of it is there; what is there is kept for the reader.
    ///
    /// # Errors
    ///
    /// What broke it before. Nothing of it has been passed on, and it is of no use any more.
    fn poll_hold(&mut self, cx: &mut Context<'_>, hold: HoldBack) -> Poll<Result<(), Error>>;
}

impl Holdable for LlmResponse {
    fn poll_hold(&mut self, cx: &mut Context<'_>, hold: HoldBack) -> Poll<Result<(), Error>> {
        Self::poll_hold(self, cx, hold.event_count(), hold.byte_count())
    }
}

macro_rules! complete {
    ($($response:ty),+) => {$(
        impl Holdable for $response {
            fn poll_hold(&mut self, _: &mut Context<'_>, _: HoldBack) -> Poll<Result<(), Error>> {
                Poll::Ready(Ok(()))
            }
        }
    )+};
}

complete!((), &'static str, String);
