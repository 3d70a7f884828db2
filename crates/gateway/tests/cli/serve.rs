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

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(done) => done,
        Err(_) => panic!("{what}: it did not happen"),
    }
}

/// A gateway that runs as a process of its own.
struct Served {
    process: Child,
    said: Lines<BufReader<ChildStderr>>,
    address: String,
}

impl Served {
    async fn start(config: &Path) -> Self {
        let mut command = Command::new(ZIGGURAT);
        command.args(["serve", "--port", "0", "--drain", "5", "--config"]);
        command
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
                Some(line) if line.contains(words) => return line,
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
    async fn send(&self, body: &Value) -> TcpStream {
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

async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = soon("an answer", stream.read_to_end(&mut answer)).await;
    read.expect("the answer ends");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads until there are these words.
async fn read_until(stream: &mut TcpStream, words: &str) -> String {
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

#[tokio::test]
async fn a_stream_outlives_the_deployment_that_serves_it() {
    // A provider that sends the rest of its answer when it is told to.
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port is free");
    let base = format!("http://{}/v1", listener.local_addr().expect("is bound"));
    let path = file("serve_stream", "config.yaml", &config(&base, "old", ""));
    let mut served = Served::start(&path).await;
    let body = json!({"model": "old", "messages": [], "stream": true});
    let mut client = served.send(&body).await;

    let (mut provider, _) = soon("a call", listener.accept()).await.expect("is called");
    read_until(&mut provider, "\"stream\"").await;
    let event = |text: &str, finish: &str| {
        format!(
            "data: {{\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let first = format!("{head}{}", event("begun", "null"));
    provider
        .write_all(first.as_bytes())
        .await
        .expect("is taken");
    let seen = read_until(&mut client, "begun").await;

    file(
        "serve_stream",
        "config.yaml",
        &config("http://127.0.0.1:9/v1", "new", ""),
    );
    served.signal("-HUP").await;
    served.says("was read again").await;
    assert!(served.chat("old").await.starts_with("HTTP/1.1 404"));
    let last = event(" and whole", "\"stop\"") + "data: [DONE]\n\n";
    provider.write_all(last.as_bytes()).await.expect("is taken");
    drop(provider);
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
