//! The whole stack, built from a plan.

use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use parking_lot::{Mutex, MutexGuard};
use tower::{ServiceExt as _, service_fn};
use tower_service::Service;
use ziggurat_auto_route::Chooser as _;
use ziggurat_config::Plan;
use ziggurat_cooldown::CooldownLayer;
use ziggurat_core::{
    BoxError, Deployment, DeploymentId, Deployments, Error, ErrorKind, HasLedger as _, Ledger,
    LlmRequest, LlmResponse, Routed,
};
use ziggurat_load_balance::{Explanation, Stats};
use ziggurat_provider::{HyperClient, LlmService, Probed, RequestBody, TransportConfig};

use crate::{
    background::Checks,
    count::Uncounted,
    manage,
    stack::{Balancer, BoxAnswer, Built, State},
    together::Together,
};

/// The whole stack over real providers, as a configuration describes it.
///
/// It is a [`tower_service::Service`] of [`LlmRequest`], cheap to clone, and one box at its edge;
/// what is in it, in order, says [`layers`](Self::layers). Its deployments and settings can be
/// changed while requests run: what the layers have learned is kept, and a request that runs ends as
/// it began.
///
/// A request that was sent before, by a clone of it, begins with a ledger of its own: its whole
/// time and all of its attempts.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use tower::ServiceExt as _;
/// use ziggurat::{LlmRequest, Router, config::Plan};
///
/// let plan = Plan::load("config.yaml")?;
/// let router = Router::from_plan(&plan)?;
/// let answer = router.oneshot(LlmRequest::chat("gpt", "hello")).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Router {
    shared: Arc<Shared>,
}

struct Shared {
    built: ArcSwap<Built>,
    state: State,
    checks: Checks,
    /// Makes the stack of another plan over the same leaf.
    build: Box<dyn Fn(&Plan, Option<&Balancer>, &State) -> Result<Built, Error> + Send + Sync>,
    /// What is carried out. Held while it is changed, and never by a request.
    plan: Mutex<Plan>,
    version: AtomicU64,
}

impl Router {
    /// The stack of a plan over the providers it names.
    ///
    /// Providers are called by hyper's client, or by reqwest's, which is slower, where the
    /// environment names a proxy (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`).
    ///
    /// # Errors
    ///
    /// If no HTTP client can be made, or a deployment cannot be called.
    pub fn from_plan(plan: &Plan) -> Result<Self, Error> {
        let mut transport = TransportConfig::default();
        if let Some(timeout) = plan.own.connect_timeout {
            transport = transport.with_connect_timeout(timeout);
        }
        if proxies_are_named() {
            Self::with_service(plan, &LlmService::new(&transport)?)
        } else {
            let client = HyperClient::new(&transport)?;
            Self::with_service(plan, &LlmService::with_client(client))
        }
    }

