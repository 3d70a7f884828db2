//! A deployment that is none: it takes its time, has its limits, and fails as it was told.

use std::{collections::HashMap, sync::Arc, time::Duration};

use fastrand::Rng;
use parking_lot::Mutex;
use tokio::time::Instant;
use ziggurat::{Deployment, Error, ErrorKind, ProviderLimits, Usage};

use crate::{
    quota::Quota,
    series::Series,
    server::{Server, Slow},
    spec::{Failure, FailureKind, Model, Outage, OutageKind},
    workload::Demand,
};

/// How many sessions a prompt cache remembers.
const MAX_CACHED: usize = 100_000;

/// One deployment. Times are seconds since `origin`.
#[derive(Debug)]
pub(crate) struct Provider {
    deployment: Arc<Deployment>,
    model: Model,
    origin: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) server: Server,
    rng: Rng,
    requests: Option<Quota>,
    tokens: Option<Quota>,
    /// The tokens of a session that are cached, and until when.
    cache: HashMap<u32, (u64, f64)>,
    pub(crate) tally: Tally,
}

/// What a deployment did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) attempts: u64,
    pub(crate) running: u32,
    pub(crate) peak: u32,
    /// Requests in flight times seconds.
    pub(crate) area: f64,
    pub(crate) level: Series,
    at: f64,
    pub(crate) input: u64,
    pub(crate) cached: u64,
    pub(crate) output: u64,
    pub(crate) cost: f64,
}

/// What becomes of a call.
#[derive(Debug)]
pub(crate) enum Fate {
    /// An error, after so many seconds.
    Fails { after: f64, error: Error },
    /// Nothing, ever.
    Hangs,
    /// An answer.
    Answers(Answer),
}

/// An answer, in seconds of work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) first: f64,
    pub(crate) per_token: f64,
    pub(crate) cached: u64,
    /// It breaks off in the middle.
    pub(crate) breaks: bool,
}

impl Provider {
    pub(crate) fn new(deployment: Deployment, model: Model, origin: Instant, seed: u64) -> Self {
        let slow = model.outages.iter().filter(|o| o.kind == OutageKind::Slow);
        let slow = slow.map(|outage| Slow {
            from: outage.from.0,
            to: outage.to.0,
            factor: outage.factor.0,
        });
        let state = State {
            server: Server::new(model.capacity.0, slow.collect()),
            rng: Rng::with_seed(seed),
            requests: model.rpm.map(Quota::new),
            tokens: model.tpm.map(Quota::new),
            cache: HashMap::new(),
            tally: Tally::default(),
        };
        Self {
            deployment: Arc::new(deployment),
            model,
            origin,
            state: Mutex::new(state),
        }
    }

    pub(crate) fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// Seconds since the beginning.
    pub(crate) fn now(&self) -> f64 {
        self.origin.elapsed().as_secs_f64()
    }

    /// The time of so many seconds since the beginning.
    pub(crate) fn instant(&self, at: f64) -> Instant {
        self.origin + Duration::from_secs_f64(at.max(0.0))
    }

    /// Does something with the state, and the time.
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut State, f64) -> T) -> T {
        let now = self.now();
        change(&mut self.state.lock(), now)
    }

    /// What it did until now.
    pub(crate) fn tally(&self) -> Tally {
        self.with(|state, now| {
            state.tally.settle(now);
            state.tally.clone()
        })
    }

    /// Decides what becomes of a call that is counted already.
    pub(crate) fn decide(&self, demand: Demand) -> Fate {
        let model = &self.model;
        self.with(|state, now| {
            let outage = |kind| {
                model
                    .outages
                    .iter()
                    .find(|o| o.kind == kind && o.covers(now))
            };
            if outage(OutageKind::Down).is_some() {
                return state.fail(model, ErrorKind::Connect, None);
            }
            let is_full = model
                .max_concurrent
                .is_some_and(|most| state.server.jobs() >= most);
            if is_full || outage(OutageKind::Throttled).is_some() {
                return state.fail(model, ErrorKind::RateLimited, Some(model.retry_after.0));
            }
            let wait = state.charge(demand, now);
            if wait > 0.0 {
                return state.fail(model, ErrorKind::RateLimited, Some(wait));
            }
            let mut breaks = false;
            match state.misfortune(&model.failures) {
                None => {}
                Some((FailureKind::Broken, _)) => breaks = true,
                Some((FailureKind::Hang, _)) => return Fate::Hangs,
                Some((kind, after)) => {
                    let error = kind.error(model.retry_after.0);
                    return Fate::Fails { after, error };
                }
            }
            let cached = state.cached(demand, now);
            let mut first = model.first_token.draw(&mut state.rng);
            if let Some(cache) = &model.prompt_cache {
                let part = cached as f64 / demand.input.max(1) as f64;
                first *= part.mul_add(cache.first_token.0 - 1.0, 1.0);
            }
            let per_token = model.seconds_per_token.draw(&mut state.rng);
            Fate::Answers(Answer {
                first,
                per_token,
                cached,
                breaks,
            })
        })
    }

    /// What is left of its own limits, as an answer says it.
    pub(crate) fn limits(&self) -> ProviderLimits {
        self.with(|state, now| {
            let left = |quota: &mut Option<Quota>| {
                let quota = quota.as_mut()?;
                Some(ziggurat::Quota {
                    limit: quota.per_minute() as u64,
                    remaining: quota.left(now) as u64,
                    resets_at: Some(self.instant(now + quota.whole_in(now))),
                })
            };
            ProviderLimits {
                requests: left(&mut state.requests),
                tokens: left(&mut state.tokens),
            }
        })
    }

    /// A prompt, or a prompt and its answer, is in the cache now.
    pub(crate) fn remember(&self, session: Option<u32>, tokens: u64) {
        let (Some(session), Some(cache)) = (session, &self.model.prompt_cache) else {
            return;
        };
        self.with(|state, now| {
            if state.cache.len() >= MAX_CACHED {
                state.cache.retain(|_, (_, until)| *until > now);
                if state.cache.len() >= MAX_CACHED {
                    state.cache.clear();
                }
            }
            state.cache.insert(session, (tokens, now + cache.ttl.0));
        });
    }

    /// Enters what a call used.
    pub(crate) fn bill(&self, usage: &Usage) {
        let prices = self.deployment.prices();
        let long = prices.long.filter(|long| usage.input > long.above);
        let input = long
            .and_then(|l| l.input)
            .or(prices.input)
            .unwrap_or_default();
        let output = long
            .and_then(|l| l.output)
            .or(prices.output)
            .unwrap_or_default();
        let cached = long.and_then(|l| l.cached_input).or(prices.cached_input);
        let cached = cached.unwrap_or(input);
        let fresh = usage.input.saturating_sub(usage.cached_input);
        let parts = [
            (fresh, input),
            (usage.cached_input, cached),
            (usage.output, output),
        ];
        let cost: f64 = parts.iter().map(|(n, price)| *n as f64 * price).sum();
        let tally = &mut self.state.lock().tally;
        tally.input += usage.input;
        tally.cached += usage.cached_input;
        tally.output += usage.output;
        tally.cost += cost;
    }
}

