use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64_with_seed;
use ziggurat_core::{Extract, FromParam, LlmRequest, Param};

use crate::{Candidate, Candidates, P2c, Strategy, Track, candidates::FEW, strategy::Ring};

/// How far the load of a deployment may be over the mean.
const BOUND: f64 = 1.25;

/// How far to go round the ring: so many points, and no more than some for each member.
const STEPS: usize = 512;
const STEPS_EACH: usize = 8;

/// How many without room to pass by, in a large group, before any other is taken.
const FULL: usize = 8;

/// How many to draw for the mean load of a large group.
const DRAWN: usize = 16;

/// How much of a prompt is read for its beginning, in bytes.
const BEGINNING: usize = 4_096;

/// What requests that belong together have in common, as a hash: what [`ConsistentHash`] asks of a
/// request. `None` if it belongs to no other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AffinityKey(pub Option<u64>);

impl AffinityKey {
    /// The key of a text, in a space of its own for each kind of text.
    #[must_use]
    pub fn of(kind: u64, text: &str) -> Self {
        Self(Some(xxh3_64_with_seed(text.as_bytes(), kind)))
    }

    /// The key of the beginning of a prompt: up to the end of the first message of the user, or
    /// 4 KiB. All turns of a conversation share that.
    #[must_use]
    pub fn of_prompt(request: &LlmRequest) -> Self {
        let beginning = beginning(request.prompt_bytes());
        Self((!beginning.is_empty()).then(|| xxh3_64_with_seed(beginning, 0)))
    }
}

impl Param<AffinityKey> for LlmRequest {
    /// The session, else the prompt cache key, else the user, else the beginning of the prompt.
    fn param(&self) -> AffinityKey {
        let named = [self.session(), self.prompt_cache_key(), self.user()];
        let mut named = (1..).zip(named);
        let named = named.find_map(|(kind, name)| Some((kind, name?)));
        match named {
            Some((kind, name)) => AffinityKey::of(kind, name),
            None => AffinityKey::of_prompt(self),
        }
    }
}

/// A prompt up to the end of the first message of the user.
///
/// The prompt is JSON that has been read before, so all that is looked for is where values end.
fn beginning(prompt: &[u8]) -> &[u8] {
    let prompt = &prompt[..prompt.len().min(BEGINNING)];
    if prompt.first() != Some(&b'[') {
        return prompt;
    }
    let (mut depth, mut in_text, mut escaped) = (0_u32, false, false);
    let (mut from, mut end) = (0, 0);
    for (at, byte) in prompt.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => {
                if depth == 1 {
                    from = at;
                }
                depth += 1;
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return &prompt[..end];
                }
                if depth == 1 {
                    end = at + 1;
                    if is_of_user(&prompt[from..end]) {
                        return &prompt[..end];
                    }
                }
            }
            b',' => {}
            _ if depth == 1 => end = at + 1,
            _ => {}
        }
    }
    prompt
}

fn is_of_user(message: &[u8]) -> bool {
    const ROLE: &[u8] = b"\"role\"";
    let role = message.windows(ROLE.len()).position(|part| part == ROLE);
    role.is_some_and(|at| {
        let mut rest = message[at + ROLE.len()..].iter();
        let value = rest.find(|byte| !byte.is_ascii_whitespace() && **byte != b':');
        value == Some(&b'"') && rest.as_slice().starts_with(b"user\"")
    })
}

/// Sends requests that belong together to the same deployment, as long as it has room: `affinity`.
///
/// The turns of a conversation find what the provider has cached of their prompt. They are those
/// with the same key: by default the session, else the prompt cache key, else the user, else the
/// beginning of the prompt. A request without a key is left to another strategy,
/// [`P2c`] if not [set](Self::otherwise).
///
/// Each deployment has points on a circle of hashes, as many as its share
/// ([`SimpleShuffle`](crate::SimpleShuffle) says what that is), and a key belongs to the next point.
/// No deployment gets more than 1.25 times its share of what is in flight, with this request and
/// rounded up; a request that finds it full, refusing or failing goes on round the circle, always
/// to the same one. So a session whose deployment fails moves once, stays where it is while that
/// lasts (but for a request now and then that finds out whether it does), and is back when it is
/// over. Where the list of deployments changes, only the keys of those that came or went move.
///
/// It keeps nothing of sessions: any number of routers with the same list send them to the same
/// deployment. It takes a constant time, unless nearly all deployments refuse. In a group of more
/// than 64 the mean load is that of 16 drawn at random, and a request that finds 8 without room
/// goes to the least busy of a sample.
///
/// Source: Mirrokni, Thorup, Zadimoghaddam, *Consistent Hashing with Bounded Loads* (SODA 2018).
///
/// # Differences from LiteLLM
///
/// Its affinity is a filter that remembers the deployment of each session, as that of this crate
/// does; this one needs no memory, bounds the load, and moves a session at once when its deployment
/// fails.
#[derive(Clone, Copy, Debug)]
pub struct ConsistentHash<P = P2c, X = FromParam> {
    bound: f64,
    otherwise: P,
    key: X,
}

