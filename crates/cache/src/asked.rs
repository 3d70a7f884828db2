//! What a request asks of the cache.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value};
use ziggurat_core::{Caller, Deployments, Extract, HasLedger, LlmRequest, Operation};

use crate::{CacheKey, key::Digest};

/// What a request asks of the cache.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The name of its answer.
    pub key: CacheKey,
    /// Whether an answer may be taken from the cache.
    pub reads: bool,
    /// Whether its answer may be kept.
    pub writes: bool,
    /// How old an answer may be that is taken.
    pub max_age: Option<Duration>,
    /// How long its answer is kept, instead of the usual time.
    pub ttl: Option<Duration>,
}

impl Asked {
    /// An answer of that name, from the cache or for it.
    #[must_use]
    pub const fn new(key: CacheKey) -> Self {
        Self {
            key,
            reads: true,
            writes: true,
            max_age: None,
            ttl: None,
        }
    }
}

/// Who may have the answers of whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tenants {
    /// Nobody those of another key. Callers of whom nothing is known share theirs.
    #[default]
    Keys,
    /// The keys of a team share theirs; a key without one is by itself.
    Teams,
    /// All share theirs.
    Everybody,
}

/// Which requests are looked up, and under which names: an extractor for LLM requests.
///
/// A name is made of the operation, the whole body as JSON whatever its order (with the group that
/// is asked after aliases, and without the fields that only the router reads), of who asks, and of
/// the namespace that the request names. So a field that is not known to anybody makes another
/// name as well. What is left out on purpose is what [`without`](Self::without) names.
///
/// Nothing is looked up for forms, for connections and pass-through, for what goes to an endpoint of
/// the client's own, and for Responses that run in the background or go on from another one.
#[derive(Clone, Debug)]
pub struct Keys {
    deployments: Option<Deployments>,
    without: Arc<[Box<str>]>,
    tenants: Tenants,
    namespace: Arc<str>,
    operations: Arc<[Operation]>,
    is_on: bool,
}

/// What is looked up unless it is said otherwise.
const OPERATIONS: [Operation; 9] = [
    Operation::ChatCompletions,
    Operation::Completions,
    Operation::Embeddings,
    Operation::GenerateContent,
    Operation::ImageGeneration,
    Operation::Messages,
    Operation::Moderation,
    Operation::Rerank,
    Operation::Responses,
];

impl Default for Keys {
    fn default() -> Self {
        Self::new()
    }
}

impl Keys {
    /// Every operation that can be, for each caller apart.
    #[must_use]
    pub fn new() -> Self {
        Self {
            deployments: None,
            without: Arc::default(),
            tenants: Tenants::default(),
            namespace: Arc::from(""),
            operations: Arc::from(OPERATIONS),
            is_on: true,
        }
    }

    /// Has aliases share the answers of the group that they stand for.
    #[must_use]
    pub fn deployments(mut self, deployments: Deployments) -> Self {
        self.deployments = Some(deployments);
        self
    }

    /// Leaves fields of the body out of the name: requests that differ in nothing else get one
    /// answer.
    #[must_use]
    pub fn without<T: Into<Box<str>>>(mut self, fields: impl IntoIterator<Item = T>) -> Self {
        self.without = fields.into_iter().map(Into::into).collect();
        self
    }

    /// Says who may have the answers of whom.
    #[must_use]
    pub const fn tenants(mut self, tenants: Tenants) -> Self {
        self.tenants = tenants;
        self
    }

    /// The namespace of requests that name none.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<Arc<str>>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Looks up these operations only, of those that can be.
    #[must_use]
    pub fn operations(mut self, operations: impl IntoIterator<Item = Operation>) -> Self {
        let can_be = |operation: &Operation| OPERATIONS.contains(operation);
        self.operations = operations.into_iter().filter(can_be).collect();
        self
    }

    /// Looks up only requests that ask for it by `use-cache`.
    #[must_use]
    pub const fn only_if_asked(mut self) -> Self {
        self.is_on = false;
        self
    }

    /// The name of the answer to a request as `group` gives it; `None` if it has none.
    #[must_use]
    pub fn key(&self, request: &LlmRequest, group: &str) -> Option<CacheKey> {
        let (mut digest, body) = self.begin(request, group)?;
        digest.value(&Value::Object(body));
        Some(digest.finish())
    }

