//! When a deployment rests, and for how long.

use std::{fmt, time::Duration};

use ziggurat_core::{Deployment, ErrorKind};

use crate::allowance::name_of;

/// When a deployment rests, and for how long.
///
/// What kind of failure counts at all is said by [`ErrorKind::rule`](ziggurat_core::ErrorKind::rule):
///
/// - `AtOnce` (a provider's 429, a bad credential, an unknown model): one is enough.
/// - `Counted` (5xx, timeouts, broken connections and streams): a deployment rests when **either**
///   more than [`allowed_fails`](Self::allowed_fails) of them come in a row, with no success
///   between, however long that takes; **or** so many fall into a [window](Self::window) and they
///   are more than a [share](Self::failure_share) of the answers in it.
/// - `None` (malformed requests and whatever else is the caller's doing): never.
///
/// A kind for which a number is [named](Self::allowed_fails_of) is counted by that number alone,
/// whatever the table says of it. A deployment may have numbers of its own; they go before the
/// policy's. So what is looked at, in this order, is the deployment's number for the kind, its
/// number for all that are counted, the policy's number for the kind, and the policy's for all.
///
/// The first rest lasts the deployment's own `cooldown_time`, else
/// [the policy's](Self::cooldown_time). Then one request is let through as a probe. If it succeeds,
/// the deployment is back; if it fails, it rests four times as long as before, up to eight times its
/// cooldown time. With the defaults a deployment that always fails is so asked five times in
/// its first minute: three times before its first rest, and then 5 s and 25 s after that began.
///
/// A `Retry-After` of a provider's 429 replaces the rest's length, up to
/// [a limit](Self::max_retry_after), and does not grow; that of another failure can only
/// lengthen the rest. Whatever comes while a deployment rests, the rest never gets shorter.
///
/// Where the layer knows the [list of deployments](crate::CooldownLayer::deployments), at least
/// [one](Self::min_serving) of each group goes on serving.
#[derive(Clone, Debug, PartialEq)]
pub struct CooldownPolicy {
    disabled: bool,
    cooldown_time: Duration,
    pub(crate) allowed_fails: u32,
    /// At most one number for each kind.
    pub(crate) allowed_fails_of: Vec<(ErrorKind, u32)>,
    pub(crate) share: f64,
    pub(crate) min_requests: u32,
    pub(crate) window: Duration,
    pub(crate) max_retry_after: Duration,
    pub(crate) min_serving: usize,
}

impl CooldownPolicy {
    /// Rests of 5 s, after the third failure in a row, or after more than half of at least five
    /// requests within 60 s failed.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            disabled: false,
            cooldown_time: Duration::from_secs(5),
            allowed_fails: 2,
            allowed_fails_of: Vec::new(),
            share: 0.5,
            min_requests: 5,
            window: Duration::from_secs(60),
            max_retry_after: Duration::from_secs(600),
            min_serving: 1,
        }
    }

    /// No deployment ever rests.
    #[must_use]
    pub const fn disabled() -> Self {
        let mut policy = Self::new();
        policy.disabled = true;
        policy
    }

    /// Sets how long a first rest is, where the deployment does not say it. With a time of zero a
    /// deployment never rests.
    #[must_use]
    pub const fn cooldown_time(mut self, time: Duration) -> Self {
        self.cooldown_time = time;
        self
    }

    /// Sets how many failures in a row are forgiven, where the deployment does not say it: the next
    /// one rests the deployment.
    #[must_use]
    pub const fn allowed_fails(mut self, failures: u32) -> Self {
        self.allowed_fails = failures;
        self
    }

    /// Sets how many failures of one kind are forgiven between two successes, where the deployment
    /// does not say it. They are counted for themselves, and count towards nothing else.
    ///
    /// So one 429 may rest nobody, or the third malformed request in a row may rest whoever
    /// declines it; but never what only this caller brought about, as a time limit of its own. Any
    /// clock of an attempt stands for all of them. A refusal that was never sent, a request that
    /// was given up, and a deadline that passed count under no name.
    #[must_use]
    pub fn allowed_fails_of(mut self, kind: ErrorKind, failures: u32) -> Self {
        if let Some(name) = name_of(kind) {
            self.allowed_fails_of.retain(|(listed, _)| *listed != name);
            self.allowed_fails_of.push((name, failures));
        }
        self
    }

    /// Sets the share of failures, 0 to 1, above which a deployment rests, if at least
    /// `min_requests` ended within the window, and more failed than are allowed in a row. A share
    /// of 1 is never exceeded.
    ///
    /// # Errors
    ///
    /// If the share is not between 0 and 1.
    pub fn failure_share(mut self, share: f64, min_requests: u32) -> Result<Self, InvalidShare> {
        if !(0.0..=1.0).contains(&share) {
            return Err(InvalidShare { share });
        }
        self.share = share;
        self.min_requests = min_requests;
        Ok(self)
    }

    /// Sets how far back the share of failures looks. It is kept in six slices, so it looks back
    /// at least five sixths of that.
    #[must_use]
    pub const fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Sets the longest rest that a `Retry-After` may ask for, ten minutes if not set.
    ///
    /// A provider that means longer is probed, at the cost of one request in each ten minutes;
    /// one that is wrong does not take a deployment away for a day.
    #[must_use]
    pub const fn max_retry_after(mut self, limit: Duration) -> Self {
        self.max_retry_after = limit;
        self
    }

    /// Sets how many other members of its group must serve for a deployment to rest, one if not
    /// set. With none, a whole group may rest.
    #[must_use]
    pub const fn min_serving(mut self, members: usize) -> Self {
        self.min_serving = members;
        self
    }

    /// How long a deployment's first rest is; `None` if it never rests.
    pub(crate) fn time_of(&self, deployment: &Deployment) -> Option<Duration> {
        let time = deployment.cooldown_time().unwrap_or(self.cooldown_time);
        (!self.disabled && !time.is_zero()).then_some(time)
    }
}

impl Default for CooldownPolicy {
    fn default() -> Self {
        Self::new()
    }
}

/// A share of failures that is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InvalidShare {
    share: f64,
}

impl fmt::Display for InvalidShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a share is between 0 and 1, not {}", self.share)
    }
}

impl std::error::Error for InvalidShare {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployments_own_time_goes_first_and_zero_means_never() {
        let time = |policy: CooldownPolicy, own: Option<u64>| {
            let deployment = Deployment::new("a", "gpt", "m");
            let deployment = match own {
                Some(secs) => deployment.with_cooldown_time(Duration::from_secs(secs)),
                None => deployment,
            };
            policy.time_of(&deployment).map(|time| time.as_secs())
        };
        let zero = || CooldownPolicy::new().cooldown_time(Duration::ZERO);
        assert_eq!(time(CooldownPolicy::new(), None), Some(5));
        assert_eq!(time(CooldownPolicy::new(), Some(60)), Some(60));
        assert_eq!(time(CooldownPolicy::new(), Some(0)), None);
        assert_eq!(time(zero(), None), None);
        assert_eq!(time(zero(), Some(60)), Some(60));
        assert_eq!(time(CooldownPolicy::disabled(), Some(60)), None);
    }

    #[test]
    fn a_share_is_between_zero_and_one() {
        let share = |share| CooldownPolicy::new().failure_share(share, 5);
        assert!(share(0.0).is_ok());
        assert!(share(1.0).is_ok());
        for wrong in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }
}
