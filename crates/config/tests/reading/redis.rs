//! What a file and the environment say of Redis.

use std::{collections::BTreeMap, time::Duration};

use ziggurat_config::{Plan, Problems, RedisNodes, RedisOutage, RedisSettings, Source};

const MODELS: &str =
    "model_list: [{model_name: m, litellm_params: {model: openai/m, api_key: k}}]\n";

type Variables<'a> = &'a [(&'a str, &'a str)];

fn read(text: &str, variables: Variables<'_>) -> Result<Plan, Problems> {
    let variables: BTreeMap<_, _> = variables.iter().copied().collect();
    let text = format!("{MODELS}{text}");
    Plan::parse(&text, "config.yaml", |name| {
        variables.get(name).map(|it| (*it).to_owned())
    })
}

fn plan(text: &str, variables: Variables<'_>) -> Plan {
    read(text, variables).unwrap_or_else(|e| panic!("{e}"))
}

fn redis(text: &str, variables: Variables<'_>) -> RedisSettings {
    plan(text, variables).redis.expect("is asked for")
}

fn refused(text: &str, variables: Variables<'_>) -> String {
    read(text, variables).expect_err("is wrong").to_string()
}

/// The value and the source of an entry of the explanation.
fn told<'a>(plan: &'a Plan, name: &str) -> (&'a str, &'a Source) {
    let mut entries = plan.explanation().entries().iter();
    let entry = entries.find(|entry| entry.name() == name);
    let entry = entry.unwrap_or_else(|| panic!("`{name}` is told"));
    (entry.value(), entry.source())
}

fn exposes(redis: &RedisSettings, password: &str) -> bool {
    let own = redis.password.as_ref();
    own.is_some_and(|it| it.expose() == password)
}

const CACHED: &str = "litellm_settings: {cache: true, cache_params: {type: redis}}";

#[test]
fn nobody_calls_redis_unless_the_file_asks_for_it() {
    let variables = [("REDIS_HOST", "h"), ("REDIS_URL", "redis://u")];
    for text in [
        "",
        "litellm_settings: {cache: true}",
        "litellm_settings: {cache: true, cache_params: {type: local, host: h}}",
        "litellm_settings: {cache_params: {type: redis, host: h}}",
        "router_settings: {redis_port: 1, redis_password: p}",
    ] {
        let plan = plan(text, &variables);
        assert!(plan.redis.is_none(), "{text}");
        assert_eq!(told(&plan, "redis"), ("off", &Source::Default));
    }
}

