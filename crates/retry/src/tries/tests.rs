//! Decisions, one by one.

use tower::retry::budget::Budget;
use ziggurat_core::{HasLedger, LlmRequest, Scope};

use super::*;
use crate::{RetryBudget, RetryPolicy};

const SECOND: Duration = Duration::from_secs(1);

struct Case {
    settings: Settings,
    asked: Retries,
    ledger: Ledger,
    tries: Tries,
    now: Instant,
}

fn case() -> Case {
    let request = LlmRequest::chat("gpt", "hi");
    Case {
        settings: Settings::new(),
        asked: Retries::default(),
        ledger: request.ledger().expect("has one").clone(),
        tries: Tries::default(),
        now: Instant::now(),
    }
}

impl Case {
    fn retries(mut self, retries: u32) -> Self {
        self.settings.retries = retries;
        self
    }

    fn policy(mut self, policy: RetryPolicy) -> Self {
        self.settings.policy = policy;
        self
    }

    /// A budget of that many retries, and no more.
    fn budget(mut self, retries: u32) -> Self {
        let budget = RetryBudget::new(1000 * retries, 0);
        budget.deposit();
        self.settings.budget = Arc::new(budget);
        self.tries.deposited = true;
        self
    }

    fn untried(self, deployments: u32) -> Self {
        self.ledger.set_untried(deployments);
        self
    }

    /// One more deployment is asked and fails: the balancer's charge, and the decision.
    fn fails(&mut self, error: Error) -> Result<Duration, Error> {
        let deployment = Arc::new(Deployment::new("a", "gpt", "m"));
        let attempt = self.ledger.attempt(&deployment).expect("has one left");
        attempt.fail(&error);
        self.failed(error)
    }

    fn failed(&mut self, error: Error) -> Result<Duration, Error> {
        let moment = Moment {
            settings: &self.settings,
            asked: self.asked.clone(),
            ledger: Some(&self.ledger),
            now: self.now,
            jitter: 1.0,
        };
        self.tries.failed(error, &moment)
    }
}

fn error(kind: ErrorKind) -> Error {
    Error::new(kind, "failed")
}

fn throttled(seconds: u32) -> Error {
    error(ErrorKind::RateLimited).with_retry_after(seconds * SECOND)
}

fn resting(until: Instant) -> Error {
    let why = Rejection::new(Reason::Cooldown, Scope::Deployment).retry_at(until);
    Error::rejected(why, "rests")
}

#[test]
fn every_kind_follows_its_row_of_the_table() {
    for kind in ErrorKind::ALL {
        for untried in [0, 1] {
            let pause = case().untried(untried).failed(error(kind)).ok();
            let expected = match (kind.rule().retry, untried) {
                (Retry::Never, _) | (Retry::Elsewhere, 0) => None,
                (_, 1) => Some(Duration::ZERO),
                _ => Some(SECOND / 2),
            };
            assert_eq!(pause, expected, "{kind}, {untried} untried");
        }
    }
}

#[test]
fn a_number_for_a_kind_that_is_never_retried_is_carried_out() {
    for kind in ErrorKind::ALL {
        let never = kind.rule().retry == Retry::Never;
        let is_hard = matches!(
            kind,
            ErrorKind::Budget
                | ErrorKind::Rejected
                | ErrorKind::Cancelled
                | ErrorKind::Timeout(Clock::Total)
        );
        for (untried, pause) in [(1, Duration::ZERO), (0, SECOND / 2)] {
            let policy = RetryPolicy::new().of_kind(kind, 1);
            let mut case = case().policy(policy).untried(untried);
            let once = case.failed(error(kind)).ok();
            let expected = match kind.rule().retry {
                Retry::Never if is_hard => None,
                Retry::Elsewhere if untried == 0 => None,
                _ => Some(pause),
            };
            assert_eq!(once, expected, "{kind}, {untried} untried");
            if never {
                assert!(case.failed(error(kind)).is_err(), "{kind} twice");
            }
        }
    }
}

