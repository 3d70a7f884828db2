//! What is given again, and what is not.

use serde_json::{Value, json};
use ziggurat::DeploymentId;
use ziggurat_testkit::provider::{Script, Step};

use crate::caching::support::{ON, ask, is_hit, says, world};

const EMBEDDINGS: &str = "/v1/embeddings";

#[tokio::test(start_paused = true)]
async fn the_same_request_is_answered_again_and_the_headers_say_so() {
    let (world, _) = world(&["a"], ON);
    let first = ask(&world, json!({})).await;
    assert!(!is_hit(&first));
    tokio::time::advance(std::time::Duration::from_secs(7)).await;
    let again = ask(&world, json!({})).await;
    assert!(is_hit(&again));
    assert_eq!(again.text, first.text);
    assert_eq!(again.header("age"), "7");
    let key = "x-litellm-cache-key";
    assert_eq!(again.header(key), first.header(key));
    assert_eq!(again.header("x-litellm-response-cost"), "0");
    assert_eq!(again.header("content-type"), first.header("content-type"));
    assert!(first.headers.contains_key("x-litellm-model-id"));
    let of_nobody = [
        "x-litellm-model-id",
        "x-ziggurat-trail",
        "x-ratelimit-limit-requests",
    ];
    assert!(
        of_nobody
            .iter()
            .all(|name| !again.headers.contains_key(*name))
    );
    assert_ne!(
        again.header("x-litellm-call-id"),
        first.header("x-litellm-call-id")
    );
    assert_eq!(world.providers.count("a"), 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_cache_nothing_is_given_again() {
    let (world, _) = world(&["a"], "");
    for _ in 0..2 {
        let reply = ask(&world, json!({})).await;
        assert!(!reply.headers.contains_key("x-litellm-cache-key"));
    }
    assert_eq!(world.providers.count("a"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_given_again_byte_for_byte() {
    let (world, _) = world(&["a"], ON);
    world.providers.script("a", Step::ok().words(40));
    let stream = || json!({"stream": true, "stream_options": {"include_usage": true}});
    let first = ask(&world, stream()).await;
    let again = ask(&world, stream()).await;
    assert!(!is_hit(&first) && is_hit(&again));
    assert!(again.is_whole_stream());
    assert_eq!(again.text, first.text);
    assert_eq!(again.header("content-type"), first.header("content-type"));
    // A whole answer is another one.
    assert!(!is_hit(&ask(&world, json!({})).await));
}

#[tokio::test(start_paused = true)]
async fn a_hit_takes_no_place_in_the_queue_and_no_counter() {
    let sections = format!("{ON}ziggurat_settings: {{queue: {{capacity: 1}}}}\n");
    let (world, _) = world(&["a"], &sections);
    ask(&world, json!({})).await;
    let requests = || world.router.stats(&DeploymentId::from("id-a")).requests;
    // Somebody has the only place.
    world.providers.script("a", Step::ok().hang());
    let hung = ask(&world, says("hangs"));
    let asked = async {
        while world.providers.in_flight("a") == 0 {
            tokio::task::yield_now().await;
        }
        let before = requests();
        for _ in 0..5 {
            assert!(is_hit(&ask(&world, json!({})).await));
        }
        assert_eq!(requests(), before);
    };
    tokio::select! {
        _ = hung => panic!("it hangs"),
        () = asked => {}
    }
    assert_eq!(world.providers.count("a"), 2);
}

#[tokio::test(start_paused = true)]
async fn what_fails_or_breaks_is_asked_again() {
    let sections = format!("{ON}router_settings: {{num_retries: 0, disable_cooldowns: true}}\n");
    let (world, _) = world(&["a"], &sections);
    world.providers.script("a", Step::status(429));
    assert_eq!(ask(&world, json!({})).await.status, 429);
    world
        .providers
        .script("a", Step::ok().words(20).cut_after(9));
    let broken = ask(&world, json!({"stream": true})).await;
    assert!(broken.ends_in_error());
    world.providers.script("a", Step::ok());
    assert!(!is_hit(&ask(&world, json!({})).await));
    let whole = ask(&world, json!({"stream": true})).await;
    assert!(!is_hit(&whole) && whole.is_whole_stream());
}

#[tokio::test(start_paused = true)]
async fn the_answer_of_a_fallback_is_not_the_first_groups() {
    let sections = format!(
        "{ON}router_settings: {{num_retries: 0, disable_cooldowns: true, fallbacks: [{{a: [b]}}]}}\n"
    );
    let (world, _) = world(&["a", "b"], &sections);
    world.providers.script("a", Step::status(500));
    world.providers.script("b", Step::ok().text("from b"));
    assert_eq!(ask(&world, json!({})).await.answer(), "from b");
    world.providers.script("a", Step::ok().text("from a"));
    let own = ask(&world, json!({})).await;
    assert_eq!((own.answer().as_str(), is_hit(&own)), ("from a", false));
    let others = world.chat("b", json!({})).await;
    assert_eq!(
        (others.answer().as_str(), is_hit(&others)),
        ("from b", true)
    );
}

#[tokio::test(start_paused = true)]
async fn clients_have_a_say_and_so_has_the_mode() {
    let (world, _) = world(
        &["a"],
        "litellm_settings: {cache: true, cache_params: {mode: default_off, ttl: 60}}\n",
    );
    let with = |cache: Value| json!({ "cache": cache });
    let no_key = ask(&world, json!({})).await;
    assert!(!no_key.headers.contains_key("x-litellm-cache-key"));
    let use_cache = json!({"use-cache": true});
    assert!(!is_hit(&ask(&world, with(use_cache.clone())).await));
    assert!(is_hit(&ask(&world, with(use_cache.clone())).await));
    let fresh = json!({"use-cache": true, "no-cache": true});
    assert!(!is_hit(&ask(&world, with(fresh)).await));
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    assert!(!is_hit(&ask(&world, with(use_cache)).await));
    let sent = world.providers.calls("a");
    assert!(sent.iter().all(|call| call.json().get("cache").is_none()));
}

#[tokio::test(start_paused = true)]
async fn of_embeddings_only_new_texts_are_asked_for() {
    let (world, _) = world(&["a"], ON);
    let embed = |input: Value| json!({"model": "a", "input": input});
    let first = world.post(EMBEDDINGS, &embed(json!(["one", "two"]))).await;
    assert!(!is_hit(&first));
    let second = world
        .post(EMBEDDINGS, &embed(json!(["two", "three"])))
        .await;
    assert!(!is_hit(&second));
    let third = world
        .post(EMBEDDINGS, &embed(json!(["three", "one"])))
        .await;
    assert!(is_hit(&third));
    assert_eq!(
        third.json()["data"][1]["embedding"],
        first.json()["data"][0]["embedding"]
    );
    let asked: Vec<_> = world
        .providers
        .calls("a")
        .iter()
        .map(|call| call.json()["input"].clone())
        .collect();
    assert_eq!(asked, [json!(["one", "two"]), json!(["three"])]);
}

#[tokio::test(start_paused = true)]
async fn a_header_that_changes_the_answer_makes_another_one() {
    let (world, _) = world(&["a"], ON);
    let body =
        json!({"model": "a", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    let mut hits = Vec::new();
    for beta in ["x-1", "x-2", "x-1"] {
        let headers = [("anthropic-beta", beta)];
        let reply = world
            .begin("/v1/messages", &body, &headers)
            .await
            .read()
            .await;
        hits.push(is_hit(&reply));
    }
    assert_eq!(hits, [false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn groups_that_share_do_and_so_do_aliases() {
    let sections = format!(
        "{ON}router_settings: {{caching_groups: [[b, also]], model_group_alias: {{also: a, other: c}}}}\n"
    );
    let (world, _) = world(&["a", "b", "c"], &sections);
    let mut hits = Vec::new();
    for group in ["a", "b", "also", "c", "other"] {
        hits.push(is_hit(&world.chat(group, json!({})).await));
    }
    assert_eq!(hits, [false, true, true, false, true]);
}

#[tokio::test(start_paused = true)]
async fn whoever_wants_a_failure_played_gets_it() {
    let sections = format!(
        "{ON}general_settings: {{dangerously_allow_mock_testing_request_params: true}}\nrouter_settings: {{fallbacks: [{{a: [b]}}]}}\n"
    );
    let (world, _) = world(&["a", "b"], &sections);
    world.providers.script("b", Step::ok().text("from b"));
    ask(&world, json!({})).await;
    let played = ask(&world, json!({"mock_testing_fallbacks": true})).await;
    assert_eq!(played.answer(), "from b");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_long_is_asked_again() {
    let sections =
        format!("{ON}ziggurat_settings: {{cache: {{max_entry_bytes: 2000, exclude: [user]}}}}\n");
    let (world, _) = world(&["a"], &sections);
    let once = [Step::ok().words(1_000), Step::ok().words(10)];
    world.providers.script("a", Script::sequence(once));
    assert!(!is_hit(&ask(&world, json!({"user": "u"})).await));
    assert!(!is_hit(&ask(&world, json!({"user": "v"})).await));
    assert!(
        is_hit(&ask(&world, json!({})).await),
        "the user is left out"
    );
}
