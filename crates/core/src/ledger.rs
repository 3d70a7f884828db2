//! What one request has used up: time and attempts.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::{
    Clock, Deployment, DeploymentId, End, Error, Money, Observer, Outcome, Reason, Rejection,
    RequestId, Scope, Trail, UniqueId,
};

/// How many attempts a request may make if nobody says otherwise.
pub const DEFAULT_ATTEMPTS: u32 = 6;

/// How many attempts that met a dead credential a request may make beyond its own.
const MAX_FORGIVEN: u32 = 16;

/// How many failed groups a request remembers.
const MAX_FAILURES: usize = 16;

const NO_DEADLINE: u64 = u64::MAX;

/// A request that may carry a [`Ledger`].
///
/// A request without one is served by each layer's own limits alone. Give your request type a
/// ledger, or implement this with `None`.
pub trait HasLedger {
    /// The ledger.
    fn ledger(&self) -> Option<&Ledger>;
}

impl HasLedger for () {
    fn ledger(&self) -> Option<&Ledger> {
        None
    }
}

impl HasLedger for &str {
    fn ledger(&self) -> Option<&Ledger> {
        None
    }
}

impl HasLedger for String {
    fn ledger(&self) -> Option<&Ledger> {
        None
    }
}

impl<B> HasLedger for http::Request<B> {
    /// Found among the extensions.
    fn ledger(&self) -> Option<&Ledger> {
        self.extensions().get()
    }
}

/// The account of one request, shared by all its clones: its deadline, the attempts it may still
/// make, the deployments it has tried, and the trail of what happened.
///
/// `retry`, `fallback` and `hedge` all draw on it, so however they are nested, the number of
/// dispatches and the time they take are bounded once.
#[derive(Clone)]
pub struct Ledger(Arc<Shared>);

struct Shared {
    id: UniqueId,
    name: OnceLock<Arc<str>>,
    pin: OnceLock<DeploymentId>,
    started: Instant,
    /// Nanoseconds after `started`.
    deadline: AtomicU64,
    attempts_left: AtomicU32,
    retries: AtomicU32,
    fallbacks: AtomicU32,
    fallbacks_left: AtomicU32,
    untried: AtomicU32,
    forgiven: AtomicU32,
    /// Nanoseconds.
    queued: AtomicU64,
    /// Nanoseconds.
    paused: AtomicU64,
    has_tiers: AtomicBool,
    takes_refusals: AtomicBool,
    is_altered: AtomicBool,
    trail: Mutex<Trail>,
    route: Mutex<Option<Arc<str>>>,
    failures: Mutex<Vec<Error>>,
    spent: Mutex<Money>,
}