impl ConsistentHash {
    /// With a load of at most 1.25 times the share.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bound: BOUND,
            otherwise: P2c::new(),
            key: FromParam,
        }
    }
}

impl<P, X> ConsistentHash<P, X> {
    /// Lets the load of a deployment be so many times its share: the more, the fewer requests go
    /// elsewhere. One that is not over 1 counts as 1.
    #[must_use]
    pub const fn bound(mut self, times: f64) -> Self {
        self.bound = if times > 1.0 { times } else { 1.0 };
        self
    }

    /// Chooses by that strategy for requests without a key.
    #[must_use]
    pub fn otherwise<Q>(self, strategy: Q) -> ConsistentHash<Q, X> {
        ConsistentHash {
            bound: self.bound,
            otherwise: strategy,
            key: self.key,
        }
    }

    /// Sets how a request is asked for its key: an
    /// [`Extract<AffinityKey, Request>`](ziggurat_core::Extract), such as a closure.
    #[must_use]
    pub fn key_by<Y>(self, extract: Y) -> ConsistentHash<P, Y> {
        ConsistentHash {
            bound: self.bound,
            otherwise: self.otherwise,
            key: extract,
        }
    }

    /// How many attempts may be in flight for each unit of share, with one more than now.
    fn load_of_share(&self, candidates: &Candidates<'_>) -> f64 {
        let (mut in_flight, mut shares) = (1.0, 0.0);
        let mut add = |candidate: Candidate<'_>| {
            if !candidate.is_failing() {
                in_flight += f64::from(candidate.in_flight());
                shares += candidates.share(&candidate) as f64;
            }
        };
        if candidates.tier().members.len() <= FEW {
            candidates.iter().for_each(&mut add);
        } else {
            candidates.draw_any(DRAWN).for_each(&mut add);
        }
        self.bound * in_flight / shares
    }
}

impl Default for ConsistentHash {
    fn default() -> Self {
        Self::new()
    }
}

