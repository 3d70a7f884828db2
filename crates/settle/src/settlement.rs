//! What became of an attempt.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use smallvec::SmallVec;
use ziggurat_core::{
    Caller, Deployment, ErrorKind, HasLedger, LlmRequest, ModelGroup, Money, Operation, Param,
    RequestId, ServiceTier, UniqueId, Usage,
};

/// The id of the deployment that stands for the cache.
const CACHE: &str = "cache";

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Its answer came to its end.
    Served,
    /// It failed, before its answer began or in its middle.
    Failed(ErrorKind),
    /// Nobody waited for its end: the client has gone, or another attempt was faster.
    Cancelled,
    /// An earlier answer was given again.
    Cached,
    /// The router itself answered, in the place of the provider.
    Mocked,
}

impl Outcome {
    /// A short name in snake case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
            Self::Cached => "cached",
            Self::Mocked => "mocked",
        }
    }
}

/// What became of one attempt: how it ended, what it used, what it costs.
///
/// A copy is a few `Arc` bumps. It holds nothing of what was asked or answered.
#[derive(Clone, Debug)]
pub struct Settlement {
    pub(crate) id: UniqueId,
    pub(crate) request: RequestId,
    pub(crate) group: ModelGroup,
    pub(crate) deployment: Arc<Deployment>,
    pub(crate) model: Option<Arc<str>>,
    pub(crate) operation: Operation,
    pub(crate) caller: Option<Arc<Caller>>,
    pub(crate) user: Option<Arc<str>>,
    pub(crate) tags: SmallVec<[Arc<str>; 4]>,
    pub(crate) started: SystemTime,
    pub(crate) first_token: Option<Duration>,
    pub(crate) took: Duration,
    pub(crate) outcome: Outcome,
    pub(crate) usage: Usage,
    pub(crate) cost: Option<Money>,
}

impl Settlement {
    /// That of an earlier answer that is given again to a request: nobody was asked, and it costs
    /// nothing. The usage is that of the answer when it was new.
    ///
    /// Its deployment stands for the cache: its id is `cache`.
    #[must_use]
    pub fn cached(request: &LlmRequest, usage: Usage, took: Duration) -> Self {
        let group: ModelGroup = request.param();
        let stand_in = Deployment::new(CACHE, group.as_str(), group.as_str());
        let now = SystemTime::now();
        Self {
            started: now.checked_sub(took).unwrap_or(now),
            took,
            outcome: Outcome::Cached,
            usage,
            cost: Some(Money::ZERO),
            ..Self::new(request, Arc::new(stand_in))
        }
    }

    /// One that begins now, and of which nothing is known yet.
    pub(crate) fn new(request: &LlmRequest, deployment: Arc<Deployment>) -> Self {
        Self {
            id: UniqueId::next(),
            request: match request.ledger() {
                Some(ledger) => ledger.request_id(),
                None => RequestId::own(UniqueId::next()),
            },
            group: request.param(),
            deployment,
            model: None,
            operation: request.operation(),
            caller: request.caller().cloned(),
            user: request.shared_user(),
            tags: request.tags().iter().cloned().collect(),
            started: SystemTime::now(),
            first_token: None,
            took: Duration::ZERO,
            outcome: Outcome::Cancelled,
            usage: Usage::default(),
            cost: None,
        }
    }

    /// The name of the attempt, which no other has: a charge by it is made once.
    #[must_use]
    pub fn id(&self) -> UniqueId {
        self.id
    }

    /// The name of the request, which all its attempts share.
    #[must_use]
    pub fn request_id(&self) -> &RequestId {
        &self.request
    }

    /// The model group that was asked: by a fallback another one than the client's.
    #[must_use]
    pub fn group(&self) -> &ModelGroup {
        &self.group
    }

    /// The deployment that was asked; of an answer from the cache one that stands for it, whose id is
    /// `cache`.
    #[must_use]
    pub fn deployment(&self) -> &Arc<Deployment> {
        &self.deployment
    }