impl Ledger {
    /// A ledger without a deadline, for [`DEFAULT_ATTEMPTS`] attempts, that begins now.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            id: UniqueId::next(),
            name: OnceLock::new(),
            pin: OnceLock::new(),
            started: Instant::now(),
            deadline: AtomicU64::new(NO_DEADLINE),
            attempts_left: AtomicU32::new(DEFAULT_ATTEMPTS),
            retries: AtomicU32::new(0),
            fallbacks: AtomicU32::new(0),
            fallbacks_left: AtomicU32::new(0),
            untried: AtomicU32::new(0),
            forgiven: AtomicU32::new(0),
            queued: AtomicU64::new(0),
            paused: AtomicU64::new(0),
            has_tiers: AtomicBool::new(false),
            takes_refusals: AtomicBool::new(false),
            is_altered: AtomicBool::new(false),
            trail: Mutex::default(),
            route: Mutex::default(),
            failures: Mutex::default(),
            spent: Mutex::default(),
        }))
    }

    /// Names the request, as the application calls it; the first name stays.
    pub fn set_name(&self, name: impl Into<Arc<str>>) {
        drop(self.0.name.set(name.into()));
    }

    /// Lets the request go to this deployment alone, since nobody else has what it is about; the
    /// first one stays.
    pub fn pin(&self, to: DeploymentId) {
        drop(self.0.pin.set(to));
    }

    /// The only deployment that the request may go to, if there is one.
    #[must_use]
    pub fn pinned(&self) -> Option<&DeploymentId> {
        self.0.pin.get()
    }

    /// The name of the request: what was set, or a number of its own.
    #[must_use]
    pub fn request_id(&self) -> RequestId {
        RequestId::new(self.0.name.get(), self.0.id)
    }

    /// When the request began.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.0.started
    }

    /// Sets how many attempts the request may still make.
    pub fn set_attempts(&self, attempts: u32) {
        self.0.attempts_left.store(attempts, Relaxed);
    }

    /// How many attempts the request may still make.
    #[must_use]
    pub fn attempts_left(&self) -> u32 {
        self.0.attempts_left.load(Relaxed)
    }

    /// Brings the deadline forward to `at`; a deadline is never moved back.
    pub fn limit(&self, at: Instant) {
        let nanos = at.saturating_duration_since(self.0.started).as_nanos();
        self.0
            .deadline
            .fetch_min(nanos.try_into().unwrap_or(NO_DEADLINE), Relaxed);
    }

    /// The moment after which nothing is started any more.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.0.deadline.load(Relaxed) {
            NO_DEADLINE => None,
            nanos => Some(self.0.started + Duration::from_nanos(nanos)),
        }
    }

    /// Whether waiting until `at` leaves time for an attempt.
    #[must_use]
    pub fn allows(&self, at: Instant) -> bool {
        self.deadline().is_none_or(|deadline| at < deadline)
    }

    /// Starts an attempt: charges it, and enters the deployment among those tried.
    ///
    /// # Errors
    ///
    /// If the deadline has passed, or no attempt is left.
    pub fn attempt(&self, deployment: &Arc<Deployment>) -> Result<Attempt, Error> {
        let now = Instant::now();
        if !self.allows(now) {
            return Err(Error::timeout(Clock::Total));
        }
        let charge = |left: u32| left.checked_sub(1);
        if self
            .0
            .attempts_left
            .fetch_update(Relaxed, Relaxed, charge)
            .is_err()
        {
            let rejection = Rejection::new(Reason::Attempts, Scope::Request);
            return Err(Error::rejected(
                rejection,
                "the request has used up its attempts",
            ));
        }
        let number = self.0.trail.lock().begin(Arc::clone(deployment), now);
        Ok(Attempt {
            ledger: self.clone(),
            number,
            settled: false,
        })
    }

    /// The deployments that have been tried, attempts that still run included, as they are
    /// configured.
    #[must_use]
    pub fn tried(&self) -> SmallVec<[DeploymentId; 4]> {
        self.0
            .trail
            .lock()
            .entries()
            .iter()
            .map(|entry| entry.deployment().public_id().clone())
            .collect()
    }

    /// How many attempts have been dispatched.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.0.trail.lock().entries().len()
    }

    /// What happened so far.
    #[must_use]
    pub fn trail(&self) -> Trail {
        self.0.trail.lock().clone()
    }

    /// Reads what happened so far without copying it.
    pub fn with_trail<T>(&self, read: impl FnOnce(&Trail) -> T) -> T {
        read(&self.0.trail.lock())
    }

    /// Notes why the request goes to another group than the one it named: for the client to see.
    pub fn note_route(&self, why: impl Into<Arc<str>>) {
        *self.0.route.lock() = Some(why.into());
    }

    /// Why the request goes to another group than the one it named.
    #[must_use]
    pub fn route(&self) -> Option<Arc<str>> {
        self.0.route.lock().clone()
    }

    /// Notes a try again in the same group.
    pub fn note_retry(&self) {
        self.0.retries.fetch_add(1, Relaxed);
    }

    /// How often the request was tried again in the same group.
    #[must_use]
    pub fn retries(&self) -> u32 {
        self.0.retries.load(Relaxed)
    }

    /// Notes a time that the request has waited in a queue of ours.
    pub fn note_queued(&self, time: Duration) {
        add(&self.0.queued, time);
    }

    /// How long the request has waited in queues of ours.
    #[must_use]
    pub fn queued(&self) -> Duration {
        Duration::from_nanos(self.0.queued.load(Relaxed))
    }

    /// Notes a pause before a try again.
    pub fn note_paused(&self, time: Duration) {
        add(&self.0.paused, time);
    }

    /// How long the request has paused before tries again.
    #[must_use]
    pub fn paused(&self) -> Duration {
        Duration::from_nanos(self.0.paused.load(Relaxed))
    }

    /// Notes a move to another group.
    pub fn note_fallback(&self) {
        self.0.fallbacks.fetch_add(1, Relaxed);
    }

    /// How often the request moved to another group.
    #[must_use]
    pub fn fallbacks(&self) -> u32 {
        self.0.fallbacks.load(Relaxed)
    }

    /// Says how many other groups the request could still move to: the fallback layer's word to
    /// those beneath it, which then need not wait for a deployment that rests.
    pub fn set_fallbacks_left(&self, groups: u32) {
        self.0.fallbacks_left.store(groups, Relaxed);
    }

    /// How many other groups the request could still move to.
    #[must_use]
    pub fn fallbacks_left(&self) -> u32 {
        self.0.fallbacks_left.load(Relaxed)
    }

    /// Says how many deployments of the group were neither tried nor known to refuse when the
    /// last one was chosen: the balancer's word to the retry layer, which then need not pause.
    pub fn set_untried(&self, deployments: u32) {
        self.0.untried.store(deployments, Relaxed);
    }

    /// How many deployments of the group are neither tried nor known to refuse.
    #[must_use]
    pub fn untried(&self) -> u32 {
        self.0.untried.load(Relaxed)
    }

    /// Says whether the group that was chosen from last has tiers: the balancer's word to the retry
    /// layer, which then goes on to the next one, however many retries there are.
    pub fn set_has_tiers(&self, has_tiers: bool) {
        self.0.has_tiers.store(has_tiers, Relaxed);
    }

    /// Whether the group that was chosen from last has tiers.
    #[must_use]
    pub fn has_tiers(&self) -> bool {
        self.0.has_tiers.load(Relaxed)
    }

    /// Gives back the last attempt, which met a credential that is dead: that is no fault of the
    /// request, and says nothing of the next deployment. It stays in the trail. Returns whether it
    /// was given back: a request is forgiven sixteen times.
    #[must_use]
    pub fn forgive(&self) -> bool {
        let more = |forgiven: u32| (forgiven < MAX_FORGIVEN).then(|| forgiven + 1);
        let is_forgiven = (self.0.forgiven)
            .fetch_update(Relaxed, Relaxed, more)
            .is_ok();
        if is_forgiven {
            self.0.attempts_left.fetch_add(1, Relaxed);
        }
        is_forgiven
    }

    /// Says whether an answer that declines the content is of use as a failure, since another group
    /// could answer: the fallback layer's word to whoever reads answers.
    pub fn set_takes_refusals(&self, takes: bool) {
        self.0.takes_refusals.store(takes, Relaxed);
    }

    /// Whether an answer that declines the content is of use as a failure.
    #[must_use]
    pub fn takes_refusals(&self) -> bool {
        self.0.takes_refusals.load(Relaxed)
    }

    /// Notes that somebody is asked something else than the client wrote: with other values, or to go
    /// on with the answer of another deployment. What comes of it answers no other request.
    pub fn note_altered(&self) {
        self.0.is_altered.store(true, Relaxed);
    }

    /// Whether somebody was asked something else than the client wrote.
    #[must_use]
    pub fn is_altered(&self) -> bool {
        self.0.is_altered.load(Relaxed)
    }

    /// Adds what one of its attempts cost: the word of the one layer that charges, said once for each
    /// attempt.
    pub fn add_cost(&self, cost: Money) {
        *self.0.spent.lock() += cost;
    }

    /// What its attempts have cost so far, as far as prices are known.
    ///
    /// Where an answer ends, or is dropped, its attempts have settled before those hear of it who
    /// stand above the layer that charges.
    #[must_use]
    pub fn spent(&self) -> Money {
        *self.0.spent.lock()
    }

    /// Remembers why a group failed; of the first sixteen.
    pub fn note_failure(&self, error: &Error) {
        let mut failures = self.0.failures.lock();
        if failures.len() < MAX_FAILURES {
            failures.push(error.duplicate());
        }
    }

    /// Why the groups failed that were asked so far, in order.
    #[must_use]
    pub fn failures(&self) -> Vec<Error> {
        let failures = self.0.failures.lock();
        failures.iter().map(Error::duplicate).collect()
    }

    fn update(&self, number: u32, outcome: Outcome) {
        self.0.trail.lock().update(number, outcome);
    }
}

