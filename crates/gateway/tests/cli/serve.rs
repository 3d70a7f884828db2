//! `ziggurat serve`, and what SIGHUP does to it.

use std::{path::Path, process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStderr, Command},
};
use ziggurat_testkit::provider::Simulator;

use crate::support::{ZIGGURAT, file};

/// How long a test waits for what must happen anyway, before it says that it did not.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(done) => done,
        Err(_) => panic!("{what}: it did not happen"),
    }
}

/// A gateway that runs as a process of its own.
pub(crate) struct Served {
    process: Child,
    said: Lines<BufReader<ChildStderr>>,
    pub(crate) address: String,
    /// What it said before the words that were waited for.
    before: String,
}

impl Served {
    pub(crate) async fn start(config: &Path) -> Self {
        let mut command = Command::new(ZIGGURAT);
        command.args(["serve", "--port", "0", "--drain", "5"]);
        Self::run(command, config).await
    }

    async fn run(mut command: Command, config: &Path) -> Self {
        command
            .arg("--config")
            .arg(config)
            .env_remove("RUST_LOG")
            .kill_on_drop(true);
        let mut process = command
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let said = process.stderr.take().expect("is piped");
        let mut served = Self {
            process,
            said: BufReader::new(said).lines(),
            address: String::new(),
            before: String::new(),
        };
        let line = served.says("listens on").await;
        let (_, address) = line.split_once("http://").expect("an address is told");
        served.address = address.split('/').next().unwrap_or_default().to_owned();
        served
    }

    /// Reads what it says up to a line with these words.
    async fn says(&mut self, words: &str) -> String {
        let mut before = String::new();
        loop {
            let line = soon(words, self.said.next_line())
                .await
                .expect("can be read");
            match line {
                Some(line) if line.contains(words) => {
                    self.before = before;
                    return line;
                }
                Some(line) => before = before + &line + "\n",
                None => panic!("it ended without {words:?}: {before}"),
            }
        }
    }

    async fn signal(&self, signal: &str) {
        let id = self.process.id().expect("it runs").to_string();
        let sent = Command::new("kill").args([signal, &id]).status().await;
        assert!(sent.expect("`kill` runs").success());
    }

    /// Sends a chat request; the connection can be read on.
    pub(crate) async fn send(&self, body: &Value) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).await.expect("accepts");
        let body = body.to_string();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream
            .write_all(head.as_bytes())
            .await
            .expect("takes the head");
        stream
            .write_all(body.as_bytes())
            .await
            .expect("takes the body");
        stream
    }

    /// Sends a chat request, and reads the answer to its end.
    async fn chat(&self, model: &str) -> String {
        let body = json!({"model": model, "messages": []});
        rest(&mut self.send(&body).await).await
    }
}

pub(crate) async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = soon("an answer", stream.read_to_end(&mut answer)).await;
    read.expect("the answer ends");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads until there are these words.
pub(crate) async fn read_until(stream: &mut TcpStream, words: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(words) {
        let mut piece = [0; 4096];
        let read = soon(words, stream.read(&mut piece)).await;
        let read = read.expect("goes on");
        assert!(read > 0, "it ended: {seen}");
        seen += &String::from_utf8_lossy(&piece[..read]);
    }
    seen
}

fn config(provider: &str, group: &str, more: &str) -> String {
    format!(
        "model_list:\n  - {{model_name: {group}, litellm_params: {{model: openai/m, api_base: \"{provider}\", api_key: k{more}}}}}\n"
    )
}

