//! What providers keep stays with the deployment that has it: files, batches, answers, and whatever
//! is asked for under a path.

use http::Method;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use ziggurat::{ObjectId, Router, config::Plan};
use ziggurat_gateway::Gateway;
use ziggurat_testkit::provider::{Script, SseChunking, Step};
use ziggurat_tests::{Form, Reply, World};

const CONFIG: &str = r#"
model_list:
  - {model_name: gpt, litellm_params: {model: openai/real-a, api_base: "{a}", api_key: key-a, use_in_pass_through: true}, model_info: {id: a, mode: responses}}
  - {model_name: gpt, litellm_params: {model: openai/real-b, api_base: "{b}", api_key: key-b}, model_info: {id: b, mode: responses}}
  - {model_name: other, litellm_params: {model: openai/real-c, api_base: "{c}", api_key: key-c}, model_info: {id: c, mode: responses}}
router_settings: {num_retries: 2, retry_after: 0, fallbacks: [{gpt: [other]}], cooldown_time: 0.001}
"#;

fn down() -> Script {
    Step::status(500).into()
}

fn line(model: &str) -> String {
    let body = json!({"model": model, "messages": []});
    json!({"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": body})
        .to_string()
}

fn batch_file() -> Form {
    let lines = format!("{}\n{}\n", line("gpt"), line("gpt"));
    Form::new()
        .field("purpose", "batch")
        .file("file", lines.as_bytes())
}

async fn call(world: &World, method: Method, path: &str) -> Reply {
    world
        .send(world.client.request(method, world.url(path)))
        .await
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member]
        .as_str()
        .unwrap_or_else(|| panic!("{member} in {value}"))
}

/// The deployment and the provider's id of an id of ours.
fn read(id: &str) -> (String, String) {
    let read = ObjectId::parse(id).unwrap_or_else(|| panic!("{id} is ours"));
    (read.deployment().to_string(), read.original().to_owned())
}

fn keeper(id: &str) -> String {
    read(id).0
}

async fn upload(world: &World) -> String {
    let reply = world.post_form("/v1/files", &batch_file()).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    text(&reply.json(), "id").to_owned()
}

fn received(world: &World) -> u64 {
    ["a", "b", "c"]
        .iter()
        .map(|name| world.providers.count(name))
        .sum()
}

/// What another gateway over the same providers answers, which has never seen a request.
async fn elsewhere(world: &World, config: &str, path: &str) -> (u16, Value) {
    let mut config = config.to_owned();
    for name in ["a", "b", "c"] {
        let base = world.providers.base_url(name);
        config = config.replace(&format!("{{{name}}}"), &base);
    }
    let plan = Plan::parse(&config, "other.yaml", |_| None).expect("is valid");
    let router = Router::from_plan(&plan).expect("is valid");
    let service = Gateway::over(&router).service(&router);
    let request = http::Request::get(path).body(Default::default());
    let reply = service.oneshot(request.expect("is a request")).await;
    let reply = reply.expect("always answers");
    let status = reply.status().as_u16();
    let Ok(body) = http_body_util::BodyExt::collect(reply.into_body()).await else {
        panic!("the body is whole");
    };
    let body = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    (status, body)
}

#[tokio::test]
async fn a_file_its_batch_and_what_comes_of_it_stay_where_they_are_on_every_gateway() {
    let world = World::start(CONFIG).await;
    let file = upload(&world).await;
    let (at, original) = read(&file);
    let sent = world.providers.calls(&at);
    let sent = String::from_utf8_lossy(&sent[0].body).into_owned();
    assert!(sent.contains(&line(&format!("real-{at}"))), "{sent}");
    assert!(!sent.contains(&line("gpt")));
    let body = json!({
        "input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h",
        "model": "gpt", "metadata": {"mine": file},
    });
    let batch = world.post("/v1/batches", &body).await.json();
    assert_eq!(text(&batch, "input_file_id"), file);
    let asked = world.providers.calls(&at).last().expect("was asked").json();
    assert_eq!(asked["input_file_id"], *original);
    assert_eq!(
        (&asked["model"], &asked["metadata"]["mine"]),
        (&Value::Null, &json!(file))
    );
    let id = text(&batch, "id");
    assert_eq!(keeper(id), at);
    assert_eq!(batch["metadata"]["mine"], *file);
    let mut last = Value::Null;
    for _ in 0..3 {
        let (status, seen) = elsewhere(&world, CONFIG, &format!("/batches/{id}")).await;
        assert_eq!(status, 200, "{seen}");
        last = seen;
    }
    assert_eq!(last["status"], "completed");
    let output = text(&last, "output_file_id");
    assert_eq!(keeper(output), at);
    let content = world.get(&format!("/v1/files/{output}/content")).await;
    assert_eq!(content.status, 200);
    assert_eq!(content.header("content-type"), "application/octet-stream");
    assert_eq!(content.text.lines().count(), 2);
    assert_eq!(content.header("x-litellm-model-id"), at);
    let deleted = call(&world, Method::DELETE, &format!("/v1/files/{file}")).await;
    assert_eq!(deleted.json()["deleted"], true);
    assert_eq!(deleted.json()["id"], *file);
    let gone = world.get(&format!("/v1/files/{file}")).await;
    assert_eq!(gone.status, 404, "{}", gone.text);
    assert!(
        gone.text.contains(&original),
        "the provider's message: {}",
        gone.text
    );
    assert_eq!(received(&world), world.providers.count(&at));
}

