//! Instances that share their rests.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};
use ziggurat_cooldown::{CooldownLayer, CooldownPolicy, State};
use ziggurat_core::{Deployment, Deployments, Error, ErrorKind, Routed, Secret, Snapshot};
use ziggurat_shared_log::{Exchanged, MemoryLog, Offer, SharedLog};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_rest_that_began_in_one_instance_is_known_to_the_other_within_a_second_and_ends_with_it()
{
    let log = MemoryLog::new(100);
    let [one, other] = [instance("k"), instance("k")];
    sharing([&one, &other], log, async {
        sleep(SECOND).await;
        one.fail("a", ErrorKind::RateLimited).await;
        sleep(SECOND).await;
        let ends = [&one, &other].map(|it| match it.state("a") {
            State::Resting { until, because } => (until, because),
            state => panic!("it is {state:?}"),
        });
        assert_eq!(
            ends.map(|(_, because)| because),
            [ErrorKind::RateLimited; 2]
        );
        let [one, other] = ends.map(|(until, _)| until);
        let apart = one.max(other) - one.min(other);
        assert!(apart < Duration::from_millis(1), "they are {apart:?} apart");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_log_that_hangs_or_is_gone_costs_requests_nothing_and_then_news_of_both_sides_go_over() {
    for silent in [false, true] {
        let log = Faulty::new(silent);
        let [one, other] = [instance("k"), instance("k")];
        sharing([&one, &other], log.clone(), async {
            sleep(SECOND).await;
            log.is_gone.store(true, Relaxed);
            sleep(SECOND).await;
            let before = Instant::now();
            one.fail_for("a", 60).await;
            other.fail_for("b", 60).await;
            one.succeed("c").await;
            assert_eq!(Instant::now(), before, "nobody has waited");
            sleep(20 * SECOND).await;
            assert_eq!(other.state("a"), State::Closed);
            log.is_gone.store(false, Relaxed);
            sleep(6 * SECOND).await;
            for it in [&one, &other] {
                assert!(it.rests("a") && it.rests("b"));
            }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_starts_later_learns_what_rests_and_not_what_is_back() {
    let log = MemoryLog::new(100);
    let [one, late] = [instance("k"), instance("k")];
    sharing([&one], log.clone(), async {
        one.fail("a", ErrorKind::NotFound).await;
        one.fail("b", ErrorKind::NotFound).await;
        sleep(SECOND).await;
        one.layer.reset(&"b".into());
        sleep(SECOND).await;
    })
    .await;
    sharing([&late], log, sleep(SECOND)).await;
    assert!(late.rests("a") && !late.rests("b"));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_lost_its_data_is_told_what_still_holds() {
    let log = MemoryLog::new(100);
    let [one, other, late] = [instance("k"), instance("k"), instance("k")];
    sharing([&one, &other], log.clone(), async {
        sleep(SECOND).await;
        one.fail("a", ErrorKind::NotFound).await;
        sleep(SECOND).await;
        log.lose();
        sleep(SECOND).await;
        sharing([&late], log.clone(), sleep(SECOND)).await;
        assert!(late.rests("a"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_longer_rest_of_our_own_is_not_shortened_and_a_shorter_one_is_lengthened() {
    let log = MemoryLog::new(100);
    let [one, other] = [instance("k"), instance("k")];
    sharing([&one, &other], log.clone(), async {
        sleep(SECOND).await;
        one.fail_for("a", 60).await;
        other.fail_for("a", 90).await;
        let end = Instant::now() + 90 * SECOND;
        sleep(SECOND).await;
        for it in [&one, &other] {
            let State::Resting { until, .. } = it.state("a") else {
                panic!("it rests");
            };
            assert!(end - until < Duration::from_millis(1));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_listed_here_or_has_another_credential_here_is_not_rested() {
    let log = MemoryLog::new(100);
    let [one, other] = [instance("old"), instance("new")];
    one.list("old", &["a", "b", "c", "elsewhere"]);
    sharing([&one, &other], log, async {
        sleep(SECOND).await;
        one.fail("a", ErrorKind::Authentication).await;
        one.fail("elsewhere", ErrorKind::NotFound).await;
        one.fail("b", ErrorKind::NotFound).await;
        sleep(SECOND).await;
        assert!(!other.rests("a"), "its key was replaced here");
        assert!(!other.rests("elsewhere"));
        assert!(other.rests("b"), "no key will help");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_of_each_group_goes_on_serving_in_each_instance() {
    let log = MemoryLog::new(100);
    let [one, other] = [instance("k"), instance("k")];
    other.list("k", &["a"]);
    sharing([&one, &other], log, async {
        sleep(SECOND).await;
        one.fail("a", ErrorKind::NotFound).await;
        sleep(SECOND).await;
        assert!(one.rests("a") && !other.rests("a"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_probe_of_one_brings_it_back_in_all_but_ends_no_newer_rest() {
    let log = MemoryLog::new(100);
    let [one, other, third] = [instance("k"), instance("k"), instance("k")];
    sharing([&one, &other, &third], log, async {
        sleep(SECOND).await;
        one.fail("a", ErrorKind::NotFound).await;
        sleep(5 * SECOND).await;
        let over = State::HalfOpen {
            because: ErrorKind::NotFound,
        };
        assert_eq!([&one, &other, &third].map(|it| it.state("a")), [over; 3]);
        one.succeed("a").await;
        third.fail_for("a", 30).await;
        assert!(third.rests("a"));
        sleep(SECOND).await;
        assert_eq!(third.layer.health(&"a".into()).back_since, None);
        assert!(third.rests("a"), "its own rest is newer");
        one.layer.reset_all();
        sleep(SECOND).await;

        one.fail("b", ErrorKind::NotFound).await;
        sleep(5 * SECOND).await;
        one.succeed("b").await;
        assert_ne!(other.state("b"), State::Closed);
        sleep(SECOND).await;
        assert_eq!(other.state("b"), State::Closed);
        let since = other.layer.back_since(&"b".into());
        assert!(since.is_some() && since == other.layer.last_back());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_reset_ends_rests_in_all_instances() {
    let log = MemoryLog::new(100);
    let [one, other] = [instance("k"), instance("k")];
    sharing([&one, &other], log, async {
        sleep(SECOND).await;
        for id in ["a", "b"] {
            one.fail(id, ErrorKind::NotFound).await;
        }
        sleep(SECOND).await;
        other.layer.reset(&"a".into());
        sleep(SECOND).await;
        assert!(!one.rests("a") && one.rests("b"));
        other.layer.reset_all();
        sleep(SECOND).await;
        assert!(!one.rests("b"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_rest_grows_from_where_the_other_instance_was() {
    let log = MemoryLog::new(100);
    let [one, other] = [instance("k"), instance("k")];
    sharing([&one, &other], log, async {
        sleep(SECOND).await;
        one.fail("a", ErrorKind::NotFound).await;
        sleep(5 * SECOND).await;
        other.fail("a", ErrorKind::NotFound).await;
        let State::Resting { until, .. } = other.state("a") else {
            panic!("it rests");
        };
        assert_eq!(until - Instant::now(), 20 * SECOND);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_written_to_the_log_by_somebody_else_is_passed_over() {
    let log = MemoryLog::new(100);
    let it = instance("k");
    let said = [
        "",
        "{}",
        "null",
        r#"{"news":"hello"}"#,
        r#"{"news":"reset","id":"nobody"}"#,
        r#"{"news":"rests","id":"a","credential":1,"left_us":-1,"because":"internal","blame":"deployment","growth":1}"#,
        r#"{"news":"rests","id":"a","credential":1,"left_us":9000000,"because":"boredom","blame":"deployment","growth":1}"#,
        r#"{"news":"rests","id":"b","credential":1,"left_us":18446744073709551615,"because":"internal","blame":"deployment","growth":4294967295}"#,
    ];
    let entries = said.map(str::to_owned).to_vec();
    log.exchange(Offer::new(Default::default(), 9).entries(entries))
        .await;
    let now = Instant::now();
    sharing([&it], log, sleep(SECOND)).await;
    assert_eq!(it.state("a"), State::Closed);
    let State::Resting { until, .. } = it.state("b") else {
        panic!("that one was well-formed");
    };
    assert!(
        until <= now + 601 * SECOND,
        "no longer than a provider may ask for"
    );
}

/// Three deployments, seen by one instance.
struct Instance {
    deployments: Deployments,
    layer: CooldownLayer,
}

fn instance(key: &str) -> Instance {
    let deployments = Deployments::new(Snapshot::default());
    let layer = CooldownLayer::new(CooldownPolicy::new()).deployments(deployments.clone());
    let instance = Instance { deployments, layer };
    instance.list(key, &["a", "b", "c"]);
    instance
}

impl Instance {
    /// Each has the key for a place of its own.
    fn list(&self, key: &str, ids: &[&str]) {
        let deployment = |id: &&str| {
            Deployment::new(*id, "gpt", "m")
                .with_base_url(format!("http://{id}"))
                .with_credential(Secret::new(key.to_owned()))
        };
        self.deployments
            .swap(Snapshot::new(ids.iter().map(deployment)));
    }

    async fn answer(&self, id: &str, answer: Result<&'static str, Error>) {
        let mut answer = Some(answer);
        let leaf = service_fn(move |_| {
            let answer = answer.take().expect("is asked once");
            async { answer }
        });
        let snapshot = self.deployments.load();
        let deployment = snapshot.get(&id.into()).expect("is listed");
        let request = Routed::new("hi", Arc::clone(deployment));
        drop(self.layer.layer(leaf).oneshot(request).await);
    }

    async fn succeed(&self, id: &str) {
        self.answer(id, Ok("hello")).await;
    }

    async fn fail(&self, id: &str, kind: ErrorKind) {
        self.answer(id, Err(Error::new(kind, "failed"))).await;
    }

    async fn fail_for(&self, id: &str, seconds: u64) {
        let error = Error::new(ErrorKind::RateLimited, "failed");
        let error = error.with_retry_after(Duration::from_secs(seconds));
        self.answer(id, Err(error)).await;
    }

    fn state(&self, id: &str) -> State {
        self.layer.state(&id.into())
    }

    fn rests(&self, id: &str) -> bool {
        matches!(self.state(id), State::Resting { .. })
    }
}

/// Goes through a story while instances share.
async fn sharing<const N: usize>(
    instances: [&Instance; N],
    log: impl SharedLog,
    story: impl Future<Output = ()>,
) {
    let drivers = instances.map(|it| it.layer.share(log.clone()));
    let drivers = futures_util::future::join_all(drivers);
    tokio::select! { biased; _ = drivers => {}, () = story => {} }
}

/// A log that may be out of reach: it fails, or does not answer.
#[derive(Clone)]
struct Faulty {
    log: MemoryLog,
    is_gone: Arc<AtomicBool>,
    silent: bool,
}

impl Faulty {
    fn new(silent: bool) -> Self {
        let (log, is_gone) = (MemoryLog::new(100), Arc::default());
        Self {
            log,
            is_gone,
            silent,
        }
    }
}

impl SharedLog for Faulty {
    type Exchange = std::pin::Pin<Box<dyn Future<Output = Option<Exchanged>> + Send>>;

    fn exchange(&self, offer: Offer) -> Self::Exchange {
        match (self.is_gone.load(Relaxed), self.silent) {
            (false, _) => Box::pin(self.log.exchange(offer)),
            (true, false) => Box::pin(async { None }),
            (true, true) => Box::pin(std::future::pending()),
        }
    }
}
