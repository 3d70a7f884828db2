//! What several instances do together.

use std::{future::Pending, time::Duration};

use futures_util::future::join_all;
use tokio::time::sleep;
use ziggurat_core::{Deployment, ErrorKind, HealthCheck, Secret};
use ziggurat_health::{CheckLeases, HealthPolicy, MemoryLeases};
use ziggurat_shared_log::{MemoryLog, Offer, SharedLog};

use crate::world::{Says, World, gpt, secs};

/// Goes through a story while instances share, and check all by and by.
async fn together<L: CheckLeases>(
    worlds: &[&World],
    log: &MemoryLog,
    leases: L,
    story: impl Future<Output = ()>,
) {
    let drivers = worlds.iter().map(|world| {
        let checks = world.health.clone();
        let checking = checks.run_shared(world.probe(), world.call(), leases.clone());
        async { tokio::join!(world.health.share(log.clone()), checking) }
    });
    tokio::select! { biased; _ = join_all(drivers) => {}, () = story => {} }
}

fn every(seconds: u64) -> HealthPolicy {
    HealthPolicy::new().interval(secs(seconds))
}

#[tokio::test(start_paused = true)]
async fn each_check_is_made_once_in_an_interval_by_one_of_all_and_all_know_what_it_found() {
    let ids = ["a", "b", "c", "d"];
    let worlds = [(); 3].map(|()| World::new(every(100), ids.map(gpt)));
    for world in &worlds {
        world.probe_says("b", Says::Error(ErrorKind::Internal));
    }
    let log = MemoryLog::new(1_000);
    let all: Vec<_> = worlds.iter().collect();
    together(&all, &log, MemoryLeases::new(), async {
        sleep(secs(10)).await;
        let asked: Vec<_> = worlds.iter().flat_map(World::asked).collect();
        assert_eq!(asked.len(), 4, "{asked:?}");
        for world in &worlds {
            let known = ids.map(|id| world.is_healthy(id));
            assert_eq!(known, [Some(true), Some(false), Some(true), Some(true)]);
        }
        sleep(secs(10 * 100)).await;
        let asked = worlds.each_ref().map(|world| world.asked().len());
        let sum: usize = asked.iter().sum();
        assert!((36..=46).contains(&sum), "{asked:?} in ten intervals");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_one_finds_the_others_know_within_a_second() {
    let worlds = [(); 2].map(|()| World::new(every(100), [gpt("a")]));
    let log = MemoryLog::new(1_000);
    let [one, other] = &worlds;
    together(&[one, other], &log, MemoryLeases::new(), async {
        sleep(secs(5)).await;
        one.probe_says("a", Says::Error(ErrorKind::Unavailable));
        one.check().await;
        sleep(secs(1)).await;
        let verdict = other.verdict("a").expect("is known");
        assert!(!verdict.is_healthy() && verdict.is_from_elsewhere());
        assert_eq!(verdict.error_kind(), Some(ErrorKind::Unavailable));
        assert_eq!(verdict.error_message(), Some("failed"));
        let own = one.verdict("a").expect("is known");
        let apart = own.checked_at() - verdict.checked_at();
        assert!(apart < Duration::from_millis(1));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_cannot_reach_the_others_makes_all_checks_itself() {
    #[derive(Clone)]
    struct Gone;

    impl CheckLeases for Gone {
        type Take = Pending<Option<bool>>;

        fn take(&self, _: &str, _: Duration) -> Self::Take {
            std::future::pending()
        }
    }

    let worlds = [(); 2].map(|()| World::new(every(100), ["a", "b"].map(gpt)));
    let (one, other) = (MemoryLog::new(9), MemoryLog::new(9));
    let [first, second] = worlds.each_ref().map(|world| [world]);
    tokio::join!(
        together(&first, &one, Gone, sleep(secs(10))),
        together(&second, &other, Gone, sleep(secs(10))),
    );
    for world in &worlds {
        assert_eq!(world.asked(), ["probe a", "probe b"]);
        assert_eq!(world.is_healthy("a"), Some(true));
    }
}

#[tokio::test(start_paused = true)]
async fn who_dies_in_a_check_leaves_it_to_the_next_turn() {
    let worlds = [(); 2].map(|()| World::new(every(100), [gpt("a")]));
    let [dying, other] = &worlds;
    dying.takes(secs(5));
    let (log, leases) = (MemoryLog::new(9), MemoryLeases::new());
    together(&[dying], &log, leases.clone(), sleep(secs(1))).await;
    assert_eq!(dying.asked().len(), 1);
    together(&[other], &log, leases, async {
        sleep(secs(10)).await;
        assert_eq!(other.verdict("a").map(|_| ()), None);
        sleep(secs(100)).await;
        assert_eq!(other.is_healthy("a"), Some(true));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_verdict_on_what_is_something_else_here_is_passed_over() {
    let keyed = |key: &str| {
        let key = Secret::new(key.to_owned());
        [gpt("a").with_credential(key), gpt("b")]
    };
    let mut disabled = HealthCheck::default();
    disabled.disabled = true;
    let [a, b] = keyed("new");
    let one = World::new(every(100), keyed("old"));
    let other = World::new(every(100), [a, b.with_health_check(disabled), gpt("c")]);
    let log = MemoryLog::new(9);
    let sharing = async { tokio::join!(one.health.share(log.clone()), other.health.share(log)) };
    let story = async {
        one.check().await;
        sleep(secs(2)).await;
        assert!(one.verdict("a").is_some() && one.verdict("b").is_some());
        assert!(other.verdict("a").is_none(), "it has another key");
        assert!(other.verdict("b").is_none(), "it is not to be checked");
    };
    tokio::select! { biased; _ = sharing => {}, () = story => {} }
}

#[tokio::test(start_paused = true)]
async fn an_older_verdict_replaces_no_newer_one_and_a_stale_one_says_nothing() {
    let one = World::new(every(100), ["a", "b"].map(gpt));
    let written = |id: &str, model: &str, age: u64, message: &str| {
        let target = Deployment::new(id, "gpt", model).target_fingerprint();
        let age = age * 1_000_000;
        format!(
            r#"{{"id":"{id}","target":{target},"healthy":false,"age_us":{age},"took_us":1,"kind":"of tomorrow","message":"{message}"}}"#
        )
    };
    let log = MemoryLog::new(9);
    let said = vec![
        "?".to_owned(),
        written("nobody", "model-of-a", 1, ""),
        written("a", "model-of-a", 20, ""),
        written("b", "model-of-b", u64::MAX / 1_000_000, ""),
        written("b", "model-of-b", 300, ""),
    ];
    sleep(secs(1_000)).await;
    one.check().await;
    sleep(secs(10)).await;
    let tell = async |entries| {
        log.exchange(Offer::new(Default::default(), 9).entries(entries))
            .await;
        let sharing = one.health.share(log.clone());
        tokio::time::timeout(secs(1), sharing).await.unwrap_err();
    };
    tell(said).await;
    assert_eq!(one.is_healthy("a"), Some(true), "it was checked since");
    assert_eq!(one.is_healthy("b"), Some(true));
    tell(vec![written("b", "model-of-b", 0, &"x".repeat(3_000))]).await;
    let verdict = one.verdict("b").expect("is known");
    assert_eq!(verdict.error_kind(), Some(ErrorKind::Unavailable));
    assert_eq!(verdict.error_message().map(str::len), Some(500));
}
