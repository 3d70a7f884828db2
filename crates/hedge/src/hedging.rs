//! What is hedged.

use ziggurat_core::{LlmRequest, Param, PassThrough};

/// Whether a request is hedged, and with which others its time is compared.
///
/// An [`LlmRequest`] says by itself whether it is streamed; one for any path is not hedged. Give the layer an
/// [extractor](crate::HedgeLayer::hedging_by) to switch hedging per request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hedging {
    /// It is not.
    Off,
    /// Compared with those that are answered as a whole.
    Complete,
    /// Compared with those whose answer is there with its first token.
    Streamed,
}

// Below the balancer only what must be moved is missing then, and is what the compiler names.
impl PassThrough for Hedging {}

impl Param<Hedging> for LlmRequest {
    fn param(&self) -> Hedging {
        match self.is_stream() {
            // What is passed through may be created twice then.
            _ if self.passed().is_some() => Hedging::Off,
            true => Hedging::Streamed,
            false => Hedging::Complete,
        }
    }
}
