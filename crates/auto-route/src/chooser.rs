//! Who chooses.

use std::sync::Arc;

use crate::{Choice, Feedback, OneOf};

/// Looks at a request before it is routed, and may choose its model group.
///
/// `None` leaves the request as it is, or to the next chooser. A closure
/// `Fn(&Request) -> Option<Choice>` is a chooser. So are a pair, a `Vec` and an `Option` of choosers,
/// of which the first that has an answer wins, and an [`Arc`] of one.
///
/// It is called once for each request, on the way in: it must not block, and an expensive one delays
/// every request.
///
/// ```
/// use ziggurat_auto_route::{AutoRouteLayer, Choice};
/// use ziggurat_core::LlmRequest;
///
/// let layer = AutoRouteLayer::new(|request: &LlmRequest| {
///     let is_short = request.estimated_input_tokens() < 100;
///     is_short.then(|| Choice::new("small", "the request is short"))
/// });
/// ```
pub trait Chooser<R>: Send + Sync + 'static {
    /// What learns how a request ends that it chose the group for;
    /// [`Infallible`](std::convert::Infallible) if it does not want to know.
    type Feedback: Feedback;

    /// Chooses, or has no answer.
    fn choose(&self, request: &R) -> Option<Choice<Self::Feedback>>;
}

impl<R, G, F> Chooser<R> for F
where
    F: Fn(&R) -> Option<Choice<G>> + Send + Sync + 'static,
    G: Feedback,
{
    type Feedback = G;

    fn choose(&self, request: &R) -> Option<Choice<G>> {
        self(request)
    }
}

impl<R, A: Chooser<R>, B: Chooser<R>> Chooser<R> for (A, B) {
    type Feedback = OneOf<A::Feedback, B::Feedback>;

    fn choose(&self, request: &R) -> Option<Choice<Self::Feedback>> {
        match self.0.choose(request) {
            Some(choice) => Some(choice.map_feedback(OneOf::First)),
            None => Some(self.1.choose(request)?.map_feedback(OneOf::Second)),
        }
    }
}

impl<R, C: Chooser<R>> Chooser<R> for Vec<C> {
    type Feedback = C::Feedback;

    fn choose(&self, request: &R) -> Option<Choice<Self::Feedback>> {
        self.iter().find_map(|chooser| chooser.choose(request))
    }
}

impl<R, C: Chooser<R>> Chooser<R> for Option<C> {
    type Feedback = C::Feedback;

    fn choose(&self, request: &R) -> Option<Choice<Self::Feedback>> {
        self.as_ref()?.choose(request)
    }
}

impl<R, C: Chooser<R>> Chooser<R> for Arc<C> {
    type Feedback = C::Feedback;

    fn choose(&self, request: &R) -> Option<Choice<Self::Feedback>> {
        (**self).choose(request)
    }
}
