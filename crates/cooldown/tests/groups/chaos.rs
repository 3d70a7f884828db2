//! Random failures of deployments that share credentials, quotas and providers, against a model.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use proptest::prelude::*;
use tokio::{
    runtime,
    time::{Instant, advance},
};
use ziggurat_cooldown::{CooldownPolicy, State};
use ziggurat_core::{Deployment, Error, ErrorKind, Secret};

use crate::Test;

/// What a deployment is made of: group, model, key, place.
type Parts = (u8, u8, Option<u8>, u8);

#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u64),
    Succeed(usize),
    Fail {
        who: usize,
        kind: ErrorKind,
        retry_after: Option<u64>,
        may_go_elsewhere: bool,
    },
}

fn parts() -> impl Strategy<Value = Parts> {
    (0..3_u8, 0..2_u8, prop::option::of(0..2_u8), 0..2_u8)
}

fn step() -> impl Strategy<Value = Step> {
    const KINDS: &[ErrorKind] = &[
        ErrorKind::Authentication,
        ErrorKind::RateLimited,
        ErrorKind::Overloaded,
        ErrorKind::Internal,
        ErrorKind::BadRequest,
    ];
    let retry_after = prop::option::of(0..60_000_u64);
    let fail = (
        any::<usize>(),
        prop::sample::select(KINDS),
        retry_after,
        prop::bool::weighted(0.2),
    );
    prop_oneof![
        (0..20_000_u64).prop_map(Step::Wait),
        any::<usize>().prop_map(Step::Succeed),
        fail.prop_map(|(who, kind, retry_after, may_go_elsewhere)| Step::Fail {
            who,
            kind,
            retry_after,
            may_go_elsewhere
        }),
    ]
}

/// One deployment, in the plainest way.
#[derive(Clone, Copy, Default)]
struct Plain {
    /// The end of its rest, until a probe brings it back.
    until: Option<u64>,
    level: u64,
    back: Option<u64>,
}

struct Model {
    parts: Vec<Parts>,
    plain: Vec<Plain>,
    min_serving: usize,
    now: u64,
}

impl Model {
    fn rests(&self, who: usize) -> bool {
        self.plain[who].until.is_some_and(|until| self.now < until)
    }

    fn succeed(&mut self, who: usize) {
        let back = match self.plain[who].until {
            Some(_) => Some(self.now),
            None => self.plain[who].back,
        };
        self.plain[who] = Plain {
            back,
            ..Plain::default()
        };
    }

    fn shares(&self, kind: ErrorKind, one: usize, other: usize) -> bool {
        let (_, model, key, place) = self.parts[one];
        let (_, other_model, other_key, other_place) = self.parts[other];
        let same_key = key.is_some() && key == other_key;
        place == other_place
            && match kind {
                ErrorKind::Authentication => same_key,
                ErrorKind::RateLimited => same_key && model == other_model,
                ErrorKind::Overloaded => model == other_model,
                _ => false,
            }
    }

    fn fail(&mut self, who: usize, kind: ErrorKind, asked: Option<u64>, may_go_elsewhere: bool) {
        if kind == ErrorKind::BadRequest {
            return;
        }
        let was_probe = self.plain[who].until.is_some();
        if was_probe {
            self.plain[who].level = (self.plain[who].level * 4).min(8);
        }
        let level = self.plain[who].level.max(1);
        let length = match (kind, asked) {
            (ErrorKind::RateLimited, Some(asked)) => asked,
            (_, asked) => asked.unwrap_or_default().max(5_000 * level),
        };
        let until = self.now + length;
        let others = (0..self.parts.len())
            .filter(|other| *other != who && self.shares(kind, who, *other))
            .collect::<Vec<_>>();
        for concerned in [who].into_iter().chain(others) {
            let group = self.parts[concerned].0;
            let is_back = |other: &usize| self.plain[*other].until.is_none();
            let serving = (0..self.parts.len())
                .filter(|other| *other != concerned && self.parts[*other].0 == group)
                .filter(is_back)
                .count();
            let may_rest =
                serving >= self.min_serving || (may_go_elsewhere && group == self.parts[who].0);
            let rests = self.rests(concerned);
            let plain = &mut self.plain[concerned];
            if rests {
                plain.until = plain.until.max(Some(until));
            } else if may_rest {
                plain.until = Some(until);
                plain.level = plain.level.max(level);
                plain.back = None;
            } else if concerned == who {
                plain.until = None;
            }
        }
    }
}

fn deployment(number: usize, (group, model, key, place): Parts) -> Deployment {
    let deployment = Deployment::new(
        &*format!("d{number}"),
        format!("group{group}"),
        format!("model{model}"),
    )
    .with_base_url(format!("https://place{place}.example"));
    match key {
        Some(key) => deployment.with_credential(Secret::new(format!("key{key}"))),
        None => deployment,
    }
}

async fn agrees(
    parts: Vec<Parts>,
    steps: Vec<Step>,
    min_serving: usize,
) -> Result<(), TestCaseError> {
    let policy = CooldownPolicy::new()
        .allowed_fails(0)
        .min_serving(min_serving);
    let list = parts.iter().enumerate();
    let list: Vec<_> = list.map(|(i, parts)| deployment(i, *parts)).collect();
    let ids: Vec<_> = list.iter().map(|it| it.id().clone()).collect();
    let targets: Vec<_> = list.iter().cloned().map(Arc::new).collect();
    let test = Test::with(policy, list);
    let began = Instant::now();
    let mut model = Model {
        plain: vec![Plain::default(); parts.len()],
        parts,
        min_serving,
        now: 0,
    };
    for step in steps {
        let (who, answer, fallbacks) = match step {
            Step::Wait(millis) => {
                advance(Duration::from_millis(millis)).await;
                model.now += millis;
                continue;
            }
            Step::Succeed(who) => (who, Ok(()), 0),
            Step::Fail {
                who,
                kind,
                retry_after,
                may_go_elsewhere,
            } => {
                let error = Error::new(kind, "failed");
                let error = match retry_after {
                    Some(millis) => error.with_retry_after(Duration::from_millis(millis)),
                    None => error,
                };
                (who, Err(error), u32::from(may_go_elsewhere))
            }
        };
        let who = who % targets.len();
        let response = test.begins(fallbacks, Arc::clone(&targets[who]), answer);
        let response = response.now_or_never().expect("nothing waits");
        let is_refused = response
            .as_ref()
            .is_err_and(|error| error.rejection().is_some());
        prop_assert_eq!(is_refused, model.rests(who));
        if !is_refused {
            match step {
                Step::Fail {
                    kind,
                    retry_after,
                    may_go_elsewhere,
                    ..
                } => model.fail(who, kind, retry_after, may_go_elsewhere),
                _ => model.succeed(who),
            }
        }
        for (id, plain) in ids.iter().zip(&model.plain) {
            let health = test.layer.health(id);
            let until = match health.state {
                State::Resting { until, .. } => Some(until),
                _ => None,
            };
            let at = |millis| began + Duration::from_millis(millis);
            prop_assert_eq!(until, plain.until.filter(|it| model.now < *it).map(at));
            prop_assert_eq!(health.state == State::Closed, plain.until.is_none());
            prop_assert_eq!(health.back_since, plain.back.map(at));
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn whoever_rests_and_until_when_is_what_the_model_says(
        parts in prop::collection::vec(parts(), 1..9),
        steps in prop::collection::vec(step(), 1..80),
        min_serving in 0..3_usize,
    ) {
        let mut runtime = runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build();
        runtime.expect("starts").block_on(agrees(parts, steps, min_serving))?;
    }
}
