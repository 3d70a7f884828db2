use http::header::AUTHORIZATION;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::json;
use ziggurat_core::ErrorKind;

use super::*;

/// A key that opens nothing.
const KEY: &str = include_str!("key.pem");

fn account() -> Value {
    json!({
        "type": "service_account", "project_id": "p-2", "private_key_id": "k-1",
        "private_key": KEY, "client_email": "canary@x.example",
        "token_uri": "https://oauth2.googleapis.com/token",
    })
}

fn with(credentials: &str) -> Deployment {
    Deployment::new("a", "g", "gemini-2.5-pro")
        .with_provider("vertex_ai")
        .with_param("vertex_credentials", Secret::new(credentials))
}

#[test]
fn a_chat_goes_to_the_project_and_its_location() {
    let chat = json!({"messages": [{"role": "user", "content": "x"}], "stream": true, "labels": {"a": "b"}});
    let outgoing = vertex("gemini-2.5-pro", chat)
        .outgoing()
        .expect("can be asked");
    let model = "projects/p-1/locations/europe-west4/publishers/google/models/gemini-2.5-pro";
    assert_eq!(
        outgoing.path,
        format!("/{model}:streamGenerateContent?alt=sse")
    );
    let headers = VERTEX.authorization(&on_vertex("m")).expect("can be sent");
    assert_eq!(headers[AUTHORIZATION], format!("Bearer {CANARY}"));
    let headers = GEMINI.authorization(&on_vertex("m")).expect("can be sent");
    assert_eq!(headers["x-goog-api-key"], CANARY);
    assert!(headers["x-goog-api-key"].is_sensitive());
}

#[test]
fn a_model_of_anthropic_s_is_spoken_to_in_its_own_words() {
    let chat = |stream: bool| {
        let chat = json!({"messages": [{"role": "user", "content": "x"}], "stream": stream});
        vertex("claude-3-7-sonnet@20250219", chat)
    };
    let outgoing = chat(true).outgoing().expect("can be asked");
    let model = "publishers/anthropic/models/claude-3-7-sonnet@20250219";
    let end = format!("/{model}:streamRawPredict");
    assert!(outgoing.path.ends_with(&end));
    let sent = chat(false).sent();
    assert_eq!(sent["anthropic_version"], "vertex-2023-10-16");
    assert_eq!(sent.get("model"), None);
    assert_eq!(sent["messages"][0]["role"], "user");
    let body = br#"{"type":"message","id":"msg_vrtx_1","role":"assistant","model":"c","stop_reason":"end_turn",
        "content":[{"type":"text","text":"hello"}],"usage":{"input_tokens":3,"output_tokens":1}}"#;
    let (answer, _) = chat(false).answer(body).expect("is one");
    assert_eq!(answer["choices"][0]["message"]["content"], "hello");
    let embed = Trial::new(&VERTEX, Operation::Embeddings, json!({"input": "x"}))
        .with(|_| on_vertex("claude-3-7-sonnet@20250219"));
    let error = embed.outgoing().expect_err("embeds nothing");
    assert_eq!(error.code(), "unsupported_operation");
}

fn in_anthropics_words(model: &'static str, operation: Operation, stream: bool) -> Trial {
    let body = json!({
        "max_tokens": 9, "stream": stream, "new_field": [1], "system": "be kind",
        "messages": [{"role": "user", "content": "hi"}],
    });
    Trial::new(&VERTEX, operation, body).with(move |_| on_vertex(model))
}

#[test]
fn who_speaks_anthropic_s_words_is_passed_on_to_its_models() {
    let model = "claude-sonnet-4-5@20250929";
    assert!(VERTEX.speaks(Operation::Messages, model));
    assert!(!VERTEX.speaks(Operation::Messages, "gemini-2.5-pro"));
    assert!(!VERTEX.speaks(Operation::GenerateContent, model));
    for (stream, method) in [(false, "rawPredict"), (true, "streamRawPredict")] {
        let sent = in_anthropics_words(model, Operation::Messages, stream).native();
        let sent = sent.expect("can be asked");
        let end = format!("/publishers/anthropic/models/{model}:{method}");
        assert!(sent.path.ends_with(&end), "{}", sent.path);
        let body: Value = serde_json::from_slice(&sent.body).expect("is JSON");
        let expected = json!({
            "anthropic_version": "vertex-2023-10-16", "max_tokens": 9, "stream": stream,
            "new_field": [1], "system": "be kind", "messages": [{"role": "user", "content": "hi"}],
        });
        assert_eq!(body, expected);
    }
}

