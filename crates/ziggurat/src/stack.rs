//! The layers, in their order.

use std::{num::NonZeroUsize, pin::Pin, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tower::{ServiceBuilder, ServiceExt as _, util::option_layer};
use tower_service::Service;
use ziggurat_auto_route::AutoRouteLayer;
use ziggurat_config::{Plan, RetryBudget as BudgetSettings};
use ziggurat_cooldown::{CooldownLayer, CooldownPolicy};
use ziggurat_core::{Deployments, Error, Extract, LlmRequest, LlmResponse, Priority, Routed};
use ziggurat_drain::{DrainLayer, Draining};
use ziggurat_fallback::FallbackLayer;
use ziggurat_health::{HealthChecks, HealthLayer};
use ziggurat_hedge::HedgeLayer;
use ziggurat_hold_back::HoldBackLayer;
use ziggurat_load_balance::{Filters, LoadBalanceLayer, Pins, Strategy};
use ziggurat_mirror::{MirrorLayer, Mirrored};
use ziggurat_mock::{MockAnswerLayer, MockFailureLayer};
use ziggurat_priority_queue::PriorityQueueLayer;
use ziggurat_rate_limit::{Charges, Cost, LimitKey, Limits, MemoryLimiter, RateLimitLayer};
use ziggurat_retry::{RetryBudget, RetryLayer};
use ziggurat_settle::Sinks;
use ziggurat_telemetry::{AttemptLayer, RequestLayer};
use ziggurat_timeout::{DeadlineLayer, TimeoutLayer};

use crate::{
    choice,
    credentials::ClientLayer,
    reliable::{self, CallersLists, Continuing, Holding},
    reroute::{Bandits, Choosers},
    spend,
};

/// How many streams whose client has gone may wait to be read on.
const DRAINING: NonZeroUsize = NonZeroUsize::new(1_000).expect("is not zero");

/// How long a deployment that comes back takes to its whole share.
const SLOW_START: Duration = Duration::from_secs(30);

pub(crate) type Balancer = LoadBalanceLayer<Arc<dyn Strategy<LlmRequest>>, Filters, Option<Pins>>;

/// The finished stack, erased. A router is cloned more often than it is called, so its layers are
/// cloned at the call.
pub(crate) trait Stack: Send + Sync {
    fn call(&self, request: LlmRequest) -> BoxAnswer;
}

pub(crate) type BoxAnswer = Pin<Box<dyn Future<Output = Result<LlmResponse, Error>> + Send>>;

impl<S> Stack for S
where
    S: Service<LlmRequest, Response = LlmResponse, Error = Error> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    fn call(&self, request: LlmRequest) -> BoxAnswer {
        Box::pin(self.clone().oneshot(request))
    }
}

/// What a change of the settings leaves as it is: all that the layers have learned.
pub(crate) struct State {
    pub(crate) deployments: Deployments,
    pub(crate) cooldown: CooldownLayer,
    pub(crate) limiter: MemoryLimiter,
    pub(crate) bandits: Bandits,
    pub(crate) pins: Pins,
    pub(crate) mirror: MirrorLayer<LlmRequest>,
    pub(crate) mirrored: Mutex<Option<Mirrored<LlmRequest>>>,
    pub(crate) health: HealthChecks,
    pub(crate) drain: DrainLayer,
    pub(crate) draining: Mutex<Option<Draining>>,
    pub(crate) sinks: Sinks,
    timeout: TimeoutLayer,
    hedge: Mutex<Option<HedgeLayer>>,
    budget: Mutex<Option<(BudgetSettings, Arc<RetryBudget>)>>,
    queue: Mutex<Option<(Option<u32>, PriorityQueueLayer<PriorityOf>)>>,
}

/// A stack and what belongs to its settings.
pub(crate) struct Built {
    pub(crate) stack: Arc<dyn Stack>,
    pub(crate) balancer: Balancer,
    pub(crate) choosers: Option<Arc<Choosers>>,
    pub(crate) max_attempts: u32,
    pub(crate) checks_windows: bool,
}

