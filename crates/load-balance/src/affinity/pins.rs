//! What ties requests together, and for how long.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use ziggurat_core::{LlmRequest, Operation};

use super::{
    Affinity, Ties,
    map::{Account, Key, PinMap, Place},
    signatures,
    ties::{Learns, Tie, Write},
};

/// How many pins there are, if nobody says otherwise.
const CAPACITY: usize = 100_000;

/// How many tokens a prompt has for a provider to cache it, if nobody says otherwise.
const MIN_PROMPT_TOKENS: u64 = 1_024;

/// How many beginnings of a prompt are looked up.
const PREFIXES: usize = 20;

/// What a tie is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum AffinityKind {
    /// Encrypted reasoning and signed thoughts: only the account that made them can read them.
    /// Known by their values, which are seen in answers.
    ContentOwner,
    /// `previous_response_id`: the deployment that gave that answer has it.
    PreviousResponse,
    /// The session that a client names, for each caller.
    Session,
    /// The caller's key; the user, where no caller is known.
    Caller,
    /// The beginning of a prompt, which a provider may have cached: `prompt_cache_key` if the client
    /// sends it, else the longest beginning that was seen before.
    PromptPrefix,
}

impl AffinityKind {
    const ALL: [Self; 5] = [
        Self::ContentOwner,
        Self::PreviousResponse,
        Self::Session,
        Self::Caller,
        Self::PromptPrefix,
    ];

    /// For how long a pin of this kind lasts without use, if nobody says otherwise.
    const fn default_ttl(self) -> Duration {
        const HOUR: u64 = 3_600;
        Duration::from_secs(match self {
            Self::ContentOwner | Self::PreviousResponse => 24 * HOUR,
            Self::Session | Self::Caller => HOUR,
            Self::PromptPrefix => 300,
        })
    }

    /// How many times the mean load the target may have, if nobody says otherwise.
    const fn default_max_load(self) -> Option<f64> {
        match self {
            Self::ContentOwner | Self::PreviousResponse => None,
            Self::Session | Self::Caller | Self::PromptPrefix => Some(2.0),
        }
    }
}

/// Some kinds.
#[derive(Clone, Copy, Debug, Default)]
struct Kinds(u8);

impl Kinds {
    fn contains(self, kind: AffinityKind) -> bool {
        self.0 >> kind as u8 & 1 == 1
    }
}

impl FromIterator<AffinityKind> for Kinds {
    fn from_iter<I: IntoIterator<Item = AffinityKind>>(kinds: I) -> Self {
        Self(kinds.into_iter().fold(0, |all, kind| all | 1 << kind as u8))
    }
}

/// Sends requests that belong together to the deployment that answered the last of them, in front of
/// any strategy.
///
/// A tie of a request is looked up by what ties it, first to last: previous response, session,
/// caller, prefix of the prompt. The pinned deployment serves if it may be picked now: it is not
/// filtered, was not tried for this request, is not known to refuse, is of the lowest `order` that
/// serves, and the attempts in flight there would be no more than [`max_load`](Self::max_load) times
/// the mean of the deployments that may be picked, rounded up. Otherwise the strategy chooses. A
/// previous response holds across `order`s and under any load.
///
/// A pin is written when an answer begins, and renewed by each: so it moves with the first answer
/// from elsewhere, and does not move back when its old target returns. A pin on a deployment that a
/// reload took away has no effect. A request that names its deployment by id reads no pin and writes
/// none.
///
/// Content that only its maker can read goes before all that: a request that carries some goes to
/// deployments of the account that made the last known of it, and to no others, if the group has one
/// for the request; if all of them refuse, so does the balancer. If it has none, or does not know the
/// content, the request goes anywhere. Signatures that a stream delivers in several parts are not
/// recognised.
///
/// Pins live in this process and are bounded; those used longest ago go first. Several instances may
/// [share](Self::share) theirs.
///
/// ```
/// use ziggurat_load_balance::{AffinityKind, Pins};
///
/// let pins = Pins::new([AffinityKind::Session, AffinityKind::PromptPrefix])
///     .max_load(AffinityKind::Session, Some(1.25))
///     .group("batch", []);
/// # let _ = pins;
/// ```
#[derive(Clone)]
pub struct Pins {
    kinds: Kinds,
    groups: HashMap<Arc<str>, Kinds>,
    ttl: [Duration; AffinityKind::ALL.len()],
    max_load: [Option<f64>; AffinityKind::ALL.len()],
    min_prompt_tokens: u64,
    pub(super) map: Arc<PinMap>,
}

