use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::Completions;
use crate::{chat::unsupported::Fit, shape::Shape};

fn chat(body: &Value) -> Result<Value, ziggurat_core::Error> {
    let chat = Completions.to_chat(body.to_string().as_bytes(), Fit::default())?;
    Ok(serde_json::from_slice(&chat).expect("is JSON"))
}

#[test]
fn a_prompt_is_what_a_user_says_and_the_rest_stays() {
    let body = json!({
        "model": "m", "prompt": ["Once"], "max_tokens": 7, "temperature": 0.5, "stop": ["x"], "n": 2,
        "logprobs": 3, "stream": true, "seed": 1, "user": "u", "best_of": 2, "echo": false,
        "suffix": null,
    });
    let expected = json!({
        "model": "m", "messages": [{"role": "user", "content": "Once"}], "max_tokens": 7,
        "temperature": 0.5, "stop": ["x"], "n": 2, "logprobs": true, "top_logprobs": 3,
        "stream": true, "stream_options": {"include_usage": true}, "seed": 1, "user": "u",
    });
    assert_eq!(chat(&body).expect("is valid"), expected);
    let plain = chat(&json!({"model": "m", "prompt": "Once", "logprobs": 0})).expect("is valid");
    let expected = json!({
        "model": "m", "messages": [{"role": "user", "content": "Once"}], "logprobs": true,
    });
    assert_eq!(plain, expected);
}

#[test]
fn what_a_conversation_has_no_place_for_is_refused_by_name_and_what_is_wrong_is_wrong() {
    for (more, at, code) in [
        (json!({"suffix": "end"}), "suffix", "unsupported_parameter"),
        (json!({"echo": true}), "echo", "unsupported_parameter"),
        (
            json!({"best_of": 3, "n": 2}),
            "best_of",
            "unsupported_parameter",
        ),
        (json!({"prompt": [1, 2]}), "prompt", "unsupported_value"),
        (json!({"prompt": [[1], [2]]}), "prompt", "unsupported_value"),
        (json!({"prompt": ["a", "b"]}), "prompt", "unsupported_value"),
        (json!({"prompt": null}), "prompt", "invalid_type"),
        (json!({"prompt": []}), "prompt", "invalid_type"),
        (json!({"prompt": [{}]}), "prompt", "invalid_type"),
        (json!({"prompt": ["a", 1]}), "prompt", "invalid_type"),
        (json!({"logprobs": "many"}), "logprobs", "invalid_type"),
    ] {
        let mut body = json!({"model": "m", "prompt": "x"});
        let members = more.as_object().expect("is one").clone();
        body.as_object_mut().expect("is one").extend(members);
        let error = chat(&body).expect_err("is refused");
        assert_eq!((error.param(), error.code()), (Some(at), code), "{more}");
        let is_refusal = error.rejection().is_some();
        assert_eq!(is_refusal, code != "invalid_type", "{more}");
    }
}

#[test]
fn a_deployment_may_leave_out_all_but_the_prompt() {
    let drops = ziggurat_core::Deployment::new("a", "g", "m").with_drop_params(true);
    let fit = Fit::of(&drops);
    let body = json!({"model": "m", "prompt": "x", "suffix": "end", "echo": true, "best_of": 9});
    let left = Completions
        .to_chat(body.to_string().as_bytes(), fit)
        .expect("is left out");
    let expected = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
    assert_eq!(
        serde_json::from_slice::<Value>(&left).expect("is JSON"),
        expected
    );
    let tokens = Completions.to_chat(br#"{"model":"m","prompt":[1]}"#, fit);
    assert!(tokens.is_err());
}

fn token(text: &str, logprob: f64) -> Value {
    json!({
        "token": text, "logprob": logprob, "bytes": null,
        "top_logprobs": [{"token": text, "logprob": logprob}, {"token": "no", "logprob": -9.0}],
    })
}

#[test]
fn an_answer_is_a_text_with_its_probabilities_and_usage() {
    let usage = json!({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3});
    let chat = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 5, "model": "m",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "é on"},
                "logprobs": {"content": [token("é", -0.5), token(" on", -1.5)], "refusal": null}},
            {"index": 1, "finish_reason": "length",
                "message": {"role": "assistant", "content": null, "refusal": "No."}},
        ],
        "usage": usage,
    });
    let expected = json!({
        "id": "cmpl-1", "object": "text_completion", "created": 5, "model": "m",
        "choices": [
            {"index": 0, "text": "é on", "finish_reason": "stop", "logprobs": {
                "tokens": ["é", " on"], "token_logprobs": [-0.5, -1.5], "text_offset": [0, 1],
                "top_logprobs": [{"é": -0.5, "no": -9.0}, {" on": -1.5, "no": -9.0}],
            }},
            {"index": 1, "text": "No.", "finish_reason": "length", "logprobs": null},
        ],
        "usage": usage,
    });
    let answer = Completions
        .answer(b"{}", chat.to_string().as_bytes())
        .expect("is one");
    assert_eq!(
        serde_json::from_slice::<Value>(&answer).expect("is JSON"),
        expected
    );
    assert!(Completions.answer(b"{}", b"{\"error\":{}}").is_err());
}

