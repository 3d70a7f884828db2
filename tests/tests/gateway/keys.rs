//! Keys of callers, over HTTP.

use http::{Method, request::Parts};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use ziggurat::{Caller, Error, ErrorKind, ModelAccess, Router, config::Plan};
use ziggurat_gateway::{Gateway, Identity};
use ziggurat_testkit::provider::{Script, Step};
use ziggurat_tests::{Reply, World};

const CONFIG: &str = r#"
model_list:
  - {model_name: gpt, litellm_params: {model: openai/m, api_base: "{a}", api_key: key-a, tags: [east], use_in_pass_through: true}, model_info: {id: a}}
  - {model_name: gpt, litellm_params: {model: openai/m, api_base: "{b}", api_key: key-b, tags: [west]}, model_info: {id: b}}
  - {model_name: claude, litellm_params: {model: openai/m, api_base: "{c}", api_key: key-c}, model_info: {id: c}}
  - {model_name: "open/*", litellm_params: {model: "openai/*", api_base: "{d}", api_key: key-d, tags: [west]}, model_info: {id: d}}
  - {model_name: gpt-red, litellm_params: {model: openai/m, api_base: "{e}", api_key: key-e}, model_info: {id: e, team_id: red, team_public_model_name: fast}}
  - {model_name: mixed, litellm_params: {model: openai/m, api_base: "{f}", api_key: key-f}, model_info: {id: f, access_groups: [beta]}}
  - {model_name: mixed, litellm_params: {model: openai/m, api_base: "{g}", api_key: key-g}, model_info: {id: g}}
general_settings: {master_key: sk-master}
router_settings:
  num_retries: 0
  enable_tag_filtering: true
  tag_filtering_match_any: true
  disable_cooldowns: true
  model_group_alias: {smart: claude}
  fallbacks: [{gpt: [claude, open/x]}]
ziggurat_settings:
  keys:
    - {name: alice, key: sk-alice-0123456789, models: [gpt, "open/*"], tags: [west], user: al, rpm_limit: 600}
    - {name: bob, key: sk-bob-0123456789, models: [smart, beta]}
    - {name: carol, key: sk-carol-0123456789, team: red}
    - {name: dave, key: sk-dave-0123456789, blocked: true}
    - {name: erin, key: sk-erin-0123456789, expires: 2020-01-01}
    - {name: frank, key: sk-frank-0123456789, models: [claude]}
    - {name: grace, key: sk-grace-0123456789}
    - {name: ivan, key: sk-ivan-0123456789, models: [gpt, claude], user: iv}
  teams:
    - {name: red, models: [fast, claude], rpm_limit: 700}
  users:
    - {name: iv, models: [claude, "open/*"]}
  fallbacks_for:
    keys: {grace: {fallbacks: [{claude: [open/y]}]}}
"#;

fn down() -> Script {
    Step::status(500).into()
}

fn key(name: &str) -> String {
    format!("Bearer sk-{name}-0123456789")
}

async fn ask(world: &World, name: &str, model: &str) -> Reply {
    ask_with(world, name, model, json!({})).await
}

async fn ask_with(world: &World, name: &str, model: &str, more: Value) -> Reply {
    let key = key(name);
    world.chat_with(("authorization", &key), model, more).await
}

async fn get(world: &World, key: &str, path: &str) -> Reply {
    let request = world.client.request(Method::GET, world.url(path));
    world.send(request.header("authorization", key)).await
}

fn told(reply: &Reply) -> (u16, String) {
    let code = reply.json()["error"]["code"].as_str().map(str::to_owned);
    (reply.status, code.unwrap_or_default())
}

fn calls(world: &World) -> [u64; 7] {
    ["a", "b", "c", "d", "e", "f", "g"].map(|name| world.providers.count(name))
}