impl Pins {
    /// Ties of these kinds, for all groups of which nothing else is said.
    #[must_use]
    pub fn new(kinds: impl IntoIterator<Item = AffinityKind>) -> Self {
        Self {
            kinds: kinds.into_iter().collect(),
            groups: HashMap::new(),
            ttl: AffinityKind::ALL.map(AffinityKind::default_ttl),
            max_load: AffinityKind::ALL.map(AffinityKind::default_max_load),
            min_prompt_tokens: MIN_PROMPT_TOKENS,
            map: Arc::new(PinMap::new(CAPACITY)),
        }
    }

    /// Ties of these kinds for a group, instead of those of all others.
    #[must_use]
    pub fn group(
        mut self,
        group: impl Into<Arc<str>>,
        kinds: impl IntoIterator<Item = AffinityKind>,
    ) -> Self {
        self.groups
            .insert(group.into(), kinds.into_iter().collect());
        self
    }

    /// How long pins of a kind last after the last answer: 5 minutes for prefixes of prompts, as
    /// long as providers keep them; a day for responses and their content; an hour for others.
    #[must_use]
    pub fn ttl(mut self, kind: AffinityKind, time: Duration) -> Self {
        // A year is as good as for ever, and can be added to any time.
        self.ttl[kind as usize] = time.min(Duration::from_secs(31_536_000));
        self
    }

    /// How many times the mean load the target of a pin may have: 2 if not set; without a bound for
    /// `None`. Under 1 it is 1. With fewer than eight in flight a target is never over it. Content and
    /// previous responses know no bound.
    #[must_use]
    pub fn max_load(mut self, kind: AffinityKind, times: Option<f64>) -> Self {
        let is_free = kind.default_max_load().is_none();
        self.max_load[kind as usize] = times.filter(|_| !is_free).map(|times| times.max(1.0));
        self
    }

    /// How many tokens a prompt must have for its beginnings to matter: 1,024 if not set.
    #[must_use]
    pub fn min_prompt_tokens(mut self, tokens: u64) -> Self {
        self.min_prompt_tokens = tokens;
        self
    }

    /// How many pins are kept: 100,000 if not set. Those that there are are forgotten.
    #[must_use]
    pub fn capacity(mut self, pins: usize) -> Self {
        self.map = Arc::new(PinMap::new(pins));
        self
    }

    /// Remembers in the same place as another: what was pinned by that is pinned by this.
    #[must_use]
    pub fn sharing(mut self, other: &Self) -> Self {
        self.map = Arc::clone(&other.map);
        self
    }

    /// Forgets all pins.
    pub fn clear(&self) {
        self.map.clear();
    }

    /// How many pins there are, those that have ended and not been swept included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn kinds(&self, group: &str) -> Kinds {
        if self.groups.is_empty() {
            return self.kinds;
        }
        self.groups.get(group).copied().unwrap_or(self.kinds)
    }

    fn tie(&self, kind: AffinityKind, key: Key, reads: bool, write: Write) -> Tie {
        Tie {
            key,
            time: self.ttl[kind as usize],
            max_load: self.max_load[kind as usize],
            across_orders: kind == AffinityKind::PreviousResponse,
            reads,
            write,
        }
    }

    fn prefixes(&self, request: &LlmRequest, group: &[u8], caller: &[u8], ties: &mut Ties) {
        let kind = AffinityKind::PromptPrefix;
        if let Some(given) = request.prompt_cache_key() {
            let key = self
                .map
                .key(&[b"cache key", group, caller, given.as_bytes()]);
            return ties.push(self.tie(kind, key, true, Write::Always));
        }
        if request.estimated_input_tokens() < self.min_prompt_tokens {
            return;
        }
        let least = usize::try_from(self.min_prompt_tokens.saturating_mul(4)).unwrap_or(usize::MAX);
        let prefixes = request.prefixes(PREFIXES);
        let large = prefixes.iter().filter(|(_, bytes)| *bytes >= least);
        let keys = large.map(|(hash, _)| self.map.key(&[b"prefix", group, &hash.to_le_bytes()]));
        let keys: smallvec::SmallVec<[Key; PREFIXES]> = keys.collect();
        let Some((longest, shorter)) = keys.split_last() else {
            return;
        };
        ties.push(self.tie(kind, *longest, true, Write::Always));
        let is_known = |key: &&Key| self.map.get(**key).is_some();
        if let Some(known) = keys.iter().rev().find(is_known)
            && known != longest
        {
            ties.push(self.tie(kind, *known, true, Write::IfFree));
        }
        // What many conversations have in common stays where it was first.
        if let Some(shortest) = shorter.first() {
            ties.push(self.tie(kind, *shortest, false, Write::IfFree));
        }
    }

    /// Who made the content of a request, as far as is known: of the last of several.
    fn owner(&self, request: &LlmRequest) -> Option<Account> {
        let mut owner = None;
        signatures::each(request.prompt().as_bytes(), |signature| {
            let key = self.map.key(&[b"content", signature]);
            if let Some(Place::Account(account, _)) = self.map.get(key) {
                owner = Some(account);
            }
        });
        owner
    }
}