#[test]
fn a_number_for_all_kinds_has_nothing_retried_that_the_table_never_retries() {
    let all = RetryPolicy::new().otherwise(5);
    let none = RetryPolicy::new().of_kind(ErrorKind::BadRequest, 0);
    for policy in [all, none] {
        let mut case = case().policy(policy).untried(1);
        assert!(case.failed(error(ErrorKind::BadRequest)).is_err());
    }
    let mut case = case().untried(1);
    case.asked = Retries::new(5);
    case.settings.policy = RetryPolicy::new().of_kind(ErrorKind::BadRequest, 5);
    assert!(case.failed(error(ErrorKind::BadRequest)).is_err());
}

#[test]
fn each_failure_is_counted_by_its_own_kind() {
    let policy = RetryPolicy::new()
        .of_kind(ErrorKind::Internal, 1)
        .of_kind(ErrorKind::RateLimited, 3);
    let mut case = case().policy(policy).retries(0);
    assert!(case.failed(error(ErrorKind::Internal)).is_ok());
    assert!(case.failed(error(ErrorKind::RateLimited)).is_ok());
    assert!(case.failed(error(ErrorKind::RateLimited)).is_ok());
    assert!(case.failed(error(ErrorKind::Internal)).is_err());
}

#[test]
fn what_must_not_be_sent_twice_is_not_whatever_a_policy_says() {
    for kind in [ErrorKind::Internal, ErrorKind::BadRequest] {
        let mut case = case()
            .policy(RetryPolicy::new().of_kind(kind, 5))
            .untried(1);
        assert!(case.failed(error(kind).with_replayable(false)).is_err());
    }
}

#[test]
fn a_failure_that_is_final_stays_so_under_the_name_of_the_first() {
    let mut case = case();
    assert!(case.failed(error(ErrorKind::Overloaded)).is_ok());
    let last = error(ErrorKind::Internal).with_replayable(false);
    let reported = case.failed(last).expect_err("gives up");
    assert_eq!(reported.kind(), ErrorKind::Overloaded);
    assert!(!reported.is_replayable());
}

#[test]
fn a_dead_key_uses_up_no_retry_no_attempt_and_nothing_of_the_budget() {
    for kind in [ErrorKind::Authentication, ErrorKind::Permission] {
        let mut case = case().retries(0).budget(0).untried(1);
        case.ledger.set_attempts(1);
        for skipped in 1..=16 {
            let pause = case.fails(error(kind)).expect("is skipped");
            assert_eq!(pause, Duration::ZERO);
            case.tries.start(Some(&case.ledger)).expect("is allowed");
            assert_eq!(
                (case.ledger.attempts(), case.ledger.retries()),
                (skipped, 0)
            );
            assert_eq!(case.ledger.attempts_left(), 1);
        }
        assert!(case.fails(error(kind)).is_err(), "it counts as any other");
    }
}

#[test]
fn a_dead_key_is_not_skipped_where_there_is_no_other_or_the_request_wants_one_attempt() {
    let dead = || error(ErrorKind::Authentication);
    assert!(case().fails(dead()).is_err(), "no other");
    let mut none = case().untried(1);
    none.asked = Retries::new(0);
    assert!(none.fails(dead()).is_err(), "one attempt");
    let mut late = case().untried(1);
    late.ledger.limit(late.now + SECOND);
    let attempts = late.ledger.attempts_left();
    late.now += SECOND;
    assert!(late.failed(dead()).is_err(), "too late");
    assert_eq!(late.ledger.attempts_left(), attempts);
    let mut bound = case().untried(1);
    bound.asked = Retries::default().on(Arc::new(Deployment::new("a", "gpt", "m")));
    assert!(bound.fails(dead()).is_err(), "below the balancer");
    let mut own = case().untried(1).retries(0);
    let blames_client = dead().with_blame(Blame::Request);
    assert!(own.fails(blames_client).is_err(), "the client's own key");
}

#[test]
fn after_forgiven_keys_the_retries_are_all_there() {
    let mut case = case().untried(9);
    for _ in 0..9 {
        assert!(case.fails(error(ErrorKind::Authentication)).is_ok());
    }
    assert!(case.fails(error(ErrorKind::Internal)).is_ok());
    assert!(case.fails(error(ErrorKind::Internal)).is_ok());
    assert!(case.fails(error(ErrorKind::Internal)).is_err());
}

