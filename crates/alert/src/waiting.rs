//! The requests that have no answer yet.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;
use ziggurat_core::{Ledger, Outcome};

use crate::Event;

/// The ledgers of the requests that wait for their answer, a bounded number of them.
///
/// All places are made at once, so a request allocates nothing.
pub(crate) struct Waiting {
    places: Box<[Mutex<Option<Place>>]>,
    free: Mutex<Vec<usize>>,
    unseen: AtomicU64,
}

struct Place {
    ledger: Ledger,
    is_told: bool,
}

impl Waiting {
    pub(crate) fn new(places: usize) -> Self {
        Self {
            places: std::iter::repeat_with(Mutex::default)
                .take(places)
                .collect(),
            free: Mutex::new((0..places).collect()),
            unseen: AtomicU64::new(0),
        }
    }

    /// Takes a place for a request; without one left it is not watched, and counted.
    pub(crate) fn enter(self: &Arc<Self>, ledger: &Ledger) -> Option<Waiter> {
        let Some(at) = self.free.lock().pop() else {
            self.unseen.fetch_add(1, Relaxed);
            return None;
        };
        *self.places[at].lock() = Some(Place {
            ledger: ledger.clone(),
            is_told: false,
        });
        Some(Waiter {
            waiting: Arc::clone(self),
            at,
        })
    }

    /// How many requests found no place.
    pub(crate) fn unseen(&self) -> u64 {
        self.unseen.load(Relaxed)
    }

    /// The requests that wait longer than that, each once.
    pub(crate) fn hanging(&self, threshold: Duration, now: Instant) -> Vec<Event> {
        let mut events = Vec::new();
        for place in &self.places {
            let waits = |place: &Place| now.saturating_duration_since(place.ledger.started());
            let hangs = match &mut *place.lock() {
                Some(place) if !place.is_told && waits(place) >= threshold => {
                    place.is_told = true;
                    Some((place.ledger.clone(), waits(place)))
                }
                _ => None,
            };
            if let Some((ledger, waits)) = hangs {
                events.push(tell(&ledger, waits));
            }
        }
        events
    }
}

/// Where the request is: at the last deployment that has not failed.
fn tell(ledger: &Ledger, waits: Duration) -> Event {
    ledger.with_trail(|trail| {
        let runs = trail.entries().iter().rev();
        let mut runs = runs.filter(|entry| entry.outcome() == Outcome::Pending);
        Event::hanging_request(runs.next().map(|entry| entry.deployment()), waits)
    })
}

/// The place of a request; dropped, it is free again.
pub(crate) struct Waiter {
    waiting: Arc<Waiting>,
    at: usize,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        // The ledger is dropped when no lock is held.
        let place = self.waiting.places[self.at].lock().take();
        self.waiting.free.lock().push(self.at);
        drop(place);
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use ziggurat_core::Deployment;

    use super::*;
    use crate::Kind;

    #[tokio::test(start_paused = true)]
    async fn a_request_that_hangs_is_told_once_with_the_deployment_it_is_at() {
        let waiting = Arc::new(Waiting::new(4));
        let (ledger, idle) = (Ledger::new(), Ledger::new());
        let _places = [&ledger, &idle].map(|it| waiting.enter(it).expect("there is a place"));
        let deployment = Arc::new(Deployment::new("a", "gpt", "m"));
        let _attempt = ledger.attempt(&deployment).expect("one is left");
        let threshold = Duration::from_secs(300);
        tokio::time::advance(Duration::from_secs(299)).await;
        assert!(waiting.hanging(threshold, Instant::now()).is_empty());
        tokio::time::advance(Duration::from_secs(1)).await;
        let events = waiting.hanging(threshold, Instant::now());
        assert!(events.iter().all(|it| it.kind() == Kind::HangingRequest));
        let mut at: Vec<_> = events
            .iter()
            .map(|it| it.deployment().map(|it| it.id().to_string()))
            .collect();
        at.sort();
        assert_eq!(at, [None, Some("a".to_owned())]);
        assert!(waiting.hanging(threshold, Instant::now()).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn places_are_bounded_and_given_back() {
        let waiting = Arc::new(Waiting::new(2));
        for _ in 0..10 {
            let ledgers = [Ledger::new(), Ledger::new(), Ledger::new()];
            let held = ledgers.each_ref().map(|ledger| waiting.enter(ledger));
            assert_eq!(held.iter().flatten().count(), 2);
        }
        assert_eq!(waiting.unseen(), 10);
        tokio::time::advance(Duration::from_secs(1_000)).await;
        assert!(waiting.hanging(Duration::ZERO, Instant::now()).is_empty());
    }
}