impl<R, P, X> Strategy<R> for ConsistentHash<P, X>
where
    P: Strategy<R>,
    X: Extract<AffinityKey, R> + Send + Sync + 'static,
{
    fn pick(&self, request: &R, candidates: &Candidates<'_>) -> Option<usize> {
        let AffinityKey(Some(key)) = self.key.extract(request) else {
            return self.otherwise.pick(request, candidates);
        };
        let tier = candidates.tier();
        let first = tier.members.start;
        let ring = tier.ring.get_or_init(|| {
            let share = |at| candidates.share_at(at);
            Ring::new(candidates.tier_members(), share)
        });
        let mut load_of_share = None;
        let mut has_room = |candidate: &Candidate<'_>| {
            candidate.in_flight() == 0 || {
                let load = load_of_share.get_or_insert_with(|| self.load_of_share(candidates));
                let most = (*load * candidates.share(candidate) as f64).ceil();
                f64::from(candidate.in_flight()) + 1.0 <= most
            }
        };
        // Who has no room is met again at its other points.
        let mut full: SmallVec<[usize; FULL]> = SmallVec::new();
        let steps = STEPS.min(STEPS_EACH * tier.members.len());
        for place in ring.from(key).take(steps) {
            let Some(candidate) = candidates.get(first + place) else {
                continue;
            };
            if candidate.is_failing() || full.contains(&place) {
                continue;
            }
            if has_room(&candidate) {
                return Some(candidate.index());
            }
            full.push(place);
            if full.len() == FULL {
                break;
            }
        }
        candidates.least(|candidate| candidate.in_flight().into())
    }

    fn track(&self, group: &str) -> Track {
        self.otherwise.track(group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bits::Bits, strategy::testing::Members};

    struct Key(Option<u64>);

    impl Param<AffinityKey> for Key {
        fn param(&self) -> AffinityKey {
            AffinityKey(self.0)
        }
    }

    fn pick(members: &Members, key: Option<u64>) -> Option<usize> {
        let closed = Bits::default();
        ConsistentHash::new().pick(&Key(key), &members.candidates(&closed))
    }

    #[test]
    fn a_key_stays_and_keys_are_spread() {
        let members = Members::new(5);
        let mut counts = [0; 5];
        for key in 0..1_000_u64 {
            let key = Some(xxh3_64_with_seed(&key.to_le_bytes(), 0));
            let home = pick(&members, key).expect("one is picked");
            assert_eq!(pick(&members, key), Some(home));
            counts[home] += 1;
        }
        assert!(
            counts.iter().all(|count| (140..260).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn no_load_is_over_the_bound_whatever_the_keys() {
        let members = Members::new(4);
        for total in 1..=200_u32 {
            let picked = pick(&members, Some(7)).expect("one is picked");
            members.load(picked, 1);
            let load = members.cell(picked).load().see().in_flight();
            let most = (BOUND * f64::from(total) / 4.0).ceil();
            assert!(f64::from(load) <= most, "{load} of {total}");
        }
    }

    #[test]
    fn a_key_whose_home_fails_goes_to_the_same_other_one_and_returns() {
        let members = Members::new(6);
        let home = pick(&members, Some(9)).expect("one is picked");
        members.fail(home);
        let other = pick(&members, Some(9)).expect("one is picked");
        assert_ne!(other, home);
        for _ in 0..20 {
            assert_eq!(pick(&members, Some(9)), Some(other));
        }
        members.cell(home).health().succeed(0);
        assert_eq!(pick(&members, Some(9)), Some(home));
    }

    #[test]
    fn without_a_key_another_strategy_chooses() {
        let members = Members::new(2);
        let third = |_: &Key, _: &Candidates<'_>| Some(1);
        let closed = Bits::default();
        let strategy = ConsistentHash::new().otherwise(third);
        let candidates = members.candidates(&closed);
        for _ in 0..20 {
            assert_eq!(strategy.pick(&Key(None), &candidates), Some(1));
        }
    }

    fn key(body: &str) -> AffinityKey {
        let body = format!(r#"{{"model":"m",{body}}}"#);
        LlmRequest::from_bytes(ziggurat_core::Operation::ChatCompletions, body)
            .expect("it is a request")
            .param()
    }

    #[test]
    fn all_turns_of_a_conversation_have_one_key() {
        let system = r#"{"role":"system","content":"be ] brief, \" "}"#;
        let user = r#"{"content":[{"type":"text","text":"hi"}], "role" : "user"}"#;
        let first = key(&format!(r#""messages":[{system},{user}]"#));
        let answer = r#"{"role":"assistant","content":"ho"}"#;
        let later = key(&format!(r#""messages":[{system},{user},{answer},{user}]"#));
        assert_eq!(first, later);
        let other = key(&format!(r#""messages":[{system},{answer},{user}]"#));
        assert_ne!(first, other);
        assert!(first.0.is_some());
    }

    #[test]
    fn a_long_prompt_is_read_no_further_than_its_beginning() {
        let long = |end: &str| {
            let text = "x".repeat(2 * BEGINNING);
            key(&format!(
                r#""messages":[{{"role":"user","content":"{text}{end}"}}]"#
            ))
        };
        assert_eq!(long("a"), long("b"));
    }

    #[test]
    fn the_session_comes_before_the_cache_key_and_that_before_the_user() {
        let messages = r#""messages":[]"#;
        let user = key(&format!(r#""user":"x",{messages}"#));
        let cache = key(&format!(r#""user":"x","prompt_cache_key":"x",{messages}"#));
        assert_eq!(user, AffinityKey::of(3, "x"));
        assert_eq!(cache, AffinityKey::of(2, "x"));
        assert_eq!(key(messages), AffinityKey(None));
    }
}