#[test]
fn tokens_are_counted_for_its_own_models() {
    let counted = in_anthropics_words("gemini-2.5-pro", Operation::CountTokens, false).count();
    let counted = counted.expect("can be asked");
    assert!(
        counted.path.ends_with("/models/gemini-2.5-pro:countTokens"),
        "{}",
        counted.path
    );
    let body: Value = serde_json::from_slice(&counted.body).expect("is JSON");
    let names: Vec<_> = body.as_object().expect("is one").keys().collect();
    assert_eq!(names, ["contents", "systemInstruction"]);
    assert_eq!(VERTEX.counted(br#"{"totalTokens": 7}"#), Some(7));
    assert_eq!(VERTEX.counted(b"{}"), None);
    let claude = in_anthropics_words("claude-sonnet-4-5", Operation::CountTokens, false).count();
    assert_eq!(
        claude.expect_err("is not served").code(),
        "unsupported_operation"
    );
}

#[test]
fn an_image_elsewhere_is_fetched_by_vertex_and_by_nobody_else() {
    let chat = || {
        json!({"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "https://x.example/y.webp"}},
        ]}]})
    };
    let sent = vertex("gemini-2.5-pro", chat()).sent();
    let file = json!({"fileUri": "https://x.example/y.webp", "mimeType": "image/webp"});
    assert_eq!(sent["contents"][0]["parts"][0]["fileData"], file);
    let error = studio("gemini-2.5-pro", chat()).outgoing();
    assert_eq!(
        error.expect_err("is not fetched").status(),
        http::StatusCode::BAD_REQUEST
    );
}

#[test]
fn an_account_proves_who_it_is_by_its_signature() {
    let deployment = with(&account().to_string());
    assert!(
        VERTEX
            .authorization(&deployment)
            .expect("has one")
            .is_empty()
    );
    let source = VERTEX
        .token(&deployment)
        .expect("is valid")
        .expect("is there");
    let asked = source.asked(1_000).expect("can be signed");
    assert_eq!(asked.uri, "https://oauth2.googleapis.com/token");
    let body = std::str::from_utf8(&asked.body).expect("is text");
    let proof = body.split_once("&assertion=").expect("has a proof").1;
    let (told, signature) = proof.rsplit_once('.').expect("is signed");
    let decode = |text: &str| {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        URL_SAFE_NO_PAD.decode(text).expect("is base64")
    };
    let (header, claims) = told.split_once('.').expect("has two parts");
    let [header, claims] = [header, claims]
        .map(|part| serde_json::from_slice::<Value>(&decode(part)).expect("is JSON"));
    assert_eq!(header, json!({"alg": "RS256", "typ": "JWT", "kid": "k-1"}));
    let expected = json!({
        "iss": "canary@x.example", "aud": "https://oauth2.googleapis.com/token",
        "scope": "https://www.googleapis.com/auth/cloud-platform", "iat": 1000, "exp": 4600,
    });
    assert_eq!(claims, expected);
    let public = public_key();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public);
    public
        .verify(told.as_bytes(), &decode(signature))
        .expect("is the account's signature");
}

fn public_key() -> Vec<u8> {
    use ring::signature::{KeyPair, RsaKeyPair};
    use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
    let key = PrivatePkcs8KeyDer::from_pem_slice(KEY.as_bytes()).expect("is a key");
    let key = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).expect("is of RSA");
    key.public_key().as_ref().to_vec()
}

#[test]
fn a_user_shows_that_somebody_agreed() {
    let user = json!({
        "type": "authorized_user", "client_id": "c", "client_secret": "s+1", "refresh_token": "r",
        "quota_project_id": "p-3",
    });
    let source = VERTEX
        .token(&with(&user.to_string()))
        .expect("is valid")
        .expect("is there");
    let asked = source.asked(0).expect("can be asked");
    let form = "grant_type=refresh_token&client_id=c&client_secret=s%2B1&refresh_token=r";
    assert_eq!(asked.body, form);
}

#[test]
fn the_project_may_be_that_of_the_account() {
    let chat = Trial::chat(&VERTEX, json!({"messages": []})).with(|_| with(&account().to_string()));
    let outgoing = chat.outgoing().expect("can be asked");
    assert!(
        outgoing
            .path
            .starts_with("/projects/p-2/locations/us-central1/")
    );
    let nobody = Trial::chat(&VERTEX, json!({"messages": []}));
    assert_eq!(
        nobody.outgoing().expect_err("has no project").kind(),
        ErrorKind::Internal
    );
}

#[test]
fn credentials_that_are_of_no_use_are_found_before_they_are_needed() {
    let changed = |name: &str, value: &str| {
        let mut account = account();
        account[name] = value.into();
        account.to_string()
    };
    for credentials in [
        "canary".to_owned(),
        changed("type", "external_account"),
        changed("private_key", "canary"),
        changed("token_uri", "http://x.example/token"),
        changed("token_uri", "canary token"),
    ] {
        let error = VERTEX.token(&with(&credentials)).expect_err("is of no use");
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
    let here = VERTEX.token(&with(&changed("token_uri", "http://127.0.0.1:1/token")));
    assert!(here.expect("is for tests").is_some());
    let source = VERTEX
        .token(&with(&account().to_string()))
        .expect("is valid");
    let shown = format!("{source:?}");
    assert!(
        !shown.contains("BEGIN") && !shown.contains("MII"),
        "{shown}"
    );
}
