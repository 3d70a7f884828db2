//! The breaker by hand-fed times, and against a model.

mod model;

use ziggurat_core::{Clock, Cooling, Deployment};

use super::*;

const TIME: Duration = Duration::from_secs(5);

#[test]
fn an_always_failing_target_is_asked_five_times_in_its_first_minute() {
    let mut test = Test::new();
    let mut asked = Vec::new();
    for tenth in 0..600 {
        test.at(f64::from(tenth) / 10.0);
        if let Ok(admission) = test.admit() {
            asked.push(f64::from(tenth) / 10.0);
            test.fail(admission, ErrorKind::Internal);
        }
    }
    assert_eq!(asked, [0.0, 0.1, 0.2, 5.2, 25.2]);
}

#[test]
fn failures_in_a_row_rest_it_however_far_apart_they_are() {
    let mut test = Test::new();
    for hour in 0..3 {
        assert_eq!(test.state(), State::Closed);
        test.at(f64::from(hour) * 3600.0);
        test.fails(ErrorKind::StreamBroken);
    }
    assert_eq!(test.rests_for(), Some(5.0));
}

#[test]
fn a_success_between_failures_starts_the_row_anew() {
    let mut test = Test::new();
    for _ in 0..2 {
        test.fails(ErrorKind::Internal);
        test.fails(ErrorKind::Internal);
        for _ in 0..4 {
            test.succeeds();
        }
    }
    assert_eq!(test.state(), State::Closed);
}

#[test]
fn more_than_half_failures_rest_it_though_successes_come_between() {
    let mut test = Test::new();
    for _ in 0..2 {
        test.fails(ErrorKind::Timeout(Clock::FirstToken));
        test.succeeds();
    }
    assert_eq!(test.state(), State::Closed, "there were four requests");
    test.fails(ErrorKind::Timeout(Clock::FirstToken));
    assert_eq!(test.rests_for(), Some(5.0));
}

#[test]
fn what_failed_before_the_window_does_not_count_towards_the_share() {
    let mut test = Test::new();
    for _ in 0..2 {
        test.fails(ErrorKind::Internal);
        test.succeeds();
    }
    test.at(61.0);
    test.fails(ErrorKind::Internal);
    assert_eq!(test.state(), State::Closed);
}

#[test]
fn one_is_enough_of_what_cools_at_once() {
    for kind in ErrorKind::ALL {
        let mut test = Test::new();
        test.fails(kind);
        let at_once = kind.rule().cooling == Cooling::AtOnce;
        assert_eq!(test.rests_for().is_some(), at_once, "{kind}");
    }
}

#[test]
fn what_cools_nothing_changes_nothing_however_often() {
    let nothing = |kind: &ErrorKind| kind.rule().cooling == Cooling::None;
    for kind in ErrorKind::ALL.into_iter().filter(nothing) {
        let mut test = Test::new();
        for _ in 0..100 {
            test.fails(kind);
        }
        assert_eq!(test.state(), State::Closed, "{kind}");
        assert!(test.breaker.is_idle(), "{kind}");
    }
}

#[test]
fn a_throttled_target_rests_as_long_as_it_asks_up_to_the_limit() {
    let rests_for = |kind, asked: f64| {
        let mut test = Test::new();
        let admission = test.admit().expect("is closed");
        test.fail_with(admission, kind, Some(Duration::from_secs_f64(asked)));
        test.rests_for()
    };
    assert_eq!(rests_for(ErrorKind::RateLimited, 1.0), Some(1.0));
    assert_eq!(rests_for(ErrorKind::RateLimited, 90.0), Some(90.0));
    assert_eq!(rests_for(ErrorKind::RateLimited, 86_400.0), Some(600.0));
    assert_eq!(rests_for(ErrorKind::NotFound, 1.0), Some(5.0));
}

#[test]
fn a_later_end_replaces_an_earlier_one_and_never_the_other_way() {
    let mut test = Test::new();
    let [first, second, third] = [(); 3].map(|()| test.admit().expect("is closed"));
    let secs = |secs| Some(Duration::from_secs(secs));
    test.fail_with(first, ErrorKind::RateLimited, secs(10));
    test.fail_with(second, ErrorKind::RateLimited, secs(2));
    assert_eq!(test.rests_for(), Some(10.0));
    test.fail_with(third, ErrorKind::RateLimited, secs(30));
    assert_eq!(test.rests_for(), Some(30.0));
}

#[test]
fn neither_a_shorter_retry_after_nor_none_shortens_a_rest() {
    for other in [Some(Duration::from_secs(1)), Some(Duration::ZERO), None] {
        let mut test = Test::new();
        let [first, second] = [(); 2].map(|()| test.admit().expect("is closed"));
        test.fail_with(first, ErrorKind::RateLimited, Some(Duration::from_secs(90)));
        test.fail_with(second, ErrorKind::RateLimited, other);
        assert_eq!(test.rests_for(), Some(90.0), "{other:?}");
    }
}

