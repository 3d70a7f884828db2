//! Connections that go both ways: WebSockets to OpenAI's Realtime API, and to those that follow it.
//!
//! A connection is an answer when it stands and the provider has sent its first event: until then
//! every failure is one of the call, and another deployment may be tried. After that, messages pass
//! as they are, both ways; what they say is looked at for usage alone.

mod event;
mod handshake;
mod offer;
mod socket;

use std::{future::poll_fn, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, header::SEC_WEBSOCKET_PROTOCOL};
use http_body::Body;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::{WebSocketStream, tungstenite::protocol::Role};
use tower_service::Service;
use ziggurat_core::{
    BoxError, BoxItems, Deployment, Error, ErrorKind, LlmRequest, LlmResponse, Operation, Routed,
};

use crate::{
    RequestBody,
    chat::unsupported,
    dialect::{self, openai},
    endpoint::Endpoint,
    exchange::{answer, finisher},
    service::Shared,
    transport,
};

pub use self::{
    handshake::accept,
    offer::{Offer, client_key},
};

/// Connects to the deployment, and waits for the provider's first event.
pub(crate) async fn connect<C, B>(
    client: &mut C,
    shared: &Shared,
    routed: &Routed<LlmRequest>,
    deployment: &Arc<Deployment>,
) -> Result<LlmResponse, Error>
where
    C: Service<Request<RequestBody>, Response = Response<B>>,
    C::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let endpoint = shared.endpoints.get(deployment)?;
    if !is_served(deployment, &endpoint) {
        return Err(unsupported::operation(Operation::Realtime));
    }
    let request = routed.request();
    let offer = request.extensions().get::<Offer>().cloned();
    let offer = offer.unwrap_or_default();
    let query = request.upstream_body(routed.model(), false);
    let (outgoing, key) = handshake::request(&endpoint, routed.model(), &query, &offer)?;
    let answer = answer(client, shared, &endpoint, outgoing, deployment, None).await?;
    handshake::check(answer.status(), answer.headers(), &key)?;
    let protocol = offer.chosen(answer.headers());
    let finish = finisher(answer.headers());
    let upgraded = hyper::upgrade::on(answer).await;
    let upgraded = upgraded.map_err(|error| transport::failure(error.into()))?;
    let io = TokioIo::new(upgraded);
    let socket =
        WebSocketStream::from_raw_socket(io, Role::Client, Some(socket::config(MAX_MESSAGE)));
    let (mut events, uplink) = socket::halves(socket.await);
    let first = poll_fn(|cx| events.poll_event(cx)).await.transpose()?;
    let Some(first) = first else {
        let message = "the provider closed the connection before its first event";
        return Err(Error::new(ErrorKind::Unavailable, message));
    };
    if event::is_error(&first.bytes) {
        return Err(openai::in_band(&first.bytes, deployment));
    }
    let events: BoxItems = Box::pin(events.beginning_with(first));
    let mut response = finish(LlmResponse::connection(events, Box::new(uplink)))?;
    if let Some(protocol) = protocol {
        let headers = response.headers_mut();
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    Ok(response)
}

/// How long a message of a provider may be.
const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// Whether there may be such an API: OpenAI's own, those known to have one, and servers of which
/// nothing is known.
fn is_served(deployment: &Deployment, endpoint: &Endpoint) -> bool {
    let provider = deployment.provider();
    let is_known = matches!(provider, "openai" | "xai") || openai::default_base(provider).is_none();
    dialect::of(provider).is_none() && is_known && endpoint.knows_realtime()
}
