use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;
use tower_layer::Layer;
use ziggurat_core::{Deployment, DeploymentId, Deployments, Error, HasLedger, ModelGroup, Param};

use crate::{
    Affinity, Explanation, Filter, LoadBalance, Strategy, concrete::Concretes, search::Search,
    view::Views,
};

/// How long a refusal is remembered at most, if nobody says otherwise.
const HINT_CAP: Duration = Duration::from_millis(250);

/// How long a deployment that comes back has less than its share, if nobody says otherwise.
const SLOW_START: Duration = Duration::from_secs(30);

/// How long a refusal is remembered and a slow start takes at most, whatever is said.
const LONGEST: Duration = Duration::from_secs(3_600);

/// How many deployments that take their time to refuse are asked, if nobody says otherwise.
const ASYNC_PROBES: u32 = 4;

/// Chooses the deployment that serves a request: [`LoadBalance`] as a layer.
///
/// See the [crate](crate) for what it does. All services that one layer makes, and their clones,
/// share what they know of the deployments.
pub struct LoadBalanceLayer<P, F = (), A = ()> {
    views: Arc<Views>,
    strategy: Arc<P>,
    filter: Arc<F>,
    affinity: Arc<A>,
    concretes: Arc<Concretes>,
    limits: Limits,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) hint_cap: Duration,
    pub(crate) async_probes: u32,
    /// In milliseconds.
    pub(crate) slow_start: u64,
}

impl<P> LoadBalanceLayer<P> {
    /// Chooses among these deployments by that strategy.
    ///
    /// The list may be swapped at any time; the next request sees it, and what is known of the
    /// deployments that stay is kept.
    #[must_use]
    pub fn new(deployments: Deployments, strategy: P) -> Self {
        Self {
            views: Arc::new(Views::new(deployments)),
            strategy: Arc::new(strategy),
            filter: Arc::new(()),
            affinity: Arc::new(()),
            concretes: Arc::new(Concretes::new()),
            limits: Limits {
                hint_cap: HINT_CAP,
                async_probes: ASYNC_PROBES,
                slow_start: SLOW_START.as_millis() as u64,
            },
        }
    }
}

impl<P, F, A> LoadBalanceLayer<P, F, A> {
    /// Leaves out the deployments that must not serve a request: the built-in
    /// [`Filters`](crate::Filters), or your own. Of several make a pair, or a list.
    #[must_use]
    pub fn filter<G>(self, filter: G) -> LoadBalanceLayer<P, G, A> {
        LoadBalanceLayer {
            views: self.views,
            strategy: self.strategy,
            filter: Arc::new(filter),
            affinity: self.affinity,
            concretes: self.concretes,
            limits: self.limits,
        }
    }

    /// The same balancer with another strategy: what is known of the deployments is shared by both.
    #[must_use]
    pub fn with_strategy<Q>(&self, strategy: Q) -> LoadBalanceLayer<Q, F, A> {
        LoadBalanceLayer {
            views: Arc::clone(&self.views),
            strategy: Arc::new(strategy),
            filter: Arc::clone(&self.filter),
            affinity: Arc::clone(&self.affinity),
            concretes: Arc::clone(&self.concretes),
            limits: self.limits,
        }
    }

    /// Sends requests that belong together to the same deployment: by [`Pins`](crate::Pins).
    #[must_use]
    pub fn affinity<B>(self, affinity: B) -> LoadBalanceLayer<P, F, B> {
        LoadBalanceLayer {
            views: self.views,
            strategy: self.strategy,
            filter: self.filter,
            affinity: Arc::new(affinity),
            concretes: self.concretes,
            limits: self.limits,
        }
    }

    /// Remembers for no longer than this that a deployment refuses all requests; 250 ms if not set.
    ///
    /// A refusal that ends sooner is remembered until then; one for want of a place, of which nobody
    /// knows when it ends, until an attempt there does. None is for more than an hour. Asking
    /// again costs next to nothing where the layer that refuses is in this process; give it seconds
    /// where each question is a round trip.
    #[must_use]
    pub fn hint_cap(mut self, cap: Duration) -> Self {
        self.limits.hint_cap = cap.min(LONGEST);
        self
    }

