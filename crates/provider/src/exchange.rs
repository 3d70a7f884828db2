//! One call: the request out, the answer in.

use std::{
    future::poll_fn,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{
    HeaderMap, Request, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use http_body::Body;
use http_body_util::Full;
use smallvec::smallvec;
use tokio::time::Instant;
use tower_service::Service;
use ziggurat_core::{
    BoxError, BoxItems, Capability, Deployment, Error, ErrorKind, HasLedger, Ledger, LlmRequest,
    LlmResponse, ObjectId, Operation, Routed, off_reactor,
};

use crate::{
    RequestBody, body,
    chat::{Events, unsupported},
    count_tokens::count,
    dialect::{
        self, Call, Dialect, OwnCall,
        openai::{self, Asked},
    },
    endpoint::Endpoint,
    media::{self, respond},
    pass_through::pass_through,
    reader::Reader,
    realtime, retry_after, secrets,
    service::Shared,
    shape::{self, responses},
    stream::{EventStream, Read},
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
    if let Some(passed) = routed.request().passed() {
        return pass_through(client, shared, &routed, passed).await;
    }
    if routed.request().operation() == Operation::Realtime {
        return realtime::connect(&mut client, shared, &routed, deployment).await;
    }
    if routed.request().operation() == Operation::CountTokens {
        return count(&mut client, shared, &routed).await;
    }
    let marked = marked(routed.request(), deployment).await;
    let request = marked.as_ref().unwrap_or(routed.request());
    let dialect = dialect::of_deployment(deployment);
    let client_shape = match dialect {
        Some(_) => {
            shape::Client::of(request, routed.model()).or_else(|| shape::Client::over_chat(request))
        }
        None => shape::Client::of(request, routed.model()),
    };
    let shaped = client_shape.as_ref();
    let operation = match shaped {
        Some(_) => Operation::ChatCompletions,
        None => request.operation(),
    };
    let streams = request.is_stream();
    let asked = Asked {
        usage: request.wants_stream_usage() || shaped.is_some(),
        choices: (operation == Operation::ChatCompletions).then(|| request.choices()),
        refusals: request.ledger().is_some_and(Ledger::takes_refusals),
    };
    let endpoint = shared.endpoints.get(deployment)?;
    let asks_usage = streams
        && dialect.is_none()
        && openai::must_ask_for_usage(deployment.provider(), operation)
        && endpoint.knows_usage();
    let defaults = routed.deployment().default_fields();
    let length = request.body().len();
    let call = Call {
        deployment,
        operation,
        request,
        body: &[],
        model: routed.model(),
        streams,
        now: seconds_since_1970(),
    };
    let wanted = request.operation();
    let speaks = match dialect {
        Some(dialect) => dialect.speaks(wanted, routed.model()),
        None => {
            wanted == Operation::Responses
                && endpoint.knows_responses()
                && responses::is_native(deployment)
        }
    };
    if let Some(shaped) = shaped.filter(|_| speaks) {
        let parts = request.upstream_parts(routed.model(), false, &shaped.known(defaults));
        let outgoing = match dialect {
            Some(dialect) => {
                let (own, endpoint) = (OwnCall::of(&call), Arc::clone(&endpoint));
                let writing = move || {
                    let body = match &parts[..] {
                        [whole] => whole.clone(),
                        parts => parts.concat().into(),
                    };
                    let call = own.call();
                    endpoint.outgoing(call.request, dialect.native(&call, body)?)
                };
                off_reactor(length, writing).await?
            }
            None => endpoint.request(wanted, routed.model(), RequestBody::new(parts))?,
        };
        return native(
            &mut client,
            shared,
            &endpoint,
            dialect,
            outgoing,
            &call,
            shaped,
            asked,
        )
        .await;
    }
    let mut parts =
        request.upstream_parts(routed.model(), asks_usage && shaped.is_none(), defaults);
    if let Some(dialect) = dialect {
        let (own, endpoint_of_it) = (OwnCall::of(&call), Arc::clone(&endpoint));
        let client_shape = shaped.cloned();
        let writing = move || {
            let mut body = parts.concat();
            if let Some(shaped) = client_shape {
                body = shaped.to_chat(&body, own.call().deployment)?;
            }
            let body = Bytes::from(body);
            let own = own.with_body(body.clone());
            let call = own.call();
            let outgoing = endpoint_of_it.outgoing(call.request, dialect.request(&call)?)?;
            let held = call.request.hold(body);
            Ok::<_, Error>((own.with_body(held), outgoing))
        };
        let (own, outgoing) = off_reactor(length, writing).await?;
        return translated(
            &mut client,
            shared,
            &endpoint,
            dialect,
            outgoing,
            own,
            shaped,
            asked,
        )
        .await;
    }
    if let Some(shaped) = shaped {
        let (shaped, deployment) = (shaped.clone(), Arc::clone(deployment));
        let of = request.clone();
        let writing = move || {
            let body = shaped.to_openai(&parts.concat(), &deployment, asks_usage)?;
            Ok::<_, Error>(of.hold(body))
        };
        parts = smallvec![off_reactor(length, writing).await?];
    }
    let mut outgoing = endpoint.request(operation, routed.model(), RequestBody::new(parts))?;
    if operation.takes_form() {
        let kind = request.content_type().clone();
        outgoing.headers_mut().insert(CONTENT_TYPE, kind);
    }
    let used = media::asked(request);
    let most = shared.most(request);
    drop(routed);

    let answer = answer(&mut client, shared, &endpoint, outgoing, deployment, None).await?;
    let deployment = &shared.called(&endpoint, deployment);
    let (head, body) = answer.into_parts();
    let finish = finisher(&head.headers);

    if openai::is_media(operation) {
        let headers = head.headers;
        return finish(respond(operation, used, streams, headers, body, deployment, &most).await?);
    }
    if streams && !is_json(&head.headers) {
        let items = begin(body, deployment, shaped, asked).await?;
        return finish(LlmResponse::stream(items));
    }
    let body = body::whole(body, &most).await?;
    let own = Arc::clone(deployment);
    let shaped_whole = shaped.filter(|_| !streams).cloned();
    let length = body.len();
    let reading = move || {
        let usage = openai::check(operation, &body, &own, asked.refusals)?;
        Ok::<_, Error>((in_shape(shaped_whole.as_ref(), body)?, usage))
    };
    let (body, usage) = off_reactor(length, reading).await?;
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
    let items = begin(Full::new(events), deployment, shaped, asked).await?;
    finish(LlmResponse::stream(items))
}

/// The same by way of another dialect.
#[expect(clippy::too_many_arguments, reason = "all that is known of a call")]
async fn translated<C, B>(
    client: &mut C,
    shared: &Shared,
    endpoint: &Endpoint,
    dialect: &'static dyn Dialect,
    outgoing: Request<RequestBody>,
    own: OwnCall,
    shaped: Option<&shape::Client>,
    asked: Asked,
) -> Result<LlmResponse, Error>
where
    C: Service<Request<RequestBody>, Response = Response<B>>,
    C::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let deployment = own.call().deployment;
    let answer = answer(
        client,
        shared,
        endpoint,
        outgoing,
        deployment,
        Some(dialect),
    )
    .await?;
    let deployment = shared.called(endpoint, deployment);
    let own = own.with_deployment(Arc::clone(&deployment));
    let (head, body) = answer.into_parts();
    let finish = finisher(&head.headers);
    let call = own.call();
    let streams = call.streams;
    if streams && !is_json(&head.headers) {
        let reader = openai::Reader::new(deployment, asked);
        let events = Events::new(call.model, call.now);
        let reader = Reader::decoding(reader, dialect.decoder(&call), events);
        let reader = reader.encoding(shaped.map(shape::Client::encoder));
        let items = begin_with(body, reader).await?;
        return finish(LlmResponse::stream(items));
    }
    let body = body::whole(body, &shared.most(call.request)).await?;
    let length = body.len();
    let (headers, refusals) = (head.headers, asked.refusals);
    let shaped_whole = shaped.filter(|_| !streams).cloned();
    let reading = move || {
        let call = own.call();
        let body = dialect.answer(&call, &headers, &body)?;
        let usage = openai::check(call.operation, &body, call.deployment, refusals)?;
        Ok::<_, Error>((in_shape(shaped_whole.as_ref(), body)?, usage))
    };
    let (body, usage) = off_reactor(length, reading).await?;
    if !streams {
        return finish(LlmResponse::complete(body, usage));
    }
    let events = openai::as_events(&body).unwrap_or_else(|| openai::as_one_event(&body));
    let items = begin(Full::new(events), &deployment, shaped, asked).await?;
    finish(LlmResponse::stream(items))
}

/// The same in the client's own bytes, which the provider understands. What it answers is translated
/// all the same, to be held to the rules.
#[expect(clippy::too_many_arguments, reason = "all that is known of a call")]
async fn native<C, B>(
    client: &mut C,
    shared: &Shared,
    endpoint: &Endpoint,
    dialect: Option<&'static dyn Dialect>,
    outgoing: Request<RequestBody>,
    call: &Call<'_>,
    shaped: &shape::Client,
    asked: Asked,
) -> Result<LlmResponse, Error>
where
    C: Service<Request<RequestBody>, Response = Response<B>>,
    C::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let answer = answer(
        client,
        shared,
        endpoint,
        outgoing,
        call.deployment,
        dialect.map(|dialect| dialect as &dyn Dialect),
    )
    .await?;
    let call = &Call {
        deployment: &shared.called(endpoint, call.deployment),
        ..*call
    };
    let (head, body) = answer.into_parts();
    let finish = finisher(&head.headers);
    // Of what Anthropic's clients are told nothing is kept.
    let is_kept = dialect.is_none();
    if call.streams && !is_json(&head.headers) {
        let reader = openai::Reader::new(Arc::clone(call.deployment), asked);
        let events = Events::new(call.model, call.now);
        let decoder = match dialect {
            Some(dialect) => dialect.decoder(call),
            None => responses::decoder(call.deployment),
        };
        let reader = Reader::native(reader, decoder, events, shaped.last_event());
        let keeper = is_kept.then(|| call.deployment.public_id());
        let reader = reader.minting(keeper);
        let items = begin_with(body, reader).await?;
        return finish(LlmResponse::stream(items));
    }
    let body = body::whole(body, &shared.most(call.request)).await?;
    let (own, length) = (OwnCall::of(call), body.len());
    let (headers, refusals) = (head.headers, asked.refusals);
    let reading = move || {
        let call = own.call();
        let chat = match dialect {
            Some(dialect) => dialect.answer(&call, &headers, &body)?,
            None => responses::to_chat_answer(&body, call.deployment)?,
        };
        let usage = openai::check(call.operation, &chat, call.deployment, refusals)?;
        let is_minted = is_kept && !call.streams;
        let minted = is_minted.then(|| ObjectId::mint(call.deployment.public_id(), &body));
        let body = minted.flatten().map_or(body, Bytes::from);
        Ok::<_, Error>((chat, body, usage))
    };
    let (chat, body, usage) = off_reactor(length, reading).await?;
    if !call.streams {
        return finish(LlmResponse::complete(body, usage));
    }
    let events = openai::as_events(&chat).unwrap_or_else(|| openai::as_one_event(&chat));
    let items = begin(Full::new(events), call.deployment, Some(shaped), asked).await?;
    finish(LlmResponse::stream(items))
}

