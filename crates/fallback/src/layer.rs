use std::sync::Arc;

use tower_layer::Layer;
use ziggurat_core::{Deployments, Extract};

use crate::{
    Fallback, FallbackLists,
    on_break::{Continue, Fail},
};

/// Answers a request whose model group fails from another one. *Deferring.*
///
/// It stands above the balancer. See the [crate docs](crate) for an example and the rules.
#[derive(Clone, Debug)]
pub struct FallbackLayer<X = NoLists, B = Fail> {
    lists: Arc<FallbackLists>,
    deployments: Option<Deployments>,
    extract: X,
    on_break: B,
}

/// Callers have no lists of their own: the default of [`FallbackLayer::lists_by`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoLists;

impl<R> Extract<Option<Arc<FallbackLists>>, R> for NoLists {
    fn extract(&self, _: &R) -> Option<Arc<FallbackLists>> {
        None
    }
}

impl FallbackLayer {
    /// A layer that goes by these lists.
    #[must_use]
    pub fn new(lists: FallbackLists) -> Self {
        Self {
            lists: Arc::new(lists),
            deployments: None,
            extract: NoLists,
            on_break: Fail,
        }
    }
}

impl<X, B> FallbackLayer<X, B> {
    /// Says which groups there are.
    ///
    /// So targets that do not exist are skipped, and an alias and its group are the same: neither is
    /// asked after the other, and an entry for the group serves those who ask by the alias. Without
    /// this every name is a group of its own.
    #[must_use]
    pub fn resolve(mut self, deployments: Deployments) -> Self {
        self.deployments = Some(deployments);
        self
    }

    /// Sets how a request is asked for the lists of its caller, such as those of a key or a team: an
    /// [`Extract<Option<Arc<FallbackLists>>, Request>`](Extract), such as a closure. It is asked
    /// once for each request.
    ///
    /// Each of them that is not empty takes the place of the layer's list of the same kind; what
    /// the client sends goes before both. The layer's
    /// [`max_fallbacks`](FallbackLists::max_fallbacks) holds for all.
    #[must_use]
    pub fn lists_by<Y>(self, extract: Y) -> FallbackLayer<Y, B> {
        FallbackLayer {
            lists: self.lists,
            deployments: self.deployments,
            extract,
            on_break: self.on_break,
        }
    }

    /// Goes on with streams that break after their first item, where these
    /// [`Transcripts`](ziggurat_core::Transcripts) listen to the answer. Without this the client
    /// gets the error.
    ///
    /// Answers are of the type [`LlmResponse`](ziggurat_core::LlmResponse) then. See
    /// [the crate docs](crate#streams-that-break).
    #[must_use]
    pub fn transcripts<T>(self, transcripts: T) -> FallbackLayer<X, Continue<T>> {
        FallbackLayer {
            lists: self.lists,
            deployments: self.deployments,
            extract: self.extract,
            on_break: Continue::new(transcripts),
        }
    }
}

impl<S, X: Clone, B: Clone> Layer<S> for FallbackLayer<X, B> {
    type Service = Fallback<S, X, B>;

    fn layer(&self, inner: S) -> Self::Service {
        Fallback {
            inner,
            lists: Arc::clone(&self.lists),
            deployments: self.deployments.clone(),
            extract: self.extract.clone(),
            on_break: self.on_break.clone(),
        }
    }
}
