//! `GET /realtime`: a connection that is routed, and tried elsewhere, until it stands.

mod counted;
mod handshake;
mod session;

use std::future::poll_fn;

use axum::{body::Body, response::IntoResponse};
use http::{
    HeaderMap, HeaderValue, Request, StatusCode,
    header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_VERSION, UPGRADE},
    request::Parts,
};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tower_service::Service;
use ziggurat::{
    Error, ErrorKind, Items, LlmRequest, LlmResponse, Uplink, provider::realtime::accept,
};

use crate::{
    Endpoint,
    headers::{Called, accepted, respond},
    serve::Standing,
    shape::ErrorShape,
};

pub(crate) use self::session::GOODBYE;

/// What stands when the stack has answered.
struct Connected {
    headers: HeaderMap,
    items: Items,
    uplink: Box<dyn Uplink>,
    upgrade: OnUpgrade,
}

/// Asks the stack for a connection, and accepts the client's only if it gets one.
pub(crate) async fn connect<S>(
    endpoint: Endpoint<S>,
    request: Request<Body>,
) -> axum::response::Response
where
    S: Service<LlmRequest, Response = LlmResponse>,
    S::Error: Into<Error>,
{
    let (mut parts, _) = request.into_parts();
    let bounds = endpoint.bounds(&parts);
    let mut called = endpoint.called(&parts.headers, ErrorShape::OpenAi);
    let standing = parts.extensions.remove::<Standing>();
    let response = match ask(endpoint, &mut called, parts).await {
        Ok(connected) => {
            let response = accepted(&called, connected.headers);
            let (items, uplink) = (connected.items, connected.uplink);
            #[expect(
                clippy::disallowed_methods,
                reason = "a connection that stands outlives its request"
            )]
            tokio::spawn(async move {
                // If the client is gone by now, all is dropped.
                if let Ok(io) = connected.upgrade.await {
                    let io = TokioIo::new(io);
                    session::run(io, bounds, items, uplink, standing).await;
                }
            });
            response
        }
        Err(error) => {
            let mut response = respond(&called, Err(error));
            if response.status() == StatusCode::UPGRADE_REQUIRED {
                let headers = response.headers_mut();
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            response
        }
    };
    response.map(Body::new).into_response()
}

async fn ask<S>(
    endpoint: Endpoint<S>,
    called: &mut Called,
    mut parts: Parts,
) -> Result<Connected, Error>
where
    S: Service<LlmRequest, Response = LlmResponse>,
    S::Error: Into<Error>,
{
    let key = handshake::key(&parts)?;
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    let upgrade = upgrade.ok_or_else(handshake::required)?;
    let request = endpoint.query_request(&parts)?;
    called.follow(&request);
    called.wants_failures = request.controls().include_fallback_errors;
    let mut stack = endpoint.into_stack();
    let ready = poll_fn(|cx| stack.poll_ready(cx)).await;
    ready.map_err(Into::into)?;
    let answer = stack.call(request).await.map_err(Into::into)?;
    let (mut headers, mut items) = answer.into_parts();
    let Some(uplink) = items.take_uplink() else {
        let message = "the answer is no connection";
        return Err(Error::new(ErrorKind::BadAnswer, message));
    };
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept(&key));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    Ok(Connected {
        headers,
        items,
        uplink,
        upgrade,
    })
}
