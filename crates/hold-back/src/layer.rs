use tower_layer::Layer;

use crate::{HoldBack, HoldBackService};

/// Holds back the beginning of streamed answers. *Pass-through*, below the balancer.
///
/// See the [crate docs](crate) for what it does, what it costs, and an example.
#[derive(Clone, Copy, Debug)]
pub struct HoldBackLayer<X = HoldBack> {
    extract: X,
}

impl HoldBackLayer {
    /// Holds back that much of every answer.
    #[must_use]
    pub const fn new(hold: HoldBack) -> Self {
        Self { extract: hold }
    }
}

impl<X> HoldBackLayer<X> {
    /// Asks each request how much is held back of its answer: by an
    /// [`Extract<HoldBack, R>`](ziggurat_core::Extract), such as a closure.
    ///
    /// ```
    /// use ziggurat_core::{LlmRequest, Routed};
    /// use ziggurat_hold_back::{HoldBack, HoldBackLayer};
    ///
    /// let layer = HoldBackLayer::with_extractor(|request: &Routed<LlmRequest>| {
    ///     // A part of what is to be parsed is worth nothing.
    ///     match request.request().group().as_str() {
    ///         "extract" => HoldBack::all(),
    ///         _ => HoldBack::none(),
    ///     }
    /// });
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub const fn with_extractor(extract: X) -> Self {
        Self { extract }
    }
}

impl<S, X: Clone> Layer<S> for HoldBackLayer<X> {
    type Service = HoldBackService<S, X>;

    fn layer(&self, inner: S) -> Self::Service {
        HoldBackService::new(inner, self.extract.clone())
    }
}