#[test]
fn in_a_group_with_tiers_what_is_untried_is_gone_on_to_without_retries() {
    let tiers = |case: &mut Case| case.ledger.set_has_tiers(true);
    let failover = |case: &mut Case| case.settings.failover = true;
    for set in [tiers as fn(&mut Case), failover] {
        for kind in [ErrorKind::Internal, ErrorKind::NotFound] {
            let mut case = case().retries(0).untried(1);
            set(&mut case);
            for _ in 0..5 {
                assert_eq!(case.fails(error(kind)).ok(), Some(Duration::ZERO));
            }
            assert!(case.fails(error(kind)).is_err(), "six attempts");
        }
    }
}

#[test]
fn tiers_give_nothing_to_what_may_not_go_on() {
    let mut tiers = case().retries(0);
    tiers.ledger.set_has_tiers(true);
    let internal = || error(ErrorKind::Internal);
    assert!(tiers.failed(internal()).is_err(), "all are tried");
    tiers.ledger.set_untried(1);
    for kind in [ErrorKind::BadRequest, ErrorKind::ContextWindow] {
        assert!(tiers.failed(error(kind)).is_err(), "{kind}");
    }
    tiers.asked = Retries::default().without_failover();
    assert!(tiers.failed(internal()).is_err(), "no fallbacks wanted");
    tiers.asked = Retries::new(0);
    assert!(tiers.failed(internal()).is_err(), "one attempt wanted");
    tiers.asked = Retries::default();
    assert!(tiers.failed(internal()).is_ok());
    let mut poor = case().retries(0).budget(0).untried(1);
    poor.ledger.set_has_tiers(true);
    assert!(poor.failed(internal()).is_err(), "no budget");
}

#[test]
fn a_throttled_request_does_not_wait_when_only_tiers_let_it_go_on() {
    let mut case = case().retries(0).budget(0).untried(1);
    case.ledger.set_has_tiers(true);
    assert!(case.fails(throttled(1)).is_err());
}

#[test]
fn without_attempts_left_there_is_no_retry_and_no_wait() {
    let mut case = case();
    case.ledger.set_attempts(0);
    assert!(case.failed(error(ErrorKind::Internal)).is_err());
    assert!(case.failed(resting(case.now + SECOND)).is_err());
}

#[test]
fn each_fallback_keeps_an_attempt_and_the_group_at_least_half_of_them() {
    for (attempts, fallbacks, expected) in [
        (6, 0, 6),
        (6, 1, 5),
        (6, 2, 4),
        (6, 9, 3),
        (3, 9, 2),
        (2, 1, 1),
        (1, 1, 1),
    ] {
        for untried in [0, 9] {
            let mut case = case().retries(99).untried(untried);
            case.ledger.set_attempts(attempts);
            case.ledger.set_fallbacks_left(fallbacks);
            let mut made = 1;
            while case.fails(error(ErrorKind::Internal)).is_ok() {
                made += 1;
            }
            assert_eq!(made, expected, "{attempts} attempts, {fallbacks} fallbacks");
        }
    }
}

#[test]
fn a_dead_key_leaves_the_attempts_of_the_fallbacks_alone() {
    let mut case = case().retries(99).untried(9);
    case.ledger.set_attempts(4);
    case.ledger.set_fallbacks_left(2);
    for kind in [ErrorKind::Authentication, ErrorKind::Internal] {
        assert!(case.fails(error(kind)).is_ok());
        assert!(case.ledger.attempts_left() > 2);
    }
    assert!(case.fails(error(ErrorKind::Internal)).is_err());
    assert_eq!(case.ledger.attempts_left(), 2);
}

#[test]
fn an_exhausted_budget_gives_the_error_back_at_once() {
    for untried in [0, 1] {
        let mut case = case().budget(0).untried(untried);
        let error = case.failed(error(ErrorKind::Overloaded).with_retry_after(SECOND));
        assert_eq!(error.expect_err("no retry").kind(), ErrorKind::Overloaded);
    }
}

