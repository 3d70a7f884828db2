//! The layers, in their order.

use std::{num::NonZeroUsize, pin::Pin, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tower::{
    ServiceBuilder, ServiceExt as _,
    util::{MapRequestLayer, option_layer},
};
use tower_service::Service;
use ziggurat_alert::{Alerting, Alerts};
use ziggurat_auto_route::AutoRouteLayer;
use ziggurat_concurrency::ConcurrencyLayer;
use ziggurat_config::{Plan, RetryBudget as BudgetSettings};
use ziggurat_cooldown::{CooldownLayer, CooldownPolicy};
use ziggurat_core::{Deployments, Error, LlmRequest, LlmResponse, Routed};
use ziggurat_drain::{DrainLayer, Draining};
use ziggurat_fallback::FallbackLayer;
use ziggurat_health::{HealthChecks, HealthLayer};
use ziggurat_hedge::HedgeLayer;
use ziggurat_hold_back::HoldBackLayer;
use ziggurat_load_balance::{Filters, LoadBalanceLayer, Pins, Strategy};
use ziggurat_mirror::{MirrorLayer, Mirrored};
use ziggurat_mock::{MockAnswerLayer, MockFailureLayer};
use ziggurat_rate_limit::{RateLimitLayer, provider::ProviderLimitsLayer};
use ziggurat_retry::{RetryBudget, RetryLayer};
use ziggurat_settle::Sinks;
use ziggurat_telemetry::{AttemptLayer, RequestLayer};
use ziggurat_timeout::{DeadlineLayer, TimeoutLayer};
use ziggurat_usage::UsageBook;

use crate::{
    access::AccessLayer,
    alerts,
    caching::{Caches, HitLayer, Layers},
    choice,
    credentials::ClientLayer,
    ending::Ending,
    limits::{AttemptCharges, CallerCharges, GroupCharges, LimitSinks, Limiter},
    queueing::{self, GroupLimits, Queue, Queues},
    reliable::{self, CallersLists, Continuing, Holding},
    reroute::{Bandits, Choosers},
    share::ShareLayer,
    spend,
    states::Told,
    together::{self, Together},
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
    pub(crate) concurrency: ConcurrencyLayer,
    pub(crate) limiter: Limiter,
    pub(crate) limit_sinks: LimitSinks,
    provider_limits: ProviderLimitsLayer,
    pub(crate) bandits: Bandits,
    pub(crate) pins: Pins,
    pub(crate) mirror: MirrorLayer<LlmRequest>,
    pub(crate) mirrored: Mutex<Option<Mirrored<LlmRequest>>>,
    pub(crate) health: HealthChecks,
    pub(crate) drain: DrainLayer,
    pub(crate) draining: Mutex<Option<Draining>>,
    pub(crate) sinks: Sinks,
    pub(crate) together: Mutex<Option<Together>>,
    pub(crate) caches: Caches,
    pub(crate) usage: UsageBook,
    pub(crate) alerts: Alerts,
    pub(crate) alerting: Mutex<Option<Alerting>>,
    pub(crate) told: Told,
    pub(crate) ending: Ending,
    timeout: TimeoutLayer,
    hedge: Mutex<Option<HedgeLayer>>,
    budget: Mutex<Option<(BudgetSettings, Arc<RetryBudget>)>>,
    pub(crate) queues: Queues,
}

/// A stack and what belongs to its settings.
pub(crate) struct Built {
    pub(crate) stack: Arc<dyn Stack>,
    pub(crate) balancer: Balancer,
    pub(crate) choosers: Option<Arc<Choosers>>,
    pub(crate) max_attempts: u32,
    pub(crate) checks_windows: bool,
    pub(crate) callers: CallerCharges,
    pub(crate) groups: Option<GroupCharges>,
    pub(crate) attempts: AttemptCharges,
}

impl State {
    pub(crate) fn new(plan: &Plan) -> Result<Self, Error> {
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
        let limit_sinks = LimitSinks::default();
        let (alerts, alerting) = Alerts::new(alerts::policy(plan));
        let sinks = Sinks::new();
        sinks.add(alerts.clone());
        limit_sinks.add(alerts::of_budgets(&alerts));
        let ending = Ending::default();
        let mut together = Together::new(plan, &ending)?;
        let limiter = together::limiter(together.as_mut(), &limit_sinks);
        let caches = Caches::new(together.as_ref());
        let health = HealthChecks::new(deployments.clone(), reliable::health(plan));
        let cooldown = CooldownLayer::new(CooldownPolicy::new()).deployments(deployments.clone());
        let concurrency = ConcurrencyLayer::new(plan.own.concurrency);
        let limits = GroupLimits {
            deployments: deployments.clone(),
            cooldown: cooldown.clone(),
            health: health.clone(),
            concurrency: concurrency.clone(),
        };
        let queues = Queues::new(limits, together.as_ref().map(Together::parts));
        let state = Self {
            health,
            drain,
            draining: Mutex::new(Some(draining)),
            caches,
            sinks,
            usage: UsageBook::new(),
            alerts,
            alerting: Mutex::new(Some(alerting)),
            told: Told::default(),
            ending,
            timeout: TimeoutLayer::with_extractor(reliable::clocks(plan)),
            hedge: Mutex::new(None),
            cooldown,
            concurrency,
            deployments,
            limiter,
            limit_sinks,
            provider_limits: ProviderLimitsLayer::new(),
            bandits: Bandits::default(),
            pins: Pins::new([]),
            mirror,
            mirrored: Mutex::new(Some(mirrored)),
            budget: Mutex::new(None),
            queues,
            together: Mutex::new(None),
        };
        if let Some(together) = &mut together {
            together.share(&state, &state.usage);
        }
        *state.together.lock() = together;
        Ok(state)
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
        let access = AccessLayer::new(self.deployments.clone(), auto_route.is_some());
        let balancer = self.balancer(plan, before);
        self.cooldown.set_policy(reliable::cooldown(plan));
        self.concurrency.set(plan.own.concurrency);
        self.health.set_policy(reliable::health(plan));
        self.alerts.set_policy(alerts::policy(plan));
        let hanging = self.alerts.is_on().then(|| self.alerts.watch_requests());
        let deployments = &self.deployments;
        let lists = reliable::fallback_lists(&plan.fallbacks, plan.router.max_fallbacks);
        let fallback = FallbackLayer::new(lists)
            .resolve(deployments.clone())
            .lists_by(CallersLists::new(plan))
            .transcripts(Continuing::new(plan, deployments));
        let hedge = reliable::hedge(plan, deployments, &mut self.hedge.lock());
        let requests = RequestLayer::new(deployments.clone());
        let (hits, embedded, exact, semantic) = match self.caches.layers(plan, deployments)? {
            Some(layers) => {
                let hits = HitLayer::new(&self.sinks, &requests, &self.usage, deployments);
                let Layers {
                    embeddings,
                    exact,
                    semantic,
                } = layers;
                (Some(hits), Some(embeddings), Some(exact), semantic)
            }
            None => (None, None, None, None),
        };
        let records = AttemptLayer::new();
        let settle = spend::layer(&self.sinks, &records, &self.usage, &balancer);
        let callers = CallerCharges::new(plan, deployments);
        let groups = GroupCharges::new(plan, deployments, &callers);
        let attempts = AttemptCharges::new(plan);
        let limit = RateLimitLayer::new(self.limiter.clone());
        let patient = limit.clone().paced(plan.limits.pacing);
        let of_group = |charges: GroupCharges| patient.clone().with_charges(charges);
        let told = plan.limits.heeds_providers;
        let told = told.then(|| self.provider_limits.clone());
        let (global, of_groups, of_deployments) = match self.queues.of(plan, deployments) {
            Some(Queue::Global(queue)) => (Some(queue), None, None),
            Some(Queue::Group(queue)) => (None, Some(queue), None),
            Some(Queue::Deployment(queue)) => (None, None, Some(queue)),
            None => (None, None, None),
        };
        let waits = of_deployments.is_some();
        let to_current = waits.then(|| MapRequestLayer::new(queueing::to_current(deployments)));
        let stack = ServiceBuilder::new()
            .layer(option_layer(self.drain(plan)))
            .layer(requests)
            .layer(option_layer(hanging))
            .layer(DeadlineLayer::new(plan.own.deadline).by_request())
            .layer(access)
            .layer(option_layer(hits))
            .layer(option_layer(embedded))
            .layer(option_layer(exact))
            .layer(option_layer(semantic))
            .layer(patient.clone().with_charges(callers.clone()))
            .layer(option_layer(global))
            .layer(option_layer(auto_route))
            .layer(fallback)
            .layer(ShareLayer)
            .layer(option_layer(groups.clone().map(of_group)))
            .layer(option_layer(of_groups))
            .layer(MockFailureLayer::group())
            .layer(self.retry(plan))
            .layer(MockFailureLayer::attempt())
            .layer(option_layer(hedge))
            .layer(balancer.clone())
            .layer(ShareLayer)
            .layer(option_layer(of_deployments))
            .layer(option_layer(to_current))
            .layer(HoldBackLayer::with_extractor(Holding::new(
                plan,
                deployments,
            )))
            .layer(self.mirror.clone())
            .layer(ClientLayer)
            .layer(records)
            .layer(settle)
            .layer(HealthLayer::new(self.health.clone()))
            .layer(self.cooldown.clone())
            .layer(self.concurrency.clone())
            .layer(limit.with_charges(attempts.clone()))
            .layer(option_layer(told))
            .layer(self.timeout.with_clocks(reliable::clocks(plan)))
            .layer(MockAnswerLayer::new())
            .service(leaf);
        Ok(Built {
            stack: Arc::new(stack),
            balancer,
            choosers,
            checks_windows: plan.router.enable_pre_call_checks,
            max_attempts: reliable::attempts(plan),
            callers,
            groups,
            attempts,
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
}
