//! Which deployments may serve a request at all.

use serde_json::{Value, json};
use ziggurat_tests::World;

use crate::{
    routed::support::{refused, served, world},
    support::{Groups, config},
};

async fn all_served_by(world: &World, id: &str, more: &Value) {
    for _ in 0..10 {
        assert_eq!(served(&world.chat("gpt", more.clone()).await), id, "{more}");
    }
}

#[tokio::test]
async fn tags_choose_by_header_and_by_body() {
    let sections = "router_settings: {enable_tag_filtering: true}\n";
    let members = ["a tags: [eu, paid]", "b tags: [us]", "c tags: [default]"];
    let world = world(&members, sections).await;
    for (tags, id) in [
        ("eu", "a"),
        (" us ,", "b"),
        ("!us,!default,paid", "a"),
        ("&eu", "a"),
    ] {
        for _ in 0..10 {
            let reply = world
                .chat_with(("x-litellm-tags", tags), "gpt", json!({}))
                .await;
            assert_eq!(served(&reply), id, "{tags}");
        }
    }
    all_served_by(&world, "b", &json!({"tags": ["us"]})).await;
    all_served_by(&world, "b", &json!({"metadata": {"tags": ["us"]}})).await;
    all_served_by(&world, "c", &json!({})).await;
    let seen = world.providers.calls("b").pop().expect("was called").json();
    assert!(
        seen.get("tags").is_none() && seen.get("metadata").is_none(),
        "{seen}"
    );
}

#[tokio::test]
async fn the_program_that_asks_chooses_by_a_pattern() {
    let sections = "router_settings: {enable_tag_filtering: true}\n";
    let members = ["a tag_regex: '^User-Agent: curl/'", "b tags: [default]"];
    let world = world(&members, sections).await;
    for (agent, id) in [
        ("curl/8.5.0", "a"),
        ("python-httpx/0.27", "b"),
        ("not curl/8", "b"),
    ] {
        for _ in 0..10 {
            let reply = world
                .chat_with(("user-agent", agent), "gpt", json!({}))
                .await;
            assert_eq!(served(&reply), id, "{agent}");
        }
    }
}

#[tokio::test]
async fn a_request_stays_in_the_region_it_names() {
    let sections = "router_settings: {enable_pre_call_checks: true}\n";
    let world = world(&["a region_name: eu", "b region_name: us", "c"], sections).await;
    for _ in 0..10 {
        let reply = world
            .chat("gpt", json!({"allowed_model_region": "eu"}))
            .await;
        assert_eq!(served(&reply), "a");
        assert_eq!(reply.header("x-litellm-model-region"), "eu");
    }
    let call = world.providers.calls("a").remove(0);
    assert!(
        call.json().get("allowed_model_region").is_none(),
        "{}",
        call.json()
    );
    let message = refused(
        &world
            .chat("gpt", json!({"allowed_model_region": "mars"}))
            .await,
        400,
    );
    for why in [
        "a (region: is in `eu`)",
        "b (region: is in `us`)",
        "c (region: is in none that is known)",
    ] {
        assert!(message.contains(why), "{message}");
    }
}

#[tokio::test]
async fn tools_and_images_go_where_they_are_understood() {
    let members = [
        "a ; supports_function_calling: false, supports_vision: true",
        "b ; supports_function_calling: true, supports_vision: false",
    ];
    let world = world(&members, "").await;
    let tools = json!({"tools": [{"type": "function", "function": {"name": "f"}}]});
    all_served_by(&world, "b", &tools).await;
    let image = json!({"type": "image_url", "image_url": {"url": "https://example.com/x.png"}});
    let image = json!({"messages": [{"role": "user", "content": [image]}]});
    all_served_by(&world, "a", &image).await;
    let both = json!({"tools": tools["tools"], "messages": image["messages"]});
    let message = refused(&world.chat("gpt", both).await, 400);
    assert!(
        message.contains("a (capabilities:") && message.contains("b (capabilities:"),
        "{message}"
    );
}