    /// The stack of a plan over the providers it names, called through a service with a client of
    /// your own.
    ///
    /// # Errors
    ///
    /// If a deployment cannot be called.
    pub fn with_service<C, B>(plan: &Plan, service: &LlmService<C>) -> Result<Self, Error>
    where
        C: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
        C::Error: Into<BoxError>,
        C::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::check(plan)?;
        let probe = service
            .probe()
            .map_response(|probed: Probed| probed.lists_model());
        Self::assemble(plan, service.clone(), probe)
    }

    /// Whether every deployment of a plan can be called as it is configured.
    ///
    /// # Errors
    ///
    /// What is wrong with the address, the credential or the headers of the first that cannot.
    pub fn check(plan: &Plan) -> Result<(), Error> {
        plan.deployments.iter().try_for_each(manage::check)
    }

    /// The stack of a plan over a leaf of your own: a simulation, a cache, another client.
    ///
    /// # Errors
    ///
    /// If the plan was changed by hand so that it contradicts itself.
    pub fn with_leaf<L>(plan: &Plan, leaf: L) -> Result<Self, Error>
    where
        L: Service<Routed<LlmRequest>, Response = LlmResponse> + Clone + Send + Sync + 'static,
        L::Error: Into<Error> + Send,
        L::Future: Send,
    {
        let cannot_tell = service_fn(async |_: Arc<Deployment>| Ok::<_, Error>(None));
        Self::assemble(plan, leaf, cannot_tell)
    }

    fn assemble<L, P>(plan: &Plan, leaf: L, probe: P) -> Result<Self, Error>
    where
        L: Service<Routed<LlmRequest>, Response = LlmResponse> + Clone + Send + Sync + 'static,
        L::Error: Into<Error> + Send,
        L::Future: Send,
        P: Service<Arc<Deployment>, Response = Option<bool>> + Clone + Send + Sync + 'static,
        P::Error: Into<Error> + Send,
        P::Future: Send,
    {
        let state = State::new(plan)?;
        let together = state.together.lock().as_ref().map(Together::checks);
        let checks = Checks::new(&state.health, together, probe, &leaf);
        let build = move |plan: &Plan, before: Option<&Balancer>, state: &State| {
            state.build(plan, before, leaf.clone())
        };
        let built = build(plan, None, &state)?;
        let router = Self {
            shared: Arc::new(Shared {
                built: ArcSwap::from_pointee(built),
                state,
                checks,
                build: Box::new(build),
                plan: Mutex::new(plan.clone()),
                version: AtomicU64::new(version(plan)),
            }),
        };
        router.state().caches.embedder.set(Copies::of(&router));
        Ok(router)
    }

    /// Carries out another plan from the next request on: its deployments and its settings.
    ///
    /// What the layers have learned of deployments that stay is kept. The time to connect is that of
    /// the first plan.
    ///
    /// # Errors
    ///
    /// If a deployment cannot be called as it is configured; then nothing changes.
    pub fn reload(&self, plan: &Plan) -> Result<(), Error> {
        Self::check(plan)?;
        let mut current = self.plan_mut();
        self.rebuild(plan)?;
        self.publish(plan);
        *current = plan.clone();
        Ok(())
    }

    /// Makes the deployments of a plan those that requests go to.
    pub(crate) fn publish(&self, plan: &Plan) {
        self.deployments().swap(plan.snapshot());
        let snapshot = self.deployments().load();
        self.concurrency().retain(|id| snapshot.get(id).is_some());
        self.state().queues.look();
        self.shared.version.store(version(plan), Relaxed);
    }

    /// A number for the deployments and settings that hold now, secrets left out. Two routers with
    /// the same ones have the same number, in every process of the same version of this crate.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.shared.version.load(Relaxed)
    }

    /// Makes the stack of another plan the one that requests go through.
    pub(crate) fn rebuild(&self, plan: &Plan) -> Result<(), Error> {
        let shared = &self.shared;
        let before = shared.built.load();
        let built = (shared.build)(plan, Some(&before.balancer), &shared.state)?;
        shared.built.store(Arc::new(built));
        Ok(())
    }

    /// What is carried out now.
    #[must_use]
    pub fn plan(&self) -> Plan {
        self.shared.plan.lock().clone()
    }

    pub(crate) fn plan_mut(&self) -> MutexGuard<'_, Plan> {
        self.shared.plan.lock()
    }

    pub(crate) fn built(&self) -> Arc<Built> {
        self.shared.built.load_full()
    }

    pub(crate) fn state(&self) -> &State {
        &self.shared.state
    }

    pub(crate) fn checks(&self) -> &Checks {
        &self.shared.checks
    }

    /// The list of deployments; swapping its snapshot takes effect at the next request. To change
    /// single ones, there are methods of their own.
    #[must_use]
    pub fn deployments(&self) -> &Deployments {
        &self.shared.state.deployments
    }

    /// The state of deployments that fail: whether one rests, until when, and why.
    #[must_use]
    pub fn cooldown(&self) -> &CooldownLayer {
        &self.shared.state.cooldown
    }

    /// What the balancer knows of a deployment.
    #[must_use]
    pub fn stats(&self, id: &DeploymentId) -> Stats {
        self.shared.built.load().balancer.stats(id)
    }

    /// How many attempts run, streams included.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        let snapshot = self.deployments().load();
        let built = self.shared.built.load();
        let of_each = snapshot
            .deployments()
            .map(|deployment| built.balancer.in_flight(deployment.id()));
        of_each.map(u64::from).sum()
    }

    /// Which deployments could serve a request now, why the others could not, and which one would
    /// be chosen. Sends nothing and counts nothing. Where the group is chosen for it, the
    /// [ledger](crate::Ledger::route) of the request says why.
    ///
    /// # Errors
    ///
    /// If the model leads nowhere.
    pub fn explain(&self, request: &LlmRequest) -> Result<Explanation, Error> {
        let built = self.built();
        built.balancer.explain(&self.routed(&built, request))
    }

    /// Which deployment would be chosen for a request now. Sends nothing and counts nothing.
    ///
    /// # Errors
    ///
    /// If the model leads nowhere, or no deployment may serve the request.
    pub fn choose(&self, request: &LlmRequest) -> Result<Arc<Deployment>, Error> {
        let built = self.built();
        built.balancer.choose(&self.routed(&built, request))
    }

    /// The request for the group it would go to. Why is noted in its ledger.
    fn routed(&self, built: &Built, request: &LlmRequest) -> LlmRequest {
        let request = self.named(request.clone());
        let Some(choice) = built.choosers.as_ref().and_then(|it| it.choose(&request)) else {
            return request;
        };
        if let Some(ledger) = request.ledger() {
            ledger.note_route(Arc::clone(choice.why()));
        }
        request.with_meant_group(Arc::clone(choice.group()))
    }

    /// The request under the name that is meant: a team may have names of its own.
    fn named(&self, request: LlmRequest) -> LlmRequest {
        let Some(team) = request.caller().and_then(|caller| caller.team.as_deref()) else {
            return request;
        };
        let snapshot = self.deployments().load();
        match snapshot.team_model(team, request.group().as_str()) {
            Some(group) => request.with_meant_group(Arc::clone(group)),
            None => request,
        }
    }
}

