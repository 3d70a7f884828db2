//! One call: the request out, the answer in.

use std::{
    future::poll_fn,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header::CONTENT_TYPE};
use http_body::Body;
use http_body_util::Full;
use tokio::time::Instant;
use tower_service::Service;
use ziggurat_core::{
    BoxError, BoxItems, Deployment, Error, ErrorKind, HasLedger, Ledger, LlmRequest, LlmResponse,
    Operation, Routed,
};

use crate::{
    RequestBody, body,
    dialect::openai::{self, Asked, Reader},
    retry_after,
    service::Shared,
    stream::EventStream,
    transport,
};

/// How much of an error answer is read, and for how long.
const ERROR_BYTES: usize = 64 * 1024;
const ERROR_TIME: Duration = Duration::from_secs(5);

/// Calls the deployment; every failure names it.
pub(crate) async fn exchange<C, B>(
    client: C,
    shared: Arc<Shared>,
    routed: Routed<LlmRequest>,
) -> Result<LlmResponse, Error>
where
    C: Service<Request<RequestBody>, Response = Response<B>>,
    C::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let deployment = Arc::clone(routed.deployment());
    let outcome = call(client, &shared, routed, &deployment).await;
    outcome.map_err(|error| named(error, &deployment))
}

async fn call<C, B>(
    mut client: C,
    shared: &Shared,
    routed: Routed<LlmRequest>,
    deployment: &Arc<Deployment>,
) -> Result<LlmResponse, Error>
where
    C: Service<Request<RequestBody>, Response = Response<B>>,
    C::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let marked = openai::marked(routed.request(), deployment.provider());
    let request = marked.as_ref().unwrap_or(routed.request());
    let operation = request.operation();
    let streams = openai::streams(request);
    let asked = Asked {
        usage: request.wants_stream_usage(),
        choices: (operation == Operation::ChatCompletions).then(|| request.choices()),
        refusals: request.ledger().is_some_and(Ledger::takes_refusals),
    };
    let asks_usage = streams && openai::must_ask_for_usage(deployment.provider());
    let body = RequestBody::new(request.upstream_parts(
        routed.model(),
        asks_usage,
        routed.deployment().default_fields(),
    ));
    let outgoing = shared.endpoints.get(deployment)?.request(operation, body)?;
    drop(routed);

    let answer = answer(&mut client, outgoing, deployment).await?;
    let (head, body) = answer.into_parts();
    let headers = openai::for_client(&head.headers);
    let limits = retry_after::limits(&head.headers, Instant::now());
    let finish = |response: LlmResponse| {
        let response = response.with_headers(headers);
        Ok(response.with_provider_limits(limits))
    };

    if streams && !is_json(&head.headers) {
        let items = begin(body, deployment, asked).await?;
        return finish(LlmResponse::stream(items));
    }
    let body = body::whole(body, shared.max_answer).await?;
    let usage = openai::check(operation, &body, deployment, asked.refusals)?;
    if !streams {
        return finish(LlmResponse::complete(body, usage));
    }
    let events = match openai::as_events(&body) {
        Some(events) => events,
        None if deployment.takes_any_answer() => openai::as_one_event(&body),
        None => {
            let message = "the provider's answer is no stream";
            return Err(Error::new(ErrorKind::BadAnswer, message));
        }
    };
    let items = begin(Full::new(events), deployment, asked).await?;
    finish(LlmResponse::stream(items))
}

/// Sends a request and waits for the head of the answer, which says success.
pub(crate) async fn answer<C, B>(
    client: &mut C,
    request: Request<RequestBody>,
    deployment: &Deployment,
) -> Result<Response<B>, Error>
where
    C: Service<Request<RequestBody>, Response = Response<B>>,
    C::Error: Into<BoxError>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    poll_fn(|cx| client.poll_ready(cx))
        .await
        .map_err(|error| transport::failure(error.into()))?;
    let answer = client.call(request).await;
    let answer = answer.map_err(|error| transport::failure(error.into()))?;
    if answer.status().is_success() {
        return Ok(answer);
    }
    let (head, body) = answer.into_parts();
    let body = body::beginning(body, ERROR_BYTES, ERROR_TIME).await;
    Err(openai::failure(
        head.status,
        &head.headers,
        &body,
        deployment,
        SystemTime::now(),
    ))
}

/// The same failure, with the name of the deployment if it has none.
pub(crate) fn named(error: Error, deployment: &Deployment) -> Error {
    if error.deployment().is_some() {
        return error;
    }
    error.with_deployment(deployment.id().clone())
}

/// The events of an answer, once it has begun.
async fn begin<B>(body: B, deployment: &Arc<Deployment>, asked: Asked) -> Result<BoxItems, Error>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let reader = Reader::new(Arc::clone(deployment), asked);
    let mut events = Box::pin(EventStream::new(body, reader));
    poll_fn(|cx| events.as_mut().poll_begin(cx)).await?;
    Ok(events)
}

/// Whether an answer is whole though a stream was asked for.
fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/json"))
}
