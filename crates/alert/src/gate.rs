//! Which events are told, and which are summed up.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use crate::{Event, Kind, event::Name};

/// The span that the limit is about.
const MINUTE: Duration = Duration::from_secs(60);

/// How many subjects are told apart. What is about one more is only summed up.
const SUBJECTS: usize = 1_024;

/// One message to be sent.
#[derive(Clone, Debug)]
pub(crate) enum Notice {
    /// An event, and how many times it came in all since it was told last.
    One { event: Event, times: u64 },
    /// What was not told one by one: how many events of which kind.
    Summary(Counts),
}

/// How many events of which kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts([u64; Kind::ALL.len()]);

impl Counts {
    fn add(&mut self, kind: Kind, more: u64) {
        if let Some(at) = Kind::ALL.iter().position(|other| *other == kind) {
            self.0[at] = self.0[at].saturating_add(more);
        }
    }

    /// Those that there were.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Kind, u64)> {
        let counts = Kind::ALL.into_iter().zip(self.0);
        counts.filter(|(_, count)| *count > 0)
    }

    pub(crate) fn total(&self) -> u64 {
        let add = |sum: u64, (_, more): (Kind, u64)| sum.saturating_add(more);
        self.iter().fold(0, add)
    }
}

/// What holds for the messages of a webhook.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// How long the same event of the same subject is not told again.
    pub(crate) interval: Duration,
    /// The same for budgets.
    pub(crate) budget_interval: Duration,
    /// How many messages are sent in any minute.
    pub(crate) per_minute: usize,
}

impl Pace {
    fn interval(&self, kind: Kind) -> Duration {
        match kind {
            Kind::BudgetNear | Kind::BudgetCrossed => self.budget_interval,
            _ => self.interval,
        }
    }
}

/// Lets an event through at once, and then counts how often it comes again; when its interval is
/// over it tells that, once. Over all there is a limit to the messages of any minute; what exceeds it
/// is summed up in one message, as soon as there is room for it.
///
/// Every event is told, counted in `times` of one that is told, or summed up.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    seen: HashMap<(Kind, Name), Seen>,
    /// When the messages of the last minute were sent.
    sent: VecDeque<Instant>,
    held: Counts,
}

#[derive(Debug)]
struct Seen {
    /// The last one that came, and when.
    last: Event,
    came: Instant,
    /// How many came since one was told.
    repeats: u64,
    /// When it may be told again.
    next: Instant,
}

impl Gate {
    /// An event has happened. Returns what to send.
    pub(crate) fn offer(&mut self, event: Event, pace: &Pace, now: Instant) -> Option<Notice> {
        let kind = event.kind();
        let key = (kind, event.name());
        if let Some(seen) = self.seen.get_mut(&key)
            && now < seen.next
        {
            seen.repeats = seen.repeats.saturating_add(1);
            seen.last = event;
            seen.came = now;
            return None;
        }
        let repeats = match self.seen.remove(&key) {
            Some(seen) => seen.repeats,
            None => 0,
        };
        let times = repeats.saturating_add(1);
        // What waits to be summed up goes first.
        let has_place = self.make_place(now);
        if self.held != Counts::default() || !has_place || !self.has_room(pace, now) {
            self.held.add(kind, times);
            return None;
        }
        self.sent.push_back(now);
        let seen = Seen {
            last: event.clone(),
            came: now,
            repeats: 0,
            next: now + pace.interval(kind),
        };
        self.seen.insert(key, seen);
        Some(Notice::One { event, times })
    }

    /// What is to be sent now without another event: repetitions whose interval is over, in the order
    /// in which they came last, and what was held back.
    pub(crate) fn due(&mut self, pace: &Pace, now: Instant) -> Vec<Notice> {
        let mut due = Vec::new();
        if self.held != Counts::default() && self.has_room(pace, now) {
            self.sent.push_back(now);
            due.push(Notice::Summary(std::mem::take(&mut self.held)));
        }
        self.seen
            .retain(|_, seen| seen.repeats > 0 || now < seen.next);
        let over = self.seen.iter().filter(|(_, seen)| seen.next <= now);
        let mut over: Vec<_> = over.map(|(key, seen)| (seen.came, key.clone())).collect();
        over.sort_by_key(|(came, _)| *came);
        for (_, key) in over {
            let has_room = self.has_room(pace, now);
            let Some(seen) = self.seen.get_mut(&key) else {
                continue;
            };
            let times = std::mem::take(&mut seen.repeats);
            if has_room {
                seen.next = now + pace.interval(key.0);
                self.sent.push_back(now);
                let event = seen.last.clone();
                due.push(Notice::One { event, times });
            } else {
                self.held.add(key.0, times);
            }
        }
        due
    }

    /// All that was not told, summed up: nothing more will happen.
    pub(crate) fn rest(&mut self) -> Option<Notice> {
        for (key, seen) in &mut self.seen {
            self.held.add(key.0, std::mem::take(&mut seen.repeats));
        }
        let rest = std::mem::take(&mut self.held);
        (rest != Counts::default()).then_some(Notice::Summary(rest))
    }

    fn has_room(&mut self, pace: &Pace, now: Instant) -> bool {
        while (self.sent.front()).is_some_and(|at| now.saturating_duration_since(*at) >= MINUTE) {
            self.sent.pop_front();
        }
        self.sent.len() < pace.per_minute
    }

    /// Makes a place for one more subject, if that can be done without forgetting a repetition.
    fn make_place(&mut self, now: Instant) -> bool {
        if self.seen.len() >= SUBJECTS {
            self.seen
                .retain(|_, seen| seen.repeats > 0 || now < seen.next);
        }
        self.seen.len() < SUBJECTS
    }
}

#[cfg(test)]
mod tests;
