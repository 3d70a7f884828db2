//! What every store of leases does.
//!
//! [`check`] runs against a store; a store is good if it does not panic. It does not ask for much:
//! [`MemoryLeases`](ziggurat_rate_limit::MemoryLeases) is the model, number by number.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};
use ziggurat_rate_limit::{
    LeaseStore, Limit, LimitKey, Limits, Measure, Period, Rate, Window,
    lease::{SyncLimit, SyncReply, SyncRequest, SyncedLimit},
};

/// How long anything may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(20);
const MINUTE: Duration = Duration::from_secs(60);

/// Runs every check. What the store knows already is left alone.
///
/// # Panics
///
/// If the store does something else than it should, or does not answer.
pub async fn check<S: LeaseStore>(store: S) {
    for limit in limits(10) {
        no_more_is_granted_than_there_is(&store, limit).await;
        what_is_given_back_is_there_again(&store, limit).await;
        what_waits_for_more_than_there_is_gets_nothing(&store, limit).await;
        a_number_that_was_there_before_does_nothing(&store, limit).await;
        what_is_held_counts_even_if_there_is_no_room(&store, limit).await;
    }
    for limit in limits(10)
        .into_iter()
        .filter(|it| it.window() != Window::AtOnce)
    {
        what_is_told_twice_counts_once(&store, limit).await;
        what_was_used_beyond_the_limit_counts(&store, limit).await;
        a_refund_takes_back_what_was_told(&store, limit).await;
        what_the_dead_held_is_used(&store, limit).await;
        who_is_not_known_any_more_tells_all(&store, limit).await;
        what_is_reset_is_forgotten_once(&store, limit).await;
    }
    chunks_are_the_smaller_the_more_there_are(&store).await;
    a_place_of_the_dead_is_free(&store).await;
    who_waits_as_long_as_told_finds_room(&store).await;
}

/// A limit of so much in each kind of window, longer than a check takes.
fn limits(amount: u64) -> Vec<Limit> {
    let rate = Rate::new(amount, 60 * MINUTE).expect("a valid period");
    let fixed = [
        Period::Rolling(MINUTE),
        Period::Day,
        Period::Week,
        Period::Month,
        Period::Forever,
    ];
    let fixed = fixed.map(|period| Limit::new(Measure::Money, amount, Window::Fixed(period)));
    let in_flight = Limits::none().with_in_flight(u32::try_from(amount).expect("is small"));
    let mut limits = vec![
        rate.of(Measure::Requests),
        rate.smooth().of(Measure::Tokens),
    ];
    limits.extend(in_flight.iter().copied());
    limits.extend(fixed);
    limits
}

/// An instance, as it speaks of one limit on a key.
struct Instance<'a, S> {
    store: &'a S,
    request: SyncRequest,
}

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A key that nobody used before, even if the store is kept from run to run.
fn fresh() -> LimitKey {
    let unique = ziggurat_core::UniqueId::next();
    LimitKey::tenant(unique.to_string())
}

impl<'a, S: LeaseStore> Instance<'a, S> {
    fn new(store: &'a S, key: &LimitKey, limit: Limit) -> Self {
        let name: Arc<str> = format!("instance {}", NEXT.fetch_add(1, Relaxed)).into();
        let request = SyncRequest {
            key: Some(key.clone()),
            instance: name,
            number: 0,
            batch: 0,
            born: 0,
            lease: MINUTE,
            limits: vec![SyncLimit::new(limit)],
        };
        Self { store, request }
    }

    /// Says something new.
    async fn say(&mut self, change: impl FnOnce(&mut SyncLimit)) -> SyncedLimit {
        let limit = &mut self.request.limits[0];
        (limit.used, limit.own) = (0, 0);
        limit.refunds.clear();
        limit.resets = false;
        (limit.least, limit.largest, limit.needed, limit.stock) = (0, 0, 0, 0);
        change(limit);
        self.request.number += 1;
        self.request.batch = self.request.number;
        let reply = self.sync().await;
        self.request.born = reply.born;
        self.request.limits[0].reset_at = reply.limits[0].reset_at;
        reply.limits[0]
    }

    /// Needs so much, all for one request. What is granted is held.
    async fn need(&mut self, amount: u64) -> SyncedLimit {
        let got = self.say(|it| {
            (it.least, it.largest, it.needed) = (amount, amount, amount);
        });
        let got = got.await;
        self.request.limits[0].hold += got.granted;
        got
    }