impl State {
    /// A refusal, in the time that one takes.
    fn fail(&mut self, model: &Model, kind: ErrorKind, retry_after: Option<f64>) -> Fate {
        let after = model.refusal_time.draw(&mut self.rng);
        let error = Error::new(kind, "the simulated deployment refuses");
        let error = match retry_after {
            Some(wait) => error.with_retry_after(Duration::from_secs_f64(wait)),
            None => error,
        };
        Fate::Fails { after, error }
    }

    /// Charges a request to its limits; how long to wait if they do not allow it.
    fn charge(&mut self, demand: Demand, now: f64) -> f64 {
        let amounts = [1.0, (demand.input + demand.output) as f64];
        let mut quotas = [&mut self.requests, &mut self.tokens];
        let mut wait = 0.0_f64;
        for (quota, amount) in quotas.iter_mut().zip(amounts) {
            wait = wait.max(quota.as_mut().map_or(0.0, |quota| quota.wait(amount, now)));
        }
        if wait == 0.0 {
            for (quota, amount) in quotas.into_iter().zip(amounts) {
                if let Some(quota) = quota {
                    quota.take(amount);
                }
            }
        }
        wait
    }

    fn misfortune(&mut self, failures: &[Failure]) -> Option<(FailureKind, f64)> {
        if failures.is_empty() {
            return None;
        }
        let mut at = self.rng.f64();
        let failure = failures.iter().find(|failure| {
            at -= failure.share.0;
            at < 0.0
        })?;
        Some((failure.kind, failure.after.draw(&mut self.rng)))
    }

    /// How much of a prompt is in the cache.
    fn cached(&self, demand: Demand, now: f64) -> u64 {
        let entry = demand.session.and_then(|session| self.cache.get(&session));
        let entry = entry.filter(|(_, until)| *until > now);
        entry.map_or(0, |(tokens, _)| *tokens).min(demand.input)
    }
}

impl Tally {
    /// A call has come.
    pub(crate) fn enter(&mut self, now: f64) {
        self.settle(now);
        self.attempts += 1;
        self.running += 1;
        self.peak = self.peak.max(self.running);
    }

    /// A call has gone.
    pub(crate) fn leave(&mut self, now: f64) {
        self.settle(now);
        self.running -= 1;
    }

    fn settle(&mut self, now: f64) {
        let level = f64::from(self.running);
        self.area += level * (now - self.at);
        self.level.add_level(self.at, now, level);
        self.at = now;
    }
}

impl Outage {
    fn covers(&self, now: f64) -> bool {
        (self.from.0..self.to.0).contains(&now)
    }
}

impl FailureKind {
    fn error(self, retry_after: f64) -> Error {
        let kind = match self {
            Self::Internal | Self::Hang => ErrorKind::Internal,
            Self::Overloaded => ErrorKind::Overloaded,
            Self::Unavailable => ErrorKind::Unavailable,
            Self::RateLimited => ErrorKind::RateLimited,
            Self::Authentication => ErrorKind::Authentication,
            Self::Connect => ErrorKind::Connect,
            Self::Broken => ErrorKind::StreamBroken,
        };
        let error = Error::new(kind, "the simulated deployment was told to fail");
        if self == Self::RateLimited {
            return error.with_retry_after(Duration::from_secs_f64(retry_after));
        }
        error
    }
}
