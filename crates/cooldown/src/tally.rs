//! What a deployment that serves has done of late.

use tokio::time::Instant;
use ziggurat_core::ErrorKind;

use crate::{CooldownPolicy, allowance::Allowance, window::Window};

/// Failures since the last success, and failures among all answers of late.
#[derive(Debug)]
pub(crate) struct Tally {
    /// All since the last success.
    failures: u32,
    /// Those among them that are counted together.
    together: u32,
    /// Those that are counted by name, of which there are as many as kinds at most.
    named: Vec<(ErrorKind, u32)>,
    window: Window,
}

impl Tally {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            failures: 0,
            together: 0,
            named: Vec::new(),
            window: Window::new(now),
        }
    }

    /// Whether a new one would do the same.
    pub(crate) fn is_idle(&self) -> bool {
        self.failures == 0 && self.window.counts().failures == 0
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Every success starts the rows anew.
    pub(crate) fn success(&mut self, policy: &CooldownPolicy, now: Instant) {
        self.failures = 0;
        self.together = 0;
        self.named.clear();
        self.window.success(policy.window, now);
    }

    /// Notes a failure that can rest nobody by its number.
    pub(crate) fn note(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// Notes a failure. Returns whether there were too many.
    ///
    /// What is counted by name is left out of the share: its own number would mean nothing else.
    pub(crate) fn failure(
        &mut self,
        allowance: Allowance,
        policy: &CooldownPolicy,
        now: Instant,
    ) -> bool {
        self.note();
        match allowance {
            Allowance::Nothing => false,
            Allowance::AtOnce => {
                self.count(policy, now);
                true
            }
            Allowance::Together(allowed) => {
                self.count(policy, now);
                let counts = self.window.counts();
                self.together > allowed
                    || (counts.failures > allowed
                        && counts.exceed(policy.share, policy.min_requests))
            }
            Allowance::Named(name, allowed) => self.count_named(name) > allowed,
        }
    }

    fn count(&mut self, policy: &CooldownPolicy, now: Instant) {
        self.together = self.together.saturating_add(1);
        self.window.failure(policy.window, now);
    }

    fn count_named(&mut self, name: ErrorKind) -> u32 {
        let place = self.named.iter().position(|(counted, _)| *counted == name);
        let place = place.unwrap_or_else(|| {
            self.named.push((name, 0));
            self.named.len() - 1
        });
        let count = &mut self.named[place].1;
        *count = count.saturating_add(1);
        *count
    }
}
