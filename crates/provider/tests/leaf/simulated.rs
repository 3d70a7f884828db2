//! The leaf over real connections, against simulated providers with faults.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::ServiceExt;
use ziggurat_core::{
    Clock, Deployment, Error, ErrorKind, Item, LlmRequest, LlmResponse, Operation, Routed, Secret,
    Usage,
};
use ziggurat_provider::{HyperClient, LlmService, TransportConfig};
use ziggurat_testkit::provider::{Simulator, SseChunking, Step, healthy_text};

/// The leaf over each of the clients, behind one type.
type Leaf = tower::util::BoxCloneSyncService<Routed<LlmRequest>, LlmResponse, Error>;

fn leaves(config: &TransportConfig) -> [Leaf; 2] {
    let reqwest = LlmService::new(config).expect("can be made");
    let hyper = LlmService::with_client(HyperClient::new(config).expect("can be made"));
    [Leaf::new(reqwest), Leaf::new(hyper)]
}

struct World {
    sim: Simulator,
    leaves: [Leaf; 2],
}

impl World {
    async fn new() -> Self {
        Self {
            sim: Simulator::start().await.expect("a port is free"),
            leaves: leaves(&TransportConfig::new()),
        }
    }

    fn routed(&self, stream: bool) -> Routed<LlmRequest> {
        let body = format!(r#"{{"model":"gpt","stream":{stream},"messages":[]}}"#);
        let request =
            LlmRequest::from_bytes(Operation::ChatCompletions, body).expect("is a request");
        Routed::new(request, Arc::new(self.deployment()))
    }

    fn deployment(&self) -> Deployment {
        Deployment::new("a", "gpt", "real-model")
            .with_base_url(self.sim.base_url("a"))
            .with_credential(Secret::new("sk-canary"))
    }

    async fn call(&self, leaf: &Leaf, stream: bool) -> Result<LlmResponse, Error> {
        leaf.clone().oneshot(self.routed(stream)).await
    }
}

/// The text of a stream, its last usage, and how it ended.
async fn read(response: LlmResponse) -> (String, Option<Usage>, Result<(), ErrorKind>) {
    let (_, mut items) = response.into_parts();
    let (mut bytes, mut usage, mut end) = (Vec::new(), None, Ok(()));
    while let Some(item) = items.next().await {
        match item {
            Ok(Item {
                bytes: more,
                usage: new,
                ..
            }) => {
                bytes.extend_from_slice(&more);
                usage = new.or(usage);
            }
            Err(error) => end = Err(error.kind()),
        }
    }
    let text = String::from_utf8(bytes).expect("is text");
    let words = text
        .lines()
        .filter_map(|line| {
            serde_json::from_str::<serde_json::Value>(line.strip_prefix("data:")?.trim()).ok()
        })
        .filter_map(|event| {
            event["choices"][0]["delta"]["content"]
                .as_str()
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(
        text.trim_end().ends_with("data: [DONE]"),
        end.is_ok(),
        "{text}"
    );
    (words, usage, end)
}

#[tokio::test]
async fn answers_and_streams_come_through() {
    let world = World::new().await;
    let every = [
        SseChunking::PerEvent,
        SseChunking::AllAtOnce,
        SseChunking::SplitEvery(7),
        SseChunking::Crlf,
    ];
    for leaf in &world.leaves {
        world.sim.script("a", Step::ok().text("hello"));
        let response = world.call(leaf, false).await.expect("is answered");
        assert!(String::from_utf8_lossy(response.bytes().expect("is complete")).contains("hello"));
        assert_eq!(response.usage(), Some(&Usage::new(10, 5)));
        for chunking in every {
            for step in [
                Step::ok(),
                Step::ok().comments().role_chunk_first(),
                Step::ok().without_done(),
            ] {
                world.sim.script("a", step.words(60).sse_chunking(chunking));
                let response = world.call(leaf, true).await.expect("begins");
                let expected = (healthy_text("a", 60), Some(Usage::new(10, 5)), Ok(()));
                assert_eq!(read(response).await, expected, "{chunking:?}");
            }
        }
    }
    let call = world.sim.calls("a").pop().expect("was called");
    assert_eq!(call.headers["authorization"], "Bearer sk-canary");
    assert_eq!(call.json()["model"], "real-model");
}

#[tokio::test]
async fn faults_before_the_first_content_fail_the_call_once() {
    let world = World::new().await;
    let refused = serde_json::json!({"message": "x", "code": 429});
    for (step, kind) in [
        (Step::status(500), ErrorKind::Internal),
        (Step::status(503), ErrorKind::Unavailable),
        (Step::status(429).retry_after(2), ErrorKind::RateLimited),
        (
            Step::status(400).error_code("context_length_exceeded"),
            ErrorKind::ContextWindow,
        ),
        (
            Step::status(400).error_code("content_policy_violation"),
            ErrorKind::ContentPolicy,
        ),
        (
            Step::status(302).header("location", "/b/v1"),
            ErrorKind::BadAnswer,
        ),
        (Step::ok().reset(), ErrorKind::Connect),
        (Step::ok().raw("", "text/html"), ErrorKind::BadAnswer),
        (
            Step::ok().raw("<html>sign in</html>", "text/html"),
            ErrorKind::BadAnswer,
        ),
        (Step::status(503).error_in_200(), ErrorKind::Internal),
        (Step::ok().empty_answer(), ErrorKind::BadAnswer),
        (
            Step::ok().stream_error_after(0, refused),
            ErrorKind::RateLimited,
        ),
        (
            Step::ok().role_chunk_first().cut_after(0),
            ErrorKind::StreamBroken,
        ),
        (
            Step::ok().role_chunk_first().end_after(0),
            ErrorKind::StreamBroken,
        ),
    ] {
        for leaf in &world.leaves {
            let before = world.sim.count("a");
            world.sim.script("a", step.clone());
            let error = world.call(leaf, true).await.expect_err("fails");
            assert_eq!(error.kind(), kind, "{step:?}: {error}");
            assert_eq!(world.sim.count("a"), before + 1, "{step:?}");
            assert!(!format!("{error:?}").contains("canary"));
        }
    }
}

#[tokio::test]
async fn faults_of_whole_answers_fail_the_call() {
    let world = World::new().await;
    for (step, kind) in [
        (Step::ok().cut_after(1), ErrorKind::StreamBroken),
        (Step::ok().end_after(1), ErrorKind::BadAnswer),
        (Step::ok().malformed_at(1), ErrorKind::BadAnswer),
        (Step::ok().empty_answer(), ErrorKind::BadAnswer),
        (Step::status(500).error_in_200(), ErrorKind::Internal),
    ] {
        for leaf in &world.leaves {
            world.sim.script("a", step.clone());
            let error = world.call(leaf, false).await.expect_err("fails");
            assert_eq!(error.kind(), kind, "{step:?}: {error}");
        }
    }
}

#[tokio::test]
async fn faults_in_the_middle_end_the_stream_as_broken() {
    let world = World::new().await;
    let error = serde_json::json!({"message": "x", "code": 503});
    let slow = || Step::ok().words(60).chunk_delay(Duration::from_millis(1));
    for (step, kind) in [
        (slow().cut_after(40), ErrorKind::StreamBroken),
        (slow().end_after(40), ErrorKind::StreamBroken),
        (
            slow().stall_after(40, Some(Duration::from_millis(5))),
            ErrorKind::StreamBroken,
        ),
        (slow().without_finish(), ErrorKind::StreamBroken),
        (slow().stream_error_after(40, error), ErrorKind::Unavailable),
    ] {
        for leaf in &world.leaves {
            world.sim.script("a", step.clone());
            let response = world.call(leaf, true).await.expect("begins");
            assert_eq!(read(response).await.2, Err(kind), "{step:?}");
        }
    }
}

#[tokio::test]
async fn one_broken_event_is_left_out() {
    let world = World::new().await;
    for leaf in &world.leaves {
        world.sim.script("a", Step::ok().words(60).malformed_at(10));
        let response = world.call(leaf, true).await.expect("begins");
        let (text, usage, end) = read(response).await;
        assert_eq!(
            (text, usage, end),
            (healthy_text("a", 60), Some(Usage::new(10, 5)), Ok(()))
        );
    }
}

#[tokio::test]
async fn hanging_up_reaches_the_provider_in_every_phase() {
    let world = World::new().await;
    for leaf in &world.leaves {
        for (step, begins) in [
            (Step::ok().hang(), false),
            (
                Step::ok()
                    .role_chunk_first()
                    .first_token_delay(Duration::from_secs(3600)),
                false,
            ),
            (Step::ok().stall_after(2, None), true),
        ] {
            world.sim.script("a", step);
            let before = world.sim.hung_up("a");
            let call = world.call(leaf, true);
            let mut call = Box::pin(call);
            if begins {
                drop(call.await.expect("begins"));
            } else {
                tokio::select! {
                    _ = &mut call => panic!("has no answer"),
                    () = world.sim.wait_until(|sim| sim.in_flight("a") == 1) => {}
                }
                drop(call);
            }
            world
                .sim
                .wait_until(|sim| sim.hung_up("a") == before + 1)
                .await;
            assert_eq!(world.sim.in_flight("a"), 0);
        }
    }
}

#[tokio::test]
async fn an_address_where_nobody_listens_is_no_connection() {
    let world = World::new().await;
    world.sim.stop().await;
    for leaf in &world.leaves {
        let error = world.call(leaf, false).await.expect_err("fails");
        assert_eq!(error.kind(), ErrorKind::Connect);
        assert!(error.is_replayable());
    }
}

#[tokio::test]
async fn a_connection_that_is_not_made_in_time_is_a_timeout() {
    // Accepts the connection, and never answers the handshake.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port is free");
    let address = listener.local_addr().expect("has an address");
    let config = TransportConfig::new().with_connect_timeout(Duration::from_millis(50));
    for leaf in leaves(&config) {
        let deployment = Deployment::new("a", "gpt", "m")
            .with_base_url(format!("https://{address}/v1?key=sk-canary"));
        let routed = Routed::new(LlmRequest::chat("gpt", "hi"), Arc::new(deployment));
        let error = leaf.oneshot(routed).await.expect_err("fails");
        assert_eq!(error.kind(), ErrorKind::Timeout(Clock::Connect));
        let mut text = format!("{error:?}");
        let mut cause = std::error::Error::source(&error);
        while let Some(current) = cause {
            text += &format!("{current} {current:?}");
            cause = current.source();
        }
        assert!(!text.contains("canary"), "{text}");
    }
}

/// Serves streams on one connection, with the end of each body a little after its last event.
async fn serve_one_connection(listener: tokio::net::TcpListener, streams: usize) {
    let (mut connection, _) = listener.accept().await.expect("somebody connects");
    drop(listener);
    for _ in 0..streams {
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            let read = connection
                .read_buf(&mut request)
                .await
                .expect("the connection is open");
            assert_ne!(read, 0, "the connection is open");
        }
        let events = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let begun = format!("{head}{:x}\r\n{events}\r\n", events.len());
        connection
            .write_all(begun.as_bytes())
            .await
            .expect("the connection is open");
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        connection
            .write_all(b"0\r\n\r\n")
            .await
            .expect("the connection is open");
    }
}

#[tokio::test]
async fn a_connection_is_used_again_after_a_stream() {
    for leaf in leaves(&TransportConfig::new()) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("has an address");
        let deployment =
            Deployment::new("a", "gpt", "m").with_base_url(format!("http://{address}/v1"));
        let deployment = Arc::new(deployment);
        let body = r#"{"model":"gpt","stream":true}"#;
        let calls = async {
            for _ in 0..3 {
                let request =
                    LlmRequest::from_bytes(Operation::ChatCompletions, body).expect("is a request");
                let response = leaf
                    .clone()
                    .oneshot(Routed::new(request, Arc::clone(&deployment)))
                    .await;
                read(response.expect("begins")).await.2.expect("is whole");
            }
        };
        tokio::join!(serve_one_connection(listener, 3), calls);
    }
}

/// Answers one request on one connection, and gives back what was sent.
async fn serve_models(listener: tokio::net::TcpListener) -> String {
    let (mut connection, _) = listener.accept().await.expect("somebody connects");
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let read = connection.read_buf(&mut request).await;
        assert_ne!(read.expect("the connection is open"), 0);
    }
    let body = r#"{"data":[{"id":"m"}]}"#;
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let written = connection.write_all(answer.as_bytes()).await;
    written.expect("the connection is open");
    String::from_utf8(request).expect("is text")
}

#[tokio::test]
async fn a_probe_is_a_request_without_a_body_over_the_same_client() {
    async fn probe<S>(probe: S)
    where
        S: tower::Service<Arc<Deployment>, Response = ziggurat_provider::Probed, Error = Error>,
    {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port is free");
        let address = listener.local_addr().expect("has an address");
        let deployment = Deployment::new("a", "gpt", "m")
            .with_base_url(format!("http://{address}/v1"))
            .with_credential(Secret::new("sk-canary"));
        let (sent, probed) = tokio::join!(serve_models(listener), probe.oneshot(deployment.into()));
        assert_eq!(probed.expect("is reached").lists_model(), Some(true));
        let sent = sent.to_ascii_lowercase();
        assert!(sent.starts_with("get /v1/models http/1.1\r\n"), "{sent}");
        assert!(
            sent.contains("authorization: bearer sk-canary\r\n"),
            "{sent}"
        );
        assert!(
            !sent.contains("transfer-encoding") && !sent.contains("content-length"),
            "{sent}"
        );
    }
    let config = TransportConfig::new();
    probe(LlmService::new(&config).expect("can be made").probe()).await;
    let hyper = HyperClient::new(&config).expect("can be made");
    probe(LlmService::with_client(hyper).probe()).await;
}
