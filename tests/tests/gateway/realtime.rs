//! WebSockets through the gateway, over real sockets.

use std::{collections::BTreeSet, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest as _, protocol::CloseFrame},
};
use ziggurat::{Router, config::Plan};
use ziggurat_gateway::{Gateway, serve};
use ziggurat_testkit::provider::{Simulator, Step};
use ziggurat_tests::{PATIENCE, Reply, World};

const CONFIG: &str = r#"
model_list:
  - {model_name: rt, litellm_params: {model: openai/gpt-realtime, api_base: "{a}", api_key: key-a, order: 1}, model_info: {id: a}}
  - {model_name: rt, litellm_params: {model: openai/gpt-realtime, api_base: "{b}", api_key: key-b, order: 2}, model_info: {id: b}}
  - {model_name: spare, litellm_params: {model: openai/other, api_base: "{c}", api_key: key-c}, model_info: {id: c}}
router_settings: {num_retries: 1, retry_after: 0, allowed_fails: 0, fallbacks: [{rt: [spare]}]}
"#;

/// A client whose connection stands.
struct Client {
    socket: WebSocketStream<TcpStream>,
    headers: HeaderMap,
}

impl Client {
    async fn connect(address: impl tokio::net::ToSocketAddrs, path: &str) -> Self {
        Self::connect_with(address, path, &[]).await
    }

    async fn connect_with(
        address: impl tokio::net::ToSocketAddrs,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Self {
        let url = format!("ws://gateway{path}");
        let mut request = url.into_client_request().expect("is valid");
        for (name, value) in headers {
            let value = value.parse().expect("is a header value");
            request.headers_mut().insert(*name, value);
        }
        let stream = TcpStream::connect(address).await.expect("is there");
        let connecting = timeout(PATIENCE, client_async(request, stream)).await;
        let (socket, response) = connecting.expect("in time").expect("is accepted");
        Self {
            socket,
            headers: response.headers().clone(),
        }
    }

    async fn to(world: &World) -> Self {
        Self::connect(world.address, "/v1/realtime?model=rt").await
    }

    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("is text"))
    }

    async fn say(&mut self, message: Message) {
        self.socket.send(message).await.expect("is sent");
    }

    async fn ask(&mut self) {
        let create = json!({"type": "response.create"});
        self.say(Message::text(create.to_string())).await;
    }

    async fn next(&mut self) -> Message {
        let next = timeout(PATIENCE, self.socket.next()).await;
        let next = next.expect("in time").expect("does not end");
        next.expect("does not break")
    }

    async fn event(&mut self) -> Value {
        let message = self.next().await;
        serde_json::from_str(message.to_text().expect("is text")).expect("is JSON")
    }

    /// Reads on until an event of that type.
    async fn until(&mut self, kind: &str) -> Value {
        loop {
            let event = self.event().await;
            if event["type"] == kind {
                return event;
            }
        }
    }

    /// Reads to the end, which is a proper one.
    async fn closed(&mut self) -> (u16, String) {
        loop {
            if let Message::Close(frame) = self.next().await {
                let frame = frame.expect("says why");
                return (frame.code.into(), frame.reason.to_string());
            }
        }
    }
}

fn close(code: u16, reason: &str) -> Message {
    Message::Close(Some(CloseFrame {
        code: code.into(),
        reason: reason.into(),
    }))
}

/// Asks for a connection, and is refused.
async fn refused(world: &World, path: &str, headers: &[(&str, &str)]) -> Reply {
    let usual = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let mut request = world.client.get(world.url(path));
    for (name, value) in usual.iter().chain(headers) {
        request = request.header(*name, *value);
    }
    world.send(request).await
}

async fn settled(world: &World) {
    let busy = |name: &&str| world.providers.in_flight(name) > 0;
    let idle = async {
        while ["a", "b", "c"].iter().any(busy) || world.router.in_flight() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, idle).await.expect("all is settled");
}