/// The texts of a stream's choices, its data, and its comments.
fn streamed(request: &Value) -> (String, Vec<Value>) {
    let chunk = |choices: Value| json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": choices});
    let delta = |index: u64, text: &str, logprobs: Value| {
        chunk(
            json!([{"index": index, "delta": {"content": text}, "logprobs": logprobs, "finish_reason": null}]),
        )
    };
    let mut last = chunk(json!([]));
    last["usage"] = json!({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3});
    let events = [
        delta(0, "ab", json!({"content": [token("ab", -0.5)]})),
        delta(1, "xyz", Value::Null),
        delta(0, "c", json!({"content": [token("c", -0.5)]})),
        chunk(json!([{"index": 0, "delta": {}, "finish_reason": "stop"}])),
        last,
    ];
    let mut text = ": ping\n\n".to_owned();
    for event in events {
        text += &format!("data: {event}\n\n");
    }
    text += "data: [DONE]\n\n";
    let mut encoder = Completions.encoder(request.to_string().as_bytes());
    let mut out = encoder.encode(&Bytes::from(text)).to_vec();
    out.extend(encoder.end());
    let out = String::from_utf8(out).expect("is text");
    let data = out
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("data: "));
    let data = data
        .filter_map(|data| serde_json::from_str(data).ok())
        .collect();
    (out, data)
}

#[test]
fn a_stream_is_of_texts_and_ends_once() {
    let (out, data) = streamed(&json!({"stream": true}));
    assert!(out.starts_with(": ping\n\n") && out.ends_with("data: [DONE]\n\n"));
    assert_eq!(out.matches("[DONE]").count(), 1);
    let texts: Vec<_> = data
        .iter()
        .map(|event| {
            (
                event["choices"][0]["index"].clone(),
                event["choices"][0]["text"].clone(),
            )
        })
        .collect();
    let said = [(0, "ab"), (1, "xyz"), (0, "c"), (0, "")];
    assert_eq!(texts, said.map(|(index, text)| (json!(index), json!(text))));
    assert!(
        data.iter()
            .all(|event| event["object"] == "text_completion")
    );
    assert_eq!(data[2]["choices"][0]["logprobs"]["text_offset"], json!([2]));
    assert_eq!(data[3]["choices"][0]["finish_reason"], "stop");
    assert!(data.iter().all(|event| event.get("usage").is_none()));
}

#[test]
fn usage_comes_if_it_was_asked_for() {
    let (_, data) = streamed(&json!({"stream": true, "stream_options": {"include_usage": true}}));
    let last = data.last().expect("there are events");
    assert_eq!(
        (&last["choices"], &last["usage"]["total_tokens"]),
        (&json!([]), &json!(3))
    );
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(text in "[ -~]{0,40}", index in any::<u64>()) {
        let body = json!({"prompt": text, "n": index, "best_of": index});
        let _ = Completions.to_chat(body.to_string().as_bytes(), Fit::default());
        let _ = Completions.to_chat(text.as_bytes(), Fit::default());
        let _ = Completions.answer(b"", text.as_bytes());
        let mut encoder = Completions.encoder(text.as_bytes());
        let event = json!({"choices": [{"index": index, "delta": {"content": text}, "logprobs": {"content": [1]}}]});
        let out = encoder.encode(&Bytes::from(format!("data: {event}\n\n")));
        prop_assert!(!out.is_empty());
    }
}
