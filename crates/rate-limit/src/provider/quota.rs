//! What is left of the quota of an account, as its provider says.

use std::{
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;
use ziggurat_core::{
    Deployment, Idle, Keyed, ProviderLimits, Quota as Told, Reason, Rejection, Scope,
};

use crate::Cost;

/// When a limit is whole again if the provider does not say it.
const WINDOW: Duration = Duration::from_secs(60);

/// The quotas of all accounts.
#[derive(Debug)]
pub(crate) struct Quotas {
    known: Keyed<u64, Quota>,
    /// Names a quota without holding a credential.
    names: RandomState,
}

/// One quota, which several deployments may share.
#[derive(Debug, Default)]
pub(crate) struct Quota(Mutex<Both>);

#[derive(Debug, Default)]
struct Both {
    requests: Gauge,
    tokens: Gauge,
}

/// How much has been sent ever, and how much may be.
#[derive(Debug, Default)]
struct Gauge {
    sent: u64,
    word: Option<Word>,
}

/// What a provider said of one limit.
#[derive(Clone, Copy, Debug)]
struct Word {
    limit: u64,
    /// How much had been sent, with the request that was answered.
    of: u64,
    /// How much may have been sent in all until the reset.
    most: u64,
    resets_at: Instant,
}

/// Where a request stands among all that was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    requests: u64,
    tokens: u64,
    amount: u64,
}

impl Gauge {
    /// How much is left; `None` if nobody has said it.
    fn left(&mut self, now: Instant) -> Option<(u64, Word)> {
        let sent = self.sent;
        let word = self.word.as_mut()?;
        if word.resets_at <= now {
            *word = Word {
                of: sent,
                most: sent.saturating_add(word.limit),
                resets_at: now + WINDOW,
                ..*word
            };
        }
        Some((word.most.saturating_sub(sent), *word))
    }

    /// Until when there is no room for so much, and whether there is none at all. What is larger
    /// than the limit passes where all of it is left.
    fn refuses(&mut self, amount: u64, now: Instant) -> Option<(Instant, bool)> {
        let (left, word) = self.left(now)?;
        let amount = amount.min(word.limit).max(1);
        (amount > left).then_some((word.resets_at, left == 0))
    }

    fn send(&mut self, amount: u64) -> u64 {
        self.sent = self.sent.saturating_add(amount);
        self.sent
    }

    /// What was counted was not sent after all.
    fn give_back(&mut self, amount: u64) {
        if let Some(word) = &mut self.word {
            word.most = word.most.saturating_add(amount);
        }
    }

    fn hear(&mut self, of: u64, told: Told, now: Instant) {
        let is_older = |word: &Word| word.of > of && now < word.resets_at;
        if self.word.as_ref().is_some_and(is_older) {
            return;
        }
        self.word = Some(Word {
            limit: told.limit,
            of,
            most: of.saturating_add(told.remaining),
            resets_at: told.resets_at.unwrap_or(now + WINDOW),
        });
    }

    fn stop(&mut self, until: Instant) {
        if let Some(word) = &mut self.word {
            word.most = self.sent;
            word.resets_at = until;
        }
    }
}

impl Quota {
    /// Counts a request as sent, unless the provider would throttle it.
    pub(crate) fn send(&self, cost: Cost, now: Instant) -> Result<Sent, Rejection> {
        let amount = cost.input().saturating_add(cost.output().unwrap_or(0));
        let mut both = self.0.lock();
        let refusals = [
            both.requests.refuses(1, now),
            both.tokens.refuses(amount, now),
        ];
        let all = refusals.into_iter().flatten();
        if let Some((until, is_empty)) = all.max_by_key(|(until, _)| *until) {
            let scope = match is_empty {
                true => Scope::Deployment,
                // A smaller request may pass.
                false => Scope::Attempt,
            };
            let refusal = Rejection::new(Reason::RateLimited, scope);
            return Err(refusal.retry_at(until));
        }
        Ok(Sent {
            requests: both.requests.send(1),
            tokens: both.tokens.send(amount),
            amount,
        })
    }

    /// The request was refused by a layer beneath.
    pub(crate) fn give_back(&self, sent: Sent) {
        let mut both = self.0.lock();
        both.requests.give_back(1);
        both.tokens.give_back(sent.amount);
    }

