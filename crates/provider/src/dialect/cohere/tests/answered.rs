use ziggurat_core::Usage;

use super::*;
use crate::dialect::trial::{CANARY, said};

#[test]
fn an_answer_tells_plan_calls_citations_and_both_counts() {
    let answer = json!({
        "id": "x",
        "message": {
            "role": "assistant",
            "tool_plan": "I will",
            "content": [{"type": "thinking", "thinking": " think"}, {"type": "text", "text": "hi"}],
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "null"}}],
            "citations": [
                {"start": 0, "end": 2, "text": "hi", "sources": [
                    {"type": "document", "id": "doc:0", "document": {"title": "t"}},
                    {"type": "tool", "id": "c:0", "tool_output": {"url": "https://x", "title": "u"}},
                ]},
            ],
        },
        "finish_reason": "TOOL_CALL",
        "usage": {
            "billed_units": {"input_tokens": 57, "output_tokens": 2},
            "tokens": {"input_tokens": 1000, "image_tokens": 490, "output_tokens": 5, "reasoning_tokens": 3},
            "cached_tokens": 900,
        },
    });
    let (read, usage) = chat(json!({"messages": []}))
        .answer(answer.to_string().as_bytes())
        .expect("is an answer");
    let choice = &read["choices"][0];
    let message = &choice["message"];
    assert_eq!((&read["id"], &read["model"]), (&json!("x"), &json!("m")));
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(message["content"], "hi");
    assert_eq!(message["reasoning_content"], "I will think");
    assert_eq!(message["tool_calls"][0]["function"]["arguments"], "{}");
    assert_eq!(
        message["annotations"],
        json!([
            {"type": "file_citation", "file_citation": {"start_index": 0, "end_index": 2, "file_id": "doc:0", "filename": "t"}},
            {"type": "url_citation", "url_citation": {"start_index": 0, "end_index": 2, "url": "https://x", "title": "u"}},
        ])
    );
    let expected = Usage {
        cached_input: 900,
        reasoning: 3,
        ..Usage::new(1490, 5)
    };
    assert_eq!(usage, Some(expected));
    assert_eq!(read["billed_units"]["input_tokens"], 57);
}

fn events(events: &[Value]) -> String {
    let event = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"]);
    let text: String = events.iter().map(event).collect();
    text + "data: [DONE]\n\n"
}

fn call(kind: &str, index: u64, call: &Value) -> Value {
    json!({"type": kind, "index": index, "delta": {"message": {"tool_calls": call}}})
}

#[test]
fn a_stream_tells_plan_calls_and_usage_wherever_it_is_cut() {
    let start = |index, id: &str| {
        let function = json!({"name": id, "arguments": ""});
        call(
            "tool-call-start",
            index,
            &json!({"id": id, "type": "function", "function": function}),
        )
    };
    let delta = |index, text: &str| {
        call(
            "tool-call-delta",
            index,
            &json!({"function": {"arguments": text}}),
        )
    };
    let end = |index| json!({"type": "tool-call-end", "index": index});
    let stream = events(&[
        json!({"type": "message-start", "id": "x", "delta": {"message": {"role": "assistant"}}}),
        json!({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "I will"}}}),
        start(0, "f"),
        delta(0, "{\"a\""),
        delta(0, ":1}"),
        end(0),
        start(1, "g"),
        delta(1, "nu"),
        delta(1, "ll"),
        end(1),
        start(2, "h"),
        json!({"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": {
            "tokens": {"input_tokens": 9, "output_tokens": 4},
        }}}),
    ]);
    let trial = chat(json!({"messages": [], "stream": true}));
    let (read, usage) = trial.stream_cut_anywhere(stream.as_bytes(), "a stream");
    let (text, thought, calls, finish) = said(&read);
    assert_eq!((text.as_str(), thought.as_str()), ("", "I will"));
    let calls: Vec<_> = calls
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    assert_eq!(calls, [("f", "{\"a\":1}"), ("g", "{}"), ("h", "{}")]);
    assert_eq!(finish, "tool_calls");
    assert_eq!(read[0]["id"], "x");
    assert_eq!(usage, Some(Usage::new(9, 4)));
}

#[test]
fn a_stream_that_fails_or_breaks_off_is_no_answer() {
    let begin = json!({"type": "content-delta", "delta": {"message": {"content": {"text": "so"}}}});
    let kind = |end: Value| {
        let stream = events(&[begin.clone(), end]);
        let trial = chat(json!({"messages": [], "stream": true}));
        trial.stream([stream.as_bytes()]).expect_err("fails").kind()
    };
    let end = |delta: Value| json!({"type": "message-end", "delta": delta});
    assert_eq!(
        kind(end(json!({"finish_reason": "ERROR"}))),
        ErrorKind::BadAnswer
    );
    let told = json!({"error": "too many tokens", "finish_reason": "ERROR"});
    assert_eq!(kind(end(told)), ErrorKind::ContextWindow);
    assert_eq!(
        kind(json!({"message": "internal", "code": 500})),
        ErrorKind::Internal
    );
    assert_eq!(kind(json!({"type": "later"})), ErrorKind::StreamBroken);
}