#[tokio::test]
async fn at_sighup_the_configuration_is_read_again() {
    let provider = Simulator::start().await.expect("a port is free");
    let base = provider.base_url("a");
    let path = file("serve_again", "config.yaml", &config(&base, "old", ""));
    let mut served = Served::start(&path).await;
    assert!(served.chat("old").await.starts_with("HTTP/1.1 200"));
    assert!(served.chat("new").await.starts_with("HTTP/1.1 404"));

    file(
        "serve_again",
        "config.yaml",
        &config(&base, "new", ", temperature: 0.5"),
    );
    served.signal("-HUP").await;
    served.says("was read again").await;
    assert!(served.chat("new").await.starts_with("HTTP/1.1 200"));
    assert!(served.chat("old").await.starts_with("HTTP/1.1 404"));
    let calls = provider.calls("a");
    assert_eq!(calls.last().expect("was called").json()["temperature"], 0.5);
}

#[tokio::test]
async fn a_broken_configuration_changes_nothing_and_is_told() {
    let provider = Simulator::start().await.expect("a port is free");
    let good = config(&provider.base_url("a"), "gpt", "");
    let path = file("serve_broken", "config.yaml", &good);
    let mut served = Served::start(&path).await;
    for (broken, words) in [
        ("model_list: [", "config.yaml:"),
        (&*good.replace("model_name", "model_nam"), "model_nam"),
        (
            &*good.replace("api_key: k", "api_key: \"k\\u0001\""),
            "header",
        ),
        ("\u{feff}\0\0", "config.yaml"),
    ] {
        file("serve_broken", "config.yaml", broken);
        served.signal("-HUP").await;
        let line = served.says("stays as it was").await;
        if !line.contains(words) {
            served.says(words).await;
        }
        assert!(
            served.chat("gpt").await.starts_with("HTTP/1.1 200"),
            "after {broken:?}"
        );
    }
    std::fs::remove_file(&path).expect("was there");
    served.signal("-HUP").await;
    served.says("stays as it was").await;
    file("serve_broken", "config.yaml", &good.replace("gpt", "next"));
    served.signal("-HUP").await;
    served.says("was read again").await;
    assert!(served.chat("next").await.starts_with("HTTP/1.1 200"));
}

/// A provider that begins a stream, and sends the rest of it when it is told to.
struct HalfStream<S>(S);

impl HalfStream<TcpListener> {
    /// Its base URL as well.
    async fn listen() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port is free");
        let base = format!("http://{}/v1", listener.local_addr().expect("is bound"));
        (Self(listener), base)
    }

    /// Waits for a call, and answers with the first half.
    async fn begin(self) -> HalfStream<TcpStream> {
        let called = soon("a call", self.0.accept()).await;
        let (mut stream, _) = called.expect("is called");
        read_until(&mut stream, "\"stream\"").await;
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        let first = head.to_owned() + &chunk("begun", "null");
        let sent = stream.write_all(first.as_bytes()).await;
        sent.expect("is taken");
        HalfStream(stream)
    }
}

impl HalfStream<TcpStream> {
    async fn end(mut self) {
        let last = chunk(" and whole", "\"stop\"") + "data: [DONE]\n\n";
        let sent = self.0.write_all(last.as_bytes()).await;
        sent.expect("is taken");
    }
}

fn chunk(text: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":{finish}}}]}}\n\n"
    )
}

#[tokio::test]
async fn a_stream_outlives_the_deployment_that_serves_it() {
    let (provider, base) = HalfStream::listen().await;
    let path = file("serve_stream", "config.yaml", &config(&base, "old", ""));
    let mut served = Served::start(&path).await;
    let body = json!({"model": "old", "messages": [], "stream": true});
    let mut client = served.send(&body).await;

    let provider = provider.begin().await;
    let seen = read_until(&mut client, "begun").await;

    file(
        "serve_stream",
        "config.yaml",
        &config("http://127.0.0.1:9/v1", "new", ""),
    );
    served.signal("-HUP").await;
    served.says("was read again").await;
    assert!(served.chat("old").await.starts_with("HTTP/1.1 404"));
    provider.end().await;
    let seen = seen + &rest(&mut client).await;
    assert!(
        seen.contains(" and whole") && seen.contains("[DONE]"),
        "{seen}"
    );
    assert!(!seen.contains("\"error\""), "{seen}");
}

