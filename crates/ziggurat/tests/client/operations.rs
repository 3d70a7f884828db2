use futures_util::TryStreamExt as _;
use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use serde_json::{Value, json};
use ziggurat::{
    Client, ErrorKind, LlmRequest, LlmResponse, Operation,
    client::{Embeddings, Form, Ranking},
};

use crate::{Stack, answering, client, streamed};

/// A client of a leaf that answers this to exactly that request.
fn expecting(operation: Operation, request: Value, answer: Value) -> Client<Stack> {
    client(move |asked: LlmRequest| {
        assert_eq!(asked.operation(), operation);
        let body: Value = serde_json::from_slice(asked.body()).expect("is JSON");
        assert_eq!(body, request);
        let answer = answer.to_string();
        async move { Ok(LlmResponse::complete(answer, None)) }
    })
}

fn typed(content_type: &'static str, body: &'static str) -> Client<Stack> {
    client(move |_| {
        let headers = [(CONTENT_TYPE, HeaderValue::from_static(content_type))];
        let answer = LlmResponse::complete(body, None).with_headers(HeaderMap::from_iter(headers));
        async move { Ok(answer) }
    })
}

#[tokio::test]
async fn embeddings_come_in_the_order_of_the_inputs_as_numbers_or_in_base64() {
    let client = expecting(
        Operation::Embeddings,
        json!({"model": "e", "input": ["one", "two"]}),
        json!({"data": [
            {"index": 1, "embedding": "AACAPwAAAMA="},
            {"index": 0, "embedding": [0.5, -1, 3e-3]},
        ]}),
    );
    let answer = client.embed("e", ["one", "two"]).await.expect("answers");
    assert_eq!(answer.vectors(), [vec![0.5, -1.0, 3e-3], vec![1.0, -2.0]]);

    for wrong in [
        json!("AACAPw"),
        json!("AACAPwA="),
        json!("?"),
        json!(7),
        json!(["x"]),
    ] {
        let client = answering(&json!({"data": [{"embedding": wrong}]}));
        let error = client.ask::<Embeddings>(&json!({"model": "e"})).await;
        assert_eq!(
            error.expect_err("is none").kind(),
            ErrorKind::BadAnswer,
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn documents_come_by_relevance() {
    let client = expecting(
        Operation::Rerank,
        json!({"model": "r", "query": "q", "documents": ["a", "b"]}),
        json!({"results": [{"index": 0, "relevance_score": 0.1}, {"index": 1, "relevance_score": 0.9}]}),
    );
    let answer = client.rerank("r", "q", ["a", "b"]).await.expect("answers");
    let order: Vec<_> = answer
        .results()
        .iter()
        .map(|document| document.index)
        .collect();
    assert_eq!(order, [1, 0]);
    let more = answering(
        &json!({"results": [{"index": 0, "relevance_score": 1, "document": {"text": "a"}}]}),
    );
    let request = json!({"model": "r", "query": "q", "documents": ["a"], "return_documents": true});
    let answer = more.ask::<Ranking>(&request).await.expect("answers");
    assert_eq!(answer.results()[0].document, Some(json!({"text": "a"})));
}

#[tokio::test]
async fn images_are_decoded() {
    let client = answering(&json!({"data": [
        {"b64_json": "iVBORw==", "revised_prompt": "a cat"}, {"url": "https://images.test/1"},
    ]}));
    let answer = client
        .images(&json!({"model": "i", "prompt": "cat"}))
        .await
        .expect("answers");
    let [first, second] = answer.images() else {
        panic!("{answer:?}");
    };
    assert_eq!(first.data.as_deref(), Some(&b"\x89PNG"[..]));
    assert_eq!(second.url.as_deref(), Some("https://images.test/1"));
    let client = answering(&json!({"data": [{"b64_json": "!"}]}));
    let error = client
        .images(&json!({"model": "i"}))
        .await
        .expect_err("is none");
    assert_eq!(error.kind(), ErrorKind::BadAnswer);
}

#[tokio::test]
async fn harm_is_told_by_input_and_category() {
    let client = expecting(
        Operation::Moderation,
        json!({"model": "m", "input": "x"}),
        json!({"results": [
            {"flagged": false, "categories": {}},
            {"flagged": true, "categories": {"hate": true, "illicit": null}, "category_scores": {"hate": 0.9}},
        ]}),
    );
    let answer = client.moderate("m", "x").await.expect("answers");
    assert!(answer.is_flagged() && !answer.results()[0].flagged);
    let told = &answer.results()[1];
    assert_eq!(
        (told.categories["hate"], told.categories["illicit"]),
        (Some(true), None)
    );
    assert_eq!(told.scores["hate"], Some(0.9));
}

#[tokio::test]
async fn completions_responses_and_messages_say_their_text_and_calls() {
    let client = answering(&json!({"choices": [{"text": "one", "finish_reason": "length"}]}));
    let answer = client
        .complete(&json!({"model": "m", "prompt": "x"}))
        .await
        .expect("answers");
    assert_eq!((answer.text(), answer.choices().len()), ("one", 1));

    let client = answering(&json!({"id": "resp_1", "status": "completed", "output": [
        {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "hm"}]},
        {"type": "message", "content": [{"type": "output_text", "text": "one"}, {"type": "refusal", "refusal": "no"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    ]}));
    let answer = client
        .responses(&json!({"model": "m", "input": "x"}))
        .await
        .expect("answers");
    assert_eq!(
        (answer.id(), answer.status()),
        ("resp_1", Some("completed"))
    );
    assert_eq!(
        (answer.text(), answer.output().len()),
        ("one".to_owned(), 3)
    );
    assert_eq!(
        (
            answer.tool_calls()[0].id.as_str(),
            answer.tool_calls().len()
        ),
        ("c", 1)
    );

    let client = answering(&json!({"stop_reason": "tool_use", "content": [
        {"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "one"},
        {"type": "tool_use", "id": "c", "name": "f", "input": {"n": 1}},
    ]}));
    let answer = client
        .messages(&json!({"model": "m", "max_tokens": 9}))
        .await
        .expect("answers");
    assert_eq!(
        (answer.text(), answer.stop_reason()),
        ("one".to_owned(), Some("tool_use"))
    );
    let input: Value = answer.tool_calls()[0].parse().expect("is JSON");
    assert_eq!((input, answer.content().len()), (json!({"n": 1}), 3));
}

#[tokio::test]
async fn speech_can_be_read_as_it_comes_or_as_a_whole() {
    let client = client(async |request: LlmRequest| {
        assert_eq!(request.operation(), Operation::Speech);
        let headers = [(CONTENT_TYPE, HeaderValue::from_static("audio/mpeg"))];
        let pieces = ["ID3", " and ", "sound"].map(|piece| Ok(piece.to_owned()));
        Ok(streamed(pieces).with_headers(HeaderMap::from_iter(headers)))
    });
    let request = json!({"model": "s", "input": "hi", "voice": "alloy"});
    let speech = client.speech(&request).await.expect("begins");
    assert_eq!(speech.content_type(), Some("audio/mpeg"));
    assert_eq!(speech.bytes().await.expect("is whole"), "ID3 and sound");
    let speech = client.speech(&request).await.expect("begins");
    let pieces: Vec<_> = speech.try_collect().await.expect("is whole");
    assert_eq!(pieces, ["ID3", " and ", "sound"]);
}

#[tokio::test]
async fn a_transcript_is_json_or_text() {
    let form = Form::new("w").file("file", "a.wav", "RIFF");
    let client = typed(
        "application/json; charset=utf-8",
        r#"{"text":"one","language":"en"}"#,
    );
    let answer = client.transcribe(&form).await.expect("answers");
    assert_eq!(
        (answer.text(), answer.get("language")),
        ("one", Some(&json!("en")))
    );
    let client = typed("text/plain; charset=utf-8", "{one}");
    let answer = client.translate(&form).await.expect("answers");
    assert_eq!((answer.text(), answer.get("language")), ("{one}", None));
    let error = typed("application/json", "[]")
        .transcribe(&form)
        .await
        .expect_err("is none");
    assert_eq!(error.kind(), ErrorKind::BadAnswer);
}

#[test]
fn a_form_holds_its_files_whatever_their_names_and_bytes() {
    let file = b"RIFF\0\r\n--form-\r\n--\xff\xfe".to_vec();
    let form = Form::new("w")
        .file("file", "a\"b\\c\r\nX-Evil: 1\u{7f}.wav", file.clone())
        .field("language", "en");
    let request = form
        .to_request(Operation::Transcription)
        .expect("is a form");
    assert_eq!(request.group().as_str(), "w");
    let body = request.body();
    assert!(body.windows(file.len()).any(|window| window == file));
    let text = String::from_utf8_lossy(body);
    assert!(
        text.contains("filename=\"a%22b%5Cc__X-Evil: 1_.wav\"\r\n"),
        "{text}"
    );
    let boundary = request.content_type().to_str().expect("is text");
    let other = form
        .to_request(Operation::Transcription)
        .expect("is a form");
    assert_ne!(boundary, other.content_type().to_str().expect("is text"));

    let error = Form::new("")
        .to_request(Operation::Transcription)
        .expect_err("has no model");
    assert_eq!(
        (error.kind(), error.param()),
        (ErrorKind::BadRequest, Some("model"))
    );
    let error = Form::new("w")
        .file("model", "x", "y")
        .to_request(Operation::Transcription);
    assert_eq!(error.expect_err("hides a model").param(), Some("model"));
}
