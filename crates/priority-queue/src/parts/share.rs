//! The driver.

use std::{
    collections::{BTreeSet, HashMap},
    future::{Future, pending},
    sync::Arc,
    time::Duration,
};

use futures_util::{
    future::Either,
    stream::{FuturesUnordered, StreamExt as _},
};
use tokio::time::{Instant, sleep_until, timeout};

use super::{Answer, GRACE, LEAST, PartStore, Parts, Told, part::Ask};
use crate::gate::Wakers;

/// For how long a part is set aside for an instance that says nothing.
const LEASE: Duration = Duration::from_secs(2);

/// How often it is told that this instance is there; and how often it is tried where that fails.
const PRESENT: Duration = Duration::from_millis(500);
const TRY: Duration = Duration::from_millis(100);

/// How long an exchange may take, and how many are made at a time.
const PATIENCE: Duration = Duration::from_millis(250);
const MOST_EXCHANGES: usize = 256;

impl Parts {
    /// Shares capacities with all that use this store, under the name of this instance, which no other
    /// may have. To be spawned once; it never ends. Dropped, each part is again what it is without a
    /// store, and those that the others hold grow when the leases are over, after two seconds.
    pub fn share<S: PartStore, I: Into<Arc<str>>>(
        &self,
        store: S,
        instance: I,
    ) -> impl Future<Output = ()> + Send + use<S, I> {
        self.share_until(store, instance, pending())
    }

    /// The same until something happens. Then what is held is given back, which may take a quarter of a second.
    pub fn share_until<S: PartStore, I: Into<Arc<str>>, F: Future<Output = ()> + Send>(
        &self,
        store: S,
        instance: I,
        until: F,
    ) -> impl Future<Output = ()> + Send + use<S, I, F> {
        let sharing = Sharing {
            parts: self.clone(),
            store,
            me: instance.into(),
        };
        async move {
            tokio::select! {
                () = sharing.run() => {}
                () = until => {}
            }
            sharing.give_back().await;
        }
    }
}

struct Sharing<S> {
    parts: Parts,
    store: S,
    me: Arc<str>,
}

/// Without a driver, each instance is by itself.
impl<S> Drop for Sharing<S> {
    fn drop(&mut self) {
        self.parts.leave();
    }
}

/// What came of an exchange.
enum Done {
    Told(Arc<str>, Instant, Told, Option<Answer>),
    Forgotten(Arc<str>),
    Present(Instant, Option<Answer>),
}

/// When which gate is exchanged next.
#[derive(Default)]
struct Agenda {
    at: HashMap<Arc<str>, When>,
    due: BTreeSet<(Instant, Arc<str>)>,
}

struct When {
    last: Instant,
    /// `None` while it is exchanged.
    due: Option<Instant>,
    /// Whether somebody has begun to wait meanwhile.
    is_rung: bool,
}

impl Agenda {
    /// Somebody begins to wait at a gate.
    fn ring(&mut self, name: Arc<str>, now: Instant) {
        let Some(when) = self.at.get_mut(&name) else {
            self.set(name, now, now);
            return;
        };
        when.is_rung = true;
        if when.due.is_some() {
            let last = when.last;
            self.set(name, last, now.max(last + LEAST));
        }
    }

    /// The gate is exchanged then, at the latest.
    fn set(&mut self, name: Arc<str>, last: Instant, due: Instant) {
        let before = self.at.get(&name).and_then(|it| it.due);
        if let Some(before) = before {
            self.due.remove(&(before, Arc::clone(&name)));
        }
        let due = before.map_or(due, |before| before.min(due));
        self.due.insert((due, Arc::clone(&name)));
        let due = Some(due);
        let is_rung = false;
        self.at.insert(name, When { last, due, is_rung });
    }

    /// A gate that is to be exchanged now.
    fn take(&mut self, now: Instant) -> Option<Arc<str>> {
        let (due, _) = self.due.first()?;
        if *due > now {
            return None;
        }
        let (_, name) = self.due.pop_first()?;
        let when = self.at.get_mut(&name)?;
        (when.last, when.due, when.is_rung) = (now, None, false);
        Some(name)
    }