#[test]
fn a_kind_that_is_named_is_counted_by_its_own_number_whatever_the_table_says() {
    for kind in [
        ErrorKind::RateLimited,
        ErrorKind::Authentication,
        ErrorKind::BadRequest,
        ErrorKind::Internal,
    ] {
        let mut test = Test::new();
        test.policy = CooldownPolicy::new().allowed_fails_of(kind, 6);
        for _ in 0..6 {
            test.fails(kind);
            assert_eq!(test.state(), State::Closed, "{kind}");
        }
        test.fails(kind);
        assert_eq!(test.rests_for(), Some(5.0), "{kind}");
    }
}

#[test]
fn what_is_counted_by_name_counts_towards_nothing_else() {
    let mut test = Test::new();
    test.policy = CooldownPolicy::new().allowed_fails_of(ErrorKind::BadAnswer, 100);
    for _ in 0..50 {
        test.fails(ErrorKind::BadAnswer);
    }
    test.fails(ErrorKind::Internal);
    test.fails(ErrorKind::Internal);
    assert_eq!(test.state(), State::Closed);
    test.fails(ErrorKind::Internal);
    assert_eq!(test.rests_for(), Some(5.0));
}

#[test]
fn a_success_starts_the_rows_of_all_names_anew() {
    let mut test = Test::new();
    let names = [ErrorKind::RateLimited, ErrorKind::NotFound];
    for name in names {
        test.policy = test.policy.allowed_fails_of(name, 1);
    }
    for _ in 0..3 {
        for name in names {
            test.fails(name);
        }
        assert_eq!(test.state(), State::Closed);
        test.succeeds();
    }
}

#[test]
fn all_clocks_of_an_attempt_count_under_one_name() {
    let mut test = Test::new();
    let name = ErrorKind::Timeout(Clock::Attempt);
    test.policy = CooldownPolicy::new().allowed_fails_of(name, 3);
    for clock in [Clock::Connect, Clock::FirstToken, Clock::Idle] {
        test.fails(ErrorKind::Timeout(clock));
        test.fails(ErrorKind::Timeout(Clock::Total));
    }
    assert_eq!(test.state(), State::Closed);
    test.fails(ErrorKind::Timeout(Clock::Attempt));
    assert_eq!(test.rests_for(), Some(5.0));
}

#[test]
fn a_share_of_failures_rests_nobody_before_more_than_the_allowed_ones_failed() {
    let mut test = Test::new();
    test.policy = CooldownPolicy::new().allowed_fails(9);
    for _ in 0..9 {
        test.fails(ErrorKind::Internal);
        assert_eq!(test.state(), State::Closed);
    }
    test.fails(ErrorKind::Internal);
    assert_eq!(test.rests_for(), Some(5.0));
}

#[test]
fn its_health_tells_what_was_counted_and_since_when_it_is_back() {
    let mut test = Test::new();
    let health = |test: &Test| test.breaker.health(test.now);
    assert_eq!(health(&test), Health::NEW);
    test.fails(ErrorKind::Internal);
    test.fails(ErrorKind::RateLimited);
    let rested = health(&test);
    let until = test.began + TIME;
    let because = ErrorKind::RateLimited;
    assert_eq!(rested.state, State::Resting { until, because });
    assert_eq!((rested.failures, rested.rests), (2, 1));
    test.at(5.0);
    test.fails(ErrorKind::Internal);
    assert_eq!((health(&test).failures, health(&test).rests), (3, 2));
    test.at(25.0);
    test.succeeds();
    let back_since = Some(test.now);
    let expected = Health {
        back_since,
        ..Health::NEW
    };
    test.at(30.0);
    test.succeeds();
    assert_eq!(health(&test), expected, "it came back at its probe");
    test.fails(ErrorKind::RateLimited);
    assert_eq!(health(&test).back_since, None);
}

#[test]
fn after_a_rest_one_probe_goes_and_others_are_told_to_come_back_soon() {
    let mut test = Test::resting();
    let refusal = test.admit().expect_err("rests");
    assert_eq!(refusal.retry_at, test.began + TIME);
    test.at(5.0);
    let probe = test.admit().expect("is over");
    assert!(matches!(probe, Admission::Probe(_)));
    let refusal = test.admit().expect_err("is probed");
    assert_eq!(refusal.retry_at, test.now + PROBE_PAUSE);
    test.succeed(probe);
    assert_eq!(test.state(), State::Closed);
    assert!(test.breaker.is_idle(), "what was counted is forgotten");
}

