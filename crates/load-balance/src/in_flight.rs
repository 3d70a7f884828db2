//! The guard of an attempt.

use tokio::time::Instant;
use ziggurat_core::{Attempt, Blame, End, Error, Item, Observer, ProviderLimits, Usage};

use crate::{
    Track,
    affinity::Learn,
    cells::{Cell, Cells},
    measure::{Failure, Took},
};

/// An attempt in flight: counted from the choice of its deployment until its answer has ended or
/// been dropped.
///
/// The balancer attaches it to responses, so theirs must be
/// [`Attach<InFlight>`](ziggurat_core::Attach).
#[derive(Debug)]
pub struct InFlight {
    cell: Cell,
    attempt: Option<Attempt>,
    track: Track,
    began: Instant,
    /// When the answer began, if anybody wants to know.
    answered: Option<Instant>,
    /// Whether the answer came in one piece.
    in_one: bool,
    settled: bool,
    learn: Option<Box<Learn>>,
}

impl InFlight {
    pub(crate) fn new(cell: Cell, attempt: Option<Attempt>, track: Track, now: Instant) -> Self {
        cell.load().enter();
        if track.has_headroom() {
            cell.gauges().headroom.enter();
        }
        cell.block.requests[cell.at].add(1, cell.block.clock.millis(now));
        Self {
            cell,
            attempt,
            track,
            began: now,
            answered: None,
            in_one: false,
            settled: false,
            learn: None,
        }
    }

    /// Lets it learn from the answer where requests that follow are to go.
    pub(crate) fn learning(mut self, learn: Learn) -> Self {
        self.learn = Some(Box::new(learn));
        self
    }

    /// An answer has begun.
    pub(crate) fn answering(&mut self) {
        if self.track.needs_times() {
            self.answered = Some(Instant::now());
        }
        if let Some(attempt) = &self.attempt {
            attempt.answering();
        }
        if let Some(learn) = &self.learn {
            learn.answering();
        }
    }

    /// Nothing was sent after all.
    pub(crate) fn refund(mut self, now: Instant) {
        self.settled = true;
        let now = self.cells().clock.millis(now);
        self.cells().requests[self.cell.at].sub(1, now);
        if let Some(attempt) = self.attempt.take() {
            attempt.refund();
        }
    }

    /// It failed before an answer began.
    pub(crate) fn fail(mut self, error: &Error) {
        self.failed(error);
        if let Some(attempt) = self.attempt.take() {
            attempt.fail(error);
        }
    }

    fn cells(&self) -> &Cells {
        &self.cell.block
    }

    fn took(&self, now: Instant) -> Took {
        let since = |at: Instant| at.saturating_duration_since(self.began).as_secs_f32();
        Took {
            first: self.answered.map(since),
            whole: since(now),
            in_one: self.in_one,
        }
    }

    fn succeeded(&mut self, usage: Option<&Usage>) {
        self.settled = true;
        let health = self.cell.health();
        if health.has_failed() {
            health.succeed(self.cells().clock.millis(self.began));
        }
        let recovery = self.cell.recovery();
        if !recovery.is_whole() {
            let clock = self.cells().clock;
            recovery.succeed(clock.millis(self.began), clock.millis(Instant::now()));
        }
        if usage.is_none() && self.track.is_empty() {
            return;
        }
        // An answer in one piece ends when it begins.
        let now = self.answered.filter(|_| self.in_one);
        let now = now.unwrap_or_else(Instant::now);
        let millis = self.cells().clock.millis(now);
        if let Some(usage) = usage {
            self.cells().tokens[self.cell.at].add(usage.total(), millis);
        }
        if !self.track.is_empty() {
            let gauges = self.cell.gauges();
            gauges.complete(&self.track, self.took(now), usage, millis);
        }
    }

    fn failed(&mut self, error: &Error) {
        self.settled = true;
        if error.scope() == Blame::Request {
            return;
        }
        let (failure, now) = (Failure::new(error), Instant::now());
        let millis = self.cells().clock.millis(now);
        self.cell.health().fail(failure, millis);
        let recovery = self.cell.recovery();
        if !recovery.is_whole() {
            recovery.fail(self.cells().clock.millis(self.began), millis);
        }
        if self.track.needs_times() {
            let gauges = self.cell.gauges();
            gauges.fail(&self.track, self.took(now), &failure, millis);
        }
    }

    fn abandoned(&mut self) {
        self.settled = true;
        if self.track.needs_times() {
            let now = Instant::now();
            let millis = self.cells().clock.millis(now);
            let gauges = self.cell.gauges();
            gauges.abandon(&self.track, self.took(now), millis);
        }
    }
}

impl Observer for InFlight {
    fn wants_items(&self) -> bool {
        self.learn.as_ref().is_some_and(|learn| learn.wants_items())
    }

    fn body(&mut self, bytes: &[u8]) {
        self.in_one = true;
        if let Some(learn) = &mut self.learn {
            learn.body(bytes);
        }
    }

    fn item(&mut self, item: &Item) {
        if let Some(learn) = &mut self.learn {
            learn.item(item);
        }
    }

    fn provider_limits(&mut self, limits: &ProviderLimits) {
        if self.track.has_headroom() {
            let (gauges, clock) = (self.cell.gauges(), self.cells().clock);
            gauges.limits(limits, clock, Instant::now());
        }
    }

    fn end(&mut self, end: End<'_>) {
        match end {
            End::Complete { usage } => self.succeeded(usage),
            End::Failed(error) => self.failed(error),
            End::Abandoned => self.abandoned(),
        }
        if let Some(attempt) = &mut self.attempt {
            attempt.end(end);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.settled {
            self.abandoned();
        }
        self.cell.load().leave();
    }
}
