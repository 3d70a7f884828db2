//! What the gateway tells of itself.

use http::Method;
use serde_json::json;
use ziggurat::{LlmRequest, Operation, Routed};

use crate::{
    canaries::{API_KEY, CALLER, CLIENT_KEY, HASH, HASHED},
    deployments::GROUPS,
    provider::Reply,
    said,
    world::{World, clean},
};

#[tokio::test]
async fn no_listing_tells_a_secret() {
    let world = World::start().await;
    world.provider.answers(|heard| {
        let said = said::echo(heard, &[]);
        Some(Reply::json(
            401,
            json!({"error": {"message": said}}).to_string(),
        ))
    });
    for path in [
        "/health",
        "/health?check=false",
        "/v1/models",
        "/model/info",
        "/v1/model/info",
        "/model_group/info",
        "/router/settings",
        "/metrics",
        "/health/readiness",
        "/nowhere",
    ] {
        let got = world.send(Method::GET, path, None).await;
        assert_eq!(got.status == 200, path != "/nowhere", "{path}: {got:?}");
    }
    world.is_clean();
}

#[tokio::test]
async fn no_key_of_a_caller_is_told_whatever_is_asked_with_it() {
    let world = World::start().await;
    let chat = json!({"model": "openai", "messages": [{"role": "user", "content": "hi"}]});
    for (key, statuses) in [
        (CALLER, [200, 403, 403]),
        // It is let in, and nobody answers.
        (HASHED, [200, 403, 503]),
        (HASH, [401, 401, 401]),
    ] {
        let told = [
            world.send_as(key, Method::GET, "/key/info", None).await,
            world.send_as(key, Method::GET, "/model/info", None).await,
            world
                .send_as(key, Method::POST, "/v1/chat/completions", Some(&chat))
                .await,
        ];
        assert_eq!(told.each_ref().map(|got| got.status), statuses, "{told:?}");
    }
    let plan = world.router.plan();
    let ring = ziggurat_gateway::KeyRing::of(&plan);
    clean(
        "the keys",
        &format!("{:?} {ring:?} {:?}", plan.callers, world.gateway),
    );
    world.is_clean();
}

#[tokio::test]
async fn nothing_that_can_be_printed_tells_a_secret() {
    let world = World::start().await;
    let body = json!({
        "model": "openai", "messages": [{"role": "user", "content": "hi"}],
        "api_key": CLIENT_KEY, "api_base": format!("https://u:{CLIENT_KEY}@x.example/?k={CLIENT_KEY}"),
    });
    let options = ziggurat::ReadOptions::new().client_credentials(true);
    let body = body.to_string();
    let request = LlmRequest::read(Operation::ChatCompletions, body, options);
    let request = request.expect("is a request");
    clean(
        "a request",
        &format!("{request:?} {:?}", request.controls()),
    );
    for (group, _) in GROUPS {
        for deployment in world.router.deployments_of(group) {
            clean(group, &format!("{deployment:?} {deployment:#?}"));
            let routed = Routed::new(request.clone(), deployment);
            clean(group, &format!("{routed:?}"));
        }
        let chat = LlmRequest::chat(group, "hi");
        let explained = world.router.explain(&chat).expect("can be explained");
        clean(group, &format!("{explained} {explained:?}"));
    }
    clean("a secret", &format!("{:?}", ziggurat::Secret::new(API_KEY)));
    world.is_clean();
}