#[tokio::test]
async fn only_a_key_that_is_known_opens_and_only_what_it_may() {
    let world = World::start(CONFIG).await;
    let nobody = world.chat("gpt", json!({})).await;
    assert_eq!(told(&nobody), (401, "invalid_api_key".into()));
    for (name, model, status, code) in [
        ("nobody", "gpt", 401, "invalid_api_key"),
        ("dave", "gpt", 403, "key_blocked"),
        ("erin", "gpt", 401, "expired_key"),
        ("alice", "claude", 403, "key_model_access_denied"),
        ("alice", "c", 403, "key_model_access_denied"),
        ("alice", "smart", 403, "key_model_access_denied"),
        ("alice", "no-such-model", 403, "key_model_access_denied"),
        ("bob", "claude", 403, "key_model_access_denied"),
        ("carol", "gpt", 403, "team_model_access_denied"),
        ("ivan", "gpt", 403, "user_model_access_denied"),
        ("ivan", "open/x", 403, "key_model_access_denied"),
    ] {
        let reply = ask(&world, name, model).await;
        assert_eq!(
            told(&reply),
            (status, code.into()),
            "{name} {model}: {}",
            reply.text
        );
        assert!(!reply.text.contains("0123456789"), "{}", reply.text);
    }
    assert_eq!(calls(&world), [0; 7]);
    for (name, model) in [
        ("alice", "gpt"),
        ("alice", "open/anything"),
        ("bob", "smart"),
        ("carol", "fast"),
        ("grace", "no"),
        ("ivan", "claude"),
    ] {
        let reply = ask(&world, name, model).await;
        let expected = if name == "grace" { 404 } else { 200 };
        assert_eq!(reply.status, expected, "{name} {model}: {}", reply.text);
    }
    assert_eq!(
        calls(&world),
        [0, 1, 2, 1, 1, 0, 0],
        "the key's tag chose b"
    );
    for _ in 0..8 {
        assert_eq!(ask(&world, "bob", "mixed").await.status, 200);
    }
    assert_eq!(calls(&world)[5..], [8, 0], "its label opens one deployment");
}

#[tokio::test]
async fn the_refusal_has_the_shape_that_the_client_reads() {
    let world = World::start(CONFIG).await;
    let ask = async |path: &str, header: &str, body: Value| {
        let request = world.client.post(world.url(path)).json(&body);
        world
            .send(request.header(header, "sk-alice-0123456789"))
            .await
    };
    let messages = json!({"model": "claude", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    for path in ["/v1/messages", "/v1/messages/count_tokens"] {
        let reply = ask(path, "x-api-key", messages.clone()).await;
        let error = &reply.json()["error"];
        assert_eq!(
            (reply.status, &error["type"]),
            (403, &json!("permission_error")),
            "{path}"
        );
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|it| it.starts_with("key not allowed"))
        );
    }
    let contents = json!({"contents": [{"parts": [{"text": "hi"}]}]});
    for method in ["generateContent", "countTokens"] {
        let path = format!("/v1beta/models/claude:{method}?key=sk-alice-0123456789");
        let reply = world.post(&path, &contents).await;
        let status = &reply.json()["error"]["status"];
        assert_eq!(
            (reply.status, status),
            (403, &json!("PERMISSION_DENIED")),
            "{}",
            reply.text
        );
    }
    assert_eq!(calls(&world), [0; 7]);
}

#[tokio::test]
async fn no_fallback_goes_where_the_key_may_not() {
    let world = World::start(CONFIG).await;
    for name in ["a", "b"] {
        world.providers.script(name, down());
    }
    let reply = ask(&world, "alice", "gpt").await;
    assert_eq!(
        (reply.status, reply.header("x-litellm-attempted-fallbacks")),
        (200, "1")
    );
    assert_eq!(
        calls(&world),
        [0, 1, 0, 1, 0, 0, 0],
        "claude was passed over"
    );
    let own = json!({"fallbacks": ["claude", {"model": "mixed", "temperature": 0}]});
    let reply = ask_with(&world, "alice", "gpt", own).await;
    assert_eq!(reply.status, 500, "{}", reply.text);
    assert_eq!(calls(&world), [0, 2, 0, 1, 0, 0, 0]);
    let reply = ask_with(&world, "frank", "gpt", json!({"fallbacks": ["claude"]})).await;
    assert_eq!(told(&reply).0, 403, "what is not allowed has no fallback");
    assert_eq!(calls(&world), [0, 2, 0, 1, 0, 0, 0]);
}

