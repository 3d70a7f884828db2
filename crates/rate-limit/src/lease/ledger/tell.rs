//! What is told of one limit, and heard.

use std::time::Duration;

use tokio::time::Instant;

use super::{Denied, Heard, Ledger};
use crate::{
    Window,
    lease::{
        leasing::{PROMPT, RENEW},
        store::{MOST, SyncLimit, SyncedLimit},
    },
    refused::Wait,
};

/// How many places are remembered: as many as a sliding window has slices, and some more.
const PLACES: usize = 64;

/// A year is as good as for ever, and can be added to any time.
const YEAR: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// What those lack who wait, beyond what is spare.
#[derive(Clone, Copy, Debug, Default)]
struct Lacking {
    least: u64,
    largest: u64,
    sum: u64,
}

impl Lacking {
    fn new(needs: impl Iterator<Item = u64>, spare: u64) -> Self {
        let mut lacking = Self::default();
        let mut sum = 0_u64;
        for need in needs {
            sum = sum.saturating_add(need);
            let it = need.saturating_sub(spare);
            lacking.largest = lacking.largest.max(it);
            if it > 0 && (lacking.least == 0 || it < lacking.least) {
                lacking.least = it;
            }
        }
        lacking.sum = sum.saturating_sub(spare);
        if lacking.least == 0 {
            // There is enough for each of them, and not for all.
            (lacking.least, lacking.largest) = (lacking.sum, lacking.sum);
        }
        lacking
    }
}

impl Ledger {
    /// How much is kept for requests to come: as much as came of late, and no more than the store
    /// would grant.
    fn target(&self, instances: u64, idle: Duration, now: Instant) -> u64 {
        if now >= self.pace.last + idle {
            return 0;
        }
        self.pace
            .wish()
            .min(self.remaining() / (2 * instances.max(1)))
    }

