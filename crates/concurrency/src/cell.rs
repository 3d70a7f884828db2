//! What a layer keeps of one deployment.

use parking_lot::Mutex;
use tokio::time::Instant;
use ziggurat_core::{DeploymentId, Idle};

use crate::{
    bounds::Bounds,
    limit::{Kind, Limit, Tried},
};

/// A deployment's places. Its lock is held for a few comparisons and never while another is taken.
#[derive(Debug)]
pub(crate) struct Cell {
    id: DeploymentId,
    /// The id of the deployment as it is configured.
    public_id: DeploymentId,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    in_flight: u32,
    limit: Limit,
    /// Who leaves while more than that are in flight is told of.
    told_above: u32,
}

/// What speaks for too many in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// The attempt was refused: as many as began before it are too many.
    Refused,
    /// It was not answered in time: as many as are in flight now are.
    Late,
}

/// A limit that is another one now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Changed(pub(crate) Option<u32>);

impl Cell {
    pub(crate) fn new(id: DeploymentId, public_id: DeploymentId, bounds: Bounds) -> Self {
        let inner = Inner {
            in_flight: 0,
            limit: Limit::new(bounds),
            told_above: u32::MAX,
        };
        Self {
            id,
            public_id,
            inner: Mutex::new(inner),
        }
    }

    pub(crate) fn id(&self) -> &DeploymentId {
        &self.id
    }

    pub(crate) fn public_id(&self) -> &DeploymentId {
        &self.public_id
    }

    /// Takes a place: how many are taken now, and whether the limit learns from what becomes of it.
    /// `None` if there is none.
    pub(crate) fn enter(&self, bounds: Bounds) -> Option<(u32, bool)> {
        let mut inner = self.inner.lock();
        inner.limit.keep_to(bounds);
        if inner.limit.get().is_some_and(|it| inner.in_flight >= it) {
            return None;
        }
        inner.in_flight = inner.in_flight.saturating_add(1);
        Some((inner.in_flight, inner.limit.learns()))
    }

    /// Gives a place back. Returns whether somebody is to be told.
    pub(crate) fn leave(&self) -> bool {
        let mut inner = self.inner.lock();
        let is_told = inner.in_flight > inner.told_above;
        inner.in_flight = inner.in_flight.saturating_sub(1);
        is_told
    }

    /// How many places are taken. Who leaves while these are more than that is told of from now on.
    pub(crate) fn in_flight_above(&self, places: u32) -> u32 {
        let mut inner = self.inner.lock();
        inner.told_above = places;
        inner.in_flight
    }

    pub(crate) fn answered(&self, tried: Tried, now: Instant, kind: Kind) -> Option<Changed> {
        let took = now.saturating_duration_since(tried.began);
        self.learn(|inner| inner.limit.answered(tried, took, kind))
    }

    pub(crate) fn overloaded(&self, tried: Tried, sign: Sign, now: Instant) -> Option<Changed> {
        self.learn(|inner| {
            let in_flight = match sign {
                Sign::Refused => tried.place,
                Sign::Late => inner.in_flight,
            };
            inner.limit.overloaded(tried, in_flight, now);
        })
    }

    fn learn(&self, change: impl FnOnce(&mut Inner)) -> Option<Changed> {
        let inner = &mut *self.inner.lock();
        let before = inner.limit.get();
        change(inner);
        let after = inner.limit.get();
        (before != after).then_some(Changed(after))
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.inner.lock().in_flight
    }

    /// The limit, if the bounds are these.
    pub(crate) fn limit(&self, bounds: Bounds) -> Option<u32> {
        self.inner.lock().limit.within(bounds).get()
    }
}

impl Idle for Cell {
    fn is_idle(&self) -> bool {
        let inner = self.inner.lock();
        inner.in_flight == 0 && inner.limit.is_new()
    }
}