    /// Asks no more than this number of deployments for a request that take their time to refuse it;
    /// 4 if not set. Those that refuse at once are not counted.
    #[must_use]
    pub fn max_async_probes(mut self, probes: u32) -> Self {
        self.limits.async_probes = probes;
        self
    }

    /// How long a deployment that has rested gets less than its share after it has answered again: 30
    /// seconds if not set, an hour at most; zero gives it its whole share at once.
    ///
    /// What it gets of the requests that it would be chosen for grows evenly from 10 % to all. See the
    /// [crate](crate#slow-start) for who serves the others.
    #[must_use]
    pub fn slow_start(mut self, time: Duration) -> Self {
        self.limits.slow_start = time.min(LONGEST).as_millis() as u64;
        self
    }

    /// Chooses as a request would be served now, without sending it or counting anything: to explain
    /// a choice, or to simulate many. Whether the deployment would take the request is not known.
    ///
    /// # Errors
    ///
    /// If no group serves the model, or no deployment of it may serve the request.
    pub fn choose<R>(&self, request: &R) -> Result<Arc<Deployment>, Error>
    where
        R: HasLedger + Param<ModelGroup>,
        P: Strategy<R>,
        F: Filter<R>,
        A: Affinity<R>,
    {
        let now = Instant::now();
        let mut search = self.search(request)?;
        match search.next(request, &*self.strategy, now) {
            Some(index) => Ok(Arc::clone(search.member(index))),
            None => Err(search.give_up(now)),
        }
    }

    /// Says of each deployment of the group whether it could serve a request now, and why not; and
    /// which one [`choose`](Self::choose) would take. Sends nothing and counts nothing.
    ///
    /// # Errors
    ///
    /// If no group serves the model.
    pub fn explain<R>(&self, request: &R) -> Result<Explanation, Error>
    where
        R: HasLedger + Param<ModelGroup>,
        P: Strategy<R>,
        F: Filter<R>,
        A: Affinity<R>,
    {
        let now = Instant::now();
        let (search, record) = Search::explained(
            self.views.load(),
            self.views.clock(),
            self.limits.slow_start,
            request,
            &*self.filter,
            &*self.affinity,
        )?;
        Ok(Explanation::new(
            &search,
            &record,
            now,
            self.choose(request),
        ))
    }

    /// How many attempts are in flight at a deployment, from the choice to the end of the answer;
    /// zero if it is not in the list.
    #[must_use]
    pub fn in_flight(&self, id: &DeploymentId) -> u32 {
        let cell = self.views.load().cell(id);
        cell.map_or(0, |cell| cell.load().see().in_flight())
    }
}

impl<S, P, F, A> Layer<S> for LoadBalanceLayer<P, F, A> {
    type Service = LoadBalance<S, P, F, A>;

    fn layer(&self, inner: S) -> Self::Service {
        LoadBalance::new(inner, self.clone())
    }
}

impl<P, F, A> LoadBalanceLayer<P, F, A> {
    pub(crate) fn search<R>(&self, request: &R) -> Result<Search, Error>
    where
        R: HasLedger + Param<ModelGroup>,
        F: Filter<R>,
        A: Affinity<R>,
    {
        Search::new(
            self.views.load(),
            self.views.clock(),
            self.limits.slow_start,
            request,
            &*self.filter,
            &*self.affinity,
        )
    }

    pub(crate) fn concretes(&self) -> &Concretes {
        &self.concretes
    }

    pub(crate) fn views(&self) -> &Views {
        &self.views
    }

    pub(crate) fn strategy(&self) -> &P {
        &self.strategy
    }

    pub(crate) fn ties_by(&self) -> &A {
        &self.affinity
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }
}

impl<P, F, A> Clone for LoadBalanceLayer<P, F, A> {
    fn clone(&self) -> Self {
        Self {
            views: Arc::clone(&self.views),
            strategy: Arc::clone(&self.strategy),
            filter: Arc::clone(&self.filter),
            affinity: Arc::clone(&self.affinity),
            concretes: Arc::clone(&self.concretes),
            limits: self.limits,
        }
    }
}

impl<P, F, A> fmt::Debug for LoadBalanceLayer<P, F, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadBalanceLayer")
            .field("strategy", &std::any::type_name::<P>())
            .field("filter", &std::any::type_name::<F>())
            .field("affinity", &std::any::type_name::<A>())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
