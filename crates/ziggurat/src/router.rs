//! The whole stack, built from a plan.

use std::{
    fmt,
    num::NonZeroUsize,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tower::{ServiceBuilder, ServiceExt as _, util::option_layer};
use tower_service::Service;
use ziggurat_config::{Plan, Strategy as StrategyName};
use ziggurat_cooldown::{CooldownLayer, CooldownPolicy};
use ziggurat_core::{
    DEFAULT_ATTEMPTS, Deployments, Error, HasLedger as _, Ledger, LlmRequest, LlmResponse,
    Priority, Routed, Timeouts,
};
use ziggurat_fallback::{FallbackLayer, FallbackLists};
use ziggurat_load_balance::{
    LeastBusy, LoadBalanceLayer, SimpleShuffle, Strategy, TagFilter, UsageBased,
};
use ziggurat_priority_queue::PriorityQueueLayer;
use ziggurat_provider::{self as provider, HyperClient, LlmService, TransportConfig};
use ziggurat_rate_limit::{Charges, Cost, LimitKey, Limits, MemoryLimiter, RateLimitLayer};
use ziggurat_retry::{RetryBudget, RetryLayer};
use ziggurat_telemetry::{AttemptLayer, RequestLayer};
use ziggurat_timeout::{DeadlineLayer, TimeoutLayer};

type Balancer = LoadBalanceLayer<Arc<dyn Strategy<LlmRequest>>, Option<TagFilter>>;

/// The whole stack over real providers, as a configuration describes it.
///
/// It is a [`tower_service::Service`] of [`LlmRequest`], cheap to clone, and one box at its edge;
/// what is in it, in order, says [`layers`](Self::layers).
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
    stack: Arc<dyn Stack>,
    shared: Arc<Shared>,
}

/// The finished stack, erased. A router is cloned more often than it is called, so its layers are
/// cloned at the call.
trait Stack: Send + Sync {
    fn call(&self, request: LlmRequest) -> BoxAnswer;
}

type BoxAnswer = Pin<Box<dyn Future<Output = Result<LlmResponse, Error>> + Send>>;

impl<S> Stack for S
where
    S: Service<LlmRequest, Response = LlmResponse, Error = Error> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    fn call(&self, request: LlmRequest) -> BoxAnswer {
        Box::pin(self.clone().oneshot(request))
    }
}

