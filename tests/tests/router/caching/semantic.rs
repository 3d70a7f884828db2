//! Questions that mean the same, with vectors from a group of the same router.

use serde_json::json;
use ziggurat::Caller;
use ziggurat_testkit::provider::{Script, Step};
use ziggurat_tests::{Reply, VirtualWorld};

use crate::caching::support::{ask, ask_as, is_hit, says, world};

const ALIKE: &str = "litellm_settings: {cache: true}\n\
    router_settings: {num_retries: 0, disable_cooldowns: true}\n\
    ziggurat_settings: {cache: {tenants: all, semantic: {model: e, threshold: 0.9, timeout: 2}}}\n";

/// A world in which `e` knows what a few questions mean.
fn alike() -> VirtualWorld {
    let (world, _) = world(&["a", "e"], ALIKE);
    let script = Script::from_fn(|call| {
        let embedding = match call.json()["input"].as_str().unwrap_or_default() {
            "is it warm?" | "hello" => [1.0, 0.0],
            "is it warm today?" => [1.0, 0.2],
            "is it cold?" => [1.0, 0.6],
            "slow" => return Step::ok().hang(),
            _ => return Step::status(500),
        };
        let answer = json!({
            "object": "list", "model": "e", "usage": {"prompt_tokens": 3, "total_tokens": 3},
            "data": [{"object": "embedding", "index": 0, "embedding": embedding}],
        });
        Step::ok().raw(answer.to_string(), "application/json")
    });
    world.providers.script("e", script);
    world
}

async fn asks(world: &VirtualWorld, text: &str) -> Reply {
    ask(world, says(text)).await
}

#[tokio::test(start_paused = true)]
async fn what_means_the_same_is_answered_again_and_the_opposite_is_not() {
    let world = alike();
    let first = asks(&world, "is it warm?").await;
    assert!(!is_hit(&first));
    let again = asks(&world, "is it warm today?").await;
    assert!(is_hit(&again));
    assert_eq!(again.text, first.text);
    assert_eq!(again.header("x-ziggurat-cache-similarity"), "0.9806");
    assert!(!is_hit(&asks(&world, "is it cold?").await));
    // The very same is found without a vector.
    let vectors = world.providers.count("e");
    assert!(is_hit(&asks(&world, "is it warm?").await));
    assert_eq!(world.providers.count("e"), vectors);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_kept_by_its_question_too() {
    let world = alike();
    let stream = |text: &str| {
        let mut body = says(text);
        body["stream"] = true.into();
        body
    };
    let first = ask(&world, stream("is it warm?")).await;
    let again = ask(&world, stream("is it warm today?")).await;
    assert!(is_hit(&again) && again.is_whole_stream());
    assert_eq!(again.text, first.text);
}

#[tokio::test(start_paused = true)]
async fn two_tenants_with_the_same_question_never_share_even_if_others_share_all() {
    let world = alike();
    let key = |key: &str| Caller::new().with_key(key);
    assert!(!ask_as(&world, key("a")).await);
    world.router.reset_cache();
    assert!(!ask_as(&world, key("a")).await, "all is forgotten");
    let mut other = says("is it warm today?");
    other["model"] = "a".into();
    let ask = async |caller: Caller| {
        use tower::ServiceExt as _;
        let request =
            ziggurat::LlmRequest::from_value(ziggurat::Operation::ChatCompletions, &other);
        let request = request.expect("is a request").with_caller(caller);
        let answer = world.router.clone().oneshot(request).await;
        let answer = answer.expect("is answered");
        answer.headers().contains_key("x-ziggurat-cache-similarity")
    };
    assert!(!ask(key("b")).await);
    // What `b` asked is in the exact cache now, and all share that here.
    world.router.reset_cache();
    assert!(!ask_as(&world, key("a")).await);
    assert!(ask(key("a")).await);
}

#[tokio::test(start_paused = true)]
async fn without_vectors_all_goes_on() {
    let world = alike();
    for question in ["slow", "unknown"] {
        let began = tokio::time::Instant::now();
        let reply = asks(&world, question).await;
        assert!(!is_hit(&reply));
        let waited = if question == "slow" { 2 } else { 0 };
        assert_eq!(began.elapsed().as_secs(), waited, "{question}");
        // The exact cache is another matter.
        assert!(is_hit(&asks(&world, question).await));
    }
    assert_eq!(world.providers.count("a"), 2);
}
