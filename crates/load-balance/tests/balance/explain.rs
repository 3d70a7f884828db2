//! What is said of a request that is not sent.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};
use ziggurat_core::{
    Deployments, Error, HasLedger, LlmRequest, LlmResponse, Reason, Rejection, Scope,
};
use ziggurat_load_balance::{Filters, LoadBalanceLayer, SimpleShuffle};

use crate::support::{Sent, member, refused, request};

#[tokio::test(start_paused = true)]
async fn it_says_of_each_deployment_how_it_stands() {
    let deployments = Deployments::from_iter([
        member("first").with_order(1),
        member("second").with_order(2),
        member("off").with_order(3).with_blocked(true),
    ]);
    let layer = LoadBalanceLayer::new(deployments, SimpleShuffle)
        .filter(Filters::new())
        .hint_cap(Duration::from_secs(60));
    let held = Arc::new(Mutex::new(Vec::new()));
    let stack = layer.layer(service_fn(|sent: Sent| {
        let answer = if sent.deployment().id().as_str() == "first" {
            let at = Instant::now() + Duration::from_millis(2_500);
            let rejection = Rejection::new(Reason::Cooldown, Scope::Deployment);
            Err(refused(rejection.retry_at(at)))
        } else {
            let items = futures_util::stream::pending();
            Ok(LlmResponse::stream(Box::pin(items)))
        };
        async { answer }
    }));
    let sent = request();
    let answer = stack.oneshot(sent.clone()).await.expect("second answers");
    held.lock().push(answer);

    let before = sent.ledger().map(|it| (it.attempts(), it.attempts_left()));
    let explanation = layer.explain(&sent).expect("there is a group");
    assert_eq!(
        explanation.to_string(),
        "`gpt`: 2 of 3 deployments may serve\n\
         > first: may serve, order 1, refuses (cooldown) for another 2.5 s, would be chosen now\n  \
           second: may serve, order 2, 1 in flight, was tried\n  \
           off: left out by blocked (gets no requests for now)\n"
    );
    let [first, second, off] = explanation.members() else {
        panic!("there are three");
    };
    assert!(first.is_refusing() && first.may_serve());
    assert_eq!(
        first.refusal().map(Rejection::reason),
        Some(Reason::Cooldown)
    );
    assert!(second.was_tried() && second.in_flight() == 1);
    assert_eq!(off.left_out_by().map(|(filter, _)| filter), Some("blocked"));
    let after = sent.ledger().map(|it| (it.attempts(), it.attempts_left()));
    assert_eq!(before, after, "nothing is counted");
    assert_eq!(layer.in_flight(&"second".into()), 1);
}

#[tokio::test(start_paused = true)]
async fn where_nobody_may_serve_it_says_what_the_client_is_told() {
    let deployments = Deployments::from_iter([member("a").with_team("red", None), member("b")]);
    let not_b = |_: &LlmRequest, it: &ziggurat_core::Deployment| it.id().as_str() != "b";
    let layer = LoadBalanceLayer::new(deployments, SimpleShuffle);
    let layer = layer.filter(Filters::new().own(not_b));
    let explanation = layer.explain(&request()).expect("there is a group");
    assert!(explanation.chosen().is_err());
    assert_eq!(
        explanation.to_string(),
        "`gpt`: 0 of 2 deployments may serve\n  \
           a: left out by team (is another team's)\n  \
           b: left out by filter (left out by the application)\n\
         400 no_matching_deployment: no deployment of `gpt` fits the request: \
         a (team: is another team's), b (filter: left out by the application)\n"
    );
    let by_id = layer.explain(&LlmRequest::chat("a", "hello"));
    let text = by_id.expect("there is a group").to_string();
    assert!(
        text.contains("b: left out by id (the request names another)"),
        "{text}"
    );
    let unknown: Error = layer
        .explain(&LlmRequest::chat("nobody", "hello"))
        .expect_err("there is none");
    assert_eq!(unknown.code(), "model_not_found");
}