#[tokio::test]
async fn a_key_has_the_fallbacks_that_are_configured_for_it() {
    let world = World::start(CONFIG).await;
    world.providers.script("c", down());
    assert_eq!(ask(&world, "frank", "claude").await.status, 500);
    let reply = ask(&world, "grace", "claude").await;
    assert_eq!((reply.status, world.providers.count("d")), (200, 1));
}

#[tokio::test]
async fn lists_show_what_a_key_may_use_and_the_rest_is_for_the_master_key() {
    let world = World::start(CONFIG).await;
    let names = async |key: &str, path: &str, member: &str| {
        let listed = get(&world, key, path).await.json();
        let listed = listed["data"].as_array().expect("is a list").iter();
        let mut names: Vec<_> = listed
            .map(|it| it[member].as_str().expect("is text").to_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&key("alice"), "/v1/models", "id").await, ["gpt"]);
    assert_eq!(
        names(&key("bob"), "/v1/models", "id").await,
        ["mixed", "smart"]
    );
    assert_eq!(
        names(&key("carol"), "/v1/models", "id").await,
        ["claude", "fast", "smart"]
    );
    let all = ["claude", "gpt", "gpt-red", "mixed", "smart"];
    assert_eq!(names("Bearer sk-master", "/v1/models", "id").await, all);
    let groups = names(&key("alice"), "/model_group/info", "model_group").await;
    assert_eq!(groups, ["gpt"]);
    let group = get(
        &world,
        &key("alice"),
        "/model_group/info?model_group=claude",
    )
    .await;
    assert_eq!(group.json(), json!({"data": []}));
    for path in ["/model/info", "/v1/router/settings", "/health?check=false"] {
        let refused = get(&world, &key("grace"), path).await;
        assert_eq!(told(&refused), (403, "master_key_only".into()), "{path}");
        assert_eq!(
            get(&world, "Bearer sk-master", path).await.status,
            200,
            "{path}"
        );
    }
    for path in ["/health/readiness", "/health/liveliness"] {
        assert_eq!(world.get(path).await.status, 200);
    }
}

#[tokio::test]
async fn a_key_is_told_what_it_may() {
    let world = World::start(CONFIG).await;
    let info_of = async |key: &str, path: &str| {
        let mut told = get(&world, key, path).await.json();
        let info = told["info"].as_object_mut().expect("is an object");
        let left = info.remove("left");
        (told, left)
    };
    let (told, left) = info_of(&key("alice"), "/key/info").await;
    assert!(left.is_some());
    let info = json!({
        "key_alias": "alice", "models": ["gpt", "open/*"], "tags": ["west"], "user_id": "al", "rpm_limit": 600,
    });
    assert_eq!(told, json!({"key": "alice", "info": info}));
    let (told, _) = info_of(&key("carol"), "/v1/key/info").await;
    let info = json!({
        "key_alias": "carol", "team_id": "red", "team_models": ["fast", "claude"],
        "team_limits": {"rpm_limit": 700},
    });
    assert_eq!(told, json!({"key": "carol", "info": info}));
    let (told, left) = info_of("Bearer sk-master", "/key/info").await;
    assert_eq!(told, json!({"key": null, "info": {"is_admin": true}}));
    assert_eq!(left, None);
}

const LIMITED: &str = r#"
model_list:
  - {model_name: gpt, litellm_params: {model: openai/m, api_base: "{a}", api_key: key-a, input_cost_per_token: 1, output_cost_per_token: 2}}
general_settings: {master_key: sk-master}
litellm_settings: {max_budget: 1000}
ziggurat_settings:
  keys:
    - {name: alice, key: sk-alice-0123456789, team: red, rpm_limit: 5, max_budget: 100, soft_budget: 50, budget_duration: 30d, model_rpm_limit: {gpt: 3}}
    - {name: bob, key: sk-bob-0123456789, soft_budget: 50}
  teams: [{name: red, tpm_limit: 1000}]