#[tokio::test]
async fn a_mirror_gets_its_copies() {
    let provider = Simulator::start().await.expect("a port is free");
    let text = config(&provider.base_url("a"), "gpt", ", silent_model: shadow");
    let shadow = config(&provider.base_url("b"), "shadow", "").replace("model_list:\n", "");
    let path = file("serve_mirror", "config.yaml", &(text + &shadow));
    let served = Served::start(&path).await;
    assert!(served.chat("gpt").await.starts_with("HTTP/1.1 200"));
    soon("a copy", provider.wait_until(|it| it.count("b") == 1)).await;
}

#[tokio::test]
async fn at_sigterm_it_ends_well() {
    let provider = Simulator::start().await.expect("a port is free");
    let path = file(
        "serve_end",
        "config.yaml",
        &config(&provider.base_url("a"), "gpt", ""),
    );
    let mut served = Served::start(&path).await;
    assert!(served.chat("gpt").await.starts_with("HTTP/1.1 200"));
    served.signal("-TERM").await;
    let status = soon("its end", served.process.wait())
        .await
        .expect("can be waited for");
    assert!(status.success(), "{status}");
}

/// Asks for a path over a connection of its own, if somebody listens.
pub(crate) async fn get(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

#[tokio::test]
async fn after_sigterm_it_says_that_it_is_not_ready_and_serves_until_a_second_one() {
    let provider = Simulator::start().await.expect("a port is free");
    let text = config(&provider.base_url("a"), "gpt", "");
    let text = text + "ziggurat_settings: {shutdown: {grace: 1000, limit: 1000}}\n";
    let path = file("serve_grace", "config.yaml", &text);
    let mut command = Command::new(ZIGGURAT);
    command.args(["serve", "--port", "0"]);
    let mut served = Served::run(command, &path).await;
    let ready = "/health/readiness";
    let first = get(&served.address, ready).await.expect("answers");
    assert!(first.starts_with("HTTP/1.1 200"), "{first}");

    served.signal("-TERM").await;
    served.says("it is not ready any more").await;
    let second = get(&served.address, ready).await.expect("answers");
    assert!(second.starts_with("HTTP/1.1 503"), "{second}");
    let mut stream = TcpStream::connect(&served.address).await.expect("listens");
    let head = b"GET /health/liveliness HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(head).await.expect("is taken");
    let alive = rest(&mut stream).await.to_lowercase();
    assert!(
        alive.contains("connection: close") && alive.contains("alive"),
        "{alive}"
    );
    assert!(served.chat("gpt").await.starts_with("HTTP/1.1 200"));

    served.signal("-INT").await;
    let status = soon("its end", served.process.wait()).await;
    assert_eq!(status.expect("can be waited for").code(), Some(1));
}

#[tokio::test]
async fn at_sigterm_a_stream_ends_and_nobody_is_let_in() {
    let (provider, base) = HalfStream::listen().await;
    let path = file("serve_drain", "config.yaml", &config(&base, "gpt", ""));
    let mut command = Command::new(ZIGGURAT);
    command.args(["serve", "--port", "0", "--drain", "1000"]);
    let mut served = Served::run(command, &path).await;
    let body = json!({"model": "gpt", "messages": [], "stream": true});
    let mut client = served.send(&body).await;
    let idle = TcpStream::connect(&served.address).await.expect("listens");
    let provider = provider.begin().await;
    let seen = read_until(&mut client, "begun").await;

    served.signal("-TERM").await;
    soon("it listens no more", async {
        while TcpStream::connect(&served.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(served.process.try_wait().expect("can be asked").is_none());
    provider.end().await;
    let seen = seen + &rest(&mut client).await;
    assert!(
        seen.contains(" and whole") && seen.contains("[DONE]"),
        "{seen}"
    );
    let status = soon("its end", served.process.wait()).await;
    assert!(status.expect("can be waited for").success());
    drop(idle);
}

#[tokio::test]
async fn without_files_for_more_connections_it_closes_idle_ones_and_goes_on() {
    let provider = Simulator::start().await.expect("a port is free");
    let text = config(&provider.base_url("a"), "gpt", "");
    let text = text + "ziggurat_settings: {overload: {connections: 1000}}\n";
    let path = file("serve_files", "config.yaml", &text);
    let mut command = Command::new("sh");
    let line = format!("ulimit -n 64; exec {ZIGGURAT} serve --port 0 --drain 5 \"$@\"");
    command.args(["-c", &line, "sh"]);
    let mut served = Served::run(command, &path).await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(TcpStream::connect(&served.address).await.expect("listens"));
    }
    served.says("connections are not accepted").await;
    assert!(served.chat("gpt").await.starts_with("HTTP/1.1 200"));
    served.says("connections are accepted again").await;
    drop(idle);
    served.signal("-TERM").await;
    let status = soon("its end", served.process.wait()).await;
    assert!(status.expect("can be waited for").success());
}

#[tokio::test]
async fn what_attempts_cost_is_in_the_file_when_it_has_ended() {
    let provider = Simulator::start().await.expect("a port is free");
    let priced = ", input_cost_per_token: 1.0e-6, output_cost_per_token: 2.0e-6";
    let log = file("serve_log", "settlements.jsonl", "");
    let text = config(&provider.base_url("a"), "gpt", priced);
    let log_to = format!(
        "general_settings: {{settlement_log: '{}'}}\n",
        log.display()
    );
    let path = file("serve_log", "config.yaml", &(text + &log_to));
    let mut served = Served::start(&path).await;
    let answer = served.chat("gpt").await.to_lowercase();
    served.signal("-TERM").await;
    let status = soon("its end", served.process.wait()).await;
    assert!(status.expect("can be waited for").success());
    let text = std::fs::read_to_string(&log).expect("is there");
    let row: Value = serde_json::from_str(&text).expect("is one line");
    let usage = &row["usage"];
    // Millionths of a dollar.
    let cost = usage["input"].as_u64().zip(usage["output"].as_u64());
    let cost = cost.map(|(input, output)| input + 2 * output);
    let told: f64 = row["cost"]
        .as_str()
        .and_then(|it| it.parse().ok())
        .expect("is known");
    assert_eq!(Some((told * 1e6).round() as u64), cost, "{row}");
    let of_header = |name: &str, value: &Value| {
        let value = value.as_str().unwrap_or_default();
        assert!(
            answer.contains(&format!("{name}: {value}")),
            "{answer}\n{row}"
        );
    };
    of_header("x-litellm-response-cost", &row["cost"]);
    of_header("x-litellm-call-id", &row["request_id"]);
}

#[test]
fn a_file_that_cannot_be_written_is_told_at_the_start() {
    let text = config("http://127.0.0.1:9/v1", "gpt", "");
    let text = text + "general_settings: {settlement_log: /nowhere/at/all.jsonl}\n";
    let path = file("serve_no_log", "config.yaml", &text);
    let path = path.to_str().expect("is text");
    let error = crate::support::run(["serve", "--port", "0", "--config", path]).failed();
    assert!(
        error.contains("`settlement_log`: cannot write to /nowhere"),
        "{error}"
    );
}

#[tokio::test]
async fn without_redis_it_serves_and_says_for_whom_limits_hold() {
    let provider = Simulator::start().await.expect("a port is free");
    let own = "ziggurat_settings: {redis: {url: 'redis://127.0.0.1:1'}}\n";
    let text = config(&provider.base_url("a"), "gpt", "") + own;
    let path = file("serve_without_redis", "config.yaml", &text);
    let served = Served::start(&path).await;
    assert!(
        served.before.contains("Redis was not reached"),
        "{}",
        served.before
    );
    assert!(
        served.before.contains("the shared store does not serve"),
        "{}",
        served.before
    );
    assert!(served.chat("gpt").await.starts_with("HTTP/1.1 200"));
}
