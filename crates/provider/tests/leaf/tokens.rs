//! Deployments whose credential gets them tokens: what is asked, shown, kept and forgotten.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use tower::{ServiceExt, service_fn};
use ziggurat_core::{Deployment, Error, ErrorKind, LlmRequest, LlmResponse, Routed, Secret};
use ziggurat_provider::{LlmService, RequestBody};

const ANSWER: &str =
    r#"{"candidates":[{"content":{"parts":[{"text":"hello"}]},"finishReason":"STOP"}]}"#;

/// The addresses that were called, each with the credential that was shown.
type Seen = Arc<Mutex<Vec<(String, Option<String>)>>>;

fn deployment() -> Deployment {
    let credentials =
        r#"{"type":"authorized_user","client_id":"c","client_secret":"s","refresh_token":"r"}"#;
    Deployment::new("a", "g", "gemini-2.5-pro")
        .with_provider("vertex_ai")
        .with_param("vertex_project", Secret::new("p"))
        .with_param("vertex_credentials", Secret::new(credentials))
}

/// A world in which each token is a new one, and requests are answered by what they show.
fn world(
    deployment: Deployment,
    answer: impl Fn(&str) -> (u16, String) + Clone + Send + 'static,
) -> (impl AsyncFn() -> Result<LlmResponse, Error>, Seen) {
    let seen = Seen::default();
    let calls = Arc::clone(&seen);
    let client = service_fn(move |request: Request<RequestBody>| {
        let (calls, answer) = (Arc::clone(&calls), answer.clone());
        async move {
            let (head, body) = request.into_parts();
            let shown = head.headers.get("authorization");
            let shown = shown.map(|value| value.to_str().expect("is text").to_owned());
            let host = head.uri.host().expect("has a host").to_owned();
            let number = {
                let mut calls = calls.lock();
                calls.push((host.clone(), shown.clone()));
                calls
                    .iter()
                    .filter(|(host, _)| host.starts_with("oauth2"))
                    .count()
            };
            let (status, body) = if host.starts_with("oauth2") {
                let Ok(form) = body.collect().await;
                assert!(form.to_bytes().starts_with(b"grant_type=refresh_token"));
                let token = format!(r#"{{"access_token":"canary-{number}","expires_in":3600}}"#);
                (200, token)
            } else {
                answer(&shown.unwrap_or_default())
            };
            let mut response = Response::new(Full::<Bytes>::from(body));
            *response.status_mut() = StatusCode::from_u16(status).expect("is a status");
            Ok::<_, Infallible>(response)
        }
    });
    let service = LlmService::with_client(client);
    let deployment = Arc::new(deployment);
    let call = async move || {
        let request = Routed::new(LlmRequest::chat("g", "hi"), Arc::clone(&deployment));
        service.clone().oneshot(request).await
    };
    (call, seen)
}

fn shown(seen: &Seen) -> Vec<Option<String>> {
    seen.lock().iter().map(|(_, shown)| shown.clone()).collect()
}

fn bearer(number: u32) -> Option<String> {
    Some(format!("Bearer canary-{number}"))
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_shown_with_each_request() {
    let (call, seen) = world(deployment(), |_| (200, ANSWER.to_owned()));
    call().await.expect("is answered");
    call().await.expect("is answered");
    assert_eq!(shown(&seen), [None, bearer(1), bearer(1)]);
    assert_eq!(seen.lock()[0].0, "oauth2.googleapis.com");
}

#[tokio::test]
async fn a_token_that_is_refused_is_not_shown_again_and_never_told() {
    let (call, seen) = world(deployment(), |shown| match shown {
        "Bearer canary-1" => {
            let told = format!(
                r#"{{"error":{{"code":401,"message":"no {shown}","status":"UNAUTHENTICATED"}}}}"#
            );
            (401, told)
        }
        _ => (200, ANSWER.to_owned()),
    });
    let error = call().await.expect_err("is refused");
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    call().await.expect("has a new one");
    assert_eq!(shown(&seen), [None, bearer(1), None, bearer(2)]);
}

#[tokio::test]
async fn a_header_of_the_deployment_s_own_is_shown_instead() {
    let own = deployment().with_header("authorization", "Bearer mine");
    let (call, seen) = world(own, |_| (200, ANSWER.to_owned()));
    call().await.expect("is answered");
    assert_eq!(shown(&seen), [Some("Bearer mine".to_owned())]);
}
