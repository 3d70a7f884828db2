use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use ziggurat::{
    ChatRequest, ErrorKind, LlmRequest, Operation,
    client::{Chat, ChatAnswer, NotJson},
};

use crate::{answering, chat, client};

#[tokio::test]
async fn an_answer_says_what_the_model_said() {
    let client = answering(&json!({
        "id": "x", "model": "m-1",
        "choices": [
            {"index": 0, "finish_reason": "tool_calls", "message": {
                "role": "assistant", "content": [{"type": "text", "text": "let me "}, {"type": "text", "text": "look"}],
                "reasoning_content": "hm", "refusal": null,
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"n\":1}"}}],
            }},
            {"index": 1, "message": {"content": null, "refusal": "no"}},
        ],
    }));
    let answer = client
        .chat(&ChatRequest::new("gpt").user("hi"))
        .await
        .expect("answers");
    assert_eq!(answer.text(), "let me look");
    assert_eq!((answer.id(), answer.model()), (Some("x"), Some("m-1")));
    assert_eq!((answer.reasoning(), answer.refusal()), (Some("hm"), None));
    assert_eq!(answer.finish_reason(), Some("tool_calls"));
    let call = &answer.tool_calls()[0];
    assert_eq!((call.id.as_str(), call.name.as_str()), ("c", "f"));
    assert_eq!(call.parse::<Value>().expect("is JSON"), json!({"n": 1}));
    let refusals: Vec<_> = answer
        .choices()
        .map(|choice| choice.message.refusal())
        .collect();
    assert_eq!(refusals, [None, Some("no")]);
    assert_eq!(
        answer.usage().map(|usage| (usage.input, usage.output)),
        Some((3, 2))
    );
    // Who served it and what it cost is known where somebody keeps an account.
    assert!(answer.deployment().is_none() && answer.cost().is_none());
}

