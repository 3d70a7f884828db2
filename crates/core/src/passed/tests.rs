use http::HeaderValue;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{HasLedger, ObjectId, Operation};

fn ours(deployment: &str, original: &str) -> String {
    let id = ObjectId::new(&deployment.into(), original);
    id.expect("is of a kind").to_string()
}

fn post(path: &str, kind: &str, body: impl Into<Bytes>) -> Request<Bytes> {
    let request = Request::post(path).header(CONTENT_TYPE, kind);
    request.body(body.into()).expect("is a request")
}

fn stored(path: &str, body: &Value) -> Result<Passed, Error> {
    let request = post(path, "application/json", body.to_string());
    Passed::stored(&request, &["custom_llm_provider", "target_model_names"])
}

fn sent(passed: Passed, asked: &str, model: &str) -> String {
    let request = LlmRequest::pass_through(asked, passed).expect("says for whom");
    let bytes = request.passed_parts(model).concat();
    String::from_utf8(bytes).expect("is text")
}

#[test]
fn ids_of_ours_are_restored_wherever_they_stand_and_name_the_deployment() {
    let (file, thread) = (ours("east", "file-1"), ours("east", "thread_2"));
    let path = format!("/threads/{thread}/messages?after={file}&limit=2&key=secret&x");
    let body = json!({"metadata": {"mine": file}, "attachments": [{"file_id": file}], "n": 1.0});
    let passed = stored(&path, &body).expect("is valid");
    assert_eq!(passed.path(), "/threads/thread_2/messages");
    assert_eq!(passed.query(), "after=file-1&limit=2&x");
    let request = LlmRequest::pass_through("", passed).expect("says for whom");
    assert_eq!(request.operation(), Operation::PassThrough);
    assert_eq!(request.group().as_str(), "east");
    let pin = request.ledger().and_then(|ledger| ledger.pinned());
    assert_eq!(pin.map(DeploymentId::as_str), Some("east"));
    assert!(request.controls().disable_fallbacks);
    let expected =
        json!({"metadata": {"mine": file}, "attachments": [{"file_id": "file-1"}], "n": 1.0});
    assert_eq!(
        request.passed_parts("m").concat(),
        expected.to_string().as_bytes()
    );
}

#[test]
fn objects_of_two_deployments_are_refused() {
    let body = json!({"file_ids": [ours("east", "file-1"), ours("west", "file-2")]});
    let error = stored("/vector_stores", &body).expect_err("nobody has both");
    assert_eq!(
        (error.status().as_u16(), error.code()),
        (400, "objects_of_several_deployments")
    );
}

#[test]
fn a_model_of_the_group_is_replaced_and_what_is_ours_taken_out() {
    let body = r#"{ "target_model_names":["gpt, b"],"model" : "gpt","x":{"model":"gpt"}, "custom_llm_provider":"openai" }"#;
    let read = || {
        let request = post("/fine_tuning/jobs", "application/json", body);
        Passed::stored(&request, &["custom_llm_provider", "target_model_names"]).expect("is valid")
    };
    assert_eq!(read().taken("target_model_names"), Some("gpt"));
    assert_eq!(read().taken("custom_llm_provider"), Some("openai"));
    assert_eq!(read().model(), Some("gpt"));
    assert_eq!(
        sent(read(), "gpt", "m\""),
        r#"{ "model" : "m\"","x":{"model":"gpt"} }"#
    );
    assert_eq!(
        sent(read(), "other", "m"),
        r#"{ "model" : "gpt","x":{"model":"gpt"} }"#
    );
    let twice = post(
        "/assistants",
        "application/json",
        r#"{"model":"a","mod\u0065l":"b"}"#,
    );
    assert_eq!(
        Passed::stored(&twice, &[]).expect_err("is none").param(),
        Some("model")
    );
}

#[test]
fn what_is_no_json_passes_as_it_is() {
    for body in ["", "{", "[1]", "\"x\"", "{\"model\":\"gpt\"} x"] {
        let passed = Passed::any(&post("/x", "application/json", body)).expect("is valid");
        assert_eq!(sent(passed, "gpt", "m"), body);
    }
    let binary = Bytes::from_static(b"\xff\x00\"file-");
    for kind in ["application/json", "application/octet-stream"] {
        let passed = Passed::any(&post("/x", kind, binary.clone())).expect("is valid");
        let request = LlmRequest::pass_through("gpt", passed).expect("says for whom");
        assert_eq!(request.passed_parts("m").concat(), binary);
    }
}

const FORM: &str = "multipart/form-data; boundary=x";

fn part(name: &str, more: &str, value: &str) -> String {
    format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n{value}\r\n")
}

fn upload(lines: &str) -> String {
    let file = part("file", "; filename=\"b.jsonl\"", lines);
    format!("{}{file}--x--\r\n", part("purpose", "", "batch"))
}