#[test]
fn a_pause_that_a_429_asks_for_costs_a_retry_and_nothing_of_the_budget() {
    let mut case = case().budget(1);
    assert_eq!(case.failed(throttled(3)).ok(), Some(3 * SECOND));
    assert!(case.failed(error(ErrorKind::Internal)).is_ok());
    assert!(case.failed(throttled(3)).is_err(), "two retries");
    assert!(
        !case.settings.budget.withdraw(),
        "the other one was paid for"
    );
    let mut vague = self::case().budget(0);
    assert!(vague.failed(throttled(0)).is_err());
    assert!(vague.failed(error(ErrorKind::RateLimited)).is_err());
}

#[test]
fn a_throttled_request_waits_where_the_budget_lets_it_go_nowhere_else() {
    let mut case = case().budget(1).untried(2);
    assert_eq!(case.failed(throttled(3)).ok(), Some(Duration::ZERO));
    assert_eq!(case.failed(throttled(3)).ok(), Some(3 * SECOND));
}

#[test]
fn a_throttled_group_is_left_for_a_fallback_and_not_waited_for() {
    let mut case = case();
    case.ledger.set_fallbacks_left(1);
    assert!(case.failed(error(ErrorKind::RateLimited)).is_err());
    assert!(case.failed(resting(case.now + SECOND)).is_err());
    let overloaded = error(ErrorKind::Overloaded);
    assert!(case.failed(overloaded).is_ok(), "a blip is tried again");
}

#[test]
fn waits_for_resting_deployments_are_bounded_in_number_and_in_sum() {
    let mut case = case();
    let waits = std::iter::from_fn(|| case.failed(resting(case.now)).ok()).count();
    assert_eq!(waits as u32, MAX_RESTS);
    let mut case = self::case();
    for _ in 0..2 {
        let wait = case.failed(resting(case.now + 25 * SECOND));
        assert!(wait.is_ok_and(|wait| wait >= 25 * SECOND));
    }
    assert!(case.failed(resting(case.now + 25 * SECOND)).is_err());
}

#[test]
fn other_refusals_are_neither_waited_for_nor_retried_nor_charged() {
    let mut case = case();
    case.settings.budget = Arc::new(RetryBudget::new(1000, 0));
    let until = case.now + SECOND;
    for reason in [Reason::RateLimited, Reason::Busy, Reason::NoCandidate] {
        let why = Rejection::new(reason, Scope::Deployment).retry_at(until);
        assert!(case.failed(Error::rejected(why, "no")).is_err());
    }
    let unknown = Rejection::new(Reason::Cooldown, Scope::Deployment);
    assert!(case.failed(Error::rejected(unknown, "no")).is_err());
    assert!(!case.settings.budget.withdraw(), "nothing was deposited");
}

#[test]
fn a_group_that_rests_for_its_failures_is_waited_for() {
    let mut case = case();
    let why = Rejection::new(Reason::NoCandidate, Scope::Deployment)
        .retry_at(case.now + SECOND)
        .because_of(ErrorKind::RateLimited);
    assert!(case.failed(Error::rejected(why, "all rest")).is_ok());
}

#[test]
fn a_moment_that_is_asked_for_is_waited_once_although_a_fallback_is_left() {
    for (asked, waits) in [(2, true), (3, true), (4, false)] {
        let mut case = case();
        case.ledger.set_fallbacks_left(1);
        assert_eq!(case.failed(throttled(asked)).is_ok(), waits, "{asked} s");
    }
    let mut case = case();
    case.ledger.set_fallbacks_left(1);
    assert_eq!(case.failed(throttled(2)).ok(), Some(2 * SECOND));
    assert!(case.failed(throttled(2)).is_err(), "once");
    let mut case = self::case();
    case.ledger.set_fallbacks_left(1);
    case.settings.wait_before_fallback = Duration::ZERO;
    assert!(case.failed(throttled(2)).is_err());
}

