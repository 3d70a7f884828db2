//! Whether a deployment can be reached.

use std::sync::Arc;

use crate::support::{Act, CANARY, Client, HEADER_CANARY, deployment, hang, send};
use tower::ServiceExt;
use ziggurat_core::{Deployment, Error, ErrorKind};
use ziggurat_provider::Probed;

async fn probe(client: &Client, deployment: Deployment) -> Result<Probed, Error> {
    let probe = client.service().probe();
    probe.oneshot(Arc::new(deployment)).await
}

#[tokio::test(start_paused = true)]
async fn the_list_of_models_is_asked_for_with_the_deployments_credential() {
    let client = Client::json(200, r#"{"data":[{"id":"real-model"}]}"#);
    let probed = probe(&client, deployment()).await.expect("is reached");
    assert_eq!(probed.lists_model(), Some(true));
    let sent = client.sent();
    assert_eq!(
        (sent.method().as_str(), sent.uri().to_string().as_str()),
        ("GET", "http://provider.test/v1/models")
    );
    assert_eq!(sent.headers()["authorization"], format!("Bearer {CANARY}"));
    assert_eq!(sent.headers()["x-extra"], HEADER_CANARY);
    assert!(!sent.headers().contains_key("content-type"));
    assert!(sent.body().is_empty());
}

#[tokio::test(start_paused = true)]
async fn whatever_answers_is_reached() {
    for (body, listed) in [
        (r#"{"data":[{"id":"other"}]}"#, Some(false)),
        ("<html>hello</html>", None),
        ("", None),
    ] {
        let client = Client::new(200, "text/html", [send(body)]);
        let probed = probe(&client, deployment()).await.expect("is reached");
        assert_eq!(probed.lists_model(), listed, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_lists_no_models_is_not_asked() {
    let client = Client::json(200, "{}");
    let bedrock = deployment().with_provider("bedrock");
    let probed = probe(&client, bedrock).await.expect("nobody can tell");
    assert_eq!((probed.lists_model(), client.calls()), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_that_of_a_call() {
    let body = format!(r#"{{"error":{{"message":"wrong key {CANARY}"}}}}"#);
    for (status, kind) in [
        (401, ErrorKind::Authentication),
        (404, ErrorKind::NotFound),
        (429, ErrorKind::RateLimited),
        (503, ErrorKind::Unavailable),
    ] {
        let client = Client::json(status, &body).header("retry-after", "2");
        let error = probe(&client, deployment()).await.expect_err("fails");
        assert_eq!(error.kind(), kind);
        assert_eq!(error.deployment().map(|id| id.as_str()), Some("a"));
        assert!(!format!("{error:?}").contains("canary"));
    }
    let client = Client::json(200, r#"{"error":{"code":401,"message":"no"}}"#);
    let error = probe(&client, deployment()).await.expect_err("fails");
    assert_eq!(error.kind(), ErrorKind::Authentication);

    let client = Client::new(200, "application/json", [send("{"), Act::Break("reset")]);
    let error = probe(&client, deployment()).await.expect_err("fails");
    assert_eq!(error.kind(), ErrorKind::StreamBroken);

    let nowhere = Deployment::new("b", "gpt", "m").with_provider("bedrock");
    let error = probe(&client, nowhere).await.expect_err("fails");
    assert_eq!(error.deployment().map(|id| id.as_str()), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn dropping_a_probe_hangs_up() {
    let client = Client::new(200, "application/json", [send("{"), hang()]);
    let second = std::time::Duration::from_secs(1);
    let probing = tokio::time::timeout(second, probe(&client, deployment()));
    assert!(probing.await.is_err(), "the time is the caller's to limit");
    assert_eq!((client.calls(), client.open_bodies()), (1, 0));
}