    /// When the store has to hear of it.
    pub(crate) fn due(
        &self,
        last: Instant,
        instances: u64,
        lease: Duration,
        idle: Duration,
        now: Instant,
    ) -> Option<Instant> {
        let target = self.target(instances, idle, now);
        let is_low = self.spare < target / 2;
        let is_scarce = self.remaining() / (2 * instances.max(1)) == 0;
        let is_told = self.pending == 0 && self.refunds.is_empty();
        if is_low || self.resets || (is_scarce && (!is_told || self.spare > 0)) {
            return Some(last + PROMPT);
        }
        if !is_told || self.spare > target {
            return Some(last + RENEW);
        }
        let give_back = (self.spare > 0).then(|| self.pace.last + idle);
        let renew = (self.held > 0).then(|| last + lease / 3);
        match (give_back, renew) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// What is told and asked for. `old` is what is told again because there was no answer.
    pub(crate) fn ask(
        &mut self,
        needs: impl Iterator<Item = u64> + Clone,
        old: Option<(u64, Vec<(u64, u64)>)>,
        instances: u64,
        idle: Duration,
        is_stale: bool,
        now: Instant,
    ) -> SyncLimit {
        self.pace.roll(now);
        let target = self.target(instances, idle, now);
        let needed = needs.clone().fold(0, u64::saturating_add);
        self.spare = self.spare.min(target.max(needed));
        // Each has a piece, and nobody enough: whoever asks next is to find them together.
        let is_in_pieces = self.denied.is_some_and(|it| it.is_held);
        if is_in_pieces && needs.clone().min().is_some_and(|it| it > self.spare) {
            self.spare = 0;
        }
        let lacking = Lacking::new(needs, self.spare);
        let own = match self.is_at_once() {
            true => 0,
            false => self.own.used(now),
        };
        if is_stale {
            // What has left the window meanwhile does not count any more.
            self.pending = self.pending.min(own);
        }
        let (used, refunds) =
            old.unwrap_or_else(|| (std::mem::take(&mut self.pending), self.refunds_by_place()));
        // As the store will count it when it has heard this: without what it hears later.
        let later: u64 = self.refunds.iter().map(|(_, amount)| amount).sum();
        let own = own.saturating_sub(self.pending).saturating_add(later);
        let wish = if now >= self.pace.last + idle {
            0
        } else {
            self.pace.wish()
        };
        SyncLimit {
            limit: self.limit,
            // What is told next is held until then.
            hold: (self.held + self.spare)
                .saturating_add(self.pending)
                .min(MOST),
            used: used.min(MOST),
            own: own.min(MOST),
            refunds,
            ends: self.known.map_or(0, |known| known.ends),
            reset_at: self.known.map_or(0, |known| known.reset_at),
            // It has to be known first since when not.
            resets: self.resets && self.known.is_some(),
            least: lacking.least.min(MOST),
            largest: lacking.largest.min(MOST),
            needed: lacking.sum.min(MOST),
            stock: match lacking.sum {
                0 => wish.saturating_sub(self.spare),
                _ => wish,
            }
            .min(MOST),
        }
    }

    fn refunds_by_place(&mut self) -> Vec<(u64, u64)> {
        let mut by_place: Vec<(u64, u64)> = Vec::new();
        for (batch, amount) in self.refunds.drain(..) {
            let place = self.places.iter().rev().find(|(from, _)| *from <= batch);
            let Some((_, place)) = place else { continue };
            let amount = amount.min(MOST);
            match by_place.iter_mut().find(|(other, _)| other == place) {
                Some((_, sum)) => *sum = (*sum + amount).min(MOST),
                None => by_place.push((*place, amount)),
            }
        }
        by_place
    }

    /// Takes in what the store answered. `is_anew` says that it did not know the key before, or not
    /// as it had been.
    pub(crate) fn hear(
        &mut self,
        asked: &SyncLimit,
        got: &SyncedLimit,
        batch: u64,
        is_anew: bool,
        now: Instant,
    ) {
        let granted = got.granted.min(asked.needed + asked.stock);
        self.spare += granted;
        if is_anew {
            // All that this instance ever used has been put there.
            self.places.clear();
            self.put(0, got.place);
        } else if asked.used > 0 {
            self.put(batch, got.place);
        }
        let after = |time: Option<Duration>| Some(now + time?.min(YEAR));
        let before = self.known.filter(|_| !is_anew);
        let has_turned = before.is_some_and(|it| it.ends != 0 && it.ends != got.ends);
        // A store that came back empty was told all that was used here: if that counts, it was told
        // after somebody else's reset, and this one is still to come.
        let has_reset = asked.resets
            && got.reset_at != 0
            && got.reset_at != asked.reset_at
            && !(is_anew && got.used > 0);
        let is_reset = has_reset || before.is_some_and(|it| it.reset_at != got.reset_at);
        if has_turned || is_reset {
            // Another period has begun, or all was forgotten. What the store has not heard of is used
            // now, and what it was told just now, if it put that there.
            let is_there = match is_reset {
                true => !asked.resets,
                false => got.place == got.ends,
            };
            let told = if is_there { asked.used } else { 0 };
            self.own.restart(self.pending.saturating_add(told), now);
            let from = batch + u64::from(told == 0);
            self.own_from = from;
            self.refunds.retain(|(of, _)| *of >= from);
        }
        if has_reset {
            self.resets = false;
        }
        self.known = Some(Heard {
            total: got.used.saturating_add(got.leased),
            whole_at: after(got.whole_in),
            ends: got.ends,
            reset_at: got.reset_at,
        });
        self.denied = (granted < asked.needed).then(|| {
            let wait = match (after(got.room_in), self.is_at_once()) {
                (Some(at), _) => Wait::Until(at),
                (None, true) => Wait::Place,
                (None, false) => Wait::Never,
            };
            let mine = asked.hold.saturating_add(granted);
            let without_others = got.used.saturating_add(mine).saturating_add(asked.largest);
            Denied {
                until: match wait {
                    Wait::Until(at) => at.min(now + PROMPT),
                    _ => now + PROMPT,
                },
                least: if granted == 0 { asked.least } else { 1 },
                largest: asked.largest,
                wait,
                is_held: without_others <= self.limit.amount() && !self.is_at_once(),
            }
        });
    }

    /// Remembers where a batch was put. A bucket has a new place for each: of those that are too
    /// many, the earlier stands for the later, of which a little less is given back then.
    fn put(&mut self, batch: u64, place: u64) {
        if self.places.last().is_some_and(|(_, last)| *last == place) {
            return;
        }
        if self.places.len() >= PLACES {
            match self.slot.window {
                Window::Smooth(_) => {
                    let mut keep = false;
                    self.places.retain(|_| {
                        keep = !keep;
                        keep
                    });
                }
                _ => drop(self.places.remove(0)),
            }
        }
        self.places.push((batch, place));
    }
}