/// The priority that a request names, or that of the settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PriorityOf {
    default: i64,
}

impl Extract<Priority, LlmRequest> for PriorityOf {
    fn extract(&self, request: &LlmRequest) -> Priority {
        Priority(request.controls().priority.unwrap_or(self.default))
    }
}

impl State {
    pub(crate) fn new(plan: &Plan) -> Self {
        const COPIES: u32 = 1_000;
        let deployments = Deployments::new(plan.snapshot());
        let copies = plan.own.mirror.queue.unwrap_or(COPIES);
        let copies = NonZeroUsize::new(copies as usize).unwrap_or(NonZeroUsize::MIN);
        let (mirror, mirrored) = MirrorLayer::new(copies);
        let mirror = match plan.own.mirror.share {
            // A share that the configuration has let through is one.
            Some(share) => mirror.clone().share(share).unwrap_or(mirror),
            None => mirror,
        };
        let (drain, draining) = DrainLayer::new(DRAINING);
        Self {
            health: HealthChecks::new(deployments.clone(), reliable::health(plan)),
            drain,
            draining: Mutex::new(Some(draining)),
            sinks: Sinks::new(),
            timeout: TimeoutLayer::with_extractor(reliable::clocks(plan)),
            hedge: Mutex::new(None),
            cooldown: CooldownLayer::new(CooldownPolicy::new()).deployments(deployments.clone()),
            deployments,
            limiter: MemoryLimiter::new(),
            bandits: Bandits::default(),
            pins: Pins::new([]),
            mirror,
            mirrored: Mutex::new(Some(mirrored)),
            budget: Mutex::new(None),
            queue: Mutex::new(None),
        }
    }

    /// The stack of a plan over a leaf, which goes on with what those before it have learned.
    pub(crate) fn build<L>(
        &self,
        plan: &Plan,
        before: Option<&Balancer>,
        leaf: L,
    ) -> Result<Built, Error>
    where
        L: Service<Routed<LlmRequest>, Response = LlmResponse> + Clone + Send + Sync + 'static,
        L::Error: Into<Error>,
        L::Future: Send,
    {
        let choosers = Choosers::new(plan, &self.bandits)?.map(Arc::new);
        let auto_route = choosers.clone().map(AutoRouteLayer::new);
        let balancer = self.balancer(plan, before);
        self.cooldown.set_policy(reliable::cooldown(plan));
        self.health.set_policy(reliable::health(plan));
        let deployments = &self.deployments;
        let lists = reliable::fallback_lists(&plan.fallbacks, plan.router.max_fallbacks);
        let fallback = FallbackLayer::new(lists)
            .resolve(deployments.clone())
            .lists_by(CallersLists::new(plan))
            .transcripts(Continuing::new(plan, deployments));
        let hedge = reliable::hedge(plan, deployments, &mut self.hedge.lock());
        let attempts = AttemptLayer::new();
        let settle = spend::layer(&self.sinks, &attempts);
        let stack = ServiceBuilder::new()
            .layer(option_layer(self.drain(plan)))
            .layer(RequestLayer::new(deployments.clone()))
            .layer(DeadlineLayer::new(plan.own.deadline).by_request())
            .layer(option_layer(self.queue(plan)))
            .layer(option_layer(auto_route))
            .layer(fallback)
            .layer(MockFailureLayer::group())
            .layer(self.retry(plan))
            .layer(MockFailureLayer::attempt())
            .layer(option_layer(hedge))
            .layer(balancer.clone())
            .layer(HoldBackLayer::with_extractor(Holding::new(
                plan,
                deployments,
            )))
            .layer(self.mirror.clone())
            .layer(ClientLayer)
            .layer(attempts)
            .layer(settle)
            .layer(HealthLayer::new(self.health.clone()))
            .layer(self.cooldown.clone())
            .layer(RateLimitLayer::new(self.limiter.clone()).with_charges(deployment_charges(plan)))
            .layer(self.timeout.with_clocks(reliable::clocks(plan)))
            .layer(MockAnswerLayer::new())
            .service(leaf);
        Ok(Built {
            stack: Arc::new(stack),
            balancer,
            choosers,
            checks_windows: plan.router.enable_pre_call_checks,
            max_attempts: reliable::attempts(plan),
        })
    }