#[test]
fn the_environment_says_what_a_file_that_asks_leaves_open() {
    let of = |variables| redis(CACHED, variables);
    let one = of(&[
        ("REDIS_HOST", "h"),
        ("REDIS_PORT", "7"),
        ("REDIS_PASSWORD", "p"),
        ("REDIS_SSL", "True"),
    ]);
    assert_eq!(one.nodes.to_string(), "h:7");
    assert!(exposes(&one, "p") && one.tls);
    let one = of(&[
        ("REDIS_URL", "redis://:p@u/3"),
        ("REDIS_HOST", "h"),
        ("REDIS_PASSWORD", "q"),
    ]);
    assert_eq!((one.nodes.to_string().as_str(), one.db), ("u:6379", 3));
    assert!(exposes(&one, "p"));
    let many = of(&[(
        "REDIS_CLUSTER_NODES",
        r#"[{"host": "a", "port": "7001"}, {"host": "b", "port": 7002}]"#,
    )]);
    assert_eq!(many.nodes.to_string(), "a cluster with a:7001, b:7002");
    let watched = of(&[
        ("REDIS_SENTINEL_NODES", r#"[["a", 26379]]"#),
        ("REDIS_SERVICE_NAME", "s"),
        ("REDIS_SENTINEL_PASSWORD", "sp"),
    ]);
    assert_eq!(watched.nodes.to_string(), "s of a:26379");
    assert!(
        matches!(&watched.nodes, RedisNodes::Sentinel { password: Some(it), .. } if it.expose() == "sp")
    );

    let message = "config.yaml: error: Redis is asked for, and nothing says where it is";
    assert_eq!(refused(CACHED, &[]), message);
    assert_eq!(
        refused("ziggurat_settings: {redis: {}}", &[]),
        "config.yaml:2:28: error: Redis is asked for, and nothing says where it is"
    );
    for (variable, value) in [
        ("REDIS_URL", "http://hunter2"),
        ("REDIS_CLUSTER_NODES", "hunter2"),
        ("REDIS_SENTINEL_NODES", "[[]]"),
    ] {
        let told = refused(CACHED, &[(variable, value)]);
        assert!(
            told.contains(variable) && !told.contains("hunter2"),
            "{told}"
        );
    }
    let told = refused(CACHED, &[("REDIS_HOST", "h"), ("REDIS_PORT", "x")]);
    assert_eq!(told, "config.yaml: error: `REDIS_PORT` is not a port");
}

#[test]
fn what_stands_in_the_file_wins_over_the_environment() {
    let text = "router_settings: {redis_host: h, redis_port: 7, redis_password: p, redis_db: 2}";
    let plan = plan(
        text,
        &[
            ("REDIS_URL", "redis://u"),
            ("REDIS_PASSWORD", "q"),
            ("REDIS_SSL", "true"),
        ],
    );
    let redis = plan.redis.as_ref().expect("is asked for");
    assert_eq!(redis.nodes.to_string(), "h:7");
    assert!(exposes(redis, "p") && redis.tls && redis.db == 2);
    assert!(plan.warnings().is_empty(), "{:?}", plan.warnings());
    let filled = self::redis(
        "router_settings: {redis_host: h}",
        &[("REDIS_PORT", "8"), ("REDIS_PASSWORD", "q")],
    );
    assert_eq!(filled.nodes.to_string(), "h:8");
    assert!(exposes(&filled, "q"));
    // What a URL leaves open is open.
    let by_url = self::redis(
        "router_settings: {redis_url: 'redis://u'}",
        &[("REDIS_PASSWORD", "q")],
    );
    assert!(by_url.password.is_none());
}

#[test]
fn our_own_settings_win_as_a_whole_and_it_is_told() {
    let text = "litellm_settings: {cache: true, cache_params: {host: theirs, password: hunter2, db: 3, namespace: n}}\n\
                router_settings: {redis_host: router}\n\
                ziggurat_settings: {redis: {nodes: [ours], tls: true, deadline_ms: 2.5, connect_timeout: 3, failures: 5, outage: open}}";
    let plan = plan(text, &[]);
    let redis = plan.redis.as_ref().expect("is asked for");
    assert_eq!(redis.nodes.to_string(), "ours:6379");
    assert_eq!((redis.db, redis.tls), (0, true));
    assert!(redis.password.is_none(), "it is another server's");
    assert_eq!(redis.deadline, Some(Duration::from_micros(2_500)));
    assert_eq!(redis.connect_timeout, Some(Duration::from_secs(3)));
    assert_eq!(redis.failures, Some(5));
    assert_eq!(redis.outage, RedisOutage::Open);
    let (outage, source) = told(&plan, "redis.outage");
    assert_eq!(outage, "open");
    assert!(matches!(source, Source::File { line: 4, .. }), "{source:?}");
    assert_eq!(redis.namespace.as_deref(), Some("n"));
    let (value, source) = told(&plan, "redis");
    assert_eq!(value, "ours:6379");
    assert!(matches!(source, Source::File { line: 4, .. }), "{source:?}");
    assert!(matches!(
        told(&plan, "redis.namespace").1,
        Source::File { line: 2, .. }
    ));
    let warnings: Vec<_> = plan.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "config.yaml:2:54: warning: `cache_params.host` has no effect: `redis.nodes` in line 4 wins",
            "config.yaml:3:31: warning: `router_settings.redis_host` has no effect: `redis.nodes` in line 4 wins",
        ]
    );
    let shown = format!("{:?}{}", plan.redis, plan.explanation());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn every_kind_of_address_is_read() {
    let own = |it: &str| redis(&format!("ziggurat_settings: {{redis: {{{it}}}}}"), &[]);
    let nodes = |it: &str| own(it).nodes.to_string();
    assert_eq!(nodes("url: 'rediss://a:7/1'"), "a:7");
    assert_eq!(nodes("nodes: a"), "a:6379");
    assert_eq!(nodes("nodes: ['[::1]:7']"), "[::1]:7");
    assert_eq!(
        nodes("nodes: [a, 'b:7'], cluster: true"),
        "a cluster with a:6379, b:7"
    );
    assert_eq!(
        nodes("sentinels: [a, 'b:7'], service_name: s"),
        "s of a:26379, b:7"
    );
    assert_eq!(nodes("nodes: {host: a, port: 7}"), "a:7");
    assert_eq!(nodes("sentinels: [[a, 7]], service_name: s"), "s of a:7");
    let files = own("url: 'redis://a', ca_file: ca, cert_file: c, key_file: k");
    assert!(files.tls, "who names certificates wants them used");
    assert_eq!(files.ca_file.as_deref(), Some("ca"));
    assert_eq!(files.identity, Some(("c".into(), "k".into())));
    let params = redis(
        "litellm_settings: {cache: true, cache_params: {type: redis, redis_startup_nodes: [{host: a, port: '7'}], ssl: true}}",
        &[],
    );
    assert_eq!(params.nodes.to_string(), "a cluster with a:7");
    assert!(params.tls);
}

