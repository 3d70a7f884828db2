//! What a chooser answers.

use std::{convert::Infallible, sync::Arc};

/// A model group for a request, and why.
///
/// The group may be the one the request is for already; the reason is noted all the same.
#[derive(Clone, Debug)]
pub struct Choice<G = Infallible> {
    group: Arc<str>,
    why: Arc<str>,
    feedback: Option<G>,
}

impl Choice {
    /// A group, and the reason as the client is to read it.
    #[must_use]
    pub fn new(group: impl Into<Arc<str>>, why: impl Into<Arc<str>>) -> Self {
        Self {
            group: group.into(),
            why: why.into(),
            feedback: None,
        }
    }

    /// Adds what is to learn how the request ends.
    #[must_use]
    pub fn with_feedback<G>(self, feedback: G) -> Choice<G> {
        Choice {
            group: self.group,
            why: self.why,
            feedback: Some(feedback),
        }
    }
}

impl<G> Choice<G> {
    /// The group.
    #[must_use]
    pub fn group(&self) -> &Arc<str> {
        &self.group
    }

    /// The reason.
    #[must_use]
    pub fn why(&self) -> &Arc<str> {
        &self.why
    }

    /// The same choice with another feedback.
    #[must_use]
    pub fn map_feedback<H>(self, map: impl FnOnce(G) -> H) -> Choice<H> {
        Choice {
            group: self.group,
            why: self.why,
            feedback: self.feedback.map(map),
        }
    }

    /// What is to learn how the request ends, if there is something.
    #[must_use]
    pub fn into_feedback(self) -> Option<G> {
        self.feedback
    }
}