#[tokio::test]
async fn requests_and_answers_of_foreign_types_work() {
    // As the crates that generate them from OpenAI's description write them.
    #[derive(Serialize)]
    struct CreateChatCompletionRequest {
        model: String,
        messages: Vec<RequestMessage>,
        #[serde(skip_serializing_if = "Option::is_none")]
        temperature: Option<f32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        stream: Option<bool>,
    }
    #[derive(Serialize)]
    #[serde(tag = "role", rename_all = "lowercase")]
    enum RequestMessage {
        User { content: String },
    }
    #[derive(Deserialize)]
    struct CreateChatCompletionResponse {
        id: String,
        choices: Vec<ResponseChoice>,
    }
    #[derive(Deserialize)]
    struct ResponseChoice {
        message: ResponseMessage,
    }
    #[derive(Deserialize)]
    struct ResponseMessage {
        content: Option<String>,
    }

    let client = client(async |request: LlmRequest| {
        assert_eq!(request.group().as_str(), "gpt");
        Ok(chat(std::str::from_utf8(request.body()).expect("is text")))
    });
    let mut request = CreateChatCompletionRequest {
        model: "gpt".to_owned(),
        messages: vec![RequestMessage::User {
            content: "hi".to_owned(),
        }],
        temperature: Some(0.2),
        stream: None,
    };
    let answer = client.chat(&request).await.expect("answers");
    let sent = r#"{"model":"gpt","messages":[{"role":"user","content":"hi"}],"temperature":0.2}"#;
    assert_eq!(answer.text(), sent);
    let foreign: CreateChatCompletionResponse = answer.json().expect("is one");
    assert_eq!(foreign.id, "x");
    assert_eq!(foreign.choices[0].message.content.as_deref(), Some(sent));

    request.stream = Some(true);
    let error = client.chat(&request).await.expect_err("is a stream");
    assert_eq!(
        (error.kind(), error.param()),
        (ErrorKind::BadRequest, Some("stream"))
    );
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_is_a_bad_one_that_says_where() {
    let client = answering(&json!(null));
    let refused = async |request: &Value| client.chat(request).await.expect_err("is refused");
    let error = refused(&json!({"messages": []})).await;
    assert_eq!(
        (error.kind(), error.param()),
        (ErrorKind::BadRequest, Some("model"))
    );
    let error = refused(&json!({"model": "gpt", "max_tokens": "many"})).await;
    assert_eq!(
        (error.kind(), error.param()),
        (ErrorKind::BadRequest, Some("max_tokens"))
    );
    let error = refused(&json!("hi")).await;
    assert_eq!(error.kind(), ErrorKind::BadRequest);

    let no_json = std::collections::HashMap::from([((1, 2), 3)]);
    let request = ChatRequest::new("gpt").user("hi").message(&no_json);
    for error in [
        client.chat(&request).await.expect_err("is refused"),
        client.chat_stream(&request).await.expect_err("is refused"),
    ] {
        assert_eq!(error.kind(), ErrorKind::BadRequest);
        assert!(error.message().contains("`messages[1]`"), "{error}");
    }
}

#[tokio::test]
async fn a_text_that_is_not_the_json_that_was_asked_for_is_kept() {
    #[derive(Debug, Deserialize)]
    struct Town {
        name: String,
    }
    let client = client(async |request: LlmRequest| Ok(chat(request.user().unwrap_or_default())));
    let said = async |text: &str| -> ChatAnswer {
        let request = ChatRequest::new("gpt").field("user", text);
        client.chat(&request).await.expect("answers")
    };
    let town: Town = said(r#"{"name": "Ur"}"#).await.parse().expect("is one");
    assert_eq!(town.name, "Ur");
    for text in ["", "Ur", r#"{"name": "U"#, r#"{"name": 1}"#] {
        let error = said(text).await.parse::<Town>().expect_err("is none");
        assert_eq!(error.kind(), ErrorKind::BadAnswer);
        assert_eq!(NotJson::of(&error).map(NotJson::text), Some(text));
    }
}

#[tokio::test]
async fn a_message_of_the_model_goes_back_as_it_came() {
    let message = json!({
        "role": "assistant", "content": null, "thinking_blocks": [{"type": "thinking", "signature": "s"}],
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra": 1}],
    });
    let client = answering(&json!({"choices": [{"message": message}]}));
    let request = ChatRequest::new("gpt").user("hi");
    let answer = client.chat(&request).await.expect("answers");
    let next = request
        .message(answer.message())
        .tool_result(&answer.tool_calls()[0].id, "4");
    assert_eq!(
        json!(next)["messages"],
        json!([
            {"role": "user", "content": "hi"},
            message,
            {"role": "tool", "tool_call_id": "c", "content": "4"},
        ]),
    );
}

#[tokio::test]
async fn an_answer_that_is_none_is_a_bad_one() {
    for body in [
        json!({"choices": []}),
        json!({"choices": null}),
        json!([]),
        json!("hi"),
    ] {
        let error = answering(&body).ask::<Chat>(&json!({"model": "gpt"})).await;
        let error = error.expect_err("is none");
        assert_eq!(error.kind(), ErrorKind::BadAnswer, "{body}");
    }
}

#[test]
fn a_field_replaces_what_was_said_before_and_only_what_is_said_is_sent() {
    let request = ChatRequest::new("gpt").user("hi");
    let bare = json!({"model": "gpt", "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(json!(request), bare);
    let request = request
        .system("be kind")
        .assistant("hello")
        .temperature(0.2)
        .temperature(0.3_f64)
        .max_tokens(9)
        .reasoning_effort("low")
        .json_schema("town", json!({"type": "object"}))
        .tool("f", "does it", json!({"type": "object"}))
        .field("model", "small")
        .field("messages", [bare])
        .field("top_p", 0.1_f32);
    let body = serde_json::to_string(&request).expect("is JSON");
    assert!(
        body.contains(r#""top_p":0.1,"#) || body.contains(r#""top_p":0.1}"#),
        "{body}"
    );
    let body = json!(request);
    assert_eq!(
        (&body["model"], &body["temperature"]),
        (&json!("small"), &json!(0.3))
    );
    assert_eq!(body["messages"].as_array().map(Vec::len), Some(1));
    assert_eq!(body["tools"][0]["function"]["name"], "f");
    assert_eq!(body["response_format"]["json_schema"]["name"], "town");
    let sent = LlmRequest::from_value(Operation::ChatCompletions, &request).expect("is valid");
    assert!(sent.uses_tools() && sent.uses_json_schema());
}
