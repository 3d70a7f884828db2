//! Other groups.

use serde_json::json;
use ziggurat::{ErrorKind, Outcome};

use crate::stack::{
    leaf::{Leaf, Step},
    support::{gpt, request, router, send},
};

const GROUPS: [(&str, &[&str]); 3] = [
    ("a", &["a1", "a2"]),
    ("b", &["b1", "b2"]),
    ("c", &["c1", "c2"]),
];
const ALL: [&str; 6] = ["a1", "a2", "b1", "b2", "c1", "c2"];
const CYCLE: &str = "fallbacks: [{a: [b]}, {b: [c]}, {c: [a]}]";

#[tokio::test(start_paused = true)]
async fn a_malformed_request_is_one_attempt_in_a_cycle_of_fallbacks() {
    let leaf = Leaf::default();
    for id in ALL {
        leaf.always(id, Step::fail(ErrorKind::BadRequest));
    }
    let router = router(&leaf, &GROUPS, &format!("router_settings: {{{CYCLE}}}"));
    for _ in 0..5 {
        leaf.forget();
        let sent = send(&router, request("a", json!({}))).await;
        assert_eq!(sent.kind(), Some(ErrorKind::BadRequest));
        assert_eq!((leaf.count(), sent.attempts()), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_cycle_of_fallbacks_asks_each_group_once() {
    let leaf = Leaf::default();
    for id in ALL {
        leaf.always(id, Step::fail(ErrorKind::Internal));
    }
    let settings = format!("router_settings: {{num_retries: 0, {CYCLE}}}");
    let router = router(&leaf, &GROUPS, &settings);
    for (start, order) in [("a", ["a", "b", "c"]), ("b", ["b", "c", "a"])] {
        leaf.forget();
        let sent = send(&router, request(start, json!({}))).await;
        assert_eq!(sent.kind(), Some(ErrorKind::Internal));
        let groups: Vec<_> = leaf.order().iter().map(|id| id[..1].to_owned()).collect();
        assert_eq!(groups, order);
    }
}

#[tokio::test(start_paused = true)]
async fn with_retries_a_cycle_of_fallbacks_stays_within_the_attempts_of_a_request() {
    let leaf = Leaf::default();
    for id in ALL {
        leaf.always(id, Step::fail(ErrorKind::Internal));
    }
    for (retries, most) in [(1, 6), (2, 6), (3, 8), (9, 20)] {
        let settings = format!("router_settings: {{num_retries: {retries}, {CYCLE}}}");
        let router = router(&leaf, &GROUPS, &settings);
        leaf.forget();
        let sent = send(&router, request("a", json!({}))).await;
        assert!(!sent.is_ok());
        assert!(leaf.count() <= most, "{retries} retries: {}", sent.trail);
        assert_eq!(leaf.count(), sent.attempts());
        let entered = |group: &str| {
            let order = leaf.order();
            let mut runs: Vec<_> = order.iter().map(|id| &id[..1]).collect();
            runs.dedup();
            runs.iter().filter(|run| **run == group).count()
        };
        for group in ["a", "b", "c"] {
            assert!(entered(group) <= 1, "{retries} retries: {}", sent.trail);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn with_default_settings_a_group_that_is_down_leaves_attempts_for_its_fallbacks() {
    let leaf = Leaf::default();
    for id in ["a1", "a2", "b1", "b2"] {
        leaf.always(id, Step::fail(ErrorKind::Internal));
    }
    let settings = "router_settings: {fallbacks: [{a: [b, c]}]}";
    let router = router(&leaf, &GROUPS, settings);
    let sent = send(&router, request("a", json!({}))).await;
    assert!(sent.is_ok(), "{}", sent.trail);
}

const REFUSALS: &str = "fallbacks: [{gpt: [general]}], context_window_fallbacks: [{gpt: [long]}]";

fn refusing(kind: ErrorKind, settings: &str) -> (Leaf, ziggurat::Router) {
    let leaf = Leaf::default();
    leaf.always("a", Step::fail(kind));
    leaf.always("b", Step::fail(kind));
    let groups: [(&str, &[&str]); 4] = [
        ("gpt", &["a", "b"]),
        ("general", &["g"]),
        ("long", &["l"]),
        ("bold", &["p"]),
    ];
    let router = router(&leaf, &groups, &format!("router_settings: {{{settings}}}"));
    (leaf, router)
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_its_content_is_one_call_and_goes_back_to_the_client() {
    let (leaf, router) = refusing(ErrorKind::ContentPolicy, REFUSALS);
    let sent = send(&router, gpt()).await;
    let error = sent.result.expect_err("is refused");
    assert_eq!(error.kind(), ErrorKind::ContentPolicy);
    assert_eq!(error.status().as_u16(), 400);
    assert_eq!(leaf.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_its_content_goes_to_its_own_list_if_there_is_one() {
    let settings = format!("{REFUSALS}, content_policy_fallbacks: [{{gpt: [bold]}}]");
    let (leaf, router) = refusing(ErrorKind::ContentPolicy, &settings);
    let sent = send(&router, gpt()).await;
    assert!(sent.is_ok());
    assert_eq!((leaf.count(), leaf.count_of("p")), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_request_too_long_for_a_window_goes_only_to_the_list_for_it() {
    let (leaf, router) = refusing(ErrorKind::ContextWindow, REFUSALS);
    let sent = send(&router, gpt()).await;
    assert!(sent.is_ok());
    assert_eq!((leaf.count(), leaf.count_of("l")), (2, 1));
    for id in ["a", "b"] {
        let state = router.cooldown().state(&id.into());
        assert_eq!(
            state,
            ziggurat::cooldown::State::Closed,
            "{id} is not to blame"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_too_long_for_a_window_without_a_list_for_it_is_one_call() {
    let (leaf, router) = refusing(ErrorKind::ContextWindow, "fallbacks: [{gpt: [general]}]");
    let sent = send(&router, gpt()).await;
    assert_eq!(sent.kind(), Some(ErrorKind::ContextWindow));
    assert_eq!(leaf.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn when_everything_fails_the_first_groups_failure_is_told_and_every_attempt_is_in_the_trail()
{
    let leaf = Leaf::default();
    leaf.always("a", Step::fail(ErrorKind::Overloaded));
    leaf.always("b", Step::fail(ErrorKind::Authentication));
    let router = router(
        &leaf,
        &[("gpt", &["a"]), ("claude", &["b"])],
        "router_settings: {num_retries: 0, fallbacks: [{gpt: [claude]}]}",
    );
    let sent = send(&router, gpt()).await;
    assert_eq!(sent.kind(), Some(ErrorKind::Overloaded));
    let outcomes: Vec<_> = sent.trail.entries().iter().map(|e| e.outcome()).collect();
    assert_eq!(
        outcomes,
        [ErrorKind::Overloaded, ErrorKind::Authentication].map(Outcome::Failed)
    );
}
