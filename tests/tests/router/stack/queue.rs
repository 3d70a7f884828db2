//! The queue of a configuration: where it stands, and between whom it shares.

use futures_util::future::{join, join_all};
use serde_json::json;
use tokio::time::advance;
use tokio_test::{assert_pending, task};
use ziggurat::{Caller, ErrorKind, LlmRequest, Reason};

use crate::stack::{
    leaf::{Leaf, Step},
    support::{Sent, gpt, plan, request, router, secs, send},
};

const TWO_GROUPS: &[(&str, &[&str])] = &[("gpt", &["a"]), ("claude", &["c"])];

fn claude() -> LlmRequest {
    request("claude", json!({}))
}

fn from(key: &str, team: &str) -> LlmRequest {
    let caller = Caller::new().with_key(key).with_team(team);
    request("gpt", json!({"user": format!("{key}.")})).with_caller(caller)
}

#[tokio::test(start_paused = true)]
async fn with_a_queue_for_each_group_one_that_hangs_holds_up_nobody_else() {
    for (per, waits) in [("group", false), ("global", true)] {
        let leaf = Leaf::default();
        leaf.always("a", Step::hang());
        leaf.always("c", Step::ok().after(100));
        let queue =
            format!("ziggurat_settings: {{deadline: 600, queue: {{capacity: 2, per: {per}}}}}");
        let router = router(&leaf, TWO_GROUPS, &queue);
        let mut hanging = [0; 5].map(|_| task::spawn(send(&router, gpt())));
        for call in &mut hanging {
            assert_pending!(call.poll());
        }
        let mut other = task::spawn(send(&router, claude()));
        assert_pending!(other.poll());
        advance(secs(1)).await;
        assert_eq!(other.poll().is_pending(), waits, "{per}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_a_queue_for_each_deployment_parallel_requests_wait_and_do_not_fail() {
    let leaf = Leaf::default();
    leaf.always("a", Step::ok().after(100));
    let router = router(
        &leaf,
        &[("gpt", &["a max_parallel_requests: 2"])],
        "router_settings: {num_retries: 0}\nziggurat_settings: {queue: {per: deployment}}",
    );
    let sent = join_all([0; 6].map(|_| send(&router, gpt()))).await;
    assert!(sent.iter().all(Sent::is_ok));
    let slowest = sent.iter().map(|sent| sent.took.as_millis()).max();
    assert_eq!(slowest, Some(300));
}

#[tokio::test(start_paused = true)]
async fn where_a_deployment_may_not_be_waited_for_another_one_is_asked() {
    let leaf = Leaf::default();
    for id in ["a", "b"] {
        leaf.always(id, Step::ok().after(100));
    }
    let router = router(
        &leaf,
        &[("gpt", &["a order: 1", "b order: 2"])],
        "router_settings: {num_retries: 0}\nziggurat_settings: {queue: {per: deployment, capacity: 1, max_wait: 0}}",
    );
    let sent = join_all([0; 3].map(|_| send(&router, gpt()))).await;
    let mut order = leaf.order();
    order.sort_unstable();
    assert_eq!(order, ["a", "b"]);
    let refused: Vec<_> = sent.iter().filter(|sent| !sent.is_ok()).collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].attempts(), 0, "nothing was sent");
}

#[tokio::test(start_paused = true)]
async fn a_fallback_goes_before_those_who_wait_for_its_group() {
    let leaf = Leaf::default();
    leaf.always("a", Step::fail(ErrorKind::Overloaded).after(50));
    leaf.always("c", Step::ok().after(100));
    let router = router(
        &leaf,
        TWO_GROUPS,
        "router_settings: {num_retries: 0, fallbacks: [{gpt: [claude]}]}\nziggurat_settings: {queue: {capacity: 1, per: group}}",
    );
    let claudes = join_all([0; 4].map(|_| send(&router, claude())));
    let (others, fallen_back) = join(claudes, send(&router, gpt())).await;
    assert!(others.iter().all(Sent::is_ok) && fallen_back.is_ok());
    // The first one runs until 100 ms; then it is the turn of the one that failed elsewhere.
    assert_eq!(fallen_back.took.as_millis(), 200);
}

#[tokio::test(start_paused = true)]
async fn at_a_deployment_too_who_was_let_in_elsewhere_goes_before_those_who_wait() {
    let settings = |fallbacks| {
        format!(
            "router_settings: {{num_retries: 1{fallbacks}}}\nziggurat_settings: {{queue: {{capacity: 1, per: deployment}}}}"
        )
    };
    let one_group: &[(&str, &[&str])] = &[("gpt", &["a order: 1", "c order: 2"])];
    let cases = [
        // Asked for by its own name, only it may serve.
        (one_group, "c", settings("")),
        (
            TWO_GROUPS,
            "claude",
            settings(", fallbacks: [{gpt: [claude]}]").replace("retries: 1", "retries: 0"),
        ),
    ];
    for (groups, others, settings) in cases {
        let leaf = Leaf::default();
        leaf.always("a", Step::fail(ErrorKind::Overloaded).after(50));
        leaf.always("c", Step::ok().after(100));
        let router = router(&leaf, groups, &settings);
        let others = join_all([0; 4].map(|_| send(&router, request(others, json!({})))));
        let (others, again) = join(others, send(&router, gpt())).await;
        assert!(others.iter().all(Sent::is_ok) && again.is_ok());
        assert_eq!(again.took.as_millis(), 200, "{}", again.trail);
    }
}