    /// What was exchanged is to be so again then; or never, unless somebody has begun to wait.
    fn done(&mut self, name: Arc<str>, again: Option<Instant>) {
        let Some(when) = self.at.remove(&name) else {
            return;
        };
        let soon = when.is_rung.then_some(when.last + LEAST);
        if let Some(due) = soon.into_iter().chain(again).min() {
            self.set(name, when.last, due);
        }
    }
}

impl<S: PartStore> Sharing<S> {
    async fn run(&self) {
        let mut agenda = Agenda::default();
        let mut exchanges = FuturesUnordered::new();
        let mut present_at = Instant::now();
        let mut failing_since = None;
        loop {
            let now = Instant::now();
            for name in self.parts.bells().take() {
                agenda.ring(name, now);
            }
            while exchanges.len() < MOST_EXCHANGES
                && let Some(name) = agenda.take(now)
            {
                match self.parts.get(&name) {
                    Some(part) => {
                        let mut woken = Wakers::default();
                        let ask = part.ask(&self.me, now, &mut woken);
                        woken.wake();
                        exchanges.push(Either::Left(self.exchange(name, ask, now)));
                    }
                    None => agenda.done(name, None),
                }
            }
            if present_at <= now {
                // Not again before it is answered.
                present_at = now + PATIENCE + LEASE;
                exchanges.push(Either::Right(async move {
                    let answer = self.tell(None, Told::default(), LEASE).await;
                    Done::Present(now, answer)
                }));
            }
            let next = agenda.due.first().map(|(due, _)| *due);
            let next = next.map_or(present_at, |due| due.min(present_at));
            let done = tokio::select! {
                () = self.parts.bells().rings() => continue,
                () = sleep_until(next), if exchanges.len() < MOST_EXCHANGES => continue,
                Some(done) = exchanges.next() => done,
            };
            let now = Instant::now();
            match done {
                Done::Told(name, at, told, answer) => {
                    let Some(part) = self.parts.get(&name) else {
                        agenda.done(name, None);
                        continue;
                    };
                    let mut woken = Wakers::default();
                    let again = part.hear(&self.me, (at, &told), answer, now, &mut woken);
                    woken.wake();
                    // What nobody uses is tried again when the store is there. What is held of a gate
                    // is given back first: it may be kept elsewhere than the instances are.
                    let is_over = !self.parts.is_up() && !part.is_shared() && part.is_idle();
                    agenda.done(name, (!is_over).then_some(again));
                }
                Done::Forgotten(name) => agenda.done(name, None),
                Done::Present(at, answer) => {
                    present_at = now + if answer.is_some() { PRESENT } else { TRY };
                    match answer {
                        Some(answer) => {
                            failing_since = None;
                            self.parts.set_up(true, Some(answer.others.len() + 1));
                        }
                        None => {
                            let since = *failing_since.get_or_insert(at);
                            if now - since >= GRACE {
                                self.parts.set_up(false, None);
                            }
                        }
                    }
                    self.parts.forget_unused();
                }
            }
        }
    }

    async fn exchange(&self, name: Arc<str>, ask: Ask, at: Instant) -> Done {
        match ask {
            Ask::Tell(told) => {
                let answer = self.tell(Some(&name), told.clone(), LEASE).await;
                Done::Told(name, at, told, answer)
            }
            Ask::Forget => {
                self.tell(Some(&name), Told::default(), Duration::ZERO)
                    .await;
                Done::Forgotten(name)
            }
        }
    }

    async fn tell(&self, gate: Option<&str>, told: Told, lease: Duration) -> Option<Answer> {
        let exchange = self.store.exchange(&self.me, gate, told, lease);
        timeout(PATIENCE, exchange).await.ok()?
    }

    /// Gives back what is held.
    async fn give_back(&self) {
        if !self.parts.is_up() {
            return;
        }
        let names = self.parts.names();
        let gates = names.iter().map(|name| Some(&**name)).chain([None]);
        let all = gates.map(|gate| self.tell(gate, Told::default(), Duration::ZERO));
        let all: FuturesUnordered<_> = all.collect();
        let all = all.for_each(|_| async {});
        _ = timeout(PATIENCE, all).await;
    }
}