#[test]
fn what_took_long_to_fail_is_not_repeated_while_a_fallback_is_left() {
    for (took, left, again) in [(9, 1, true), (11, 1, false), (11, 0, true)] {
        let mut case = case();
        case.ledger.set_fallbacks_left(left);
        let deployment = Arc::new(Deployment::new("a", "gpt", "m"));
        let attempt = case.ledger.attempt(&deployment).expect("has one left");
        case.now += took * SECOND;
        attempt.fail(&error(ErrorKind::StreamBroken));
        let failed = case.failed(error(ErrorKind::StreamBroken));
        assert_eq!(failed.is_ok(), again, "{took} s, {left} left");
    }
}

#[test]
fn the_first_failure_is_reported_and_a_refusal_does_not_hide_it() {
    let late = Error::rejected(Rejection::new(Reason::Busy, Scope::Request), "busy");
    for last in [late, Error::timeout(Clock::Total)] {
        let mut case = case().retries(9);
        assert!(case.failed(error(ErrorKind::Overloaded)).is_ok());
        assert!(case.failed(error(ErrorKind::BadAnswer)).is_ok());
        let reported = case.failed(last).expect_err("gives up");
        assert_eq!(reported.kind(), ErrorKind::Overloaded);
    }
}

#[test]
fn what_is_wrong_with_the_request_is_reported_whenever_it_comes() {
    for kinds in [
        [ErrorKind::Overloaded, ErrorKind::ContextWindow],
        [ErrorKind::Authentication, ErrorKind::ContextWindow],
    ] {
        let [first, last] = kinds.map(error);
        let mut case = case().retries(9).untried(1);
        assert!(case.fails(first).is_ok());
        let reported = case.fails(last).expect_err("gives up");
        assert_eq!(reported.kind(), ErrorKind::ContextWindow);
    }
}

#[test]
fn the_reported_failure_has_the_shortest_wait_that_was_asked_for() {
    for (first, last) in [(9, 4), (4, 9)] {
        let mut case = case().retries(1);
        assert!(case.failed(throttled(first)).is_ok());
        let reported = case.failed(throttled(last)).expect_err("gives up");
        assert_eq!(reported.retry_after(), Some(4 * SECOND));
    }
    let mut case = case().retries(1);
    assert!(case.failed(error(ErrorKind::Internal)).is_ok());
    let reported = case.failed(throttled(4)).expect_err("gives up");
    assert_eq!(reported.retry_after(), None);
}

#[test]
fn a_dead_key_is_reported_only_if_nothing_else_failed() {
    use ErrorKind::{Authentication, Internal, Overloaded, Permission};
    for (kinds, expected) in [
        ([Authentication, Internal, Overloaded], Internal),
        ([Internal, Authentication, Overloaded], Internal),
        ([Authentication, Permission, Internal], Internal),
        ([Permission, Authentication, Authentication], Permission),
    ] {
        let [first, second, last] = kinds.map(error);
        let mut case = case().untried(1);
        assert!(case.fails(first).is_ok());
        assert!(case.fails(second).is_ok());
        case.ledger.set_untried(0);
        case.settings.retries = 0;
        let reported = case.fails(last).expect_err("gives up");
        assert_eq!(reported.kind(), expected, "{kinds:?}");
    }
}

#[test]
fn below_the_balancer_each_retry_pauses_and_is_charged() {
    let deployment = Arc::new(Deployment::new("a", "gpt", "m"));
    let mut case = case().untried(5);
    let dispatched = case.ledger.attempt(&deployment).expect("is allowed");
    case.asked = Retries::default().on(Arc::clone(&deployment));
    let pause = case.failed(error(ErrorKind::Internal));
    assert_eq!(pause.expect("is tried again"), SECOND / 2);
    assert_eq!(case.ledger.attempts(), 1, "charged with the dispatch only");
    case.tries.start(Some(&case.ledger)).expect("is allowed");
    dispatched.answering();
    assert_eq!(case.ledger.attempts(), 2);
    assert!(case.failed(error(ErrorKind::Authentication)).is_err());
    assert!(case.failed(resting(case.now + SECOND)).is_err());
}