impl Affinity<LlmRequest> for Pins {
    fn ties(&self, request: &LlmRequest, group: &str) -> Option<Ties> {
        let kinds = self.kinds(group);
        if kinds.0 == 0 {
            return None;
        }
        let group = group.as_bytes();
        let caller = request.caller().and_then(|caller| caller.key.as_deref());
        let scope = caller.unwrap_or_default().as_bytes();
        // With a credential of its own a client is its own account.
        let is_ours = request.controls().client.is_none();
        let learns = Learns {
            response_id: (kinds.contains(AffinityKind::PreviousResponse)
                && request.operation() == Operation::Responses)
                .then(|| self.ttl[AffinityKind::PreviousResponse as usize]),
            content: (kinds.contains(AffinityKind::ContentOwner) && is_ours)
                .then(|| self.ttl[AffinityKind::ContentOwner as usize]),
        };
        let mut ties = Ties::new(Arc::clone(&self.map), learns);
        if learns.content.is_some() && request.is_signed() {
            ties.own(self.owner(request));
        }
        if kinds.contains(AffinityKind::PreviousResponse)
            && let Some(id) = request.previous_response()
        {
            let key = ties.response_key(id.as_bytes());
            ties.push(self.tie(AffinityKind::PreviousResponse, key, true, Write::Never));
        }
        if kinds.contains(AffinityKind::Session)
            && let Some(session) = request.session()
        {
            let key = self
                .map
                .key(&[b"session", group, scope, session.as_bytes()]);
            ties.push(self.tie(AffinityKind::Session, key, true, Write::Always));
        }
        if kinds.contains(AffinityKind::Caller)
            && let Some(who) = caller.or(request.user())
        {
            let kind: &[u8] = if caller.is_some() { b"key" } else { b"user" };
            let key = self.map.key(&[kind, group, who.as_bytes()]);
            ties.push(self.tie(AffinityKind::Caller, key, true, Write::Always));
        }
        if kinds.contains(AffinityKind::PromptPrefix) {
            self.prefixes(request, group, scope, &mut ties);
        }
        ties.matters().then_some(ties)
    }

    /// All of it, where its beginnings or its signatures may matter.
    fn bytes_read(&self, request: &LlmRequest) -> usize {
        let anywhere = |kind| {
            self.kinds.contains(kind) || self.groups.values().any(|kinds| kinds.contains(kind))
        };
        let begins = request.prompt_cache_key().is_none() && anywhere(AffinityKind::PromptPrefix);
        let is_signed = request.is_signed() && anywhere(AffinityKind::ContentOwner);
        match begins || is_signed {
            true => request.body().len(),
            false => 0,
        }
    }
}

impl fmt::Debug for Pins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = |kind: &AffinityKind| self.kinds.contains(*kind);
        let on: Vec<_> = AffinityKind::ALL.into_iter().filter(on).collect();
        f.debug_struct("Pins")
            .field("kinds", &on)
            .field("pins", &self.len())
            .finish_non_exhaustive()
    }
}
