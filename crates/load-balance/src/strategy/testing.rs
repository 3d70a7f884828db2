//! Groups of members for the tests of strategies.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;
use ziggurat_core::{Deployment, Error, ErrorKind, Reason, Rejection, Scope, Snapshot};

use crate::{
    Candidates,
    bits::Bits,
    cells::{Cell, Clock},
    measure::Failure,
    pool::Pool,
};

/// A group of one tier.
pub(crate) struct Members {
    pool: Pool,
}

impl Members {
    pub(crate) fn of(members: impl IntoIterator<Item = Deployment>) -> Self {
        let snapshot = Snapshot::new(members);
        let group = snapshot.resolve("g").expect("the group has members");
        let pool = Pool::new(group, &HashMap::new(), Clock::new(Instant::now()));
        Self { pool }
    }

    pub(crate) fn new(count: usize) -> Self {
        Self::of((0..count).map(Self::plain))
    }

    pub(crate) fn plain(index: usize) -> Deployment {
        Deployment::new(format!("d{index}").as_str(), "g", "m")
    }

    pub(crate) fn cell(&self, index: usize) -> Cell {
        self.pool.cell(index)
    }

    pub(crate) fn load(&self, index: usize, attempts: u32) {
        (0..attempts).for_each(|_| self.cell(index).load().enter());
    }

    /// It fails at the beginning of time.
    pub(crate) fn fail(&self, index: usize) {
        let error = Error::new(ErrorKind::Internal, "broken");
        self.cell(index).health().fail(Failure::new(&error), 0);
    }

    /// It is known to refuse any request for a minute.
    pub(crate) fn hint(&self, index: usize) {
        let refusal = Rejection::new(Reason::RateLimited, Scope::Deployment);
        let now = Instant::now();
        self.cell(index)
            .refuse(&refusal, now, Duration::from_secs(60));
    }

    pub(crate) fn candidates<'a>(&'a self, closed: &'a Bits) -> Candidates<'a> {
        self.candidates_at(closed, 0)
    }

    pub(crate) fn candidates_at<'a>(&'a self, closed: &'a Bits, now: u64) -> Candidates<'a> {
        Candidates::new(&self.pool, &self.pool.tiers()[0], closed, now)
    }

    /// Whether each is picked as often as its share says, within three standard deviations.
    pub(crate) fn assert_shares(
        &self,
        times: u32,
        pick: impl Fn() -> Option<usize>,
        shares: &[f64],
    ) {
        let mut picks = vec![0.0; self.pool.members().len()];
        for _ in 0..times {
            picks[pick().expect("one may be picked")] += 1.0;
        }
        let (times, whole) = (f64::from(times), shares.iter().sum::<f64>());
        for (index, (picks, share)) in picks.iter().zip(shares).enumerate() {
            let p = share / whole;
            let deviation = (times * p * (1.0 - p)).sqrt();
            let off = (picks - times * p).abs();
            assert!(
                off <= 3.0 * deviation,
                "{index}: {picks} of {times}, not {p}"
            );
        }
    }
}
