//! The names of the answers to LLM requests.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use serde_json::{Map, Value};
use ziggurat_core::{Caller, Deployments, Extract, HasLedger, LlmRequest, Operation};

use crate::{Asked, CacheKey, Produced, key::Digest, strict::Strict};

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

/// What else may change the answer to a request, and does not stand in its body; empty if nothing.
pub type Beside = fn(&LlmRequest) -> &str;

/// Which requests are looked up, and under which names: an extractor for LLM requests.
///
/// A name is made of the operation, the whole body as JSON whatever its order (with the group that
/// is asked after aliases, and without the fields that only the router reads), of who asks, of what
/// leaves deployments out (the region, access labels and, [if they do](Self::tags), tags), and of
/// the namespace that the request names. So a field that is not known to anybody makes another
/// name as well. What is left out on purpose is what [`without`](Self::without) names.
///
/// Nothing is looked up for forms, for connections and pass-through, for what goes to an endpoint of
/// the client's own, for what plays failures, for Responses that run in the background or go on from
/// another one, and for bodies that two readers may read in two ways: with a member that stands
/// twice, or a number of too many digits.
#[derive(Clone, Debug)]
pub struct Keys {
    deployments: Option<Deployments>,
    without: Arc<[Box<str>]>,
    tenants: Tenants,
    namespace: Arc<str>,
    operations: Arc<[Operation]>,
    /// Under which name a group shares answers with others.
    shared: Arc<HashMap<Arc<str>, Arc<str>>>,
    has_tags: bool,
    beside: Option<Beside>,
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

/// Of how many texts embeddings are looked up one by one: as many as OpenAI takes at a time.
const MOST_ELEMENTS: usize = 2_048;

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
            shared: Arc::default(),
            has_tags: false,
            beside: None,
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

    /// Has each of these lists of groups share one another's answers. A group belongs to the first
    /// list that it is in.
    #[must_use]
    pub fn sharing<T: Into<Arc<str>>>(
        mut self,
        lists: impl IntoIterator<Item = impl IntoIterator<Item = T>>,
    ) -> Self {
        let mut shared = HashMap::<Arc<str>, Arc<str>>::new();
        for list in lists {
            let mut first = None;
            for group in list {
                let Entry::Vacant(own) = shared.entry(group.into()) else {
                    continue;
                };
                let first = first.get_or_insert_with(|| Arc::clone(own.key()));
                own.insert(Arc::clone(first));
            }
        }
        self.shared = Arc::new(shared);
        self
    }

    /// Whether tags, and the program that sent a request, choose among deployments: then they are a
    /// part of the name.
    #[must_use]
    pub const fn tags(mut self, choose: bool) -> Self {
        self.has_tags = choose;
        self
    }

    /// Says what else may change an answer: a header that goes to the provider.
    #[must_use]
    pub fn beside(mut self, beside: Beside) -> Self {
        self.beside = Some(beside);
        self
    }

    /// Looks up only requests that ask for it by `use-cache`.
    #[must_use]
    pub const fn only_if_asked(mut self) -> Self {
        self.is_on = false;
        self
    }

    /// The same for who shares with nobody beyond the team.
    pub(crate) fn apart(mut self) -> Self {
        if self.tenants == Tenants::Everybody {
            self.tenants = Tenants::Keys;
        }
        self
    }

    /// The name of the answer to a request as `group` gives it; `None` if it has none.
    #[must_use]
    pub fn key(&self, request: &LlmRequest, group: &str) -> Option<CacheKey> {
        let (mut digest, body) = self.begin(request, group)?;
        digest.value(&Value::Object(body));
        Some(digest.finish())
    }

    /// Whether a request is looked up or kept, by what it says to the cache.
    pub(crate) fn is_wanted(&self, request: &LlmRequest) -> bool {
        let said = &request.controls().cache;
        said.use_cache.unwrap_or(self.is_on) && !(said.no_cache && said.no_store)
    }

    /// The names of the numbers of each text of a request for embeddings; `None` if they have none.
    pub(crate) fn elements(&self, request: &LlmRequest) -> Option<Vec<CacheKey>> {
        if !self.is_wanted(request) {
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
            Value::Array(list) if list.len() > MOST_ELEMENTS => None,
            Value::Array(list) => Some(list.iter().map(of).collect()),
            text => Some(vec![of(&text)]),
        }
    }

    /// Whether it may have a name, as far as that is known without its body.
    fn may_name(&self, request: &LlmRequest) -> bool {
        let controls = request.controls();
        let is_plain = controls.client.is_none() && controls.mocks.names.is_empty();
        self.operations.contains(&request.operation()) && is_plain
    }

    /// What is looked up, and what all names of it begin with.
    pub(crate) fn begin(
        &self,
        request: &LlmRequest,
        group: &str,
    ) -> Option<(Digest, Map<String, Value>)> {
        if !self.may_name(request) {
            return None;
        }
        let group = self.shared.get(group).map_or(group, |shared| &**shared);
        let body = request.upstream_body(group, false);
        let Ok(Strict(Value::Object(mut body))) = serde_json::from_slice(&body) else {
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
        digest.part(b"ziggurat 2");
        digest.part(request.operation().as_str().as_bytes());
        digest.part(group.as_bytes());
        digest.part(&[u8::from(request.is_stream())]);
        let namespace = request.controls().cache.namespace.as_deref();
        digest.part(namespace.unwrap_or(&self.namespace).as_bytes());
        self.tenant(request.caller().map(|caller| &**caller), &mut digest);
        self.way(request, &mut digest);
        let beside = self.beside.map_or("", |beside| beside(request));
        digest.part(beside.as_bytes());
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

    /// What leaves out some of the deployments of the group.
    fn way(&self, request: &LlmRequest, digest: &mut Digest) {
        let pinned = request.ledger().and_then(|ledger| ledger.pinned());
        digest.part(pinned.map_or("", |id| id.as_str()).as_bytes());
        digest.part(request.region().unwrap_or_default().as_bytes());
        let caller = request.caller();
        digest.part(&[u8::from(caller.is_some_and(|caller| caller.is_admin))]);
        let labels = caller.and_then(|caller| caller.access_groups.as_deref());
        digest.part(&[u8::from(labels.is_some())]);
        digest.names(labels.unwrap_or_default());
        if self.has_tags {
            digest.names(request.tags());
            let agent = request.controls().user_agent.as_deref();
            digest.part(agent.unwrap_or_default().as_bytes());
        }
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
        if !self.is_wanted(request) {
            return None;
        }
        let said = &request.controls().cache;
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

impl Produced<LlmRequest> for Keys {
    fn bytes_read(&self, request: &LlmRequest) -> usize {
        match self.is_wanted(request) && self.may_name(request) {
            true => request.body().len(),
            false => 0,
        }
    }

    /// The answer of another group, which was asked in the place of the first, is that group's. What
    /// was asked with other words than the client's, or of a pattern, answers nobody else.
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
        // The name that it was asked by is not known.
        let is_pattern = served.group().contains('*');
        (!is_pattern)
            .then(|| self.key(request, served.group()))
            .flatten()
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