    /// The provider's name of the model.
    #[must_use]
    pub fn model(&self) -> &str {
        let own = || self.deployment.model();
        self.model.as_deref().unwrap_or_else(own)
    }

    /// What was asked.
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// Who asked, if the application says so.
    #[must_use]
    pub fn caller(&self) -> Option<&Arc<Caller>> {
        self.caller.as_ref()
    }

    /// The end user, as the client names it.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The tags of the request.
    #[must_use]
    pub fn tags(&self) -> &[Arc<str>] {
        &self.tags
    }

    /// When the attempt began.
    #[must_use]
    pub fn started(&self) -> SystemTime {
        self.started
    }

    /// How long it took to the beginning of its answer, if it has one.
    #[must_use]
    pub fn first_token(&self) -> Option<Duration> {
        self.first_token
    }

    /// How long it took to its end.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.took
    }

    /// How it ended.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// What it used, and whether that is an estimate.
    #[must_use]
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// What it costs; `None` if a price is unknown. What was used by estimate costs so by estimate.
    #[must_use]
    pub fn cost(&self) -> Option<Money> {
        self.cost
    }

    /// All of it as a JSON object. Counts that are zero, and what is not known, are left out, but for
    /// the cost, which is `null`; as text, since a number would lose digits. Of an answer from the
    /// cache no deployment is named.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut row = Map::new();
        let mut add = |name: &str, value: Value| drop(row.insert(name.to_owned(), value));
        add("id", self.id.to_string().into());
        add("request_id", self.request.to_string().into());
        let started = Timestamp::try_from(self.started).unwrap_or(Timestamp::MAX);
        add("started", format!("{started:.3}").into());
        add("model_group", self.group.as_str().into());
        if self.outcome != Outcome::Cached || self.deployment.id().as_str() != CACHE {
            add("model_id", self.deployment.public_id().as_str().into());
            add("provider", self.deployment.provider().into());
            add("model", self.model().into());
        }
        add("operation", self.operation.as_str().into());
        add("outcome", self.outcome.as_str().into());
        if let Outcome::Failed(kind) = self.outcome {
            add("error", kind.as_str().into());
        }
        if let Some(first_token) = self.first_token {
            add("first_token_ms", milliseconds(first_token));
        }
        add("took_ms", milliseconds(self.took));
        add("cost", self.cost.map(|cost| cost.to_string()).into());
        add("usage", usage_json(&self.usage));
        if let Some(caller) = &self.caller {
            for (name, value) in [("key", &caller.key), ("team", &caller.team)] {
                if let Some(value) = value {
                    add(name, (**value).into());
                }
            }
        }
        if let Some(user) = self.user() {
            add("user", user.into());
        }
        if !self.tags.is_empty() {
            add("tags", self.tags.iter().map(|tag| &**tag).collect());
        }
        row.into()
    }
}

fn milliseconds(time: Duration) -> Value {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).into()
}

fn usage_json(usage: &Usage) -> Value {
    let mut json = json!({"estimated": usage.estimated});
    if usage.counts_tokens {
        json["input"] = usage.input.into();
        json["output"] = usage.output.into();
    }
    for (name, count) in [
        ("cached_input", usage.cached_input),
        ("cache_write", usage.cache_write),
        ("cache_write_1h", usage.cache_write_1h),
        ("audio_input", usage.audio_input),
        ("image_input", usage.image_input),
        ("reasoning", usage.reasoning),
        ("audio_output", usage.audio_output),
        ("image_output", usage.image_output),
        ("images", usage.images.unwrap_or_default()),
        ("characters", usage.characters.unwrap_or_default()),
        ("queries", usage.queries.unwrap_or_default()),
    ] {
        if count > 0 {
            json[name] = count.into();
        }
    }
    if let Some(time) = usage.audio_time {
        json["audio_seconds"] = time.as_secs_f64().into();
    }
    if let Some(tier) = usage.tier.map(ServiceTier::as_str) {
        json["service_tier"] = tier.into();
    }
    json
}