fn add(sum: &AtomicU64, time: Duration) {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    sum.fetch_add(nanos, Relaxed);
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("attempts_left", &self.attempts_left())
            .field("deadline", &self.deadline())
            .field("trail", &format_args!("{}", self.0.trail.lock()))
            .finish_non_exhaustive()
    }
}

/// An attempt that runs. It is attached to the response and learns how that ended; dropped before,
/// it is abandoned.
#[derive(Debug)]
pub struct Attempt {
    ledger: Ledger,
    number: u32,
    settled: bool,
}

impl Attempt {
    /// Nothing was sent after all: the attempt is given back and the deployment counts as untried.
    pub fn refund(mut self) {
        self.settled = true;
        self.ledger.0.trail.lock().remove(self.number);
        self.ledger.0.attempts_left.fetch_add(1, Relaxed);
    }

    /// It failed before an answer began.
    pub fn fail(mut self, error: &Error) {
        self.settle(Outcome::Failed(error.kind()));
    }

    /// An answer has begun.
    pub fn answering(&self) {
        self.ledger.update(self.number, Outcome::Answering);
    }

    fn settle(&mut self, outcome: Outcome) {
        if !std::mem::replace(&mut self.settled, true) {
            self.ledger.update(self.number, outcome);
        }
    }
}