#[test]
fn probabilities_are_told_whole_and_streamed() {
    let told = json!({"token_ids": [1, 2], "text": "hi", "logprobs": [-0.25, -0.5]});
    let expected = json!({"content": [
        {"token": "hi", "logprob": -0.75, "bytes": [104, 105], "top_logprobs": []},
    ]});
    let asked = |stream: bool| chat(json!({"messages": [], "logprobs": true, "stream": stream}));
    assert_eq!(asked(false).sent()["logprobs"], true);
    let answer = json!({
        "message": {"content": [{"type": "text", "text": "hi"}]},
        "finish_reason": "COMPLETE", "logprobs": [told],
    });
    let (read, _) = asked(false)
        .answer(answer.to_string().as_bytes())
        .expect("is one");
    assert_eq!(read["choices"][0]["logprobs"], expected);

    let text = json!({"message": {"content": {"text": "hi"}}});
    let stream = events(&[
        json!({"type": "content-delta", "delta": text, "logprobs": told}),
        json!({"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}),
    ]);
    let (read, _) = asked(true).stream([stream.as_bytes()]).expect("is whole");
    let streamed = read.iter().map(|event| &event["choices"][0]["logprobs"]);
    assert_eq!(
        streamed.filter(|it| !it.is_null()).collect::<Vec<_>>(),
        [&expected]
    );
}

#[test]
fn embeddings_are_asked_for_with_their_purpose() {
    let ask = |body: Value| Trial::new(&Cohere, Operation::Embeddings, body);
    let trial = ask(json!({"input": ["a", "b"], "dimensions": 2, "encoding_format": "base64"}));
    let expected = json!({
        "model": "m", "texts": ["a", "b"], "input_type": "search_document",
        "embedding_types": ["float"], "output_dimension": 2,
    });
    assert_eq!(trial.sent(), expected);
    let query = ask(json!({"input": "a", "input_type": "search_query"})).sent();
    assert_eq!(query["input_type"], "search_query");
    let image = ask(json!({"input": "data:image/png;base64,AA"})).sent();
    assert_eq!(image["images"], json!(["data:image/png;base64,AA"]));
    assert_eq!(image["input_type"], "image");

    let answer = json!({
        "embeddings": {"float": [[1.0, 0.5], [0.0, -2.0]]},
        "meta": {"billed_units": {"input_tokens": 3, "image_tokens": 0}},
    });
    let (read, usage) = trial.answer(answer.to_string().as_bytes()).expect("is one");
    assert_eq!(read["data"][0]["embedding"], "AACAPwAAAD8=");
    assert_eq!(usage, Some(Usage::new(3, 0)));
}

#[test]
fn a_ranking_is_asked_for_and_told() {
    let body = json!({"query": "q", "documents": ["a", {"text": "b"}], "top_n": 1, "return_documents": true});
    let trial = Trial::new(&Cohere, Operation::Rerank, body);
    let expected = json!({"model": "m", "query": "q", "documents": ["a", "b"], "top_n": 1});
    assert_eq!(trial.sent(), expected);
    assert_eq!(trial.outgoing().expect("can be asked").path, "/v2/rerank");
    let answer = json!({
        "id": "r", "results": [{"index": 1, "relevance_score": 0.5}],
        "meta": {"billed_units": {"search_units": 1}},
    });
    let (read, usage) = trial.answer(answer.to_string().as_bytes()).expect("is one");
    let expected = json!({
        "id": "r",
        "results": [{"index": 1, "relevance_score": 0.5, "document": {"text": "b"}}],
        "meta": {"billed_units": {"search_units": 1}},
    });
    let searched = Usage {
        queries: Some(1),
        ..Usage::default()
    };
    assert_eq!((read, usage), (expected, Some(searched)));
}

#[test]
fn what_is_no_answer_is_none() {
    for operation in [
        Operation::ChatCompletions,
        Operation::Embeddings,
        Operation::Rerank,
    ] {
        let body = json!({"messages": [], "input": "a", "query": "q", "documents": ["a"]});
        let trial = Trial::new(&Cohere, operation, body);
        for body in [
            "",
            "7",
            "{}",
            r#"{"message":7,"embeddings":[7],"results":[{}]}"#,
        ] {
            let error = trial.answer(body.as_bytes()).expect_err("is none");
            assert_eq!(error.kind(), ErrorKind::BadAnswer, "{operation} {body}");
        }
    }
}

#[test]
fn errors_have_their_kinds_and_repeat_no_key() {
    use ErrorKind::*;
    for (status, body, kind) in [
        (400, r#"{"id":"x","message":"bad thing"}"#, BadRequest),
        (
            400,
            r#"{"error_type":"TOO_MANY_TOKENS","message":"too much"}"#,
            ContextWindow,
        ),
        (
            401,
            r#"{"message":"invalid api token canary-0123456789"}"#,
            Authentication,
        ),
        (402, r#"{"message":"pay"}"#, RateLimited),
        (403, r#"{"message":"no"}"#, Permission),
        (
            404,
            r#"{"message":"model 'x' was removed on Monday"}"#,
            NotFound,
        ),
        (422, r#"{"message":"no"}"#, Unprocessable),
        (
            429,
            r#"{"message":"you are using a trial key"}"#,
            RateLimited,
        ),
        (
            498,
            r#"{"message":"invalid token canary-0123456789"}"#,
            Authentication,
        ),
        (498, r#"{"message":"blocked input"}"#, ContentPolicy),
        (499, r#"{"message":"request cancelled"}"#, Unavailable),
        (503, r#"{"message":"busy"}"#, Unavailable),
    ] {
        let status = StatusCode::from_u16(status).expect("is a status");
        let error = chat(json!({"messages": []})).failure(status, body.as_bytes());
        assert_eq!(error.kind(), kind, "{status} {body}");
        assert!(!error.message().contains(CANARY), "{error}");
    }
}