fn version(plan: &Plan) -> u64 {
    let told = format!("{:?} {}", plan.deployments, plan.settings());
    xxhash_rust::xxh3::xxh3_64(told.as_bytes())
}

pub(crate) fn proxies_are_named() -> bool {
    let names = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"];
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    names
        .iter()
        .any(|name| set(name) || set(&name.to_lowercase()))
}

impl Service<LlmRequest> for Router {
    type Response = LlmResponse;
    type Error = Error;
    type Future = BoxAnswer;

    /// Always ready: the stack is readied by the call.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: LlmRequest) -> Self::Future {
        let mut request = self.named(request);
        // A request that was sent before, by a clone, begins anew.
        if request.ledger().is_some_and(|ledger| ledger.attempts() > 0) {
            request = request.with_ledger(Ledger::new());
        }
        let built = self.shared.built.load();
        if let Some(ledger) = request.ledger() {
            ledger.set_attempts(built.max_attempts);
        }
        if !built.checks_windows {
            return built.stack.call(request);
        }
        match Uncounted::new(request, &self.deployments().load()) {
            Err(request) => built.stack.call(request),
            Ok(uncounted) => {
                let built = Arc::clone(&built);
                Box::pin(async move { built.stack.call(uncounted.count().await).await })
            }
        }
    }
}

/// The router as its own copies reach it: it is not there for them alone.
#[derive(Clone)]
pub(crate) struct Copies(Weak<Shared>);

impl Copies {
    pub(crate) fn of(router: &Router) -> Self {
        Self(Arc::downgrade(&router.shared))
    }

    /// The router, while it is there.
    pub(crate) fn router(&self) -> Option<Router> {
        let shared = self.0.upgrade()?;
        Some(Router { shared })
    }
}

impl Service<LlmRequest> for Copies {
    type Response = LlmResponse;
    type Error = Error;
    type Future = BoxAnswer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: LlmRequest) -> Self::Future {
        match self.router() {
            Some(mut router) => router.call(request),
            None => Box::pin(async {
                let message = "the router is gone";
                Err(Error::new(ErrorKind::Cancelled, message))
            }),
        }
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("max_attempts", &self.shared.built.load().max_attempts)
            .finish_non_exhaustive()
    }
}