"#;

#[tokio::test]
async fn a_key_is_told_what_is_left_of_its_limits_and_when_they_are_whole() {
    let world = World::start(LIMITED).await;
    world.providers.script("a", Step::ok().usage(7, 2));
    let told = async |key: &str| {
        let mut info = get(&world, key, "/key/info").await.json()["info"].take();
        let limits = info["left"]["limits"].as_array_mut().expect("is a list");
        let resets = limits.iter_mut().map(|limit| {
            let resets = limit
                .as_object_mut()
                .and_then(|it| it.remove("resets_in_ms"));
            resets.and_then(|it| it.as_u64())
        });
        let resets: Vec<_> = resets.collect();
        (info, resets)
    };
    assert_eq!(ask(&world, "alice", "gpt").await.status, 200);
    let (info, resets) = told(&key("alice")).await;
    assert_eq!(
        (&info["spend"], &info["left"]["instances"]),
        (&json!(11.0), &json!("this"))
    );
    let sliding = |mut limit: Value| {
        limit["window"] = "sliding".into();
        limit["seconds"] = 60.0.into();
        limit
    };
    assert_eq!(
        info["left"]["limits"],
        json!([
            sliding(json!({"scope": "key", "name": "alice", "measure": "requests", "limit": 5, "used": 1, "remaining": 4})),
            {"scope": "key", "name": "alice", "measure": "money", "window": "month", "limit": "100", "soft": "50", "used": "11", "remaining": "89"},
            sliding(json!({"scope": "team", "name": "red", "measure": "tokens", "limit": 1000, "used": 9, "remaining": 991})),
            sliding(json!({"scope": "key", "name": "alice", "of": "gpt", "measure": "requests", "limit": 3, "used": 1, "remaining": 2})),
        ])
    );
    assert!(resets.iter().all(Option::is_some), "{resets:?}");
    assert!(resets[0].is_some_and(|it| it <= 62_000), "{resets:?}");
    let (info, _) = told(&key("bob")).await;
    assert_eq!(
        info["left"]["limits"],
        json!([{"scope": "key", "name": "bob", "measure": "money", "window": "forever", "soft": "50", "used": "0"}])
    );
    let (info, _) = told("Bearer sk-master").await;
    assert_eq!(
        info["left"]["limits"],
        json!([{"scope": "all", "measure": "money", "window": "forever", "limit": "1000", "used": "11", "remaining": "989"}]),
        "what all have left is for who manages"
    );
}

#[tokio::test]
async fn what_is_passed_through_goes_only_where_the_key_may() {
    let world = World::start(CONFIG).await;
    for path in [
        "/pass-through/gpt/models",
        "/openai/v1/models?model=gpt",
        "/openai/v1/models",
    ] {
        let reply = get(&world, &key("frank"), path).await;
        assert_eq!(reply.status, 403, "{path}: {}", reply.text);
    }
    let files = get(&world, &key("frank"), "/v1/files?model=gpt").await;
    assert_eq!(told(&files), (403, "key_model_access_denied".into()));
    assert_eq!(calls(&world), [0; 7]);
    let files = get(&world, &key("frank"), "/v1/files").await;
    assert_ne!(
        files.status, 400,
        "there is one that it may use: {}",
        files.text
    );
    assert_eq!(calls(&world), [0, 0, 1, 0, 0, 0, 0]);
}

#[tokio::test]
async fn a_reload_adds_and_takes_away_keys() {
    let world = World::start(CONFIG).await;
    assert_eq!(ask(&world, "grace", "claude").await.status, 200);
    assert_eq!(ask(&world, "heidi", "claude").await.status, 401);
    world.reload(&CONFIG.replace("grace", "heidi"));
    assert_eq!(ask(&world, "grace", "claude").await.status, 401);
    assert_eq!(ask(&world, "heidi", "claude").await.status, 200);
    world.reload(&CONFIG.replace("name: frank, ", "name: frank, blocked: true, "));
    assert_eq!(ask(&world, "frank", "claude").await.status, 403);
}

