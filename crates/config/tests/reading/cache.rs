//! What a configuration says of the cache.

use std::time::Duration;

use ziggurat_config::{CacheSettings, CacheStoreName, CacheTenants, Plan, Problems};
use ziggurat_core::Operation;

fn read(sections: &str) -> Result<Plan, Problems> {
    let text = format!(
        "model_list:\n\
         - {{model_name: gpt, litellm_params: {{model: openai/m, api_key: k}}}}\n\
         - {{model_name: claude, litellm_params: {{model: openai/n, api_key: k}}}}\n\
         - {{model_name: embedder, litellm_params: {{model: openai/e, api_key: k}}}}\n{sections}"
    );
    Plan::parse(&text, "config.yaml", |_| None)
}

fn cache(sections: &str) -> CacheSettings {
    let plan = read(sections).unwrap_or_else(|problems| panic!("{problems}"));
    plan.cache.expect("is on")
}

fn refused(sections: &str) -> String {
    read(sections).expect_err("is refused").to_string()
}

#[test]
fn there_is_none_unless_it_is_turned_on() {
    for sections in [
        "",
        "litellm_settings: {cache: false, cache_params: {type: local}}",
        "router_settings: {cache_responses: false}",
    ] {
        assert!(read(sections).expect("is valid").cache.is_none());
    }
    let unused = read("ziggurat_settings: {cache: {single_flight: true}}").expect("is valid");
    assert!(unused.warnings()[0].message().contains("has no effect"));
    let on = cache("router_settings: {cache_responses: true}\nlitellm_settings: {cache: false}");
    assert_eq!(on, cache("litellm_settings: {cache: true}"));
    assert_eq!(on.store, CacheStoreName::Local);
    assert_eq!((on.ttl, on.default_on), (Duration::from_secs(600), true));
    assert_eq!((on.tenants, on.single_flight), (CacheTenants::Key, false));
    assert!(!on.operations.contains(&Operation::ImageGeneration));
    assert_eq!(on.semantic, None);
}

#[test]
fn the_files_of_litellm_are_read() {
    let settings = cache(
        "litellm_settings:\n  cache: True\n  cache_params: {type: local, ttl: 60, namespace: mine, mode: default_off, max_size_in_memory: 200, supported_call_types: [acompletion, completion, aembedding]}\n\
         router_settings: {caching_groups: [[gpt, claude]]}",
    );
    assert_eq!(settings.ttl, Duration::from_secs(60));
    assert_eq!(settings.namespace.as_deref(), Some("mine"));
    assert_eq!(
        (settings.default_on, settings.max_entries),
        (false, Some(200))
    );
    let operations = [Operation::ChatCompletions, Operation::Embeddings];
    assert_eq!(settings.operations, operations);
    assert_eq!(settings.groups, [["gpt".into(), "claude".into()]]);

    let redis = "default_in_memory_ttl: 5, default_redis_ttl: 100";
    let redis = format!(
        "litellm_settings: {{cache: true, {redis}, cache_params: {{type: redis, host: r}}}}"
    );
    let settings = cache(&redis);
    assert_eq!(settings.store, CacheStoreName::Redis);
    assert_eq!(settings.ttl, Duration::from_secs(100));
    assert_eq!(settings.near_ttl, Some(Duration::from_secs(5)));
    let one = cache(&format!(
        "{redis}\nziggurat_settings: {{cache: {{two_tier: false}}}}"
    ));
    assert_eq!(one.near_ttl, None);
    let meant = cache("litellm_settings: {cache: true, cache_params: {host: h, port: 6379}}");
    assert_eq!(
        meant.store,
        CacheStoreName::Redis,
        "an address says which type"
    );
}

#[test]
fn a_semantic_cache_is_one_of_litellm_or_our_own() {
    let old = cache(
        "litellm_settings: {cache: true, cache_params: {type: redis-semantic, host: r, similarity_threshold: 0.8, redis_semantic_cache_embedding_model: embedder}}",
    );
    let semantic = old.semantic.expect("is on");
    assert_eq!((&*semantic.model, semantic.threshold), ("embedder", 0.8));
    assert_eq!(old.store, CacheStoreName::Redis);
    let own = cache(
        "litellm_settings: {cache: true}\nziggurat_settings: {cache: {semantic: {model: embedder, threshold: 0.9, timeout: 2}}}",
    );
    let semantic = own.semantic.expect("is on");
    assert_eq!(
        (own.store, semantic.threshold),
        (CacheStoreName::Local, 0.9)
    );
    assert_eq!(semantic.timeout, Duration::from_secs(2));
}

#[test]
fn what_is_wrong_is_said_where_it_stands() {
    let params =
        |params: &str| format!("litellm_settings: {{cache: true, cache_params: {{{params}}}}}");
    let own = |own: &str| {
        format!("litellm_settings: {{cache: true}}\nziggurat_settings: {{cache: {{{own}}}}}")
    };
    let router =
        |router: &str| format!("litellm_settings: {{cache: true}}\nrouter_settings: {{{router}}}");
    for (sections, told) in [
        (
            params("type: disk"),
            "`type`: unknown `disk`; use one of local, redis, redis-semantic",
        ),
        (
            params("type: qdrant-semantic"),
            "use one of local, redis, redis-semantic",
        ),
        (params("mode: on"), "`mode`: unknown"),
        (params("ttl: 0"), "`ttl` must be a number of seconds over 0"),
        (
            params("supported_call_types: [embeding]"),
            "did you mean `embedding`?",
        ),
        (
            params("type: redis-semantic, redis_semantic_cache_embedding_model: gpt"),
            "needs a threshold",
        ),
        (
            params("type: redis-semantic, similarity_threshold: 0.9"),
            "`text-embedding-ada-002` is no model group",
        ),
        (params("similarity_threshold: 1.5"), "over 0 and at most 1"),
        (own("tenants: user"), "use one of key, team, all"),
        (own("single_fligt: true"), "did you mean `single_flight`?"),
        (
            own("semantic: {model: nobody, threshold: 0.9}"),
            "`nobody` is no model group",
        ),
        (
            own("semantic: {model: gpt, threshold: 0.9, timeout: 6}"),
            "5 seconds at most",
        ),
        (
            router("caching_groups: [[gpt, cloude]]"),
            "did you mean `claude`?",
        ),
        (
            router("caching_groups: [[gpt, claude], [claude]]"),
            "is in two lists",
        ),
        (router("caching_groups: [gpt]"), "must be a list"),
    ] {
        let problems = refused(&sections);
        assert!(problems.contains(told), "{sections}: {problems}");
    }
}

#[test]
fn other_settings_at_run_time_leave_the_cache_as_it_is() {
    let plan = read("litellm_settings: {cache: true, cache_params: {ttl: 7}}").expect("is valid");
    let updates = serde_json::json!({"num_retries": 1});
    let changed = plan.with_settings(updates.as_object().expect("is one"));
    let changed = changed.expect("is valid");
    assert_eq!(changed.cache, plan.cache);
    let told = changed.explanation().to_string();
    assert!(
        told.contains("cache.ttl") && told.contains("config.yaml:5"),
        "{told}"
    );
    let updates = serde_json::json!({"cache_responses": false});
    let problems = plan.with_settings(updates.as_object().expect("is one"));
    assert!(
        problems
            .expect_err("is refused")
            .to_string()
            .contains("change the file")
    );
}
