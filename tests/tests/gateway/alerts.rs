//! Alerts of a gateway that runs, to a webhook on a socket.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use ziggurat::alert::Event;
use ziggurat_testkit::provider::Step;
use ziggurat_tests::{PATIENCE, World};

/// A webhook that notes what it is sent.
struct Receiver {
    address: String,
    messages: Arc<Mutex<Vec<Value>>>,
    _serving: JoinSet<()>,
}

impl Receiver {
    /// One that answers; or one that takes connections and says nothing.
    async fn start(answers: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let messages = Arc::new(Mutex::new(Vec::new()));
        let mut serving = JoinSet::new();
        let noted = Arc::clone(&messages);
        serving.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(take(stream, Arc::clone(&noted), answers));
            }
        });
        Self {
            address: format!("http://{address}/secret"),
            messages,
            _serving: serving,
        }
    }

    fn events(&self) -> Vec<String> {
        let messages = self.messages.lock();
        let event = |message: &Value| message["event"].as_str().map(str::to_owned);
        messages.iter().filter_map(event).collect()
    }

    /// Waits until so many messages are there.
    async fn wait_for(&self, messages: usize) -> Vec<String> {
        let there = async {
            while self.messages.lock().len() < messages {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, there).await;
        assert!(waited.is_ok(), "{:?}", self.events());
        self.events()
    }
}

/// Reads the requests of a connection: a head, and as much of a body as it says.
async fn take(mut stream: TcpStream, noted: Arc<Mutex<Vec<Value>>>, answers: bool) {
    let mut bytes = Vec::new();
    while let Ok(n @ 1..) = stream.read_buf(&mut bytes).await {
        assert!(n > 0);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.parse().ok())?
        });
        if !answers || body.len() < length.unwrap_or(0) {
            continue;
        }
        assert!(head.starts_with("POST /secret HTTP/1.1"), "{head}");
        noted
            .lock()
            .push(serde_json::from_str(body).expect("is JSON"));
        bytes.clear();
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

fn config(webhook: &str, more: &str) -> String {
    format!(
        "
model_list:
  - {{model_name: gpt, litellm_params: {{model: openai/m, api_base: '{{a}}', api_key: k}}, model_info: {{id: one}}}}
  - {{model_name: gpt, litellm_params: {{model: openai/m, api_base: '{{b}}', api_key: k}}, model_info: {{id: two}}}}
router_settings: {{num_retries: 1, allowed_fails: 0, cooldown_time: 2}}
ziggurat_settings:
  alerts: {{webhooks: [{{url: '{webhook}'{more}}}]}}
"
    )
}

async fn ask(world: &World) -> u16 {
    let body = json!({"model": "gpt", "messages": [{"role": "user", "content": "a secret"}]});
    let asked = world
        .client
        .post(world.url("/v1/chat/completions"))
        .json(&body);
    world.send(asked).await.status
}

/// Asks until so many messages are there. Every request is answered.
async fn ask_until(world: &World, receiver: &Receiver, messages: usize) {
    let asking = async {
        while receiver.events().len() < messages {
            assert_eq!(ask(world).await, 200, "another one serves");
        }
    };
    let asked = tokio::time::timeout(PATIENCE, asking).await;
    assert!(asked.is_ok(), "{:?}", receiver.events());
}

#[tokio::test]
async fn a_deployment_that_dies_is_told_once_and_so_is_its_return() {
    let receiver = Receiver::start(true).await;
    let events = ", events: [deployment_out, deployment_back, group_out]";
    let world = World::start(&config(&receiver.address, events)).await;
    world.providers.script("a", Step::status(500));
    ask_until(&world, &receiver, 1).await;
    // It is probed in the meantime, and fails.
    for _ in 0..20 {
        assert_eq!(ask(&world).await, 200);
    }
    assert_eq!(receiver.events(), ["deployment_out"]);
    world.providers.script("a", Step::ok());
    ask_until(&world, &receiver, 2).await;
    for _ in 0..20 {
        assert_eq!(ask(&world).await, 200);
    }
    assert_eq!(receiver.events(), ["deployment_out", "deployment_back"]);
    let messages = receiver.messages.lock();
    assert_eq!(messages[0]["deployment"], "one");
    assert_eq!(messages[0]["reason"], "internal");
    assert!(messages.iter().all(|it| !it.to_string().contains("secret")));
}

#[tokio::test]
async fn that_redis_was_never_reached_is_told() {
    let receiver = Receiver::start(true).await;
    let redis = "  redis: {url: 'redis://127.0.0.1:1'}\n";
    let world = World::start(&(config(&receiver.address, "") + redis)).await;
    assert_eq!(receiver.wait_for(1).await, ["store_lost"]);
    assert_eq!(ask(&world).await, 200);
    assert_eq!(receiver.messages.lock()[0]["store"], "Redis");
}

#[tokio::test]
async fn a_storm_of_events_is_a_few_messages_and_requests_go_on() {
    let receiver = Receiver::start(true).await;
    let world = World::start(&config(&receiver.address, "")).await;
    for n in 0..1_000 {
        world
            .router
            .alerts()
            .notify(Event::store_lost(n.to_string()));
    }
    for _ in 0..20 {
        assert_eq!(ask(&world).await, 200);
    }
    assert_eq!(receiver.wait_for(20).await.len(), 20);
    assert_eq!(ask(&world).await, 200);
    assert_eq!(
        receiver.events().len(),
        20,
        "the rest is summed up in a minute"
    );
}

#[tokio::test]
async fn a_webhook_that_is_slow_or_gone_is_noticed_by_nobody() {
    let slow = Receiver::start(false).await;
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        format!("http://{}/x", listener.local_addr().expect("it is bound"))
    };
    for address in [&slow.address, &gone] {
        let world = World::start(&config(address, "")).await;
        for n in 0..2_000 {
            world
                .router
                .alerts()
                .notify(Event::store_lost(n.to_string()));
            if n % 100 == 0 {
                assert_eq!(ask(&world).await, 200);
            }
        }
        world.providers.script("a", Step::status(500));
        for _ in 0..20 {
            assert_eq!(ask(&world).await, 200);
        }
    }
}

#[tokio::test]
async fn a_reload_changes_who_is_told() {
    let [before, after] = [Receiver::start(true).await, Receiver::start(true).await];
    let world = World::start(&config(&before.address, "")).await;
    world.router.alerts().notify(Event::store_lost("a"));
    before.wait_for(1).await;
    world.reload(&config(&after.address, ""));
    world.router.alerts().notify(Event::store_lost("a"));
    assert_eq!(after.wait_for(1).await, ["store_lost"]);
    assert_eq!(before.events().len(), 1);
}