    /// An answer to that request says so.
    pub(crate) fn hear(&self, sent: Sent, limits: &ProviderLimits, now: Instant) {
        let mut both = self.0.lock();
        match limits.requests {
            Some(told) => both.requests.hear(sent.requests, told, now),
            None => both.requests.word = None,
        }
        match limits.tokens {
            Some(told) => both.tokens.hear(sent.tokens, told, now),
            None => both.tokens.word = None,
        }
    }

    /// The provider throttles until then.
    pub(crate) fn stop(&self, until: Instant) {
        let mut both = self.0.lock();
        match both.requests.word {
            Some(_) => both.requests.stop(until),
            None => both.tokens.stop(until),
        }
    }
}

/// It may be forgotten: what it says comes again with the next answer.
impl Idle for Quota {
    fn is_idle(&self) -> bool {
        let both = self.0.lock();
        both.requests.word.is_none() && both.tokens.word.is_none()
    }
}

impl Quotas {
    pub(crate) fn new() -> Self {
        Self {
            known: Keyed::new(1 << 12),
            names: RandomState::new(),
        }
    }

    /// The quota that a deployment draws on: with all of the same account, model and place.
    pub(crate) fn of(&self, deployment: &Deployment) -> Arc<Quota> {
        self.known.get_or_default(&self.name(deployment))
    }

    fn name(&self, deployment: &Deployment) -> u64 {
        let mut name = self.names.build_hasher();
        let has_account = deployment.credential().is_some() || deployment.params().next().is_some();
        if !has_account {
            deployment.id().as_str().hash(&mut name);
            return name.finish();
        }
        deployment.provider().hash(&mut name);
        deployment.base_url().hash(&mut name);
        deployment.model().hash(&mut name);
        let credential = deployment.credential();
        credential.map(|it| it.expose()).hash(&mut name);
        for param in deployment.params() {
            (param, deployment.param(param)).hash(&mut name);
        }
        name.finish()
    }
}

#[cfg(test)]
mod tests {
    use ziggurat_core::Secret;

    use super::*;

    fn told(limit: u64, remaining: u64, resets_at: Instant) -> ProviderLimits {
        ProviderLimits {
            requests: Some(Told {
                limit,
                remaining,
                resets_at: Some(resets_at),
            }),
            tokens: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_sent_after_the_request_that_was_answered_is_counted_on() {
        let (quota, now) = (Quota::default(), Instant::now());
        let reset = now + Duration::from_secs(9);
        let sent: Vec<_> = (0..5)
            .map(|_| quota.send(Cost::default(), now).expect("nothing is known"))
            .collect();
        quota.hear(sent[1], &told(10, 5, reset), now);
        // An answer to an earlier request comes late.
        quota.hear(sent[0], &told(10, 9, reset), now);
        for _ in 0..2 {
            quota
                .send(Cost::default(), now)
                .expect("three of five were sent");
        }
        let refusal = quota.send(Cost::default(), now).expect_err("is used up");
        assert_eq!(
            (refusal.scope(), refusal.ends_at()),
            (Scope::Deployment, Some(reset))
        );
        for _ in 0..10 {
            quota.send(Cost::default(), reset).expect("is whole again");
        }
        assert!(quota.send(Cost::default(), reset).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn too_few_tokens_concern_the_request_and_none_everybody() {
        let (quota, now) = (Quota::default(), Instant::now());
        let cost = |tokens| Cost::new(tokens, Some(0));
        let sent = quota.send(cost(10), now).expect("nothing is known");
        let limits = ProviderLimits {
            requests: None,
            tokens: told(100, 50, now + WINDOW).requests,
        };
        quota.hear(sent, &limits, now);
        let refused = |tokens| quota.send(cost(tokens), now).expect_err("is refused");
        assert_eq!(refused(51).scope(), Scope::Attempt);
        quota.send(cost(50), now).expect("that much is left");
        assert_eq!(refused(1).scope(), Scope::Deployment);
    }

    #[test]
    fn a_quota_is_shared_by_deployments_of_one_account_and_model() {
        let quotas = Quotas::new();
        let of = |id: &str, model: &str, key: Option<&str>| {
            let deployment = Deployment::new(id, "gpt", model);
            let deployment = match key {
                Some(key) => deployment.with_credential(Secret::new(key)),
                None => deployment,
            };
            quotas.name(&deployment)
        };
        let one = of("a", "m", Some("k"));
        assert_eq!(one, of("b", "m", Some("k")));
        for other in [of("b", "n", Some("k")), of("b", "m", Some("l"))] {
            assert_ne!(one, other);
        }
        assert_ne!(of("a", "m", None), of("b", "m", None));
    }
}