#[tokio::test]
async fn a_session_passes_as_it_is() {
    let world = World::start(CONFIG).await;
    for path in ["/v1/realtime", "/realtime"] {
        let path = format!("{path}?intent=talk&model=rt");
        let headers = [
            ("openai-beta", "realtime=v1"),
            ("authorization", "Bearer x"),
        ];
        let mut client = Client::connect_with(world.address, &path, &headers).await;
        assert_eq!(client.header("x-litellm-model-id"), "a");
        assert!(!client.header("x-litellm-call-id").is_empty());
        let created = client.event().await;
        assert_eq!(created["type"], "session.created");
        assert_eq!(created["session"]["model"], "gpt-realtime");

        let message = json!({"type": "input_audio_buffer.append", "audio": "A".repeat(1 << 20)});
        let message = Message::text(message.to_string());
        client.say(message.clone()).await;
        assert_eq!(client.next().await, message, "a long one");
        client.say(Message::binary(&b"\xff\x00"[..])).await;
        assert_eq!(client.next().await, Message::binary(&b"\xff\x00"[..]));
        client.say(Message::Ping("p".into())).await;
        assert_eq!(client.next().await, Message::Pong("p".into()));

        client.ask().await;
        assert_eq!(client.event().await["type"], "response.created");
        for word in ["from ", "a ", "w1 ", "w2 ", "w3"] {
            assert_eq!(client.event().await["delta"], word);
        }
        assert_eq!(client.event().await["type"], "response.done");
        client.say(close(1000, "")).await;
        assert_eq!(client.closed().await.0, 1000);
        settled(&world).await;
    }
    let calls = world.providers.calls("a");
    assert_eq!(calls.len(), 2);
    for call in calls {
        assert_eq!(call.path, "/v1/realtime?model=gpt-realtime&intent=talk");
        assert_eq!(call.headers["authorization"], "Bearer key-a");
        assert_eq!(call.headers["openai-beta"], "realtime=v1");
        assert!(call.finished && call.closed == Some(1000));
    }
}

#[tokio::test]
async fn what_fails_before_the_first_event_is_tried_elsewhere() {
    for step in [
        Step::status(503),
        Step::status(401),
        Step::status(429).retry_after(60),
        Step::ok().reset(),
        Step::ok().hang(),
        Step::ok().first_token_delay(Duration::from_secs(3_600)),
        Step::ok().raw("{}", "application/json"),
        Step::ok().error_in_200().error_code("server_error"),
        Step::ok().header("sec-websocket-accept", "x"),
    ] {
        for (down, up) in [(&["a"][..], "b"), (&["a", "b"], "c")] {
            let world = World::start(CONFIG).await;
            for name in down {
                world.providers.script(name, step.clone());
            }
            let headers = [("x-litellm-stream-timeout", "0.3")];
            let path = "/v1/realtime?model=rt";
            let mut client = Client::connect_with(world.address, path, &headers).await;
            assert_eq!(client.header("x-litellm-model-id"), up, "{step:?}");
            assert_eq!(client.event().await["type"], "session.created");
            let trail = client.header("x-ziggurat-trail");
            assert!(trail.contains(&format!("{up}=ok/")), "{trail}");
            for name in down {
                assert_eq!(world.providers.count(name), 1, "{step:?}");
            }
            assert_eq!(world.router.in_flight(), 1);
        }
    }
}

