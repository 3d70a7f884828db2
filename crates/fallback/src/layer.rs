use std::sync::Arc;

use tower_layer::Layer;
use ziggurat_core::Deployments;

use crate::{Fallback, FallbackLists};

/// Answers a request whose model group fails from another one. *Deferring.*
///
/// It stands above the balancer. See the [crate docs](crate) for an example and the rules.
#[derive(Clone, Debug)]
pub struct FallbackLayer {
    lists: Arc<FallbackLists>,
    deployments: Option<Deployments>,
}

impl FallbackLayer {
    /// A layer that goes by these lists.
    #[must_use]
    pub fn new(lists: FallbackLists) -> Self {
        Self {
            lists: Arc::new(lists),
            deployments: None,
        }
    }

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
}

impl<S> Layer<S> for FallbackLayer {
    type Service = Fallback<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Fallback::new(inner, Arc::clone(&self.lists), self.deployments.clone())
    }
}
