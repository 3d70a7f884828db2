//! What can be seen of a queue: in answers and in the metrics.

use serde_json::json;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};

use crate::{
    serve::{Served, get, read_until, rest, soon},
    support::file,
};

/// A value of the metrics, by its name and labels.
async fn metric(served: &Served, name: &str) -> Option<u64> {
    let told = get(&served.address, "/metrics").await.expect("is served");
    let value = told.lines().find_map(|line| line.strip_prefix(name));
    value.and_then(|value| value.trim().parse().ok())
}

async fn until(served: &Served, name: &str, value: u64) {
    soon(name, async {
        while metric(served, name).await != Some(value) {}
    })
    .await;
}

/// Takes the next call of the provider, and answers it.
async fn answer(provider: &TcpListener) {
    let (mut call, _) = soon("a call", provider.accept()).await.expect("is called");
    answer_to(&mut call).await;
}

async fn answer_to(call: &mut TcpStream) {
    read_until(call, "\"messages\"").await;
    let body = json!({
        "id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    })
    .to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
    let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    let sent = call.write_all(answer.as_bytes()).await;
    sent.expect("is taken");
}

/// For how many milliseconds an answer says that its request has waited.
fn queued(answer: &str) -> Option<f64> {
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let mut lines = answer.lines();
    let value = lines.find_map(|line| line.strip_prefix("x-ziggurat-queue-ms: "))?;
    Some(value.parse().expect("is a number"))
}

#[tokio::test]
async fn answers_say_how_long_they_waited_and_metrics_who_waits_who_has_and_who_was_refused() {
    let provider = TcpListener::bind("127.0.0.1:0").await;
    let provider = provider.expect("a port is free");
    let base = format!("http://{}/v1", provider.local_addr().expect("is bound"));
    let text = format!(
        "
model_list: [{{model_name: gpt, litellm_params: {{model: openai/m, api_base: '{base}', api_key: k}}}}]
ziggurat_settings:
  queue:
    capacity: 1
    max_waiting: 2
    classes: [{{name: interactive, up_to: 0}}, {{name: batch, up_to: 100}}]
"
    );
    let served = Served::start(&file("queue_seen", "config.yaml", &text)).await;
    let send = async |priority: i64| {
        let body = json!({"model": "gpt", "messages": [], "priority": priority});
        served.send(&body).await
    };
    let waiting = |class: &str| format!("ziggurat_queue_class_waiting{{class=\"{class}\"}}");
    let has_waited = |class: &str| format!("ziggurat_queue_class_waits_total{{class=\"{class}\"}}");

    let mut first = send(0).await;
    let (mut call, _) = soon("a call", provider.accept()).await.expect("is called");
    let mut batch = send(50).await;
    until(&served, &waiting("batch"), 1).await;
    let mut interactive = send(0).await;
    until(&served, &waiting("interactive"), 1).await;
    let refused = rest(&mut send(50).await).await;
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");

    answer_to(&mut call).await;
    assert_eq!(
        queued(&rest(&mut first).await),
        None,
        "it had its turn at once"
    );
    // The batch came before it.
    answer(&provider).await;
    let after = queued(&rest(&mut interactive).await);
    answer(&provider).await;
    let longer = queued(&rest(&mut batch).await);
    assert!(after.is_some() && longer >= after, "{after:?} {longer:?}");

    for class in ["interactive", "batch"] {
        until(&served, &waiting(class), 0).await;
        assert_eq!(
            metric(&served, &has_waited(class)).await,
            Some(1),
            "{class}"
        );
    }
    let told = get(&served.address, "/metrics").await.expect("is served");
    let refusals: Vec<_> = told
        .lines()
        .filter_map(|line| line.strip_prefix("ziggurat_queue_class_refused_total"))
        .filter(|line| !line.ends_with(" 0"))
        .collect();
    assert_eq!(refusals, [r#"{class="batch",reason="queue_full"} 1"#]);
    let times = told
        .lines()
        .find(|line| line.starts_with("litellm_request_queue_time_seconds_count"));
    assert!(times.is_some_and(|line| line.ends_with(" 2")), "{times:?}");
}
