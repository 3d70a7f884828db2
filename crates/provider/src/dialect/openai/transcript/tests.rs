mod joined;

use bytes::Bytes;
use serde_json::json;
use ziggurat_core::{Capability, CapabilitySet};

use super::*;

const DONE: &str = "data: [DONE]\n\n";

fn request(operation: Operation, more: &str) -> LlmRequest {
    let body = format!(r#"{{"model":"gpt","stream":true{more}}}"#);
    LlmRequest::from_bytes(operation, body).expect("is a request")
}

fn asked() -> LlmRequest {
    request(
        Operation::ChatCompletions,
        r#","max_tokens":100,"max_completion_tokens":3,"temperature":0.50,"messages":[{"role":"user","content":"tell me"}]"#,
    )
}

fn item(text: &str) -> Item {
    Item {
        bytes: Bytes::copy_from_slice(text.as_bytes()),
        events: sse::events(text.as_bytes()).count() as u32,
        usage: None,
        ..Item::default()
    }
}

/// An event of the answer of that name.
#[expect(clippy::needless_pass_by_value, reason = "reads better with `json!`")]
fn event(id: &str, delta: Value) -> String {
    chunk(
        json!({"id": id, "object": "chat.completion.chunk", "created": 7, "model": id,
        "choices": [{"index": 0, "delta": delta, "finish_reason": null}]}),
    )
}

#[expect(clippy::needless_pass_by_value, reason = "reads better with `json!`")]
fn chunk(event: Value) -> String {
    format!("data: {event}\n\n")
}

fn content(id: &str, text: &str) -> String {
    event(id, json!({"content": text}))
}

fn finish(id: &str) -> String {
    chunk(json!({"id": id, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
}

fn heard(request: &LlmRequest, events: &[String]) -> OpenAiTranscript {
    let mut transcript = OpenAiTranscripts.listen(request).expect("can go on");
    for event in events {
        let before = item(event);
        let after = transcript.pass(before.clone());
        assert_eq!((after.bytes, after.events), (before.bytes, before.events));
    }
    transcript
}

/// What the client gets of a later item: its events, and the item.
fn later(transcript: &mut OpenAiTranscript, text: &str) -> (Vec<Value>, Item) {
    let item = transcript.pass(item(text));
    let read = |event: &[u8]| serde_json::from_slice(&Event::read(event).data?).ok();
    (sse::events(&item.bytes).filter_map(read).collect(), item)
}

fn body(request: &LlmRequest) -> Value {
    serde_json::from_slice(request.body()).expect("is JSON")
}

#[test]
fn a_prefill_is_what_was_said_and_only_for_those_who_take_one() {
    let asked = asked();
    let said = [
        event("a", json!({"role": "assistant", "content": ""})),
        content("a", "Once \"upon\" ä"),
        content("a", " time.\n"),
    ];
    let rest = heard(&asked, &said).rest(&asked, GoOn::Prefill);
    let rest = rest.expect("can go on");
    let expected = json!({
        "model": "gpt", "stream": true, "temperature": 0.5,
        // 22 bytes are about six tokens.
        "max_tokens": 94, "max_completion_tokens": 1,
        "messages": [
            {"role": "user", "content": "tell me"},
            {"role": "assistant", "content": "Once \"upon\" ä time."},
        ],
    });
    assert_eq!(body(&rest), expected);
    let prefill = CapabilitySet::default().with(Capability::AssistantPrefill);
    assert_eq!(rest.needs(), prefill);
    assert!(rest.is_stream());
}

#[test]
fn an_instruction_comes_after_what_was_said_and_only_for_those_who_follow_it() {
    let asked = asked();
    let rest = heard(&asked, &[content("a", "Once")]).rest(&asked, GoOn::Instruction);
    let rest = rest.expect("can go on");
    let messages = &body(&rest)["messages"];
    assert_eq!(messages[1], json!({"role": "assistant", "content": "Once"}));
    assert_eq!(messages[2]["role"], "user");
    let instruction = messages[2]["content"].as_str().expect("is text");
    assert!(
        instruction.contains("exact point where it stops"),
        "{instruction}"
    );
    let follows = CapabilitySet::default().with(Capability::Continuation);
    assert_eq!(rest.needs(), follows);
}

#[test]
fn a_request_to_think_is_gone_on_with_by_instruction_only() {
    let asked = request(
        Operation::ChatCompletions,
        r#","reasoning_effort":"low","messages":[]"#,
    );
    let transcript = heard(&asked, &[content("a", "x")]);
    assert!(transcript.rest(&asked, GoOn::Prefill).is_none());
    assert!(transcript.rest(&asked, GoOn::Instruction).is_some());
}

#[test]
fn an_answer_that_the_client_began_itself_stays_one_message() {
    let begun = |message: &str| {
        let messages = format!(r#","messages":[{{"role":"assistant",{message}}}]"#);
        let asked = request(Operation::ChatCompletions, &messages);
        heard(&asked, &[content("a", "two ")]).rest(&asked, GoOn::Prefill)
    };
    let rest = begun(r#""content":"one, ""#).expect("can go on");
    let expected = json!([{"role": "assistant", "content": "one, two"}]);
    assert_eq!(body(&rest)["messages"], expected);
    assert!(begun(r#""content":[{"type":"text","text":"one"}]"#).is_none());
}

#[test]
fn a_completion_goes_on_from_the_prompt_and_asks_nothing_of_the_model() {
    let asked = request(Operation::Completions, r#","prompt":"1, 2","max_tokens":9"#);
    let said = chunk(
        json!({"id": "a", "choices": [{"index": 0, "text": ", 3, ", "finish_reason": null}]}),
    );
    let mut transcript = heard(&asked, &[said]);
    let rest = transcript.rest(&asked, GoOn::Prefill).expect("can go on");
    assert_eq!(
        (&body(&rest)["prompt"], &body(&rest)["max_tokens"]),
        (&json!("1, 2, 3, "), &json!(7))
    );
    assert!(rest.needs().is_empty());
    assert!(transcript.rest(&asked, GoOn::Instruction).is_none());
    transcript.goes_on();
    let text =
        chunk(json!({"id": "b", "choices": [{"index": 0, "text": " 4", "finish_reason": null}]}));
    let (events, _) = later(&mut transcript, &text);
    assert_eq!(
        (&events[0]["choices"][0]["text"], &events[0]["id"]),
        (&json!(" 4"), &json!("a"))
    );
}

#[test]
fn what_was_attached_to_the_request_stays() {
    let mut asked = asked().with_session("s").with_group("group");
    asked.controls_mut().num_retries = Some(5);
    asked.extensions_mut().insert(7_u8);
    let ledger = ziggurat_core::HasLedger::ledger(&asked)
        .expect("has one")
        .clone();
    ledger.set_attempts(2);
    let rest = heard(&asked, &[content("a", "x")]).rest(&asked, GoOn::Prefill);
    let rest = rest.expect("can go on");
    assert_eq!(rest.controls().num_retries, Some(5));
    assert_eq!(
        (rest.session(), rest.group().as_str()),
        (Some("s"), "group")
    );
    assert_eq!(rest.extensions().get(), Some(&7_u8));
    let kept = ziggurat_core::HasLedger::ledger(&rest).expect("has one");
    assert_eq!(kept.attempts_left(), 2);
}

#[test]
fn what_could_not_be_gone_on_with_is_not_listened_to() {
    let listens = |operation, more: &str| {
        OpenAiTranscripts
            .listen(&request(operation, more))
            .is_some()
    };
    let chat = |more: &str| listens(Operation::ChatCompletions, more);
    for more in [
        r#","n":2"#,
        r#","logprobs":true"#,
        r#","modalities":["text","audio"]"#,
        r#","audio":{"voice":"x"}"#,
        r#","response_format":{"type":"json_object"}"#,
        r#","response_format":{"type":"json_schema","json_schema":{}}"#,
    ] {
        assert!(!chat(more), "{more}");
    }
    for more in [
        "",
        r#","n":1,"logprobs":false,"audio":null,"modalities":["text"],"response_format":{"type":"text"}"#,
        r#","response_format":null,"tools":[]"#,
    ] {
        assert!(chat(more), "{more}");
    }
    let completion = |more: &str| listens(Operation::Completions, more);
    assert!(completion(r#","prompt":"x""#));
    for more in [
        r#","prompt":["x"]"#,
        r#","prompt":[1]"#,
        "",
        r#","prompt":"x","echo":true"#,
        r#","prompt":"x","logprobs":0"#,
    ] {
        assert!(!completion(more), "{more}");
    }
    assert!(!listens(Operation::Embeddings, r#","input":"x""#));
    assert!(
        OpenAiTranscripts
            .listen(&LlmRequest::chat("gpt", "hi"))
            .is_none()
    );
}

#[test]
fn only_text_that_has_not_come_to_its_end_can_be_gone_on_with() {
    let asked = asked();
    let can = |last: String| {
        let transcript = heard(&asked, &[content("a", "x"), last]);
        transcript.rest(&asked, GoOn::Prefill).is_some()
    };
    for delta in [
        json!({"tool_calls": [{"index": 0}]}),
        json!({"function_call": {"name": "f"}}),
        json!({"reasoning_content": "hm"}),
        json!({"reasoning": "hm"}),
        json!({"refusal": "no"}),
        json!({"annotations": [{}]}),
        json!({"something": {"new": 1}}),
        json!({"content": [{"type": "text"}]}),
    ] {
        assert!(!can(event("a", delta.clone())), "{delta}");
    }
    assert!(!can(finish("a")));
    assert!(!can("data: {\"choices\":[{\"del\n\n".to_owned()));
    assert!(!can(content("a", &"x".repeat(300 * 1024))));
    assert!(!can(
        content(&"a".repeat(2_000), "x").replace("\"index\":0", "\"index\":1")
    ));
    assert!(can(event(
        "a",
        json!({"content": "y", "token_id": 7, "reasoning": null})
    )));
    assert!(can(": a comment\n\n".to_owned()));

    let silent = heard(
        &asked,
        &[event("a", json!({"role": "assistant", "content": " \n"}))],
    );
    assert!(silent.rest(&asked, GoOn::Prefill).is_none());
    let named = heard(&asked, &[content(&"a".repeat(2_000), "x")]);
    assert!(
        named.rest(&asked, GoOn::Prefill).is_none(),
        "a name is bounded"
    );
}

#[test]
fn what_is_kept_is_bounded_and_long_answers_are_kept_whole() {
    let asked = asked();
    let mut transcript = OpenAiTranscripts.listen(&asked).expect("can go on");
    let mut all = String::new();
    for number in 0..10_000 {
        let text = format!("{number} \"ä\" ");
        transcript.pass(item(&content("a", &text)));
        all.push_str(&text);
        assert!(transcript.unread.len() < MAX_UNREAD);
    }
    let rest = transcript.rest(&asked, GoOn::Prefill).expect("can go on");
    assert_eq!(body(&rest)["messages"][1]["content"], all.trim_end());
    for _ in 0..20 {
        transcript.pass(item(&content("a", &"x".repeat(16 * 1024))));
    }
    assert!(transcript.rest(&asked, GoOn::Prefill).is_none());
    transcript.pass(item(&content("a", "x")));
    let kept = transcript.unread.capacity() + transcript.said.text().len();
    assert_eq!(kept, 0, "what is of no use is let go");
}

#[test]
fn nothing_that_was_said_is_shown_for_debugging() {
    let transcript = heard(&asked(), &[content("canary", "canary")]);
    assert!(!format!("{transcript:?}").contains("canary"));
}

#[test]
fn recorded_streams_are_kept_as_a_client_would_read_them() {
    for stream in crate::fixtures::streams() {
        let mut expected = String::new();
        let mut transcript = match stream.operation {
            Operation::Completions => OpenAiTranscript::new(&completions::Completions, 0),
            _ => OpenAiTranscript::new(&chat::Chat, 0),
        };
        for event in sse::events(&stream.body) {
            let data = Event::read(event).data.unwrap_or_default();
            let value: Value = serde_json::from_slice(&data).unwrap_or_default();
            let choice = &value["choices"][0];
            if !choice["finish_reason"].is_null() && choice["finish_reason"] != "" {
                break;
            }
            let text = choice["delta"]["content"]
                .as_str()
                .or(choice["text"].as_str());
            expected += text.unwrap_or_default();
            transcript.pass(Item {
                bytes: event.to_vec().into(),
                events: 1,
                usage: None,
                ..Item::default()
            });
        }
        transcript.read();
        if !transcript.said.is_final() {
            assert_eq!(transcript.said.text(), expected, "{}", stream.name);
        }
    }
}
