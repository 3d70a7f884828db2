use http::StatusCode;
use ziggurat_core::Usage;

use super::*;
use crate::dialect::trial::said;

#[test]
fn an_answer_that_calls_says_so_and_gives_ids() {
    let answer = json!({
        "model": "qwen3", "done": true, "done_reason": "stop",
        "message": {"role": "assistant", "content": "", "thinking": "hm", "tool_calls": [
            {"function": {"name": "f", "arguments": {"a": 1}}},
            {"id": "mine", "function": {"index": 1, "name": "g"}},
        ]},
        "eval_count": 4,
    });
    let (read, usage) = chat(json!({"messages": []}))
        .answer(answer.to_string().as_bytes())
        .expect("is an answer");
    let choice = &read["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["reasoning_content"], "hm");
    let calls = &choice["message"]["tool_calls"];
    assert_eq!(calls[0]["function"]["arguments"], "{\"a\":1}");
    assert!(
        calls[0]["id"]
            .as_str()
            .is_some_and(|id| id.starts_with("call_"))
    );
    assert_eq!(
        (&calls[1]["id"], &calls[1]["function"]["arguments"]),
        (&json!("mine"), &json!("{}"))
    );
    assert_eq!(read["model"], "qwen3");
    assert_eq!(usage, Some(Usage::new(0, 4)));
}

fn lines(lines: &[Value]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_stream_says_the_same_wherever_it_is_cut() {
    let last = json!({
        "message": {"content": ""}, "done": true, "done_reason": "stop",
        "prompt_eval_count": 9, "eval_count": 4,
    });
    let stream = lines(&[
        json!({"model": "qwen3", "message": {"role": "assistant", "thinking": "hm"}, "done": false}),
        json!({"message": {"content": "sö"}, "done": false}),
        json!({"message": {"tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}, "done": false}),
        json!({"message": {"tool_calls": [{"function": {"name": "g", "arguments": {}}}]}, "done": false}),
        last,
    ]);
    let trial = chat(json!({"messages": [], "stream": true}));
    let stream = stream.trim_end().replace('\n', "\r\n\r\n");
    let (read, usage) = trial.stream_cut_anywhere(stream.as_bytes(), "a stream");
    let (text, thought, calls, finish) = said(&read);
    assert_eq!((text.as_str(), thought.as_str()), ("sö", "hm"));
    let calls: Vec<_> = calls
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    assert_eq!(calls, [("f", "{\"a\":1}"), ("g", "{}")]);
    assert_eq!(finish, "tool_calls");
    assert_eq!(read[0]["model"], "qwen3");
    assert_eq!(usage, Some(Usage::new(9, 4)));
}

#[test]
fn a_stream_that_fails_or_breaks_off_is_no_answer() {
    let kind = |more: &str| {
        let stream = lines(&[json!({"message": {"content": "so"}, "done": false})]) + more;
        let trial = chat(json!({"messages": [], "stream": true}));
        trial.stream([stream.as_bytes()]).expect_err("fails").kind()
    };
    assert_eq!(kind(""), ErrorKind::StreamBroken);
    assert_eq!(
        kind("{\"error\":\"the model crashed\"}\n"),
        ErrorKind::BadAnswer
    );
    assert_eq!(
        kind("{\"error\":\"prompt is too long\"}"),
        ErrorKind::ContextWindow
    );
}

#[test]
fn a_line_without_end_is_refused_when_it_is_too_long() {
    let trial = chat(json!({"messages": [], "stream": true}));
    let piece = vec![b'x'; 1 << 20];
    let error = trial.stream(std::iter::repeat_n(&piece[..], 18));
    assert_eq!(error.expect_err("is too long").kind(), ErrorKind::BadAnswer);
}

#[test]
fn embeddings_are_asked_for_and_told() {
    let body = json!({"input": ["a", "b"], "dimensions": 2, "num_ctx": 7, "truncate": false});
    let trial = Trial::new(&Ollama, Operation::Embeddings, body);
    let expected = json!({
        "model": "m", "input": ["a", "b"], "dimensions": 2, "options": {"num_ctx": 7}, "truncate": false,
    });
    assert_eq!(trial.sent(), expected);
    let answer = br#"{"embeddings":[[1.0,0.5],[0.0,2.0]],"prompt_eval_count":3}"#;
    let (read, usage) = trial.answer(answer).expect("is one");
    assert_eq!(read["data"][1]["embedding"], json!([0.0, 2.0]));
    assert_eq!(usage, Some(Usage::new(3, 0)));
    for body in [
        "",
        "{}",
        r#"{"embeddings":[7]}"#,
        r#"{"embeddings":[[1.0]]}"#,
    ] {
        let error = trial.answer(body.as_bytes()).expect_err("is none");
        assert_eq!(error.kind(), ErrorKind::BadAnswer, "{body}");
    }
}

#[test]
fn errors_are_texts() {
    let kind = |status: u16, body: &str| {
        let status = StatusCode::from_u16(status).expect("is a status");
        chat(json!({"messages": []}))
            .failure(status, body.as_bytes())
            .kind()
    };
    assert_eq!(
        kind(404, r#"{"error":"model 'm' not found"}"#),
        ErrorKind::NotFound
    );
    let tools = r#"{"error":"registry.ollama.ai/library/m does not support tools"}"#;
    assert_eq!(kind(400, tools), ErrorKind::BadRequest);
    let long = r#"{"error":"the input length exceeds the context length"}"#;
    assert_eq!(kind(400, long), ErrorKind::ContextWindow);
    assert_eq!(
        kind(500, r#"{"error":"llama runner died"}"#),
        ErrorKind::Internal
    );
    let busy = r#"{"error":"server busy, please try again.  maximum pending requests exceeded"}"#;
    assert_eq!(kind(503, busy), ErrorKind::Unavailable);
}