#[test]
fn what_cannot_be_meant_is_refused_without_telling_a_secret() {
    let cases = [
        (
            "url: 'http://hunter2'",
            "`url` is not the URL of a Redis server",
        ),
        ("nodes: [a, b]", "several `nodes` need `cluster: true`"),
        ("nodes: []", "`nodes` must not be empty"),
        ("nodes: [a/b]", "`nodes` must be addresses, as `host:port`"),
        ("nodes: [{port: 1}]", "`nodes`: an address needs a host"),
        (
            "nodes: [{host: a, port: 70000}]",
            "must be a whole number over 0",
        ),
        ("sentinels: [a]", "sentinels need a `service_name`"),
        (
            "nodes: [a], cluster: true, db: 1",
            "a Redis cluster has one database, 0",
        ),
        (
            "nodes: a, namespace: 'a{b'",
            "`namespace` of Redis must be at most 128 bytes without braces",
        ),
        (
            "nodes: a, cert_file: c",
            "a certificate for Redis needs `cert_file` and `key_file`",
        ),
        (
            "nodes: a, deadline_ms: 0",
            "`deadline_ms` must be a number over 0",
        ),
        (
            "nodes: a, outage: shut",
            "`outage`: unknown `shut`; use one of share, open, closed",
        ),
        (
            "nodes: a, failures: 0",
            "`failures` must be a whole number over 0",
        ),
        (
            "nodes: a, passwort: hunter2",
            "unknown key `passwort`; did you mean `password`?",
        ),
    ];
    for (settings, message) in cases {
        let text = format!("ziggurat_settings: {{redis: {{{settings}}}}}");
        let told = refused(&text, &[]);
        assert!(told.contains(message), "{settings}: {told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn certificates_are_checked_and_who_asks_for_less_is_told_the_way_out() {
    let of = |params: &str| {
        format!(
            "litellm_settings: {{cache: true, cache_params: {{type: redis, host: a, {params}}}}}"
        )
    };
    for wrong in ["none", "None", "CERT_NONE"] {
        let told = refused(&of(&format!("ssl: true, ssl_cert_reqs: {wrong}")), &[]);
        assert!(
            told.contains("name the one that is to be trusted in `ssl_ca_certs`"),
            "{told}"
        );
    }
    let told = refused(&of("ssl: true, ssl_cert_reqs: maybe"), &[]);
    assert!(
        told.contains("`ssl_cert_reqs` must be `required`"),
        "{told}"
    );
    assert!(redis(&of("ssl: true, ssl_cert_reqs: required"), &[]).tls);
    assert!(
        !redis(&of("ssl_cert_reqs: none"), &[]).tls,
        "there is nothing to check"
    );
}