struct Shared {
    deployments: Deployments,
    balancer: Balancer,
    cooldown: CooldownLayer,
    max_attempts: u32,
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
        Self::check(plan)?;
        Ok(if proxies_are_named() {
            Self::with_leaf(plan, LlmService::new(&transport)?)
        } else {
            Self::with_leaf(plan, LlmService::with_client(HyperClient::new(&transport)?))
        })
    }

    /// Whether every deployment of a plan can be called as it is configured.
    ///
    /// # Errors
    ///
    /// What is wrong with the address, the credential or the headers of the first that cannot.
    pub fn check(plan: &Plan) -> Result<(), Error> {
        plan.deployments.iter().try_for_each(|deployment| {
            provider::check(deployment).map_err(|error| {
                let message = format!("deployment `{}`: {}", deployment.id(), error.message());
                Error::new(error.kind(), message).with_deployment(deployment.id().clone())
            })
        })
    }

    /// The stack of a plan over a leaf of your own: a simulation, a cache, another client.
    pub fn with_leaf<L>(plan: &Plan, leaf: L) -> Self
    where
        L: Service<Routed<LlmRequest>, Response = LlmResponse> + Clone + Send + Sync + 'static,
        L::Error: Into<Error>,
        L::Future: Send,
    {
        let deployments = Deployments::new(plan.snapshot());
        let settings = &plan.router;
        let balancer = LoadBalanceLayer::new(deployments.clone(), strategy(settings.strategy))
            .filter(tag_filter(plan));
        let cooldown = CooldownLayer::new(cooldown_policy(plan)).deployments(deployments.clone());
        let stack = ServiceBuilder::new()
            .layer(RequestLayer::new(deployments.clone()))
            .layer(DeadlineLayer::new(plan.own.deadline))
            .layer(option_layer(queue(plan)))
            .layer(FallbackLayer::new(fallback_lists(plan)).resolve(deployments.clone()))
            .layer(retry(plan))
            .layer(balancer.clone())
            .layer(AttemptLayer::new())
            .layer(cooldown.clone())
            .layer(RateLimitLayer::new(MemoryLimiter::new()).with_charges(deployment_charges(plan)))
            .layer(TimeoutLayer::new(timeouts(plan)))
            .service(leaf);
        let max_attempts = plan
            .own
            .max_attempts
            .unwrap_or_else(|| default_attempts(plan));
        let shared = Shared {
            deployments,
            balancer,
            cooldown,
            max_attempts,
        };
        Self {
            stack: Arc::new(stack),
            shared: Arc::new(shared),
        }
    }

    /// The list of deployments; swapping its snapshot takes effect at the next request.
    #[must_use]
    pub fn deployments(&self) -> &Deployments {
        &self.shared.deployments
    }

    /// The state of deployments that fail: whether one rests, until when, and why.
    #[must_use]
    pub fn cooldown(&self) -> &CooldownLayer {
        &self.shared.cooldown
    }

    /// How many attempts run, streams included.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        let snapshot = self.shared.deployments.load();
        let of_each = snapshot
            .deployments()
            .map(|deployment| self.shared.balancer.in_flight(deployment.id()));
        of_each.map(u64::from).sum()
    }

    /// The layers of a plan's stack, from the client to the provider: name, and what it does there.
    #[must_use]
    pub fn layers(plan: &Plan) -> Vec<(&'static str, String)> {
        let settings = &plan.router;
        let seconds = |time: std::time::Duration| format!("{} s", time.as_secs_f64());
        let mut layers = vec![(
            "telemetry",
            "one span and one record for each request".to_owned(),
        )];
        layers.push(match plan.own.deadline {
            Some(deadline) => (
                "timeout",
                format!("{} for all attempts together", seconds(deadline)),
            ),
            None => ("timeout", "no total deadline".to_owned()),
        });
        if let Some(capacity) = plan.own.queue.capacity {
            layers.push((
                "priority-queue",
                format!("{capacity} requests in flight, others wait by priority"),
            ));
        }
        layers.push((
            "fallback",
            format!("at most {} other groups", settings.max_fallbacks),
        ));
        layers.push((
            "retry",
            format!("{} more tries in a group", settings.num_retries),
        ));
        layers.push(("load-balance", settings.strategy.name().to_owned()));
        layers.push((
            "telemetry",
            "one span and one record for each attempt".to_owned(),
        ));
        let rest = format!(
            "failing deployments rest for {}",
            seconds(settings.cooldown_time)
        );
        layers.push((
            "cooldown",
            if settings.disable_cooldowns {
                "off".to_owned()
            } else {
                rest
            },
        ));
        let limits = match (plan.enforces_rpm(), plan.enforces_tpm()) {
            (true, true) => "rpm, tpm and max_parallel_requests of each deployment",
            (true, false) => "rpm and max_parallel_requests of each deployment",
            _ => "max_parallel_requests of each deployment; rpm and tpm are weights",
        };
        layers.push(("rate-limit", limits.to_owned()));
        layers.push((
            "timeout",
            format!(
                "{} for an attempt, where it sets nothing",
                seconds(settings.timeout)
            ),
        ));
        layers.push(("LlmService", "calls the provider".to_owned()));
        layers
    }
}

/// Enough for the retries in a group and in each of the longest list of its fallbacks.
fn default_attempts(plan: &Plan) -> u32 {
    let maps = &plan.fallbacks;
    let lists = [&maps.general, &maps.context_window, &maps.content_policy];
    let longest = lists
        .into_iter()
        .flatten()
        .map(|(_, targets)| targets.len())
        .max();
    let fallbacks = u32::try_from(longest.unwrap_or_default()).unwrap_or(u32::MAX);
    let groups = fallbacks.min(plan.router.max_fallbacks).saturating_add(1);
    let in_a_group = plan.router.num_retries.saturating_add(1);
    DEFAULT_ATTEMPTS.max(in_a_group.saturating_mul(groups))
}

