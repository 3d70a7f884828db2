//! Deployments that fail rest, and come back.

use tokio::time::{Instant, sleep};
use ziggurat::{ErrorKind, Router, cooldown::State};

use crate::stack::{
    leaf::{Leaf, Step},
    support::{gpt, router, secs, send},
};

const TEN: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

/// Ten deployments, each with a credential of its own, of which only the last one's is accepted.
fn nine_bad_credentials(settings: &str, seed: u64) -> (Leaf, Router) {
    let leaf = Leaf::default();
    for id in &TEN[..9] {
        leaf.always(id, Step::fail(ErrorKind::Authentication).after(20));
    }
    let router = router(&leaf, &[("gpt", &TEN)], settings);
    fastrand::seed(seed);
    (leaf, router)
}

#[tokio::test(start_paused = true)]
async fn with_a_retry_for_each_deployment_the_one_good_credential_among_ten_is_found_at_once() {
    for seed in 0..20 {
        let settings = "router_settings: {num_retries: 9}";
        let (leaf, router) = nine_bad_credentials(settings, seed);
        let sent = send(&router, gpt()).await;
        assert!(sent.is_ok(), "{}", sent.trail);
        assert_eq!(leaf.count(), sent.attempts());
        assert!(
            sent.took < secs(1),
            "nothing is waited for: {:?}",
            sent.took
        );
    }
}

#[tokio::test(start_paused = true)]
async fn with_default_settings_nine_bad_credentials_among_ten_cost_no_client_error() {
    for seed in 0..20 {
        let (leaf, router) = nine_bad_credentials("", seed);
        for _ in 0..30 {
            let sent = send(&router, gpt()).await;
            assert!(sent.is_ok(), "{}", sent.trail);
        }
        for id in &TEN[..9] {
            assert!(leaf.count_of(id) <= 1, "`{id}` rests");
        }
    }
}

/// What is known to serve is not left aside for probes of what is known not to.
#[tokio::test(start_paused = true)]
async fn once_a_good_deployment_is_known_the_probes_of_bad_ones_cost_no_client_error() {
    let mut errors = 0;
    for seed in 0..20 {
        let (leaf, router) = nine_bad_credentials("", seed);
        while TEN.iter().any(|id| leaf.count_of(id) == 0) {
            send(&router, gpt()).await;
        }
        for _ in 0..180 {
            sleep(secs(1)).await;
            errors += usize::from(!send(&router, gpt()).await.is_ok());
        }
    }
    assert_eq!(errors, 0, "of {} requests", 20 * 180);
}

#[tokio::test(start_paused = true)]
async fn an_always_failing_target_beside_a_healthy_one_is_asked_five_times_in_its_first_minute() {
    for (rate, seed) in (1..=5).flat_map(|rate| (0..10).map(move |seed| (rate, seed))) {
        let leaf = Leaf::default();
        leaf.always("bad", Step::fail(ErrorKind::Internal).after(30));
        leaf.always("good", Step::ok().after(100));
        let router = router(&leaf, &[("gpt", &["bad", "good"])], "");
        fastrand::seed(seed);
        let began = Instant::now();
        while began.elapsed() < secs(60) {
            let sent = send(&router, gpt()).await;
            assert!(sent.is_ok(), "{}", sent.trail);
            sleep(secs(1) / rate - sent.took).await;
        }
        let asked = leaf.count_of("bad");
        assert!(asked <= 5, "{asked} times at {rate} a second");
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_has_recovered_gets_its_share_again() {
    for rate in 1..=5 {
        let leaf = Leaf::default();
        leaf.always("bad", Step::fail(ErrorKind::Internal));
        let router = router(&leaf, &[("gpt", &["bad", "good"])], "");
        let offer = async |seconds: u32| {
            for _ in 0..seconds * rate {
                assert!(send(&router, gpt()).await.is_ok());
                sleep(secs(1) / rate).await;
            }
        };
        offer(60).await;
        leaf.always("bad", Step::ok());
        // The longest rest is forty seconds.
        offer(60).await;
        leaf.forget();
        offer(100).await;
        let (share, all) = (leaf.count_of("bad"), leaf.count());
        assert!(
            share * 10 > all * 3 && share * 10 < all * 7,
            "{share} of {all}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn malformed_requests_never_rest_a_deployment() {
    let leaf = Leaf::default();
    for id in ["a", "b"] {
        leaf.always(id, Step::fail(ErrorKind::BadRequest));
    }
    let router = router(&leaf, &[("gpt", &["a", "b"])], "");
    for _ in 0..50 {
        assert_eq!(send(&router, gpt()).await.attempts(), 1);
    }
    for id in ["a", "b"] {
        assert_eq!(router.cooldown().state(&id.into()), State::Closed);
        leaf.always(id, Step::ok());
    }
    assert!(send(&router, gpt()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_last_deployment_of_a_group_that_serves_does_not_rest() {
    let leaf = Leaf::default();
    for id in ["a", "b"] {
        leaf.always(id, Step::fail(ErrorKind::Unavailable));
    }
    let router = router(&leaf, &[("gpt", &["a", "b"])], "");
    for _ in 0..20 {
        let sent = send(&router, gpt()).await;
        assert_eq!(sent.kind(), Some(ErrorKind::Unavailable), "{}", sent.trail);
    }
    for id in ["a", "b"] {
        leaf.always(id, Step::ok());
    }
    let sent = send(&router, gpt()).await;
    assert!(sent.is_ok() && sent.took < secs(1), "{}", sent.trail);
}
