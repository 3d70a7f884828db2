//! What the driver does by and by.

use std::num::NonZeroUsize;

use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};
use ziggurat_core::{ErrorKind, HealthCheck, Snapshot};
use ziggurat_health::HealthPolicy;

use crate::world::{Says, World, gpt, secs};

fn spawn(world: &World) -> JoinHandle<()> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the driver is to be spawned once"
    )]
    tokio::spawn(world.health.clone().run(world.probe(), world.call()))
}

fn every(seconds: u64) -> HealthPolicy {
    HealthPolicy::new().interval(secs(seconds))
}

#[tokio::test(start_paused = true)]
async fn all_are_known_soon_and_then_asked_once_in_an_interval() {
    let world = World::new(every(100), ["a", "b", "c", "d"].map(gpt));
    let driver = spawn(&world);
    sleep(secs(5)).await;
    assert_eq!(world.asked(), ["probe a", "probe b", "probe c", "probe d"]);
    sleep(secs(5 * 100)).await;
    let log = world.log();
    assert!((18..=22).contains(&log.len()), "{}", log.len());
    for (turn, (_, what)) in log.iter().enumerate() {
        let id = ["a", "b", "c", "d"][turn % 4];
        assert_eq!(*what, format!("probe {id}"));
    }
    for pair in log.windows(2) {
        let gap = pair[1].0 - pair[0].0;
        assert!((22..=28).contains(&gap), "they are spread: {gap}");
    }
    driver.abort();
}

#[tokio::test(start_paused = true)]
async fn a_check_that_hangs_holds_up_no_other_but_takes_its_room() {
    let world = World::new(
        every(10).concurrency(NonZeroUsize::MIN.saturating_add(1)),
        ["a", "b"].map(gpt),
    );
    world.probe_says("a", Says::Nothing);
    let driver = spawn(&world);
    sleep(secs(55)).await;
    let asked = world.asked();
    let of = |id| asked.iter().filter(|what| what.ends_with(id)).count();
    assert_eq!(of("a"), 1, "it is not asked twice at a time");
    assert!(of("b") > 5);
    sleep(secs(10)).await;
    assert_eq!(world.is_healthy("a"), Some(false));
    assert!(world.peak() <= 2);
    driver.abort();
}

#[tokio::test(start_paused = true)]
async fn no_more_checks_run_than_may() {
    let ids: Vec<_> = (0..30).map(|id| format!("{id}")).collect();
    let policy = every(10).concurrency(NonZeroUsize::MIN.saturating_add(3));
    let world = World::new(policy, ids.iter().map(|id| gpt(id)));
    world.takes(secs(20));
    let driver = spawn(&world);
    sleep(secs(200)).await;
    assert_eq!(world.peak(), 4);
    driver.abort();
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_one_check_and_not_the_driver() {
    let world = World::new(every(10), ["a", "b"].map(gpt));
    world.probe_says("a", Says::Panics);
    let driver = spawn(&world);
    sleep(secs(60)).await;
    assert!(!driver.is_finished());
    assert_eq!(world.is_healthy("a"), None);
    assert_eq!(world.is_healthy("b"), Some(true));
    driver.abort();
}

#[tokio::test(start_paused = true)]
async fn a_reload_is_noticed_and_so_is_a_policy() {
    let world = World::new(every(10_000), [gpt("a")]);
    let driver = spawn(&world);
    sleep(secs(5)).await;
    let mut disabled = HealthCheck::default();
    disabled.disabled = true;
    let news = [
        gpt("b"),
        gpt("c").with_blocked(true),
        gpt("d").with_health_check(disabled),
        gpt("e").with_group("other"),
    ];
    world.deployments.swap(Snapshot::new(news));
    sleep(secs(15)).await;
    assert_eq!(world.asked(), ["probe a", "probe b", "probe e"]);
    world.health.set_policy(every(10).groups(["other"]));
    sleep(secs(60)).await;
    let asked = world.asked();
    assert!(asked.len() > 3 && asked.iter().all(|what| what == "probe e"));
    driver.abort();
}

#[tokio::test(start_paused = true)]
async fn who_recovers_is_found_healthy_and_since_when() {
    let world = World::new(every(10), [gpt("a")]);
    world.probe_says("a", Says::Error(ErrorKind::Unavailable));
    let driver = spawn(&world);
    sleep(secs(25)).await;
    let sick = world.verdict("a").expect("is known");
    assert!(!sick.is_healthy() && sick.since() < sick.checked_at());
    world.probe_says("a", Says::This(Some(true)));
    let recovered = Instant::now();
    sleep(secs(30)).await;
    let well = world.verdict("a").expect("is known");
    assert!(well.is_healthy() && well.since() >= recovered);
    assert_eq!(well.error_kind(), None);
    driver.abort();
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_dropped_asks_nobody_any_more() {
    let world = World::new(every(10), [gpt("a")]);
    world.takes(secs(5));
    let driver = spawn(&world);
    sleep(secs(1)).await;
    assert_eq!(world.running(), 1);
    driver.abort();
    sleep(secs(100)).await;
    assert_eq!((world.running(), world.log().len()), (0, 1));
}