#[tokio::test]
async fn an_object_that_is_not_there_rests_nobody() {
    let world = World::start(CONFIG).await;
    let file = ObjectId::new(&"a".into(), "file-none").expect("is one");
    for _ in 0..3 {
        assert_eq!(world.get(&format!("/v1/files/{file}")).await.status, 404);
    }
    assert_eq!(
        world.providers.count("a"),
        3,
        "it is asked once each time, and does not rest"
    );
    assert_eq!(received(&world), 3);
}

#[tokio::test]
async fn what_is_pinned_goes_nowhere_else_however_often_it_fails() {
    let world = World::start(CONFIG).await;
    let file = upload(&world).await;
    let at = keeper(&file);
    let before = received(&world);
    world.providers.script(&at, down());
    let reply = world.get(&format!("/v1/files/{file}")).await;
    assert_eq!(reply.status, 500, "{}", reply.text);
    assert_eq!(received(&world), before + 3, "two retries");
    assert_eq!(world.providers.count(&at), received(&world));
}

#[tokio::test]
async fn a_creation_fails_over_within_its_group_and_to_no_other() {
    let world = World::start(CONFIG).await;
    world.providers.script("a", down());
    for _ in 0..4 {
        assert_eq!(keeper(&upload(&world).await), "b");
    }
    world.providers.script("b", down());
    let reply = world.post_form("/v1/files", &batch_file()).await;
    assert_eq!(reply.status, 500, "{}", reply.text);
    assert_eq!(world.providers.count("c"), 0);
}

#[tokio::test]
async fn an_object_of_a_deployment_that_is_gone_is_not_found() {
    let world = World::start(CONFIG).await;
    let file = ObjectId::new(&"gone".into(), "file-1").expect("is one");
    for path in [
        format!("/v1/files/{file}"),
        format!("/v1/files/{file}/content?model=gpt"),
    ] {
        let reply = world.get(&path).await;
        assert_eq!(reply.status, 404, "{}", reply.text);
        assert!(
            reply.text.contains("not configured any more"),
            "{}",
            reply.text
        );
    }
    let answer = ObjectId::new(&"gone".into(), "resp_1")
        .expect("is one")
        .to_string();
    let body = json!({"model": "gpt", "input": "x", "previous_response_id": answer});
    let reply = world.post("/v1/responses", &body).await;
    assert_eq!(reply.status, 404, "{}", reply.text);
    assert_eq!(received(&world), 0);
}

#[tokio::test]
async fn forged_ids_and_odd_paths_reach_nobody() {
    let world = World::start(CONFIG).await;
    let whole = ObjectId::new(&"a".into(), "file-1")
        .expect("is one")
        .to_string();
    let broken = &whole[..whole.len() - 1];
    for (path, status) in [
        (format!("/v1/files/{broken}"), 404),
        ("/v1/files/file-1".to_owned(), 404),
        ("/v1/files/file-zgt1_".to_owned(), 404),
        (format!("/v1/files/{whole}/%2e%2e/%2e%2e/models"), 400),
        (format!("/v1/files/{whole}%2f..%2f..%2fmodels"), 400),
        (format!("/v1/files/{whole}//content"), 400),
        (format!("/v1/files/{whole}/%252e%252e"), 400),
        ("/openai/v1/%2e%2e/admin".to_owned(), 400),
        ("/pass-through/other/v1/models".to_owned(), 403),
        ("/pass-through/b/v1/models".to_owned(), 403),
        ("/anthropic/v1/models".to_owned(), 403),
    ] {
        let (got, body) = elsewhere(&world, CONFIG, &path).await;
        assert_eq!(got, status, "{path}: {body}");
    }
    let two = json!({"file_ids": [whole, ObjectId::new(&"b".into(), "file-2").expect("is one").to_string()]});
    let reply = world.post("/v1/vector_stores", &two).await;
    assert_eq!(
        (reply.status, reply.json()["error"]["code"].as_str()),
        (400, Some("objects_of_several_deployments"))
    );
    assert_eq!(received(&world), 0);
}

