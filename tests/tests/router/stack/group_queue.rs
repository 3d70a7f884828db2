//! Queues of groups that are as wide as what the deployments of each take.

use futures_util::future::{join, join_all};
use serde_json::json;
use tokio::time::sleep;
use tokio_test::{assert_pending, task};
use ziggurat::{Deployment, ErrorKind, Router};

use crate::stack::{
    leaf::{Leaf, Step},
    support::{Sent, gpt, plan, request, router, secs, send, streamed},
};

const QUEUED: &str =
    "router_settings: {num_retries: 1}\nziggurat_settings: {deadline: 600, queue: {per: group}}";

/// One that is asked first, and one that is asked when that cannot serve.
const PAIR: &[(&str, &[&str])] = &[(
    "gpt",
    &[
        "a order: 1, max_parallel_requests: 3",
        "b order: 2, max_parallel_requests: 3",
    ],
)];

/// So many at once: how long the slowest took, in milliseconds. All are served.
async fn slowest(router: &Router, requests: usize) -> u128 {
    let sent = join_all((0..requests).map(|_| send(router, gpt()))).await;
    for one in &sent {
        assert!(one.is_ok(), "{:?}", one.result);
    }
    let took = sent.iter().map(|sent| sent.took.as_millis());
    took.max().unwrap_or_default()
}

/// Does what is to be done in the background meanwhile.
async fn beside<T>(router: &Router, work: impl Future<Output = T>) -> T {
    let background = router.background().expect("is there once");
    tokio::select! {
        () = background => panic!("it runs as long as the router"),
        done = work => done,
    }
}

/// Lets a deployment do these one after the other, and then always the same.
fn then(leaf: &Leaf, id: &str, first: impl IntoIterator<Item = Step>, always: Step) {
    let mut first = Vec::from_iter(first).into_iter();
    leaf.behave(id, move || first.next().unwrap_or_else(|| always.clone()));
}

#[tokio::test(start_paused = true)]
async fn without_a_capacity_as_many_go_as_the_deployments_of_a_group_take() {
    for (capacity, took) in [("", 400), (", capacity: 9", 400), (", capacity: 4", 500)] {
        let leaf = Leaf::default();
        for id in ["a", "b", "c"] {
            leaf.always(id, Step::ok().after(100));
        }
        let groups: &[(&str, &[&str])] = &[
            (
                "gpt",
                &["a max_parallel_requests: 2", "b max_parallel_requests: 3"],
            ),
            ("claude", &["c max_parallel_requests: 1"]),
        ];
        let queue = format!("ziggurat_settings: {{queue: {{per: group{capacity}}}}}");
        let router = router(&leaf, groups, &queue);
        let claude = [0; 3].map(|_| send(&router, request("claude", json!({}))));
        let (of_gpt, claude) = join(slowest(&router, 20), join_all(claude)).await;
        assert_eq!(of_gpt, took, "{capacity}");
        let claude: Vec<_> = claude.iter().map(|sent| sent.took.as_millis()).collect();
        assert_eq!(claude, [100, 200, 300]);
    }
}

#[tokio::test(start_paused = true)]
async fn where_a_deployment_takes_any_number_nobody_waits() {
    let leaf = Leaf::default();
    leaf.always("a", Step::ok().after(100));
    let settings = "ziggurat_settings: {queue: {per: group}, concurrency: off}";
    let router = router(&leaf, &[("gpt", &["a"])], settings);
    assert_eq!(slowest(&router, 3_000).await, 100);
}