#[test]
fn failed_probes_make_rests_longer_and_a_good_one_makes_them_short_again() {
    let mut test = Test::resting();
    let mut rests = Vec::new();
    for _ in 0..4 {
        test.now += Duration::from_secs_f64(test.rests_for().expect("rests"));
        test.fails(ErrorKind::Internal);
        rests.extend(test.rests_for());
    }
    assert_eq!(rests, [20.0, 40.0, 40.0, 40.0]);
    test.now += Duration::from_secs(40);
    test.succeeds();
    test.fails(ErrorKind::RateLimited);
    assert_eq!(test.rests_for(), Some(5.0));
}

#[test]
fn a_probe_that_nobody_waits_for_makes_room_and_changes_nothing_else() {
    let mut test = Test::resting();
    test.at(5.0);
    let because = ErrorKind::RateLimited;
    for _ in 0..3 {
        let probe = test.admit().expect("is free");
        assert!(test.admit().is_err());
        test.breaker.abandon(probe, test.now);
        assert_eq!(test.state(), State::HalfOpen { because });
    }
}

#[test]
fn a_probe_that_takes_longer_than_a_rest_keeps_no_other_away() {
    let mut test = Test::resting();
    test.at(5.0);
    let slow = test.admit().expect("is free");
    test.at(9.95);
    let refusal = test.admit().expect_err("is probed");
    assert_eq!(refusal.retry_at, test.began + Duration::from_secs(10));
    test.at(10.0);
    test.admit().expect("is free again");
    test.breaker.abandon(slow, test.now);
    assert!(test.admit().is_err(), "the second one still runs");
}

#[test]
fn what_was_admitted_before_a_rest_neither_ends_it_nor_fails_its_probe() {
    let mut test = Test::new();
    let [old, other] = [(); 2].map(|()| test.admit().expect("is closed"));
    test.fails(ErrorKind::RateLimited);
    test.succeed(old);
    assert_eq!(test.rests_for(), Some(5.0));
    test.at(5.0);
    let _probe = test.admit().expect("is over");
    test.succeed(old);
    test.fail(other, ErrorKind::Internal);
    let because = ErrorKind::RateLimited;
    assert_eq!(test.state(), State::HalfOpen { because });
}

#[test]
fn who_is_spared_serves_and_rests_at_the_next_failure_that_may_rest_it() {
    let mut test = Test::new();
    for _ in 0..9 {
        let admission = test.admit().expect("is closed");
        test.notes(admission, ErrorKind::Internal, None);
        test.breaker.spare();
    }
    assert_eq!(test.state(), State::Closed);
    test.fails(ErrorKind::Internal);
    assert_eq!(test.rests_for(), Some(5.0));
}

struct Test {
    breaker: Breaker,
    policy: CooldownPolicy,
    began: Instant,
    now: Instant,
}

impl Test {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            breaker: Breaker::new(now),
            policy: CooldownPolicy::new(),
            began: now,
            now,
        }
    }

    fn resting() -> Self {
        let mut test = Self::new();
        test.fails(ErrorKind::RateLimited);
        test
    }

    fn at(&mut self, secs: f64) {
        self.now = self.began + Duration::from_secs_f64(secs);
    }

    fn admit(&mut self) -> Result<Admission, Refusal> {
        self.breaker.admit(TIME, self.now)
    }

    fn succeed(&mut self, admission: Admission) {
        self.breaker.success(admission, &self.policy, self.now);
    }

    fn succeeds(&mut self) {
        let admission = self.admit().expect("is not resting");
        self.succeed(admission);
    }

    fn fail_with(&mut self, admission: Admission, kind: ErrorKind, retry_after: Option<Duration>) {
        if let Some(rest) = self.notes(admission, kind, retry_after) {
            self.breaker.rest(rest, self.now);
        }
    }

    /// Notes a failure and rests nobody.
    fn notes(
        &mut self,
        admission: Admission,
        kind: ErrorKind,
        retry_after: Option<Duration>,
    ) -> Option<Rest> {
        let deployment = Deployment::new("a", "gpt", "m");
        let failure = Failure {
            kind,
            blame: kind.rule().blame,
            retry_after,
            allowance: self.policy.allowance(&deployment, kind),
        };
        self.breaker
            .failure(failure, admission, &self.policy, TIME, self.now)
    }

    fn fail(&mut self, admission: Admission, kind: ErrorKind) {
        self.fail_with(admission, kind, None);
    }

    fn fails(&mut self, kind: ErrorKind) {
        let admission = self.admit().expect("is not resting");
        self.fail(admission, kind);
    }

    fn state(&self) -> State {
        self.breaker.state(self.now)
    }

    /// How many seconds of a rest are left.
    fn rests_for(&self) -> Option<f64> {
        match self.state() {
            State::Resting { until, .. } => Some((until - self.now).as_secs_f64()),
            _ => None,
        }
    }
}