#[tokio::test]
async fn who_says_nothing_is_asked_for_a_group_and_a_list_is_one_of_ours() {
    let world = World::start(CONFIG).await;
    let reply = world.get("/v1/files").await;
    assert_eq!(
        (reply.status, reply.json()["error"]["param"].as_str()),
        (400, Some("model"))
    );
    let named = Form::new()
        .field("purpose", "user_data")
        .field("target_model_names", "other, gpt");
    let file = world
        .post_form("/v1/files", &named.file("file", b"x"))
        .await
        .json();
    assert_eq!(keeper(text(&file, "id")), "c");
    let sent = world.providers.calls("c").remove(0).body;
    assert!(!String::from_utf8_lossy(&sent).contains("target_model_names"));
    let list = world.get("/v1/files?model=other&limit=1").await.json();
    assert_eq!(list["data"][0]["id"], file["id"]);
    assert_eq!(
        (&list["first_id"], &list["last_id"]),
        (&file["id"], &file["id"])
    );
    let asked = world.providers.calls("c");
    assert_eq!(asked.last().expect("was asked").path, "/v1/files?limit=1");
    let after = format!("/v1/files?model=gpt&after={}", text(&file, "id"));
    let list = world.get(&after).await;
    assert_eq!(
        list.header("x-litellm-model-id"),
        "c",
        "an id is stronger than a name"
    );
    assert_eq!(list.json()["data"], json!([]));
}