#[test]
fn a_batch_that_is_uploaded_asks_for_the_model_of_the_deployment() {
    let line = |model: &str| {
        format!(
            r#"{{"custom_id":"1", "body": {{"messages":[],"model":"{model}","n": 1.0}},"url":"/v1/x"}}"#
        )
    };
    let lines = |model: &str| {
        format!(
            "{}\r\nno json\n\n{}\n{}",
            line(model),
            line("other"),
            line(model)
        )
    };
    let names = part("target_model_names", "", "gpt,b");
    let body = format!("{names}{}", upload(&lines("gpt")));
    let passed = Passed::stored(&post("/files", FORM, body.clone()), &["target_model_names"]);
    let passed = passed.expect("is valid");
    assert_eq!(passed.taken("target_model_names"), Some("gpt"));
    assert_eq!(passed.batch_model().as_deref(), Some("gpt"));
    assert_eq!(
        sent(passed, "gpt", "gpt-4o-mini"),
        upload(&lines("gpt-4o-mini"))
    );
    let elsewhere = Passed::stored(&post("/other", FORM, body.clone()), &[]).expect("is valid");
    assert_eq!(sent(elsewhere, "gpt", "gpt-4o-mini"), body);
    assert!(Passed::stored(&post("/files", FORM, "--x"), &[]).is_err());
}

#[test]
fn a_path_that_servers_may_read_differently_is_refused() {
    for path in [
        "/files/../admin",
        "/files/./x",
        "/files/%2e%2e/x",
        "/files/.%2E/x",
        "/files/a%2f..%2fx",
        "/files/a%5c..%5cx",
        "/files//x",
        "//evil.example/x",
        "/files/%252e%252e",
        "/files/%00",
        "/files/%0d%0aX:1",
        "/files/%zz",
        "/files/%2",
        "/files/a\\b",
    ] {
        let Ok(request) = Request::get(path).body(Bytes::new()) else {
            continue;
        };
        assert!(Passed::any(&request).is_err(), "{path}");
    }
    let long = Request::get(format!("/{}", "a".repeat(5_000))).body(Bytes::new());
    assert!(Passed::any(&long.expect("is a request")).is_err());
    for path in ["/files", "/files/", "/models/a%2Fb:x", "/x/a.b/..c/@~"] {
        let request = Request::get(path).body(Bytes::new()).expect("is a request");
        assert_eq!(Passed::any(&request).expect("is plain").path(), path);
    }
}

#[test]
fn headers_that_say_who_asks_are_not_passed_on_and_neither_are_odd_methods() {
    let mut request = post("/x", "application/json", "{}");
    for name in [
        "authorization",
        "x-api-key",
        "cookie",
        "host",
        "openai-beta",
    ] {
        let value = HeaderValue::from_static("canary");
        request.headers_mut().insert(name, value);
    }
    let passed = Passed::any(&request).expect("is valid");
    let mut names: Vec<_> = passed.headers().keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-type", "openai-beta"]);
    for method in [
        Method::CONNECT,
        Method::TRACE,
        Method::HEAD,
        Method::OPTIONS,
    ] {
        *request.method_mut() = method;
        assert_eq!(Passed::any(&request).expect_err("is refused").status(), 405);
    }
}

#[test]
fn a_request_for_nobody_is_refused() {
    let passed = stored("/files", &json!({})).expect("is valid");
    let error = LlmRequest::pass_through("", passed).expect_err("is for nobody");
    assert_eq!(error.param(), Some("model"));
}

#[test]
fn a_stored_answer_pins_the_request_that_goes_on_from_it() {
    let (answer, file) = (ours("east", "resp_1"), ours("east", "file-2"));
    let body = format!(
        r#"{{"model":"gpt","metadata":{{"tags":["a"]}}, "previous_response_id" : "{answer}","fallbacks":["b"],"input":[{{"file_id":"{file}","text":"{file}"}}]}}"#
    );
    let request = LlmRequest::from_bytes(Operation::Responses, body.clone()).expect("is valid");
    assert_eq!(request.previous_response(), Some(&*answer));
    let pin = request.ledger().and_then(|ledger| ledger.pinned());
    assert_eq!(pin.map(DeploymentId::as_str), Some("east"));
    assert!(request.controls().disable_fallbacks);
    let expected = format!(
        r#"{{"model":"m", "previous_response_id" : "resp_1","input":[{{"file_id":"file-2","text":"{file}"}}]}}"#
    );
    assert_eq!(request.upstream_body("m", false), expected);
    let copy = request.with_ledger(crate::Ledger::new());
    assert!(
        copy.ledger()
            .is_some_and(|ledger| ledger.pinned().is_some())
    );
    let other = body.replace(&file, &ours("west", "file-2"));
    let error = LlmRequest::from_bytes(Operation::Responses, other).expect_err("are two");
    assert_eq!(error.status(), 400);
}

proptest! {
    #[test]
    fn whatever_comes_never_panics(path in "/[a-z%2e./\\\\]{0,30}", kind in "(application/json|multipart/form-data; boundary=x|)", body in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(request) = Request::post(path).header(CONTENT_TYPE, kind).body(Bytes::from(body))
            && let Ok(passed) = Passed::stored(&request, &["model"])
        {
            prop_assert!(!passed.path().contains("/../") && !passed.path().contains("//"));
            let request = LlmRequest::pass_through("gpt", passed).expect("says for whom");
            drop(request.passed_parts("m"));
        }
    }
}
