//! Whatever a client sends, it gets a clear 4xx in the OpenAI shape, and the next request is served.

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use ziggurat_tests::World;

const CONFIG: &str = r#"
model_list:
  - model_name: gpt
    litellm_params: {model: openai/m, api_base: "{a}", api_key: k}
general_settings: {master_key: sk-test}
"#;

/// Sends raw bytes and reads what comes back until the connection ends or is silent.
async fn raw(world: &World, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(world.address).await.expect("accepts");
    // The gateway may answer and close before it has read everything.
    let _ = stream.write_all(request).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(ziggurat_tests::PATIENCE, read)
        .await
        .expect("the connection ends");
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-test\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn status(answer: &str) -> u16 {
    answer
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or_default()
}

async fn assert_refused(world: &World, what: &str, request: &[u8], expected: u16, words: &str) {
    let answer = raw(world, request).await;
    assert_eq!(
        status(&answer),
        expected,
        "{what}: {}",
        answer.chars().take(300).collect::<String>()
    );
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let error: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let message = error["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains(words), "{what}: {body}");
    for field in ["type", "param", "code"] {
        assert!(
            error["error"].get(field).is_some(),
            "{what}: `{field}` is missing in {body}"
        );
    }
}

#[tokio::test]
async fn every_bad_input_is_a_clear_4xx_and_the_next_request_is_served() {
    let world = World::start(CONFIG).await;
    let nested = format!(
        r#"{{"model":"gpt","messages":{}{}}}"#,
        "[".repeat(20_000),
        "]".repeat(20_000)
    );
    let huge = vec![b' '; 30 * 1024 * 1024];
    let cases: &[(&str, Vec<u8>, u16, &str)] = &[
        ("broken JSON", post(b"{\"model\": \"gpt\", "), 400, "not valid JSON"),
        ("no JSON", post(b"hello"), 400, "expected an object at byte 0"),
        ("empty", post(b""), 400, "not valid JSON"),
        ("wrong type", post(b"{\"model\": 7}"), 400, "`model` must be a string"),
        ("wrong type of a known field", post(b"{\"model\":\"gpt\",\"stream\":\"yes\"}"), 400, "`stream` must be"),
        ("no model", post(b"{\"messages\": []}"), 400, "no `model`"),
        ("unknown model", post(b"{\"model\": \"nothing-here\"}"), 404, "nothing-here"),
        ("nested", post(nested.as_bytes()), 400, "less nesting"),
        ("bad UTF-8", post(b"{\"model\": \"\xff\"}"), 400, "UTF-8"),
        ("30 MB", post(&huge), 413, "larger than"),
        (
            "wrong method",
            b"GET /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-test\r\nconnection: close\r\n\r\n".to_vec(),
            405,
            "cannot be called with GET",
        ),
        (
            "wrong path",
            b"POST /v1/nothing HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-test\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec(),
            404,
            "there is no POST /v1/nothing",
        ),
        (
            "wrong key",
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-wrong\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec(),
            401,
            "not valid",
        ),
        (
            "no key",
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec(),
            401,
            "no key",
        ),
        (
            "header flood",
            format!(
                "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n{}connection: close\r\ncontent-length: 0\r\n\r\n",
                (0..500).map(|i| format!("x-{i}: y\r\n")).collect::<String>()
            )
            .into_bytes(),
            431,
            "headers",
        ),
        (
            "bad control header",
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-test\r\nx-litellm-timeout: soon\r\ncontent-length: 15\r\nconnection: close\r\n\r\n{\"model\":\"gpt\"}".to_vec(),
            400,
            "x-litellm-timeout",
        ),
        ("mock field", post(b"{\"model\":\"gpt\",\"mock_response\":\"x\"}"), 400, "mock_response"),
    ];
    for (what, request, expected, words) in cases {
        assert_refused(&world, what, request, *expected, words).await;
        let fine = world
            .client
            .post(world.url("/v1/chat/completions"))
            .bearer_auth("sk-test")
            .json(&ziggurat_tests::chat("gpt", json!({})))
            .send()
            .await
            .expect("answers");
        assert_eq!(fine.status(), 200, "after {what}");
    }
    assert_eq!(
        world.providers.count("a"),
        cases.len() as u64,
        "no bad request reached the provider"
    );
}

#[tokio::test]
async fn a_request_line_that_is_none_ends_the_connection_and_nothing_else() {
    let world = World::start(CONFIG).await;
    let answer = raw(&world, b"\x16\x03\x01 this is no HTTP\r\n\r\n").await;
    assert!(answer.is_empty() || status(&answer) == 400, "{answer}");
    let alive = world
        .client
        .get(world.url("/health/liveliness"))
        .send()
        .await
        .expect("answers");
    assert_eq!(alive.status(), 200);
}
