//! What talks to the store.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, VecDeque},
    fmt,
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, future::Either, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    cell::{Cell, Sync},
    leasing::RENEW,
    shared::Shared,
    store::{LeaseStore, SyncReply, SyncRequest},
};

/// How many keys are synced at the same time.
const AT_ONCE: usize = 256;

/// How often it is tried whether a store that was down answers again.
const TRY: Duration = Duration::from_millis(100);

/// What talks to the store for a [`LeasedLimiter`](crate::LeasedLimiter): the requests never do.
///
/// Without a driver nothing is ever leased, and all requests are decided as in an outage.
#[must_use = "the store is asked only by `run`"]
pub struct LeaseDriver {
    shared: Arc<Shared>,
}

impl LeaseDriver {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Asks the store for what requests wait for, tells it what was used, and gives back what is
    /// not. To be spawned once.
    ///
    /// Each key is synced by one call at a time, and at most 256 at the same time. A call that takes
    /// longer than a quarter of the lease is given up.
    ///
    /// It ends when the limiter and all its permits are gone and the store has heard of everything,
    /// or does not answer then. Dropped, what is leased is lost until the leases expire.
    pub async fn run<S: LeaseStore>(self, store: S) {
        let shared = &*self.shared;
        let patience = shared.leasing.lease / 4;
        let mut agenda = Agenda::default();
        let mut calls = Vec::new();
        let mut syncs = FuturesUnordered::new();
        let mut beat_at = Instant::now();
        let mut is_beating = false;
        let mut was_up = true;
        let mut try_at = beat_at;
        let mut answered_at = None;
        let mut is_closing = false;
        loop {
            let now = Instant::now();
            shared.take_calls(&mut calls);
            for cell in calls.drain(..) {
                agenda.look(shared, cell, now);
            }
            agenda.wake(shared, now);
            if shared.is_closed() && !is_closing {
                is_closing = true;
                agenda.hurry(shared, now);
            }
            let is_up = shared.is_up();
            if was_up && !is_up {
                (beat_at, try_at) = (now, now + TRY);
            }
            was_up = is_up;
            // One key is tried as well: of several servers, not all may be down.
            while (is_up || try_at <= now)
                && syncs.len() < AT_ONCE
                && let Some(cell) = agenda.ready.pop_front()
            {
                try_at = now + TRY;
                if cell.state.lock().is_asked() {
                    continue;
                }
                let number = shared.next_number();
                let sync = cell
                    .state
                    .lock()
                    .ask(&cell.key, &shared.leasing, number, now);
                let answer = timeout(patience, store.sync(&sync.request));
                syncs.push(Either::Left(async move {
                    let reply = answer.await.ok().and_then(Result::ok);
                    Done::Sync(cell, sync, reply)
                }));
            }
            if beat_at <= now && !is_beating {
                is_beating = true;
                let answer = timeout(patience, store.sync(&presence(shared)));
                syncs.push(Either::Right(async move {
                    Done::Beat(now, answer.await.ok().and_then(Result::ok))
                }));
            }
            if is_closing {
                let is_done = agenda.is_empty() && syncs.len() == usize::from(is_beating);
                if is_done || !is_up {
                    return;
                }
            }
            let beat = if is_beating { now + RENEW } else { beat_at };
            let next = agenda.next().map_or(beat, |at| at.min(beat));
            tokio::select! {
                () = shared.called() => {}
                () = sleep_until(next) => {}
                Some(done) = syncs.next() => match done {
                    Done::Sync(cell, sync, reply) => {
                        let now = Instant::now();
                        match reply {
                            Some(_) => {
                                answered_at = Some(now);
                                shared.set_up(true);
                            }
                            // Is it this key, or all?
                            None => beat_at = now,
                        }
                        let woken = {
                            let mut state = cell.state.lock();
                            state.hear(&sync, reply.as_ref(), &shared.leasing, now)
                        };
                        woken.into_iter().for_each(std::task::Waker::wake);
                        agenda.look(shared, cell, now);
                    }
                    Done::Beat(sent_at, reply) => {
                        let now = Instant::now();
                        is_beating = false;
                        let others = answered_at.is_some_and(|at| at >= sent_at);
                        shared.set_up(reply.is_some() || others);
                        if let Some(reply) = &reply {
                            shared.set_instances(reply.instances.max(1));
                        }
                        beat_at = now + if reply.is_some() { shared.leasing.lease / 3 } else { TRY };
                    }
                },
            }
        }
    }
}

/// What came of a call.
enum Done {
    Sync(Arc<Cell>, Sync, Option<SyncReply>),
    Beat(Instant, Option<SyncReply>),
}

/// Says that this instance is there, to find out how many there are and whether the store answers.
fn presence(shared: &Shared) -> SyncRequest {
    let number = shared.next_number();
    SyncRequest {
        key: None,
        instance: Arc::clone(&shared.leasing.instance),
        number,
        batch: number,
        born: 0,
        lease: shared.leasing.lease,
        limits: Vec::new(),
    }
}

/// Which key is synced when.
#[derive(Default)]
struct Agenda {
    later: BinaryHeap<Reverse<Entry>>,
    ready: VecDeque<Arc<Cell>>,
}

struct Entry {
    at: Instant,
    cell: Arc<Cell>,
}

impl Agenda {
    /// Enters a key for when it is due.
    fn look(&mut self, shared: &Shared, cell: Arc<Cell>, now: Instant) {
        let due = {
            let mut state = cell.state.lock();
            let due = match shared.is_closed() {
                true => state.close(&shared.leasing, now),
                false => state.due(&shared.leasing, now),
            };
            state.wakes_at = due;
            due
        };
        match due {
            Some(at) if at <= now => self.ready.push_back(cell),
            Some(at) => self.later.push(Reverse(Entry { at, cell })),
            None => {}
        }
    }

    /// Looks again at the keys whose time has come.
    fn wake(&mut self, shared: &Shared, now: Instant) {
        while let Some(Reverse(first)) = self.later.peek()
            && first.at <= now
        {
            let Some(Reverse(Entry { at, cell })) = self.later.pop() else {
                return;
            };
            // It has been entered anew since.
            if cell.state.lock().wakes_at == Some(at) {
                self.look(shared, cell, now);
            }
        }
    }

    /// Looks again at all keys, at the end.
    fn hurry(&mut self, shared: &Shared, now: Instant) {
        for Reverse(Entry { at, cell }) in std::mem::take(&mut self.later) {
            if cell.state.lock().wakes_at == Some(at) {
                self.look(shared, cell, now);
            }
        }
    }

    fn next(&self) -> Option<Instant> {
        self.later.peek().map(|Reverse(first)| first.at)
    }

    fn is_empty(&self) -> bool {
        self.later.is_empty() && self.ready.is_empty()
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at)
    }
}

impl fmt::Debug for LeaseDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseDriver").finish_non_exhaustive()
    }
}