#[tokio::test(start_paused = true)]
async fn while_a_deployment_rests_requests_wait_for_the_others_and_when_it_is_back_they_do_not() {
    let leaf = Leaf::default();
    then(&leaf, "a", [Step::throttled(30)], Step::ok().after(1_000));
    leaf.always("b", Step::ok().after(1_000));
    let router = router(&leaf, PAIR, QUEUED);
    beside(&router, async {
        assert!(send(&router, gpt()).await.is_ok());
        // Three at a time, none of which is refused.
        assert_eq!(slowest(&router, 9).await, 3_000);
        assert_eq!(leaf.count_of("a"), 1);
        sleep(secs(30)).await;
        assert!(send(&router, gpt()).await.is_ok());
        assert_eq!(slowest(&router, 9).await, 2_000);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_goes_when_the_rest_of_another_deployment_is_over() {
    let leaf = Leaf::default();
    then(&leaf, "a", [Step::throttled(30)], Step::ok().after(100));
    then(&leaf, "b", [Step::ok()], Step::hang());
    let router = router(&leaf, PAIR, QUEUED);
    beside(&router, async {
        assert!(send(&router, gpt()).await.is_ok());
        let hanging = join_all((0..3).map(|_| send(&router, gpt())));
        let waiting = async {
            sleep(secs(1)).await;
            send(&router, gpt()).await
        };
        let waited = tokio::select! {
            _ = hanging => panic!("nobody answers them"),
            waited = waiting => waited,
        };
        assert!(waited.is_ok(), "{:?}", waited.result);
        assert_eq!(waited.took.as_secs(), 29);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn streams_of_a_deployment_that_rests_keep_nobody_from_the_places_of_others() {
    let leaf = Leaf::default();
    let streams = [Step::stream(99), Step::stream(99), Step::throttled(300)];
    then(&leaf, "a", streams, Step::ok());
    leaf.always("b", Step::ok().after(1_000));
    let router = router(&leaf, PAIR, QUEUED);
    let mut streams = join_all([0; 2].map(|_| send(&router, streamed()))).await;
    assert!(streams.iter().all(Sent::is_ok));
    assert!(send(&router, gpt()).await.is_ok());
    assert_eq!(router.group_capacity("gpt"), Some(3), "one rests");
    assert_eq!(slowest(&router, 3).await, 1_000);
    // A place of one that rests is none that another could have.
    let ends = async {
        sleep(secs(1) / 2).await;
        drop(streams.pop());
    };
    let (took, ()) = join(slowest(&router, 4), ends).await;
    assert_eq!(took, 2_000);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_group_of_which_all_rest() {
    let leaf = Leaf::default();
    let steps = [Step::stream(99), Step::throttled(300)];
    then(&leaf, "a", steps, Step::ok());
    leaf.always("c", Step::ok().after(100));
    let groups: &[(&str, &[&str])] = &[
        ("gpt", &["a max_parallel_requests: 2"]),
        ("claude", &["c max_parallel_requests: 5"]),
    ];
    let settings = "router_settings: {num_retries: 0, fallbacks: [{gpt: [claude]}]}\nziggurat_settings: {queue: {per: group}}";
    let router = router(&leaf, groups, settings);
    let _stream = send(&router, streamed()).await;
    assert!(send(&router, gpt()).await.is_ok());
    assert_eq!(slowest(&router, 10).await, 200);
    assert_eq!((leaf.count_of("a"), leaf.count_of("c")), (2, 11));
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_fails_its_check_is_not_waited_for_unless_all_do() {
    const CHECKED: &str = "general_settings: {background_health_checks: true, enable_health_check_routing: true}\nziggurat_settings: {queue: {per: group}}";
    let leaf = Leaf::default();
    let router = router(&leaf, PAIR, CHECKED);
    let bad = || Step::fail(ErrorKind::Authentication);
    for (of_a, of_b, took) in [
        (Step::ok(), bad(), 200),
        (Step::ok(), Step::ok(), 100),
        (bad(), Step::ok(), 200),
        (bad(), bad(), 100),
    ] {
        leaf.always("a", of_a);
        leaf.always("b", of_b);
        router.check_health().await;
        leaf.always("a", Step::ok().after(100));
        leaf.always("b", Step::ok().after(100));
        assert_eq!(slowest(&router, 6).await, took);
    }
}

/// A deployment of a group, as a configuration would have it.
fn member(member: &str) -> Deployment {
    plan(&[("gpt", &[member])], "").deployments[0].clone()
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_is_added_or_changed_lets_those_go_who_wait() {
    for per in ["group", "deployment"] {
        let leaf = Leaf::default();
        leaf.always("a", Step::hang());
        leaf.always("b", Step::hang());
        let settings =
            format!("ziggurat_settings: {{deadline: 600, queue: {{per: {per}}}, concurrency: 9}}");
        let router = router(
            &leaf,
            &[("gpt", &["a max_parallel_requests: 1"])],
            &settings,
        );
        let mut calls = [0; 4].map(|_| task::spawn(send(&router, gpt())));
        let mut running = || {
            for call in &mut calls {
                assert_pending!(call.poll());
            }
            leaf.count()
        };
        assert_eq!(running(), 1, "{per}");
        let wider = member("a max_parallel_requests: 2");
        assert_eq!(router.upsert_deployment(wider).ok(), Some(false));
        assert_eq!(running(), 2, "{per}");
        if per == "group" {
            let added = member("b max_parallel_requests: 1");
            router.add_deployment(added).expect("is new");
            assert_eq!(running(), 3);
            router.delete_deployment(&"b".into()).expect("is there");
            assert_eq!(running(), 3);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn at_what_was_taken_away_and_comes_back_requests_wait_as_before() {
    const ONLY: &str = "a max_parallel_requests: 1";
    for per in ["group", "deployment"] {
        let leaf = Leaf::default();
        leaf.always("a", Step::ok().after(100));
        let settings = format!("ziggurat_settings: {{queue: {{per: {per}}}}}");
        let router = router(&leaf, &[("gpt", &[ONLY])], &settings);
        assert_eq!(slowest(&router, 3).await, 300, "{per}");
        router.delete_deployment(&"a".into()).expect("is there");
        assert!(!send(&router, gpt()).await.is_ok());
        router.add_deployment(member(ONLY)).expect("is new");
        assert_eq!(slowest(&router, 3).await, 300, "{per}");
        // What it takes is followed, as it was.
        let wider = member("a max_parallel_requests: 3");
        assert_eq!(router.upsert_deployment(wider).ok(), Some(false));
        assert_eq!(slowest(&router, 3).await, 100, "{per}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_the_turn_of_one_that_hung_up_finds_its_place_free() {
    for (per, after) in [("group", 0), ("group", 1), ("deployment", 0)] {
        let leaf = Leaf::default();
        let first = match after {
            0 => Step::hang(),
            _ => Step::stream(99),
        };
        then(&leaf, "a", [first], Step::ok());
        let settings = format!("ziggurat_settings: {{queue: {{per: {per}}}}}");
        let router = router(
            &leaf,
            &[("gpt", &["a max_parallel_requests: 1"])],
            &settings,
        );
        let mut hangs = task::spawn(send(&router, streamed()));
        let answered = hangs.poll();
        let mut waits = task::spawn(send(&router, gpt()));
        assert_pending!(waits.poll());
        drop((hangs, answered));
        assert!(waits.is_woken());
        let waited = tokio_test::assert_ready!(waits.poll());
        assert!(waited.is_ok(), "{per}: {:?}", waited.result);
    }
}