    /// The names of the numbers of each text of a request for embeddings; `None` if they have none.
    pub(crate) fn elements(&self, request: &LlmRequest) -> Option<Vec<CacheKey>> {
        let said = &request.controls().cache;
        if !said.use_cache.unwrap_or(self.is_on) || (said.no_cache && said.no_store) {
            return None;
        }
        let (mut digest, mut body) = self.begin(request, &self.group(request))?;
        // Another name than that of a whole answer.
        digest.part(b"element");
        let input = body.remove("input")?;
        digest.value(&Value::Object(body));
        let of = |element: &Value| {
            let mut digest = digest.clone();
            digest.value(element);
            digest.finish()
        };
        match input {
            // The tokens of one text.
            Value::Array(list) if list.iter().all(Value::is_number) => {
                Some(vec![of(&Value::Array(list))])
            }
            Value::Array(list) => Some(list.iter().map(of).collect()),
            text => Some(vec![of(&text)]),
        }
    }

    /// What is looked up, and what all names of it begin with.
    fn begin(&self, request: &LlmRequest, group: &str) -> Option<(Digest, Map<String, Value>)> {
        let controls = request.controls();
        if !self.operations.contains(&request.operation()) || controls.client.is_some() {
            return None;
        }
        let body = request.upstream_body(group, false);
        let Ok(Value::Object(mut body)) = serde_json::from_slice::<Value>(&body) else {
            return None;
        };
        if request.operation() == Operation::Responses && is_tied(&body) {
            return None;
        }
        for field in &*self.without {
            body.remove(&**field);
        }
        let mut digest = Digest::new();
        // The version of all this.
        digest.part(b"ziggurat 1");
        digest.part(request.operation().as_str().as_bytes());
        digest.part(group.as_bytes());
        digest.part(&[u8::from(request.is_stream())]);
        let namespace = controls.cache.namespace.as_deref();
        digest.part(namespace.unwrap_or(&self.namespace).as_bytes());
        self.tenant(request.caller().map(|caller| &**caller), &mut digest);
        Some((digest, body))
    }

    fn tenant(&self, caller: Option<&Caller>, digest: &mut Digest) {
        let key = caller.and_then(|caller| caller.key.as_deref());
        let team = caller.and_then(|caller| caller.team.as_deref());
        let (kind, name) = match (self.tenants, key, team) {
            (Tenants::Everybody, ..) | (_, None, None) => ("", ""),
            (Tenants::Teams, _, Some(team)) | (Tenants::Keys, None, Some(team)) => ("team", team),
            (_, Some(key), _) => ("key", key),
        };
        digest.part(kind.as_bytes());
        digest.part(name.as_bytes());
    }

    /// The group that a request asks for.
    pub(crate) fn group(&self, request: &LlmRequest) -> Arc<str> {
        let asked = request.group().as_str();
        match &self.deployments {
            Some(deployments) => Arc::from(deployments.load().unalias(asked)),
            None => Arc::from(asked),
        }
    }
}

impl Extract<Option<Asked>, LlmRequest> for Keys {
    fn extract(&self, request: &LlmRequest) -> Option<Asked> {
        let said = &request.controls().cache;
        if !said.use_cache.unwrap_or(self.is_on) || (said.no_cache && said.no_store) {
            return None;
        }
        let key = self.key(request, &self.group(request))?;
        Some(Asked {
            key,
            reads: !said.no_cache,
            writes: !said.no_store,
            max_age: said.max_age,
            ttl: said.ttl,
        })
    }
}

/// Whether a response depends on what the provider remembers, or is not there when it is answered.
fn is_tied(body: &Map<String, Value>) -> bool {
    let runs_on = body.get("background").and_then(Value::as_bool) == Some(true);
    let goes_on = |field: &str| body.get(field).is_some_and(|value| !value.is_null());
    runs_on
        || ["previous_response_id", "conversation"]
            .into_iter()
            .any(goes_on)
}

/// Under which name an answer is kept, once it is known who gave it.
pub trait Produced<R> {
    /// The name, of the answer to `request`; `None` if it is not to be kept.
    fn produced(&self, request: &R, asked: CacheKey) -> Option<CacheKey>;
}

impl Produced<LlmRequest> for Keys {
    /// The answer of another group, which was asked in the place of the first, is that group's. What
    /// was asked with other words than the client's answers nobody else.
    fn produced(&self, request: &LlmRequest, asked: CacheKey) -> Option<CacheKey> {
        let Some(ledger) = request.ledger() else {
            return Some(asked);
        };
        if ledger.is_altered() {
            return None;
        }
        if ledger.fallbacks() == 0 {
            return Some(asked);
        }
        let served =
            ledger.with_trail(|trail| trail.served().map(|it| Arc::clone(it.deployment())))?;
        self.key(request, served.group())
    }
}

impl<R, F: Fn(&R) -> Option<Asked>> Produced<R> for F {
    /// The name that was asked for.
    fn produced(&self, _: &R, asked: CacheKey) -> Option<CacheKey> {
        Some(asked)
    }
}
