//! The breaker against a model that remembers everything.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u64),
    Admit,
    Succeed(usize),
    Fail(usize, ErrorKind),
    Abandon(usize),
}

/// One that would rest it at once, and one that would not count, were they not named.
const NAMED: [(ErrorKind, u32); 2] = [(ErrorKind::NotFound, 1), (ErrorKind::Unprocessable, 3)];

fn step() -> impl Strategy<Value = Step> {
    const KINDS: &[ErrorKind] = &[
        ErrorKind::Internal,
        ErrorKind::RateLimited,
        ErrorKind::BadRequest,
        NAMED[0].0,
        NAMED[1].0,
    ];
    prop_oneof![
        (0_u64..8_000).prop_map(Step::Wait),
        Just(Step::Admit),
        Just(Step::Admit),
        any::<usize>().prop_map(Step::Succeed),
        (any::<usize>(), prop::sample::select(KINDS)).prop_map(|(i, k)| Step::Fail(i, k)),
        any::<usize>().prop_map(Step::Abandon),
    ]
}

/// The same in the plainest way: it remembers everything and looks through it each time.
#[derive(Default)]
struct Model {
    /// How each request ended while closed, since it last closed: of what it failed.
    log: Vec<Option<ErrorKind>>,
    /// When each rest since it last closed ends.
    rests: Vec<u64>,
    /// How many of them followed a failed probe.
    failed_probes: u32,
    /// The probes since the last rest: when they began, and whether they were given up.
    probes: Vec<(u64, Admission, bool)>,
    probed: u64,
}

impl Model {
    fn half_open(&self, now: u64) -> bool {
        self.rests.last().is_some_and(|until| *until <= now)
    }

    fn admit(&mut self, now: u64) -> Result<Admission, u64> {
        let Some(until) = self.rests.last() else {
            return Ok(Admission::Ordinary);
        };
        if now < *until {
            return Err(*until);
        }
        match self.probes.last() {
            Some((began, _, false)) if now < began + 5_000 => Err((began + 5_000).min(now + 100)),
            _ => {
                self.probed += 1;
                let probe = Admission::Probe(self.probed);
                self.probes.push((now, probe, false));
                Ok(probe)
            }
        }
    }

    fn probing(&self) -> bool {
        !self.probes.is_empty()
    }

    fn succeed(&mut self, admission: Admission) {
        if self.rests.is_empty() {
            self.log.push(None);
        } else if self.probing() && admission != Admission::Ordinary {
            let probed = self.probed;
            *self = Self {
                probed,
                ..Self::default()
            };
        }
    }

    fn fail(&mut self, admission: Admission, kind: ErrorKind, now: u64) {
        if kind == ErrorKind::BadRequest {
            return self.abandon(admission);
        }
        let due = if self.rests.is_empty() {
            self.log.push(Some(kind));
            let row = || self.log.iter().rev().map_while(|end| *end);
            let number = |of| NAMED.iter().find(|(name, _)| *name == of);
            let others = self.log.iter();
            let others: Vec<_> = others
                .filter(|end| end.is_none_or(|kind| number(kind).is_none()))
                .collect();
            let bad = others.iter().filter(|end| end.is_some()).count();
            match number(kind) {
                Some((_, allowed)) => row().filter(|of| *of == kind).count() > *allowed as usize,
                None => {
                    row().filter(|of| number(*of).is_none()).count() > 2
                        || (others.len() >= 5 && 2 * bad > others.len())
                }
            }
        } else if self.probing() && admission != Admission::Ordinary {
            self.failed_probes += 1;
            true
        } else {
            false
        };
        if due || kind == ErrorKind::RateLimited {
            let until = now + [5_000, 20_000, 40_000][self.failed_probes.min(2) as usize];
            let running = self.rests.last().copied().filter(|_| !self.probing());
            self.rests
                .push(running.map_or(until, |runs| runs.max(until)));
            self.probes.clear();
        }
    }

    fn abandon(&mut self, admission: Admission) {
        if let Some((_, last, given_up)) = self.probes.last_mut() {
            *given_up |= *last == admission;
        }
    }
}

proptest! {
    #[test]
    fn it_does_as_the_model_that_remembers_everything(
        steps in prop::collection::vec(step(), 1..120)
    ) {
        let mut test = Test::new();
        // The window has a model of its own; here nothing falls out of it.
        test.policy = CooldownPolicy::new().window(Duration::from_secs(1_000_000));
        for (name, failures) in NAMED {
            test.policy = test.policy.allowed_fails_of(name, failures);
        }
        let mut model = Model::default();
        let (mut now, mut runs) = (0, Vec::new());
        for step in steps {
            let pick = |i: usize, runs: &mut Vec<Admission>| {
                (!runs.is_empty()).then(|| runs.swap_remove(i % runs.len()))
            };
            match step {
                Step::Wait(millis) => now += millis,
                Step::Admit => {
                    let admitted = test.admit();
                    let told = |refusal: Refusal| {
                        u64::try_from((refusal.retry_at - test.began).as_millis())
                    };
                    let expected = model.admit(now);
                    prop_assert_eq!(admitted.map_err(|r| told(r).expect("is small")), expected);
                    runs.extend(expected.ok());
                }
                Step::Succeed(i) => if let Some(admission) = pick(i, &mut runs) {
                    test.succeed(admission);
                    model.succeed(admission);
                },
                Step::Fail(i, kind) => if let Some(admission) = pick(i, &mut runs) {
                    test.fail(admission, kind);
                    model.fail(admission, kind, now);
                },
                Step::Abandon(i) => if let Some(admission) = pick(i, &mut runs) {
                    test.breaker.abandon(admission, test.now);
                    model.abandon(admission);
                },
            }
            test.now = test.began + Duration::from_millis(now);
            let half_open = matches!(test.state(), State::HalfOpen { .. });
            prop_assert_eq!(half_open, model.half_open(now));
            prop_assert_eq!(test.state() == State::Closed, model.rests.is_empty());
        }
    }
}