fn proxies_are_named() -> bool {
    let names = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"];
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    names
        .iter()
        .any(|name| set(name) || set(&name.to_lowercase()))
}

fn strategy(name: StrategyName) -> Arc<dyn Strategy<LlmRequest>> {
    match name {
        StrategyName::LeastBusy => Arc::new(LeastBusy),
        StrategyName::UsageBased | StrategyName::UsageBasedV2 => Arc::new(UsageBased),
        _ => Arc::new(SimpleShuffle),
    }
}

fn tag_filter(plan: &Plan) -> Option<TagFilter> {
    let match_any = plan.router.tag_filtering_match_any;
    let filter = || {
        if match_any {
            TagFilter::match_any()
        } else {
            TagFilter::match_all()
        }
    };
    plan.router.enable_tag_filtering.then(filter)
}

fn cooldown_policy(plan: &Plan) -> CooldownPolicy {
    let settings = &plan.router;
    if settings.disable_cooldowns {
        return CooldownPolicy::disabled();
    }
    let policy = CooldownPolicy::new().cooldown_time(settings.cooldown_time);
    match settings.allowed_fails {
        Some(failures) => policy.allowed_fails(failures),
        None => policy,
    }
}

fn queue(
    plan: &Plan,
) -> Option<PriorityQueueLayer<impl Fn(&LlmRequest) -> Priority + Clone + Send + Sync + 'static>> {
    let queue = &plan.own.queue;
    let capacity = NonZeroUsize::new(queue.capacity? as usize)?;
    let default = plan.router.default_priority.unwrap_or_default();
    let priority =
        move |request: &LlmRequest| Priority(request.controls().priority.unwrap_or(default));
    let mut layer = PriorityQueueLayer::new(capacity);
    if let Some(waiting) = queue.max_waiting {
        layer = layer.max_waiting(waiting as usize);
    }
    Some(layer.priority_by(priority))
}

fn fallback_lists(plan: &Plan) -> FallbackLists {
    let maps = &plan.fallbacks;
    let entries = |map: &[(Arc<str>, Vec<Arc<str>>)]| map.to_vec();
    FallbackLists::new()
        .general(entries(&maps.general))
        .context_window(entries(&maps.context_window))
        .content_policy(entries(&maps.content_policy))
        .max_fallbacks(plan.router.max_fallbacks)
}

fn retry(plan: &Plan) -> RetryLayer {
    const PERCENT: f64 = 20.0;
    const MIN_PER_SECOND: u32 = 10;
    let settings = &plan.own.retry_budget;
    let thousandths = (settings.percent.unwrap_or(PERCENT) * 10.0).round() as u32;
    let budget = RetryBudget::new(
        thousandths,
        settings.min_per_second.unwrap_or(MIN_PER_SECOND),
    );
    RetryLayer::new()
        .num_retries(plan.router.num_retries)
        .retry_after(plan.router.retry_after)
        .budget(Arc::new(budget))
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

fn timeouts(plan: &Plan) -> Timeouts {
    Timeouts {
        attempt: Some(plan.router.timeout),
        stream: plan.router.stream_timeout,
        first_token: plan.own.first_token_timeout,
        idle: plan.own.idle_timeout,
    }
}

impl Service<LlmRequest> for Router {
    type Response = LlmResponse;
    type Error = Error;
    type Future = BoxAnswer;

    /// Always ready: the stack is readied by the call.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: LlmRequest) -> Self::Future {
        // A request that was sent before, by a clone, begins anew.
        if request.ledger().is_some_and(|ledger| ledger.attempts() > 0) {
            request = request.with_ledger(Ledger::new());
        }
        if let Some(ledger) = request.ledger() {
            ledger.set_attempts(self.shared.max_attempts);
        }
        self.stack.call(request)
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("max_attempts", &self.shared.max_attempts)
            .finish_non_exhaustive()
    }
}