    fn balancer(&self, plan: &Plan, before: Option<&Balancer>) -> Balancer {
        let strategy = choice::strategy(plan);
        let filters = choice::filters(plan);
        let pins = choice::pins(plan).map(|pins| pins.sharing(&self.pins));
        let balancer = match before {
            Some(before) => before
                .with_strategy(strategy)
                .filter(filters)
                .affinity(pins),
            None => LoadBalanceLayer::new(self.deployments.clone(), strategy)
                .filter(filters)
                .affinity(pins),
        };
        balancer.slow_start(plan.own.cooldown.slow_start.unwrap_or(SLOW_START))
    }

    fn retry(&self, plan: &Plan) -> RetryLayer {
        const PERCENT: f64 = 20.0;
        const MIN_PER_SECOND: u32 = 10;
        let settings = plan.own.retry_budget;
        let mut current = self.budget.lock();
        let budget = match &*current {
            Some((same, budget)) if *same == settings => Arc::clone(budget),
            _ => {
                let thousandths = (settings.percent.unwrap_or(PERCENT) * 10.0).round() as u32;
                let per_second = settings.min_per_second.unwrap_or(MIN_PER_SECOND);
                let budget = Arc::new(RetryBudget::new(thousandths, per_second));
                *current = Some((settings, Arc::clone(&budget)));
                budget
            }
        };
        reliable::retry(plan).budget(budget)
    }

    /// Reads streams on whose client has gone, if that is wanted.
    fn drain(&self, plan: &Plan) -> Option<DrainLayer> {
        let wanted = plan.own.streams.drain_on_cancel;
        wanted.then(|| self.drain.clone())
    }

    /// The queue of a plan. Who waits goes on to wait while its bound stays the same; otherwise a
    /// new queue begins beside the old one, which runs empty.
    fn queue(&self, plan: &Plan) -> Option<PriorityQueueLayer<PriorityOf>> {
        let settings = plan.own.queue;
        let mut current = self.queue.lock();
        let Some(capacity) = settings
            .capacity
            .and_then(|n| NonZeroUsize::new(n as usize))
        else {
            *current = None;
            return None;
        };
        let default = plan.router.default_priority.unwrap_or_default();
        let layer = match &*current {
            Some((bound, layer)) if *bound == settings.max_waiting => {
                layer.set_capacity(capacity);
                layer.clone()
            }
            _ => {
                let layer = PriorityQueueLayer::new(capacity);
                let layer = match settings.max_waiting {
                    Some(waiting) => layer.max_waiting(waiting as usize),
                    None => layer,
                };
                layer.priority_by(PriorityOf { default })
            }
        };
        let layer = layer.priority_by(PriorityOf { default });
        *current = Some((settings.max_waiting, layer.clone()));
        Some(layer)
    }
}

fn deployment_charges(
    plan: &Plan,
) -> impl Fn(&Routed<LlmRequest>) -> Charges + Clone + Send + Sync + 'static {
    let (rpm, tpm) = (plan.enforces_rpm(), plan.enforces_tpm());
    move |routed| {
        let declared = Limits::of(routed.deployment());
        let mut limits = declared.without_rates();
        if let Some(rate) = declared.requests().filter(|_| rpm) {
            limits = limits.with_requests(rate);
        }
        if let Some(rate) = declared.tokens().filter(|_| tpm) {
            limits = limits.with_tokens(rate);
        }
        if limits.is_none() {
            return Charges::none();
        }
        let key = LimitKey::deployment(routed.deployment().id().clone());
        Charges::none()
            .on(key, limits)
            .with_cost(Cost::of(routed.request()))
    }
}