/// The request as the provider wants it whose prompt ends with the beginning of the answer.
async fn marked(request: &LlmRequest, deployment: &Arc<Deployment>) -> Option<LlmRequest> {
    if !request.needs().contains(Capability::AssistantPrefill) {
        return None;
    }
    let (request, deployment) = (request.clone(), Arc::clone(deployment));
    let length = request.body().len();
    off_reactor(length, move || {
        openai::marked(&request, deployment.provider())
    })
    .await
}

/// A whole answer as the client knows it.
fn in_shape(shaped: Option<&shape::Client>, body: Bytes) -> Result<Bytes, Error> {
    match shaped {
        Some(shaped) => shaped.answer(&body),
        None => Ok(body),
    }
}

/// Puts the headers for the client, and what the provider says of its limits, to an answer.
pub(crate) fn finisher(
    headers: &HeaderMap,
) -> impl FnOnce(LlmResponse) -> Result<LlmResponse, Error> + use<> {
    let limits = retry_after::limits(headers, Instant::now(), SystemTime::now());
    let headers = openai::for_client(headers);
    move |mut response| {
        let own = std::mem::replace(response.headers_mut(), headers);
        response.headers_mut().extend(own);
        Ok(response.with_provider_limits(limits))
    }
}

pub(crate) fn seconds_since_1970() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Sends a request, with a token if the deployment needs one, and waits for the head of the answer,
/// which says success.
pub(crate) async fn answer<C, B>(
    client: &mut C,
    shared: &Shared,
    endpoint: &Endpoint,
    mut request: Request<RequestBody>,
    deployment: &Deployment,
    dialect: Option<&dyn Dialect>,
) -> Result<Response<B>, Error>
where
    C: Service<Request<RequestBody>, Response = Response<B>>,
    C::Error: Into<BoxError>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let mut shown = None;
    if let Some(source) = endpoint.token() {
        let now = seconds_since_1970();
        let token = shared.tokens.get(source, client, now).await?;
        request.headers_mut().insert(AUTHORIZATION, token.clone());
        shown = Some((source, token));
    }
    poll_fn(|cx| client.poll_ready(cx))
        .await
        .map_err(|error| transport::failure(error.into()))?;
    let answer = client.call(request).await;
    let mut answer = answer.map_err(|error| transport::failure(error.into()))?;
    if answer.status().is_success() || answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let token = shown.as_ref().map(|(_, token)| token);
        endpoint.secrets().remove_from(answer.headers_mut(), token);
        return Ok(answer);
    }
    let (head, body) = answer.into_parts();
    let body = body::beginning(body, ERROR_BYTES, ERROR_TIME).await;
    let told = shown
        .as_ref()
        .map(|(_, token)| secrets::with_token(deployment, token));
    let deployment = told.as_ref().unwrap_or(deployment);
    let now = SystemTime::now();
    let (status, headers) = (head.status, &head.headers);
    let error = match dialect {
        Some(dialect) => dialect.failure(status, headers, &body, deployment, now),
        None => openai::failure(status, headers, &body, deployment, now),
    };
    if let Some((source, token)) = shown
        && error.kind() == ErrorKind::Authentication
    {
        shared.tokens.forget(source, &token);
    }
    Err(error)
}

/// The same failure, with the name of the deployment if it has none.
pub(crate) fn named(error: Error, deployment: &Deployment) -> Error {
    if error.deployment().is_some() {
        return error;
    }
    let error = unsupported::told(error, deployment);
    error.with_deployment(deployment.id().clone())
}

/// The events of an answer, once it has begun.
async fn begin<B>(
    body: B,
    deployment: &Arc<Deployment>,
    shaped: Option<&shape::Client>,
    asked: Asked,
) -> Result<BoxItems, Error>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let reader = openai::Reader::new(Arc::clone(deployment), asked);
    let reader = Reader::new(reader).encoding(shaped.map(shape::Client::encoder));
    begin_with(body, reader).await
}

/// The same of whatever the reader reads.
pub(crate) async fn begin_with<B, R>(body: B, reader: R) -> Result<BoxItems, Error>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: Read + Send + 'static,
{
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