    /// Has used so much of what it held, or more.
    async fn used(&mut self, amount: u64) -> SyncedLimit {
        self.say(|it| {
            it.hold = it.hold.saturating_sub(amount);
            (it.used, it.own) = (amount, amount);
        })
        .await
    }

    /// Says the same again.
    async fn sync(&self) -> SyncReply {
        let reply = self.store.sync(&self.request).await;
        let reply = reply.expect("the store answers");
        assert_eq!(reply.limits.len(), self.request.limits.len());
        reply
    }
}

async fn no_more_is_granted_than_there_is<S: LeaseStore>(store: &S, limit: Limit) {
    let key = fresh();
    let mut granted = 0;
    for _ in 0..4 {
        let mut one = Instance::new(store, &key, limit);
        granted += one.need(3).await.granted;
        let got = one.need(1).await;
        granted += got.granted;
        assert_eq!(got.leased, granted, "{limit}");
    }
    assert_eq!(granted, 10, "{limit}");
}

async fn what_is_given_back_is_there_again<S: LeaseStore>(store: &S, limit: Limit) {
    let key = fresh();
    let [mut one, mut other] = [(); 2].map(|()| Instance::new(store, &key, limit));
    assert_eq!(one.need(10).await.granted, 10, "{limit}");
    assert_eq!(other.need(4).await.granted, 0, "{limit}");
    one.say(|it| it.hold = 6).await;
    assert_eq!(other.need(4).await.granted, 4, "{limit}");
}

async fn what_waits_for_more_than_there_is_gets_nothing<S: LeaseStore>(store: &S, limit: Limit) {
    let key = fresh();
    let [mut one, mut other] = [(); 2].map(|()| Instance::new(store, &key, limit));
    assert_eq!(one.need(8).await.granted, 8, "{limit}");
    let got = other.need(3).await;
    assert_eq!(got.granted, 0, "{limit}");
    let is_for_ever = limit.window() == Window::Fixed(Period::Forever);
    let is_known = !is_for_ever && limit.window() != Window::AtOnce;
    assert_eq!(got.room_in.is_some(), is_known, "{limit}");
    // Of several, the smallest may pass.
    let got = other
        .say(|it| (it.least, it.largest, it.needed) = (1, 3, 6))
        .await;
    assert_eq!(got.granted, 2, "{limit}");
}

async fn a_number_that_was_there_before_does_nothing<S: LeaseStore>(store: &S, limit: Limit) {
    let key = fresh();
    let mut one = Instance::new(store, &key, limit);
    one.need(4).await;
    let again = one.sync().await.limits[0];
    assert_eq!((again.granted, again.leased), (0, 4), "{limit}");
}

async fn what_is_held_counts_even_if_there_is_no_room<S: LeaseStore>(store: &S, limit: Limit) {
    let key = fresh();
    let [mut one, mut other] = [(); 2].map(|()| Instance::new(store, &key, limit));
    one.need(8).await;
    assert_eq!(other.say(|it| it.hold = 7).await.leased, 15, "{limit}");
    assert_eq!(one.need(1).await.granted, 0, "{limit}");
}

async fn what_is_told_twice_counts_once<S: LeaseStore>(store: &S, limit: Limit) {
    let key = fresh();
    let mut one = Instance::new(store, &key, limit);
    one.need(6).await;
    let first = one.used(4).await;
    assert!(first.used <= 4 && first.leased == 2, "{limit}");
    // The answer was lost: the same batch comes with another number.
    one.request.number += 1;
    let again = one.sync().await.limits[0];
    assert!(again.used <= 4 && again.leased == 2, "{limit}");
    assert_eq!(again.place, first.place, "{limit}");
}

async fn what_was_used_beyond_the_limit_counts<S: LeaseStore>(store: &S, limit: Limit) {
    let key = fresh();
    let mut one = Instance::new(store, &key, limit);
    one.need(10).await;
    let got = one.used(15).await;
    assert_eq!((got.used, got.leased), (15, 0), "{limit}");
    assert_eq!(one.need(1).await.granted, 0, "{limit}");
}

async fn a_refund_takes_back_what_was_told<S: LeaseStore>(store: &S, limit: Limit) {
    let key = fresh();
    let mut one = Instance::new(store, &key, limit);
    one.need(10).await;
    let place = one.used(10).await.place;
    one.say(|it| it.refunds.push((place, 4))).await;
    let got = one.need(4).await;
    assert_eq!((got.used, got.granted), (6, 4), "{limit}");
}

