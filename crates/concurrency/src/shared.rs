//! The places of all deployments of a layer.

use std::sync::Arc;

use arc_swap::ArcSwap;
use ziggurat_core::{
    Concurrency, Deployment, DeploymentId, Error, Keyed, Listener, Reason, Rejection, Scope,
};

use crate::{
    bounds::Bounds,
    cell::{Cell, Changed},
    permit::Permit,
};

/// How many deployments have a state. More are served, and those forgotten of which nothing is in
/// flight.
const CAPACITY: usize = 16_384;

#[derive(Debug)]
pub(crate) struct Shared {
    all: ArcSwap<Concurrency>,
    cells: Keyed<DeploymentId, Cell>,
    /// Who is told by the configured id of a deployment.
    pub(crate) listener: Listener<DeploymentId>,
}

impl Shared {
    pub(crate) fn new(all: Concurrency) -> Self {
        Self {
            all: ArcSwap::from_pointee(all),
            cells: Keyed::new(CAPACITY),
            listener: Listener::new(),
        }
    }

    pub(crate) fn set(&self, all: Concurrency) {
        self.all.store(Arc::new(all));
    }

    fn bounds(&self, deployment: &Deployment) -> Bounds {
        Bounds::of(deployment, **self.all.load())
    }

    /// Takes a place at a deployment.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub(crate) fn enter(self: &Arc<Self>, deployment: &Deployment) -> Result<Permit, Error> {
        let bounds = self.bounds(deployment);
        let cell = self.cells.get_or_insert_with(deployment.id(), || {
            let (id, public_id) = (deployment.id().clone(), deployment.public_id().clone());
            Cell::new(id, public_id, bounds)
        });
        match cell.enter(bounds) {
            Some((place, learns)) => Ok(Permit::new(Arc::clone(self), cell, place, learns)),
            None => {
                let rejection = Rejection::new(Reason::Busy, Scope::Deployment);
                let message = "as much is in flight at the deployment as may be";
                Err(Error::rejected(rejection, message))
            }
        }
    }

    pub(crate) fn limit(&self, deployment: &Deployment) -> Option<u32> {
        let bounds = self.bounds(deployment);
        match self.cells.get(deployment.id()) {
            Some(cell) => cell.limit(bounds),
            None => crate::limit::Limit::new(bounds).get(),
        }
    }

    pub(crate) fn in_flight(&self, id: &DeploymentId) -> u32 {
        self.cells.get(id).map_or(0, |cell| cell.in_flight())
    }

    pub(crate) fn in_flight_above(&self, id: &DeploymentId, places: u32) -> u32 {
        (self.cells.get(id)).map_or(0, |cell| cell.in_flight_above(places))
    }

    pub(crate) fn retain(&self, mut keep: impl FnMut(&DeploymentId) -> bool) {
        self.cells.retain(|_, cell| {
            // Of whatever is in flight somebody holds the cell, and of what is about to be.
            let is_used = Arc::strong_count(cell) > 1;
            is_used || keep(cell.public_id())
        });
    }

    /// Tells of a limit that is another one now.
    pub(crate) fn tell(&self, cell: &Cell, changed: Option<Changed>) {
        let Some(Changed(limit)) = changed else {
            return;
        };
        tracing::trace!(deployment = %cell.id(), limit, "another limit of attempts in flight");
        self.listener.tell(cell.public_id());
    }

    /// Gives a place back.
    pub(crate) fn leave(&self, cell: &Cell) {
        if cell.leave() {
            self.listener.tell(cell.public_id());
        }
    }
}
