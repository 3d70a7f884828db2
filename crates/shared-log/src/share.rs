//! The driver.

use std::{hash::Hash, time::Duration};

use tokio::{
    task::yield_now,
    time::{sleep, timeout},
};

use crate::{Cursor, Offer, Outbox, SharedLog};

/// The pause between two exchanges.
const PAUSE: Duration = Duration::from_millis(250);

/// How far a pause differs from that, at most, as a part of it.
const JITTER: f64 = 0.2;

/// How long an exchange is waited for. A log should give up long before.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many news are told at a time.
const TOLD: usize = 256;

/// How many are read at a time.
const READ: usize = 1_000;

/// Longer entries are neither told nor read.
const LONGEST: usize = 4_096;

/// State that an instance shares with others.
///
/// What is read was written by another instance, of another version perhaps, or by somebody who may
/// write to the store: it is to be checked and bounded like anything from outside.
pub trait Shares: Send + Sync {
    /// What news are about.
    type Key: Hash + Eq + Clone + Send;
    /// What is new.
    type News: Clone + Send;

    /// What is to be told.
    fn outbox(&self) -> &Outbox<Self::Key, Self::News>;

    /// Puts news into words, as of now; `None` if they no longer matter.
    fn write(&self, news: &Self::News) -> Option<String>;

    /// Learns what another instance told so long ago.
    fn read(&self, entry: &str, age: Duration);

    /// Puts into the outbox all that still holds: the log does not know it.
    fn tell_again(&self);

    /// The salt of this instance; see [`Exchanged::salt`](crate::Exchanged::salt).
    fn salt(&self) -> u64 {
        0
    }

    /// Takes another salt, that of all others.
    fn agree_on(&self, _salt: u64) {}
}

/// Shares state with other instances over a log, for ever: to be spawned once.
///
/// It tells and reads four times a second, in one exchange each, and at once again while there is
/// more than one exchange holds. If an exchange fails, nothing is lost: it is made again. Dropped,
/// it leaves what it has not told untold.
pub async fn share<S: Shares, L: SharedLog>(state: S, log: L) {
    let state = Opened::new(state);
    let mut since = Cursor::default();
    loop {
        let goes_on = exchange(&state.0, &log, &mut since).await;
        if goes_on {
            yield_now().await;
        } else {
            let factor = 1.0 + JITTER * (2.0 * fastrand::f64() - 1.0);
            sleep(PAUSE.mul_f64(factor)).await;
        }
    }
}

/// Makes an exchange. Returns whether there is more to do.
async fn exchange<S: Shares, L: SharedLog>(state: &S, log: &L, since: &mut Cursor) -> bool {
    let outbox = state.outbox();
    let (mut places, mut entries) = (Vec::new(), Vec::new());
    for (place, news) in outbox.oldest(TOLD) {
        places.push(place);
        entries.extend(state.write(&news).filter(|entry| entry.len() <= LONGEST));
    }
    let offer = Offer::new(since.clone(), READ)
        .entries(entries)
        .salt(state.salt());
    let Ok(Some(exchanged)) = timeout(PATIENCE, log.exchange(offer)).await else {
        return false;
    };
    if exchanged.salt != state.salt() {
        state.agree_on(exchanged.salt);
    }
    if exchanged.is_new {
        state.tell_again();
    }
    // Before what was told leaves the outbox: it was appended after what is read now.
    for told in exchanged.entries.iter().take(READ) {
        if told.entry.len() <= LONGEST {
            state.read(&told.entry, told.age);
        }
    }
    *since = exchanged.cursor;
    if !exchanged.has_more {
        outbox.remove(places);
    }
    exchanged.has_more || exchanged.is_new || outbox.len() >= TOLD
}

/// State whose news are told, while this lives.
struct Opened<S: Shares>(S);

impl<S: Shares> Opened<S> {
    fn new(state: S) -> Self {
        state.outbox().open();
        Self(state)
    }
}

impl<S: Shares> Drop for Opened<S> {
    fn drop(&mut self) {
        self.0.outbox().close();
    }
}