async fn what_the_dead_held_is_used<S: LeaseStore>(store: &S, limit: Limit) {
    let key = fresh();
    let [mut one, mut other] = [(); 2].map(|()| Instance::new(store, &key, limit));
    one.request.lease = Duration::from_millis(1);
    one.need(4).await;
    until(async || other.say(|_| {}).await.leased == 4 && alive(&other).await == 1).await;
    assert_eq!(other.need(7).await.granted, 0, "{limit}");
    // It comes back, and says that it used less.
    let got = one.used(1).await;
    assert!(got.used <= 1 && got.leased == 3, "{limit}");
}

async fn alive<S: LeaseStore>(one: &Instance<'_, S>) -> u64 {
    one.sync().await.instances
}

async fn who_is_not_known_any_more_tells_all<S: LeaseStore>(store: &S, limit: Limit) {
    let key = fresh();
    let mut one = Instance::new(store, &key, limit);
    one.request.born = 5;
    let got = one.say(|it| (it.hold, it.used, it.own) = (2, 1, 6)).await;
    assert_eq!((got.used, got.leased), (6, 2), "{limit}");
    let got = one.used(1).await;
    assert_eq!((got.used, got.leased), (7, 1), "{limit}");
}

async fn what_is_reset_is_forgotten_once<S: LeaseStore>(store: &S, limit: Limit) {
    let key = fresh();
    let [mut one, mut other] = [(); 2].map(|()| Instance::new(store, &key, limit));
    one.need(6).await;
    let place = one.used(4).await.place;
    other.need(4).await;
    other.used(3).await;
    // What is held stays: of the ten, two and one.
    let got = one.say(|it| it.resets = true).await;
    assert_eq!((got.used, got.leased), (0, 3), "{limit}");
    assert!(got.reset_at > 0, "{limit}");
    // The other one did not know when it said the same.
    let again = other.say(|it| it.resets = true).await;
    assert_eq!((again.reset_at, again.used), (got.reset_at, 0), "{limit}");
    let used = other.used(1).await.used;
    assert_eq!(used, 1, "{limit}");
    // What was used before cannot be given back any more.
    one.request.limits[0].reset_at = 0;
    assert_eq!(
        one.say(|it| it.refunds.push((place, 4))).await.used,
        1,
        "{limit}"
    );
    assert_eq!(other.need(7).await.granted, 7, "{limit}");
}

async fn chunks_are_the_smaller_the_more_there_are<S: LeaseStore>(store: &S) {
    let limit = Rate::per_minute(1_000).of(Measure::Tokens);
    let key = fresh();
    let [mut one, mut other] = [(); 2].map(|()| Instance::new(store, &key, limit));
    assert_eq!(one.say(|it| it.stock = 900).await.granted, 500);
    one.request.limits[0].hold = 500;
    assert_eq!(other.say(|it| it.stock = 900).await.granted, 125);
    other.request.limits[0].hold = 125;
    assert_eq!(other.say(|it| it.stock = 7).await.granted, 7);
}

async fn a_place_of_the_dead_is_free<S: LeaseStore>(store: &S) {
    let limits = Limits::none().with_in_flight(1);
    let limit = *limits.iter().next().expect("there is one");
    let key = fresh();
    let [mut one, mut other] = [(); 2].map(|()| Instance::new(store, &key, limit));
    one.request.lease = Duration::from_millis(100);
    assert_eq!(one.need(1).await.granted, 1);
    until(async || other.need(1).await.granted == 1).await;
    // It was not dead. Now there are two.
    one.request.limits[0].hold = 1;
    assert_eq!(one.say(|_| {}).await.leased, 2);
}

async fn who_waits_as_long_as_told_finds_room<S: LeaseStore>(store: &S) {
    let rate = Rate::new(10, Duration::from_millis(300)).expect("a valid period");
    let rolling = Period::Rolling(Duration::from_millis(300));
    for limit in [
        rate.of(Measure::Requests),
        rate.smooth().of(Measure::Requests),
        Limit::new(Measure::Money, 10, Window::Fixed(rolling)),
    ] {
        let mut one = Instance::new(store, &fresh(), limit);
        for _ in 0..3 {
            let mut got = one.need(10).await;
            if got.granted == 0 {
                sleep(got.room_in.expect("is known")).await;
                got = one.need(10).await;
            }
            assert_eq!(got.granted, 10, "{limit}");
            one.used(10).await;
        }
    }
}

/// Waits for what happens by itself.
async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < PATIENCE, "it does not happen");
        sleep(Duration::from_millis(5)).await;
    }
}