#[tokio::test]
async fn without_a_master_key_nobody_manages_and_without_any_key_everybody_does() {
    let start = CONFIG.find("general_settings").expect("is there");
    let end = CONFIG.find("router_settings").expect("is there");
    let no_master = [&CONFIG[..start], &CONFIG[end..]].concat();
    let world = World::start(&no_master).await;
    assert_eq!(get(&world, &key("grace"), "/model/info").await.status, 403);
    assert_eq!(world.get("/model/info").await.status, 401);
    assert_eq!(ask(&world, "grace", "claude").await.status, 200);
    let own = no_master.find("ziggurat_settings").expect("is there");
    let world = World::start(&no_master[..own]).await;
    assert_eq!(world.get("/model/info").await.status, 200);
    assert_eq!(world.chat("claude", json!({})).await.status, 200);
    assert_eq!(
        world.get("/key/info").await.json(),
        json!({"key": null, "info": {}})
    );
}

/// Whom an application knows, and what happens when it cannot tell.
fn known(parts: &Parts) -> std::future::Ready<Result<Identity, Error>> {
    let user = parts.headers.get("x-user").and_then(|it| it.to_str().ok());
    std::future::ready(match user {
        Some("slow") => Err(Error::timeout(ziggurat::Clock::Attempt)),
        Some("lost") => Err(Error::new(ErrorKind::Connect, "secret-store:6379 is gone")),
        Some("no") => Err(Error::new(ErrorKind::Permission, "you may not")),
        Some(name) => {
            let models = ModelAccess::new(["gpt"]);
            Ok(Identity::of(
                Caller::new().with_key(name.to_owned()).with_models(models),
            ))
        }
        None => Err(Error::new(ErrorKind::Authentication, "who are you?")),
    })
}

#[tokio::test]
async fn an_application_may_say_who_asks_and_a_store_that_is_down_is_no_bad_key() {
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let config = names.iter().fold(CONFIG.to_owned(), |config, name| {
        config.replace(&format!("{{{name}}}"), "http://127.0.0.1:9/v1")
    });
    let plan = Plan::parse(&config, "test.yaml", |_| None).expect("is valid");
    let router = Router::from_plan(&plan).expect("is valid");
    let gateway = Gateway::over(&router).identify(known);
    gateway.reload(&plan).expect("is valid");
    let service = gateway.service(&router);
    let ask = async |user: Option<&str>, path: &str| {
        let mut request = http::Request::get(path).header("authorization", key("alice"));
        if let Some(user) = user {
            request = request.header("x-user", user);
        }
        let request = request.body(Default::default()).expect("is a request");
        let reply = service
            .clone()
            .oneshot(request)
            .await
            .expect("always answers");
        let status = reply.status().as_u16();
        let body = http_body_util::BodyExt::collect(reply.into_body()).await;
        let Ok(body) = body else {
            panic!("the body is whole");
        };
        (
            status,
            String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        )
    };
    for (user, status, code) in [
        (None, 401, "invalid_api_key"),
        (Some("no"), 403, "permission_denied"),
        (Some("slow"), 503, "identity_unavailable"),
        (Some("lost"), 503, "identity_unavailable"),
    ] {
        let (got, text) = ask(user, "/v1/models").await;
        assert_eq!(got, status, "{user:?}: {text}");
        assert!(
            text.contains(code) && !text.contains("secret-store"),
            "{text}"
        );
    }
    let (status, models) = ask(Some("zoe"), "/v1/models").await;
    assert_eq!(
        (status, models.matches("\"id\"").count()),
        (200, 1),
        "{models}"
    );
    assert!(ask(Some("zoe"), "/key/info").await.1.contains("\"zoe\""));
    assert_eq!(ask(Some("zoe"), "/model/info").await.0, 403);
    assert_eq!(ask(None, "/health/readiness").await.0, 200);
}
