//! Connections to simulated providers, through both HTTP clients.

use std::{future::poll_fn, sync::Arc};

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Request, Response};
use http_body::Body;
use serde_json::{Value, json};
use tower::{Service, ServiceExt};
use ziggurat_core::{
    BoxError, Close, Deployment, Error, ErrorKind, Items, LlmRequest, Message, Operation, Routed,
    Secret, Uplink, Usage,
};
use ziggurat_provider::{
    HyperClient, LlmService, RequestBody, ReqwestClient, TransportConfig, realtime::Offer,
};
use ziggurat_testkit::provider::{Simulator, Step};

async fn connect<C, B>(client: C, simulator: &Simulator) -> Result<Items, Error>
where
    C: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
    C::Error: Into<BoxError>,
    C::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let deployment = Deployment::new("a", "rt", "gpt-realtime")
        .with_base_url(simulator.base_url("a"))
        .with_credential(Secret::new("sk-canary"));
    let query = json!({"model": "rt", "intent": "talk"});
    let mut request = LlmRequest::from_value(Operation::Realtime, &query)?;
    let offered = [("sec-websocket-protocol", "realtime")];
    let offered = offered.map(|(name, value)| {
        let name = http::HeaderName::from_static(name);
        (name, http::HeaderValue::from_static(value))
    });
    let offer = Offer::new(&offered.into_iter().collect());
    request.extensions_mut().insert(offer);
    assert!(request.is_stream());
    let service = LlmService::with_client(client);
    let routed = Routed::new(request, Arc::new(deployment));
    let answer = service.oneshot(routed).await?;
    let chosen = answer.headers().get("sec-websocket-protocol");
    assert_eq!(chosen.map(|name| name.as_bytes()), Some(&b"realtime"[..]));
    Ok(answer.into_parts().1)
}

async fn say(uplink: &mut dyn Uplink, message: Message) {
    poll_fn(|cx| uplink.poll_ready(cx)).await;
    uplink.send(message);
    poll_fn(|cx| uplink.poll_flush(cx)).await;
}

async fn talk(mut items: Items, simulator: &Simulator) {
    let mut uplink = items.take_uplink().expect("is a connection");
    let first = items.next().await.expect("comes").expect("is one");
    let first: Value = serde_json::from_slice(&first.bytes).expect("is JSON");
    assert_eq!(first["type"], "session.created");
    for expected in [Usage::new(10, 5), Usage::new(20, 10)] {
        let create = json!({"type": "response.create"}).to_string();
        say(&mut *uplink, Message::Text(create.into())).await;
        let used = loop {
            let item = items.next().await.expect("goes on").expect("is one");
            if let Some(usage) = item.usage {
                break usage;
            }
        };
        assert_eq!(used, expected);
    }
    let close = Close::new(1000, "done");
    say(&mut *uplink, Message::Close(Some(close))).await;
    assert!(items.next().await.is_none(), "it ends well");
    simulator.wait_until(|it| it.in_flight("a") == 0).await;
    let call = simulator.calls("a").pop().expect("was called");
    assert_eq!(call.path, "/v1/realtime?model=gpt-realtime&intent=talk");
    assert_eq!(call.headers["authorization"], "Bearer sk-canary");
    assert_eq!(call.closed, Some(1000));
}

#[tokio::test]
async fn both_clients_make_connections() {
    let simulator = Simulator::start().await.expect("a port is free");
    let config = TransportConfig::new();
    let client = ReqwestClient::new(&config).expect("can be made");
    let items = connect(client, &simulator).await;
    talk(items.expect("connects"), &simulator).await;
    let client = HyperClient::new(&config).expect("can be made");
    let items = connect(client, &simulator).await;
    talk(items.expect("connects"), &simulator).await;
}

#[tokio::test]
async fn a_failure_before_the_first_event_is_one_of_the_call() {
    let simulator = Simulator::start().await.expect("a port is free");
    let client = HyperClient::new(&TransportConfig::new()).expect("can be made");
    let quota = || Step::ok().error_in_200().error_code("insufficient_quota");
    for (step, kind) in [
        (Step::status(401), ErrorKind::Authentication),
        (Step::status(503), ErrorKind::Unavailable),
        (Step::ok().reset(), ErrorKind::Connect),
        (Step::ok().raw("{}", "text/plain"), ErrorKind::BadAnswer),
        (quota(), ErrorKind::RateLimited),
    ] {
        simulator.script("a", step.clone());
        let error = connect(client.clone(), &simulator).await;
        let error = error.expect_err("does not connect");
        assert_eq!(error.kind(), kind, "{step:?}");
        assert_eq!(error.deployment().map(|id| id.as_str()), Some("a"));
        assert!(!format!("{error:?}").contains("canary"));
    }
    simulator.wait_until(|it| it.in_flight("a") == 0).await;
}