impl Observer for Attempt {
    fn end(&mut self, end: End<'_>) {
        self.settle(match end {
            End::Complete { .. } => Outcome::Complete,
            End::Failed(error) => Outcome::Failed(error.kind()),
            End::Abandoned => Outcome::Abandoned,
        });
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.settle(Outcome::Abandoned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn deployment(id: &str) -> Arc<Deployment> {
        Arc::new(Deployment::new(id, "g", "m"))
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_are_bounded_and_a_refunded_one_does_not_count() {
        let ledger = Ledger::new();
        ledger.set_attempts(1);
        ledger
            .attempt(&deployment("a"))
            .expect("one is left")
            .refund();
        assert_eq!((ledger.attempts(), ledger.tried().len()), (0, 0));
        let _runs = ledger.attempt(&deployment("b")).expect("one is left");
        let error = ledger.attempt(&deployment("c")).expect_err("none is left");
        assert_eq!(
            error.rejection().map(Rejection::scope),
            Some(Scope::Request)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_starts_after_the_deadline_and_a_deadline_never_moves_back() {
        let ledger = Ledger::new();
        let deadline = Instant::now() + Duration::from_secs(1);
        ledger.limit(deadline);
        ledger.limit(deadline + Duration::from_secs(9));
        assert_eq!(ledger.deadline(), Some(deadline));
        tokio::time::advance(Duration::from_secs(1)).await;
        let error = ledger
            .attempt(&deployment("a"))
            .expect_err("it is too late");
        assert_eq!(error.kind(), ErrorKind::Timeout(Clock::Total));
    }

    #[tokio::test(start_paused = true)]
    async fn the_trail_tells_each_attempts_outcome_and_time() {
        let ledger = Ledger::new();
        let first = ledger.attempt(&deployment("a")).expect("allowed");
        tokio::time::advance(Duration::from_millis(12)).await;
        first.fail(&Error::new(ErrorKind::RateLimited, "slow down"));
        let second = ledger.attempt(&deployment("b")).expect("allowed");
        tokio::time::advance(Duration::from_millis(340)).await;
        second.answering();
        assert_eq!(
            ledger.trail().to_string(),
            "a=rate_limited/12ms, b=ok/340ms"
        );
        assert_eq!(
            ledger
                .trail()
                .served()
                .map(|e| e.deployment().id().to_string())
                .as_deref(),
            Some("b")
        );
        drop(second);
        assert_eq!(
            ledger.trail().to_string(),
            "a=rate_limited/12ms, b=abandoned/340ms"
        );
    }
}