#[tokio::test(start_paused = true)]
async fn who_tries_again_keeps_its_turn() {
    for per in ["global", "group"] {
        let leaf = Leaf::default();
        let mut steps = vec![Step::fail(ErrorKind::Internal).after(50)].into_iter();
        leaf.behave("a", move || steps.next().unwrap_or(Step::ok().after(100)));
        let settings = format!(
            "router_settings: {{num_retries: 1}}\nziggurat_settings: {{queue: {{capacity: 1, per: {per}}}}}"
        );
        let router = router(&leaf, &[("gpt", &["a"])], &settings);
        let of = |user: &str| request("gpt", json!({"user": user}));
        let sent = ["first", "second", "third"].map(|user| send(&router, of(user)));
        assert!(join_all(sent).await.iter().all(Sent::is_ok));
        let calls = leaf.calls();
        assert_eq!(calls.len(), 4);
        for call in &calls[..2] {
            assert!(call.body.contains("first"), "{per}: {}", call.body);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_full_is_answered_by_another() {
    let leaf = Leaf::default();
    leaf.always("a", Step::ok().after(1_000));
    leaf.always("c", Step::ok().after(100));
    let router = router(
        &leaf,
        TWO_GROUPS,
        "router_settings: {fallbacks: [{gpt: [claude]}]}\nziggurat_settings: {queue: {capacity: 1, per: group, max_waiting: 0}}",
    );
    let sent = join_all([0; 2].map(|_| send(&router, gpt()))).await;
    assert!(sent.iter().all(Sent::is_ok));
    assert_eq!(leaf.order(), ["a", "c"]);
}

#[tokio::test(start_paused = true)]
async fn keys_share_by_their_weights_and_teams_by_theirs() {
    const CALLERS: &str = "general_settings: {master_key: sk-a-master-key}
ziggurat_settings:
  teams: [{name: red, share: 70}, {name: blue, share: 30}]
  keys: [{name: r, key: sk-0123456789abcdef-r, team: red}, {name: b, key: sk-0123456789abcdef-b, team: blue}, {name: b2, key: sk-0123456789abcdef-2, team: blue, share: 70}]
";
    for (by, blue, share) in [("key", "b", 0.3), ("key", "b2", 0.5), ("team", "b2", 0.3)] {
        let leaf = Leaf::default();
        leaf.always("a", Step::ok().after(100));
        let queue = format!("{CALLERS}  queue: {{capacity: 2, tenant: {by}}}");
        let router = router(&leaf, &[("gpt", &["a"])], &queue);
        let requests = (0..200).map(|i| match i % 2 {
            0 => from("r", "red"),
            _ => from(blue, "blue"),
        });
        let all = join_all(requests.map(|request| send(&router, request))).await;
        assert!(all.iter().all(Sent::is_ok));
        // Both always have somebody waiting.
        let calls = leaf.calls();
        let told = format!("\"{blue}.\"");
        let of_blue = calls[2..102].iter().filter(|it| it.body.contains(&told));
        let part = of_blue.count() as f64 / 100.0;
        assert!((part - share).abs() < 0.05, "{by} {blue}: {part}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_capacity_of_tokens_lets_as_many_through_as_fit() {
    let leaf = Leaf::default();
    leaf.always("a", Step::ok().after(100));
    let router = router(
        &leaf,
        &[("gpt", &["a"])],
        "ziggurat_settings: {queue: {capacity: 1000, count: tokens}}",
    );
    let with_output = |tokens: u32| request("gpt", json!({"max_tokens": tokens}));
    // The text of each is some tokens too, so that four of 240 fit and a fifth does not.
    let sent = join_all([240; 5].map(|tokens| send(&router, with_output(tokens)))).await;
    let mut took: Vec<_> = sent.iter().map(|sent| sent.took.as_millis()).collect();
    took.sort_unstable();
    assert_eq!(took, [100, 100, 100, 100, 200]);
    // One that is larger than all there is runs alone.
    let huge = send(&router, with_output(1_000_000)).await;
    assert!(huge.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_reload_that_changes_a_capacity_leaves_everybody_where_they_wait() {
    for per in ["global", "group", "deployment"] {
        let leaf = Leaf::default();
        leaf.always("a", Step::hang());
        let settings = |capacity| {
            format!(
                "ziggurat_settings: {{deadline: 600, queue: {{capacity: {capacity}, per: {per}}}}}"
            )
        };
        let groups: &[(&str, &[&str])] = &[("gpt", &["a"])];
        let router = router(&leaf, groups, &settings(1));
        let mut calls = [0; 3].map(|_| task::spawn(send(&router, gpt())));
        for call in &mut calls {
            assert_pending!(call.poll());
        }
        assert_eq!(leaf.calls().len(), 1, "{per}");
        router
            .reload(&plan(groups, &settings(2)))
            .expect("is valid");
        for call in &mut calls {
            assert_pending!(call.poll());
        }
        assert_eq!(leaf.calls().len(), 2, "{per}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_class_is_told_soon_that_it_would_wait_for_too_long_and_no_other_is() {
    let leaf = Leaf::default();
    leaf.always("a", Step::ok().after(1_000));
    let router = router(
        &leaf,
        &[("gpt", &["a"])],
        "ziggurat_settings: {queue: {capacity: 1, classes: [{name: live, up_to: 0}, {name: batch, up_to: 9, max_wait: 1.5}]}}",
    );
    send(&router, gpt()).await.result.expect("is served");
    let with = |priority: i64| request("gpt", json!({"priority": priority}));
    let sent = [with(9), with(9), with(9), with(0)].map(|request| send(&router, request));
    let sent = join_all(sent).await;
    let reason = |sent: &Sent| {
        let error = sent.result.as_ref().err()?;
        error.rejection().map(ziggurat::Rejection::reason)
    };
    let reasons: Vec<_> = sent.iter().map(reason).collect();
    // The second might have waited for one second, but was overtaken.
    assert_eq!(reasons[..3], [None, Some(Reason::Busy), Some(Reason::Busy)]);
    assert!(sent[3].is_ok());
}
