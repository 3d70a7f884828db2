use std::{convert::Infallible, sync::Arc};

use http_body_util::Full;
use parking_lot::Mutex;
use tower::service_fn;

use super::*;

#[derive(Debug)]
struct Fixed(&'static str);

impl Issuer for Fixed {
    fn identity(&self) -> String {
        self.0.to_owned()
    }

    fn request(&self, now: u64) -> Result<TokenRequest, Error> {
        Ok(TokenRequest {
            uri: Uri::from_static("https://tokens.example/"),
            headers: HeaderMap::new(),
            body: format!("{} at {now}", self.0).into(),
        })
    }
}

/// Asks with an answer to each request in turn; gives the values, or what went wrong.
struct World {
    tokens: Tokens,
    answers: Arc<Mutex<Vec<(u16, &'static str)>>>,
}

impl World {
    fn new(answers: &[(u16, &'static str)]) -> Self {
        let answers = answers.iter().rev().copied().collect();
        Self {
            tokens: Tokens::new(),
            answers: Arc::new(Mutex::new(answers)),
        }
    }

    async fn get(&self, source: &TokenSource) -> Result<HeaderValue, Error> {
        let answers = Arc::clone(&self.answers);
        let mut client = service_fn(move |request: Request<RequestBody>| {
            assert_eq!(request.method(), Method::POST);
            let (status, body) = answers.lock().pop().expect("is not asked again");
            let mut answer = Response::new(Full::<Bytes>::from(body));
            *answer.status_mut() = StatusCode::from_u16(status).expect("is a status");
            std::future::ready(Ok::<_, Infallible>(answer))
        });
        self.tokens.get(source, &mut client, 7).await
    }
}

const FIRST: (u16, &str) = (200, r#"{"access_token":"one","expires_in":3600}"#);
const SECOND: (u16, &str) = (200, r#"{"access_token":"two","expires_in":"3600"}"#);

#[tokio::test(start_paused = true)]
async fn a_token_is_asked_for_once_until_shortly_before_it_ends() {
    let world = World::new(&[FIRST, SECOND]);
    let source = TokenSource::new(Fixed("a"));
    assert_eq!(world.get(&source).await.expect("is granted"), "Bearer one");
    tokio::time::advance(Duration::from_secs(3239)).await;
    let same = TokenSource::new(Fixed("a"));
    let value = world.get(&same).await.expect("is kept");
    assert_eq!(value, "Bearer one");
    assert!(value.is_sensitive());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(world.get(&source).await.expect("is granted"), "Bearer two");
}

#[tokio::test]
async fn each_credential_has_a_token_of_its_own() {
    let world = World::new(&[FIRST, SECOND]);
    let (a, b) = (TokenSource::new(Fixed("a")), TokenSource::new(Fixed("b")));
    assert_eq!(world.get(&a).await.expect("is granted"), "Bearer one");
    assert_eq!(world.get(&b).await.expect("is granted"), "Bearer two");
}

#[tokio::test]
async fn a_token_that_is_refused_is_forgotten_but_no_newer_one() {
    let world = World::new(&[FIRST, SECOND]);
    let source = TokenSource::new(Fixed("a"));
    let first = world.get(&source).await.expect("is granted");
    world.tokens.forget(&source, &first);
    assert_eq!(world.get(&source).await.expect("is granted"), "Bearer two");
    world.tokens.forget(&source, &first);
    assert_eq!(world.get(&source).await.expect("is kept"), "Bearer two");
}

#[test]
fn a_form_is_written_so_that_any_text_may_stand_in_it() {
    let form = form(&[("a", "b c&d=\u{e4}"), ("e", "f-._~")]);
    assert_eq!(form, "a=b%20c%26d%3D%C3%A4&e=f-._~");
}

#[tokio::test]
async fn a_refusal_says_whose_fault_it_is_and_no_secret() {
    for (status, body, kind, told) in [
        (
            400,
            r#"{"error":"invalid_grant","error_description":"canary"}"#,
            ErrorKind::Authentication,
            "invalid_grant",
        ),
        (
            401,
            r#"{"error":"canary"}"#,
            ErrorKind::Authentication,
            "status 401",
        ),
        (429, "canary", ErrorKind::Connect, "status 429"),
        (503, "canary", ErrorKind::Connect, "status 503"),
        (
            200,
            r#"{"access_token":""}"#,
            ErrorKind::Connect,
            "gave none",
        ),
        (
            200,
            "{\"access_token\":\"canary\\n\"}",
            ErrorKind::Connect,
            "gave none",
        ),
        (200, "canary", ErrorKind::Connect, "gave none"),
    ] {
        let world = World::new(&[(status, body)]);
        let source = TokenSource::new(Fixed("a"));
        let error = world.get(&source).await.expect_err("is refused");
        assert_eq!(error.kind(), kind, "{body}");
        assert!(error.message().contains(told), "{error}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
}