#[tokio::test]
async fn a_request_that_is_too_long_goes_to_the_long_model_without_a_call_to_the_small_one() {
    let sections = "
router_settings:
  enable_pre_call_checks: true
  context_window_fallbacks: [{gpt: [long]}]
";
    let groups: Groups<'_> = &[
        ("gpt", &["a ; max_input_tokens: 2000"]),
        ("long", &["b ; max_input_tokens: 1000000"]),
    ];
    let world = World::start(&config(groups, sections)).await;
    let long = json!({"messages": [{"role": "user", "content": "word ".repeat(9_000)}]});
    let reply = world.chat("gpt", long.clone()).await;
    assert_eq!(served(&reply), "b");
    assert_eq!(reply.header("x-litellm-model-group"), "long");
    assert_eq!(reply.header("x-litellm-attempted-fallbacks"), "1");
    assert_eq!(world.providers.count("a"), 0);
    all_served_by(&world, "a", &json!({})).await;

    let alone = json!({"messages": long["messages"], "disable_fallbacks": true});
    let reply = world.chat("gpt", alone).await;
    let message = refused(&reply, 400);
    assert_eq!(reply.json()["error"]["code"], "context_length_exceeded");
    assert!(
        message.contains("a (context window:") && message.contains("2000 fit"),
        "{message}"
    );
}

#[tokio::test]
async fn a_prompt_that_fits_by_count_and_not_by_estimate_is_served() {
    let world = World::start(
        r#"
model_list:
  - model_name: gpt
    litellm_params: {model: openai/gpt-4o, api_base: "{a}", api_key: k}
    model_info: {id: a, max_input_tokens: 2000}
router_settings: {enable_pre_call_checks: true}
"#,
    )
    .await;
    // Four bytes are estimated to be a token, and in these words they are less than one.
    let text = "international ".repeat(600);
    let long = json!({"messages": [{"role": "user", "content": text}]});
    all_served_by(&world, "a", &long).await;
}

#[tokio::test]
async fn what_belongs_to_a_team_is_served_to_nobody_else() {
    let world = world(&["a ; team_id: red", "b"], "").await;
    all_served_by(&world, "b", &json!({})).await;
    let reply = world.chat("a", json!({})).await;
    assert!((400..500).contains(&reply.status), "{}", reply.text);
    assert_eq!(world.providers.count("a"), 0);
}

#[tokio::test]
async fn a_blocked_deployment_gets_nothing_until_it_is_reloaded() {
    let world = world(&["a ; blocked: true", "b"], "").await;
    all_served_by(&world, "b", &json!({})).await;
    world.reload(&config(&[("gpt", &["a", "b ; blocked: true"])], ""));
    all_served_by(&world, "a", &json!({})).await;
}

#[tokio::test]
async fn where_nothing_fits_the_error_says_why_of_each() {
    let sections = "
router_settings: {enable_tag_filtering: true, enable_pre_call_checks: true}
";
    let members = [
        "a tags: [eu], region_name: us",
        "b tags: [us]",
        "c tags: [eu], region_name: eu; max_input_tokens: 3, supports_function_calling: false",
        "d ; blocked: true",
    ];
    let world = world(&members, sections).await;
    let more = json!({
        "tags": ["eu"],
        "allowed_model_region": "eu",
        "tools": [{"type": "function", "function": {"name": "f"}}],
    });
    let message = refused(&world.chat("gpt", more).await, 400);
    for why in [
        "a (region: ",
        "b (tags: ",
        "c (capabilities: ",
        "d (blocked: ",
    ] {
        assert!(message.contains(why), "{message}");
    }
    let calls: u64 = ["a", "b", "c", "d"]
        .map(|id| world.providers.count(id))
        .iter()
        .sum();
    assert_eq!(calls, 0);
}