#[tokio::test]
async fn a_stored_answer_is_found_again_and_gone_on_with_where_it_is() {
    let world = World::start(CONFIG).await;
    let more = |model: &str, previous: &str| {
        format!(
            r#"{{ "input":"more","x":1.50, "previous_response_id" : "{previous}","model":"{model}" }}"#
        )
    };
    for stream in [false, true] {
        let body = json!({"model": "gpt", "input": "hello", "stream": stream});
        let reply = world.post("/v1/responses", &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let id = match stream {
            false => text(&reply.json(), "id").to_owned(),
            true => {
                let events = reply.events().into_iter();
                let events: Vec<Value> = events
                    .filter_map(|event| serde_json::from_str(event).ok())
                    .collect();
                let mut ids = events
                    .iter()
                    .filter_map(|event| event["response"]["id"].as_str());
                let first = ids.next().expect("tells its id").to_owned();
                assert!(ids.all(|id| id == first), "{}", reply.text);
                first
            }
        };
        let (at, original) = read(&id);
        assert_eq!(reply.header("x-litellm-model-id"), at);
        assert!(
            !reply.text.contains(&format!("\"{original}\"")),
            "{}",
            reply.text
        );
        for _ in 0..3 {
            let (status, found) = elsewhere(&world, CONFIG, &format!("/v1/responses/{id}")).await;
            assert_eq!((status, &found["id"]), (200, &json!(id)), "{found}");
            let next = world
                .client
                .post(world.url("/v1/responses"))
                .body(more("gpt", &id));
            let next = world.send(next).await;
            assert_eq!(next.status, 200, "{}", next.text);
            assert_eq!(next.header("x-litellm-model-id"), at);
        }
        let sent = world.providers.calls(&at).pop().expect("was asked").body;
        assert_eq!(sent, more(&format!("real-{at}"), &original));
        let items = world.get(&format!("/v1/responses/{id}/input_items")).await;
        assert_eq!(items.status, 200, "{}", items.text);
        let other = json!({"model": "other", "input": "more", "previous_response_id": id});
        let reply = world.post("/v1/responses", &other).await;
        assert_eq!(reply.status, 400, "{}", reply.text);
        let deleted = call(&world, Method::DELETE, &format!("/v1/responses/{id}")).await;
        assert_eq!((deleted.status, &deleted.json()["id"]), (200, &json!(id)));
        assert_eq!(world.get(&format!("/v1/responses/{id}")).await.status, 404);
        let before = received(&world);
        world.providers.script(&at, down());
        let body = json!({"model": "gpt", "input": "more", "previous_response_id": id});
        assert_eq!(world.post("/v1/responses", &body).await.status, 500);
        assert_eq!(received(&world), before + 3);
        world.providers.script(&at, Step::ok());
    }
    let reply = world.get("/v1/responses/resp_of_a_chat").await;
    assert!(
        reply.status == 404 && reply.text.contains("was not stored"),
        "{}",
        reply.text
    );
}

#[tokio::test]
async fn a_file_leads_the_answer_that_is_about_it_to_its_deployment() {
    let world = World::start(CONFIG).await;
    let file = upload(&world).await;
    let (at, original) = read(&file);
    for _ in 0..4 {
        let part = json!({"type": "file", "file": {"file_id": file}});
        let messages = json!([{"role": "user", "content": [part]}]);
        let reply = world
            .post(
                "/v1/chat/completions",
                &json!({"model": "gpt", "messages": messages}),
            )
            .await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(reply.header("x-litellm-model-id"), at);
    }
    let sent = world.providers.calls(&at).pop().expect("was asked").json();
    assert_eq!(
        sent["messages"][0]["content"][0]["file"]["file_id"],
        *original
    );
}

#[tokio::test]
async fn a_thread_and_its_runs_are_passed_through_as_they_are() {
    let world = World::start(CONFIG).await;
    let thread = r#"{ "id":"thread_1","object":"thread","n":1.50,"tool_resources":{"file_search":{"vector_store_ids":["vs_2"]}} }"#;
    world.providers.script(
        "c",
        Step::ok().raw(thread, "application/json; charset=utf-8"),
    );
    let request = world.client.post(world.url("/v1/threads?model=other"));
    let request = request
        .header("openai-beta", "assistants=v2")
        .bearer_auth("mine");
    let reply = world.send(request.json(&json!({}))).await;
    let ours = |id| ObjectId::new(&"c".into(), id).expect("is one").to_string();
    let expected = thread
        .replace("thread_1", &ours("thread_1"))
        .replace("vs_2", &ours("vs_2"));
    assert_eq!(reply.text, expected);
    assert_eq!(
        reply.header("content-type"),
        "application/json; charset=utf-8"
    );
    let sent = world.providers.calls("c").remove(0);
    assert_eq!(
        (&*sent.path, &sent.headers["openai-beta"]),
        (
            "/v1/threads",
            &http::HeaderValue::from_static("assistants=v2")
        )
    );
    assert_eq!(sent.headers["authorization"], "Bearer key-c");
    let events = "event: thread.run.created\ndata: {\"id\":\"run_1\",\"thread_id\":\"thread_1\"}\n\nevent: thread.run.completed\ndata: {\"id\":\"run_1\",\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\nevent: done\ndata: [DONE]\n\n";
    world
        .providers
        .script("c", Step::ok().raw(events, "text/event-stream"));
    let path = format!("/v1/threads/{}/runs", ours("thread_1"));
    let reply = world
        .post(
            &path,
            &json!({"assistant_id": "asst_9", "model": "other", "stream": true}),
        )
        .await;
    assert_eq!(reply.text, events.replace("thread_1", &ours("thread_1")));
    let sent = world.providers.calls("c").remove(1);
    assert_eq!(sent.path, "/v1/threads/thread_1/runs");
    assert_eq!(sent.json()["model"], "real-c");
}

#[tokio::test]
async fn any_path_of_a_deployment_that_allows_it_is_passed_through() {
    let world = World::start(CONFIG).await;
    let body =
        json!({"model": "gpt", "messages": [{"role": "user", "content": "hi"}], "stream": true});
    for path in [
        "/pass-through/gpt/v1/chat/completions?x=1&key=canary",
        "/openai/chat/completions?x=1",
    ] {
        world
            .providers
            .script("a", Step::ok().sse_chunking(SseChunking::SplitEvery(7)));
        let reply = world.post(path, &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert!(
            reply.is_whole_stream() && reply.answer().contains("from a"),
            "{}",
            reply.text
        );
        let sent = world.providers.calls("a").pop().expect("was asked");
        assert_eq!(
            (&*sent.path, &sent.json()["model"]),
            ("/v1/chat/completions?x=1", &json!("real-a"))
        );
    }
    let models = world.get("/openai/v1/models").await;
    assert_eq!(models.status, 200, "{}", models.text);
    assert_eq!(world.providers.count("b") + world.providers.count("c"), 0);
    world
        .providers
        .script("a", Step::status(418).error_message("short and stout"));
    let reply = world.post("/openai/v1/tea", &json!({})).await;
    assert!(reply.text.contains("short and stout"), "{}", reply.text);
}
