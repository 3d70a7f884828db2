//! What is left of the limits of a provider.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;
use ziggurat_core::{ProviderLimits, Quota};

use crate::cells::Clock;

/// When a limit is whole again if the provider does not say it.
const WINDOW: Duration = Duration::from_secs(60);

/// What the last answer of a provider said is left, and how many attempts were sent since.
#[derive(Debug, Default)]
pub(crate) struct Headroom {
    requests: Left,
    tokens: Left,
    sent_since: AtomicU32,
}

/// One limit: what part of it was left, until which second that holds, and what part one attempt
/// costs.
#[derive(Debug, Default)]
struct Left {
    share_and_end: AtomicU64,
    cost: AtomicU32,
}

impl Headroom {
    pub(crate) fn reset(&self) {
        self.requests.share_and_end.store(0, Relaxed);
        self.tokens.share_and_end.store(0, Relaxed);
        self.sent_since.store(0, Relaxed);
    }

    /// An attempt is sent.
    pub(crate) fn enter(&self) {
        self.sent_since.fetch_add(1, Relaxed);
    }

    /// A provider says what is left; an attempt costs `tokens`.
    pub(crate) fn set(&self, limits: &ProviderLimits, tokens: f32, clock: Clock, now: Instant) {
        self.requests.set(limits.requests, 1.0, clock, now);
        self.tokens.set(limits.tokens, tokens, clock, now);
        self.sent_since.store(0, Relaxed);
    }

    /// The part that is left, of the limit of which the least is left: 1 is all of it, and below
    /// zero more has been sent than there was. `None` if the provider never said anything.
    pub(crate) fn get(&self, in_flight: u32, now: u64) -> Option<f32> {
        let since = self.sent_since.load(Relaxed);
        let requests = self.requests.get(since, in_flight, now);
        let tokens = self.tokens.get(since, in_flight, now);
        match (requests, tokens) {
            (Some(requests), Some(tokens)) => Some(requests.min(tokens)),
            (requests, tokens) => requests.or(tokens),
        }
    }
}

impl Left {
    fn set(&self, quota: Option<Quota>, price: f32, clock: Clock, now: Instant) {
        let Some(quota) = quota.filter(|quota| quota.limit > 0) else {
            return self.share_and_end.store(0, Relaxed);
        };
        let limit = quota.limit as f32;
        let share = quota.remaining as f32 / limit;
        let end = quota.resets_at.unwrap_or(now + WINDOW);
        // A second that has begun counts as over, so that the end is never zero.
        let end = clock.millis(end) / 1_000 + 1;
        let word = u64::from(share.to_bits()) << 32 | end.min(u64::from(u32::MAX));
        self.cost.store((price / limit).to_bits(), Relaxed);
        self.share_and_end.store(word, Relaxed);
    }

    fn get(&self, since: u32, in_flight: u32, now: u64) -> Option<f32> {
        let word = self.share_and_end.load(Relaxed);
        if word == 0 {
            return None;
        }
        let cost = f32::from_bits(self.cost.load(Relaxed));
        let end = word & u64::from(u32::MAX);
        let (left, sent) = if now / 1_000 < end {
            (f32::from_bits((word >> 32) as u32), since)
        } else {
            (1.0, in_flight)
        };
        let sent = sent as f32 * cost;
        Some(left - sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(limit: u64, remaining: u64, resets_at: Option<Instant>) -> Option<Quota> {
        Some(Quota {
            limit,
            remaining,
            resets_at,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_falls_with_what_is_sent_and_is_whole_after_the_reset() {
        let (headroom, now) = (Headroom::default(), Instant::now());
        let clock = Clock::new(now);
        assert_eq!(headroom.get(0, 0), None);
        let limits = ProviderLimits {
            requests: quota(100, 50, Some(now + Duration::from_secs(9))),
            tokens: None,
        };
        headroom.set(&limits, 0.0, clock, now);
        (0..10).for_each(|_| headroom.enter());
        let left = headroom.get(10, 8_999).expect("it is known");
        assert!((left - 0.4).abs() < 1e-6, "{left}");
        let left = headroom.get(10, 10_000).expect("it is known");
        assert!((left - 0.9).abs() < 1e-6, "{left}");
        headroom.set(&limits, 0.0, clock, now);
        assert_eq!(headroom.get(10, 0), Some(0.5), "it has been counted there");
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_of_which_less_is_left_is_the_one_that_counts() {
        let (headroom, now) = (Headroom::default(), Instant::now());
        let limits = ProviderLimits {
            requests: quota(100, 90, None),
            tokens: quota(1_000, 300, None),
        };
        headroom.set(&limits, 200.0, Clock::new(now), now);
        assert_eq!(headroom.get(0, 0), Some(0.3));
        headroom.enter();
        headroom.enter();
        let left = headroom.get(0, 0).expect("it is known");
        assert!((left + 0.1).abs() < 1e-6, "{left}");
    }
}