#[tokio::test]
async fn a_failure_of_all_is_an_http_error() {
    let world = World::start(CONFIG).await;
    for name in ["a", "b", "c"] {
        world
            .providers
            .script(name, Step::status(429).retry_after(7));
    }
    let headers = [("x-litellm-num-retries", "0")];
    let reply = refused(&world, "/v1/realtime?model=rt", &headers).await;
    assert_eq!(reply.status, 429, "{}", reply.text);
    assert_eq!(reply.json()["error"]["code"], "rate_limit_exceeded");
    assert_eq!(reply.header("retry-after"), "7");
    assert_eq!(reply.header("x-litellm-attempted-fallbacks"), "1");
    assert!(!reply.header("x-litellm-call-id").is_empty());
    settled(&world).await;
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_told_before_anybody_is_asked() {
    let world = World::start(CONFIG).await;
    for (path, status, code) in [
        ("/v1/realtime", 400, "missing_required_parameter"),
        ("/v1/realtime?model=", 400, "invalid_type"),
        ("/v1/realtime?model=other", 404, "model_not_found"),
        (
            "/v1/realtime?model=rt&api_base=http://evil",
            400,
            "forbidden_parameter",
        ),
        ("/v1/realtime?model=rt&mock_response=x", 400, "bad_request"),
    ] {
        let reply = refused(&world, path, &[]).await;
        let error = &reply.json()["error"];
        assert_eq!(
            (reply.status, error["code"].as_str()),
            (status, Some(code)),
            "{path}"
        );
    }
    let reply = world.get("/v1/realtime?model=rt").await;
    assert_eq!(reply.status, 426, "{}", reply.text);
    assert_eq!(reply.json()["error"]["code"], "upgrade_required");
    assert_eq!(reply.header("upgrade"), "websocket");
    let reply = world.post("/v1/realtime?model=rt", &json!({})).await;
    assert_eq!(reply.status, 405);
    assert_eq!(world.providers.count("a"), 0);
}

#[tokio::test]
async fn a_key_is_asked_for_and_never_passed_on() {
    let config = format!("{CONFIG}general_settings: {{master_key: sk-gateway}}\n");
    let world = World::start(&config).await;
    let path = "/v1/realtime?model=rt";
    for headers in [
        &[][..],
        &[("authorization", "Bearer sk-other")],
        &[(
            "sec-websocket-protocol",
            "realtime, openai-insecure-api-key.sk-other",
        )],
    ] {
        let reply = refused(&world, path, headers).await;
        assert_eq!(reply.status, 401, "{}", reply.text);
    }
    assert_eq!(world.providers.count("a"), 0);
    let browser = [(
        "sec-websocket-protocol",
        "realtime, openai-insecure-api-key.sk-gateway, openai-beta.realtime-v1",
    )];
    let client = Client::connect_with(world.address, path, &browser).await;
    assert_eq!(client.header("sec-websocket-protocol"), "realtime");
    let headers = [("authorization", "Bearer sk-gateway")];
    Client::connect_with(world.address, path, &headers).await;
    let calls = world.providers.calls("a");
    assert_eq!(
        calls[0].headers["sec-websocket-protocol"],
        "realtime, openai-beta.realtime-v1"
    );
    for call in calls {
        assert!(!format!("{call:?}").contains("sk-gateway"));
        assert_eq!(call.headers["authorization"], "Bearer key-a");
    }
}

#[tokio::test]
async fn close_codes_pass_both_ways() {
    let world = World::start(CONFIG).await;
    for (code, reason) in [(1000, "done"), (1001, ""), (4321, "mine")] {
        let mut client = Client::to(&world).await;
        client.say(close(code, reason)).await;
        assert_eq!(client.closed().await.0, code);
        settled(&world).await;
        let calls = world.providers.calls("a");
        let last = calls.last().expect("was called");
        assert!(last.finished && last.closed == Some(code));
    }
    for (code, reason) in [(1000, "bye"), (1008, "no"), (4321, "theirs")] {
        let step = Step::ok().end_after(2).close_with(code, reason);
        world.providers.script("a", step);
        let mut client = Client::to(&world).await;
        client.ask().await;
        assert_eq!(
            client.until("response.created").await["type"],
            "response.created"
        );
        assert_eq!(client.closed().await, (code, reason.to_owned()));
        settled(&world).await;
    }
    assert_eq!(world.providers.count("a"), 6, "none of it is a failure");
}

#[tokio::test]
async fn a_break_is_told_and_is_a_failure() {
    for (step, expected) in [
        (Step::ok().cut_after(2), (1011, "broke")),
        (
            Step::ok().stall_after(2, Some(Duration::ZERO)),
            (1011, "broke"),
        ),
        (
            Step::ok().end_after(2).close_with(1013, "later"),
            (1013, "later"),
        ),
    ] {
        let world = World::start(CONFIG).await;
        world.providers.script("a", step);
        let mut client = Client::to(&world).await;
        client.ask().await;
        let (code, reason) = client.closed().await;
        assert!(
            code == expected.0 && reason.contains(expected.1),
            "{code} {reason}"
        );
        settled(&world).await;
        let next = Client::to(&world).await;
        assert_eq!(
            next.header("x-litellm-model-id"),
            "b",
            "the other one rests"
        );
        assert_eq!(world.providers.count("a"), 1, "nothing is sent again");
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_ends_all_of_it() {
    let world = World::start(CONFIG).await;
    for _ in 0..3 {
        let mut client = Client::to(&world).await;
        client.event().await;
        assert_eq!(
            (world.providers.in_flight("a"), world.router.in_flight()),
            (1, 1)
        );
        drop(client);
        settled(&world).await;
    }
    assert_eq!(world.providers.hung_up("a"), 3);
    assert_eq!(world.providers.count("a"), 3, "it is no failure");
}

#[tokio::test]
async fn a_message_that_is_too_long_closes_the_connection() {
    let world = World::start(CONFIG).await;
    let mut client = Client::to(&world).await;
    let long = Message::binary(vec![0; 26 * 1024 * 1024]);
    // It may be closed before all of it is sent.
    _ = client.socket.send(long).await;
    assert_eq!(client.closed().await.0, 1009);
    settled(&world).await;
    assert_eq!(world.providers.calls("a")[0].closed, Some(1001));
    Client::to(&world).await;
    assert_eq!(world.providers.count("a"), 2, "it is no failure");
}

#[tokio::test]
async fn what_was_used_is_settled_at_the_end() {
    let config = CONFIG.replace("order: 1}", "order: 1, tpm: 10000}");
    let world = World::start(&config).await;
    world.providers.script("a", Step::ok().usage(100, 20));
    let mut client = Client::to(&world).await;
    for _ in 0..3 {
        client.ask().await;
        client.until("response.done").await;
    }
    client.say(close(1000, "")).await;
    client.closed().await;
    settled(&world).await;
    let next = Client::to(&world).await;
    assert_eq!(next.header("x-ratelimit-remaining-tokens"), "9640");
}

#[tokio::test]
async fn who_makes_no_connections_is_passed_over_by_name() {
    let config = r#"
model_list:
  - {model_name: rt, litellm_params: {model: anthropic/claude, api_base: "{a}", api_key: k, order: 1}, model_info: {id: a}}
  - {model_name: rt, litellm_params: {model: groq/llama, api_base: "{a}", api_key: k, order: 2}, model_info: {id: groq}}
  - {model_name: rt, litellm_params: {model: openai/gpt-realtime, api_base: "{b}", api_key: k, order: 3}, model_info: {id: b}}
  - {model_name: none, litellm_params: {model: anthropic/claude, api_base: "{a}", api_key: k}, model_info: {id: c}}
"#;
    let world = World::start(config).await;
    let client = Client::to(&world).await;
    assert_eq!(client.header("x-litellm-model-id"), "b");
    let reply = refused(&world, "/v1/realtime?model=none", &[]).await;
    assert_eq!(reply.status, 400, "{}", reply.text);
    assert_eq!(reply.json()["error"]["code"], "unsupported_operation");
    assert_eq!(world.providers.count("a"), 0);
}

#[tokio::test]
async fn a_model_for_chat_is_not_asked() {
    let config = CONFIG.replace("model_info: {id: a}", "model_info: {id: a, mode: chat}");
    let world = World::start(&config).await;
    let mut models = BTreeSet::new();
    for _ in 0..5 {
        let client = Client::to(&world).await;
        models.insert(client.header("x-litellm-model-id").to_owned());
    }
    assert_eq!(models, BTreeSet::from(["b".to_owned()]));
}

#[tokio::test]
async fn a_gateway_that_stops_says_goodbye() {
    let providers = Simulator::start().await.expect("a port is free");
    let names = ["a", "b", "c"];
    let config = names.iter().fold(CONFIG.to_owned(), |config, name| {
        config.replace(&format!("{{{name}}}"), &providers.base_url(name))
    });
    let plan = Plan::parse(&config, "test.yaml", |_| None).expect("is valid");
    let router = Router::from_plan(&plan).expect("is valid");
    let service = Gateway::over(&router).service(&router);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("is free");
    let address = listener.local_addr().expect("is bound");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async { drop(stopped.await) };
    let serving = serve(listener, service, stopped, Duration::ZERO);
    let session = async {
        let mut client = Client::connect(address, "/v1/realtime?model=rt").await;
        client.event().await;
        drop(stop);
        client.closed().await
    };
    let (served, closed) = tokio::join!(serving, session);
    served.expect("ends well");
    assert_eq!(closed, (1001, "the gateway stops".to_owned()));
    let settled = providers.wait_until(|it| it.in_flight("a") == 0);
    timeout(PATIENCE, settled).await.expect("is told so");
    assert_eq!(providers.calls("a")[0].closed, Some(1001));
    assert_eq!(router.in_flight(), 0);
}
