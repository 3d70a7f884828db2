//! What the router reads from a request's headers, and what it tells in a response's.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, USER_AGENT},
};
use tokio::time::Instant;
use ziggurat::{
    Error, ErrorKind, HasLedger as _, Ledger, LlmRequest, LlmResponse, Router, parse_seconds,
    rate_limit::Refused,
};

use crate::{ResponseBody, body::Answering, keep_alive::KeepAlive, limits, shape::ErrorShape};

const CALL_ID: HeaderName = HeaderName::from_static("x-litellm-call-id");
/// The same, as Anthropic's clients look for it.
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const MODEL_ID: HeaderName = HeaderName::from_static("x-litellm-model-id");
const MODEL_GROUP: HeaderName = HeaderName::from_static("x-litellm-model-group");
const RETRIES: HeaderName = HeaderName::from_static("x-litellm-attempted-retries");
const FALLBACKS: HeaderName = HeaderName::from_static("x-litellm-attempted-fallbacks");
const DURATION: HeaderName = HeaderName::from_static("x-litellm-response-duration-ms");
const OVERHEAD: HeaderName = HeaderName::from_static("x-litellm-overhead-duration-ms");
const REGION: HeaderName = HeaderName::from_static("x-litellm-model-region");
const TRAIL: HeaderName = HeaderName::from_static("x-ziggurat-trail");
const CONFIG: HeaderName = HeaderName::from_static("x-ziggurat-config");
const QUEUED: HeaderName = HeaderName::from_static("x-ziggurat-queue-ms");
const ROUTE: HeaderName = HeaderName::from_static("x-ziggurat-route");
const COST: HeaderName = HeaderName::from_static("x-litellm-response-cost");
const ESTIMATED: HeaderName = HeaderName::from_static("x-ziggurat-usage-estimated");
const FALLBACK_ERRORS: HeaderName = HeaderName::from_static("x-litellm-fallback-errors");

const TIMEOUT: HeaderName = HeaderName::from_static("x-litellm-timeout");
const STREAM_TIMEOUT: HeaderName = HeaderName::from_static("x-litellm-stream-timeout");
const FIRST_TOKEN: HeaderName = HeaderName::from_static("x-ziggurat-first-token-timeout");
const IDLE: HeaderName = HeaderName::from_static("x-ziggurat-idle-timeout");
const DEADLINE: HeaderName = HeaderName::from_static("x-ziggurat-deadline");
const NUM_RETRIES: HeaderName = HeaderName::from_static("x-litellm-num-retries");
const TAGS: HeaderName = HeaderName::from_static("x-litellm-tags");
const SESSION: HeaderName = HeaderName::from_static("x-litellm-session-id");

/// The longest session and user agent that are looked at, in bytes.
const LONGEST: usize = 512;

/// Adds to a request what its headers say; they win over the body.
pub(crate) fn apply_headers(
    mut request: LlmRequest,
    headers: &HeaderMap,
    user_agent: bool,
) -> Result<LlmRequest, Error> {
    if let Some(timeout) = seconds(headers, &TIMEOUT)? {
        request.controls_mut().timeout = Some(timeout);
    }
    if let Some(timeout) = seconds(headers, &STREAM_TIMEOUT)? {
        request.controls_mut().stream_timeout = Some(timeout);
    }
    if let Some(timeout) = seconds(headers, &FIRST_TOKEN)? {
        request.controls_mut().first_token_timeout = Some(timeout);
    }
    if let Some(timeout) = seconds(headers, &IDLE)? {
        request.controls_mut().idle_timeout = Some(timeout);
    }
    if let Some(deadline) = seconds(headers, &DEADLINE)? {
        request.controls_mut().deadline = Some(deadline);
    }
    if let Some(text) = text(headers, &NUM_RETRIES)? {
        let retries = text.trim().parse().ok().filter(|retries| *retries <= 100);
        let Some(retries) = retries else {
            return Err(bad_header(&NUM_RETRIES, "a whole number from 0 to 100"));
        };
        request.controls_mut().num_retries = Some(retries);
    }
    if let Some(tags) = text(headers, &TAGS)? {
        request.add_tags(
            tags.split(',')
                .map(str::trim)
                .filter(|tag| !tag.is_empty())
                .take(64),
        );
    }
    if let Some(session) = text(headers, &SESSION)? {
        if session.len() > LONGEST {
            return Err(bad_header(&SESSION, "512 bytes long at most"));
        }
        request = request.with_session(session);
    }
    if user_agent && let Some(agent) = headers.get(USER_AGENT) {
        let agent = String::from_utf8_lossy(&agent.as_bytes()[..agent.len().min(LONGEST)]);
        request.controls_mut().user_agent = Some(agent.into());
    }
    Ok(request)
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Error> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    value
        .to_str()
        .map(Some)
        .map_err(|_| bad_header(name, "visible ASCII"))
}

fn seconds(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Duration>, Error> {
    let Some(text) = text(headers, name)? else {
        return Ok(None);
    };
    parse_seconds(text)
        .map(Some)
        .ok_or_else(|| bad_header(name, "a number of seconds over 0"))
}

fn bad_header(name: &HeaderName, expected: &str) -> Error {
    Error::new(
        ErrorKind::BadRequest,
        format!("the header `{name}` must be {expected}"),
    )
    .with_param(name.as_str())
}

/// A call as it came in: what is needed to tell of it afterwards.
pub(crate) struct Called {
    id: HeaderValue,
    at: Instant,
    pub(crate) ledger: Option<Ledger>,
    /// Whether the client wants to know why groups failed.
    pub(crate) wants_failures: bool,
    pub(crate) keep_alive: Option<Duration>,
    /// What was asked, to tell what its caller has left.
    request: Option<LlmRequest>,
    errors: ErrorShape,
    router: Option<Router>,
}

impl Called {
    pub(crate) fn new(headers: &HeaderMap, errors: ErrorShape, router: Option<Router>) -> Self {
        let given = headers.get(CALL_ID).filter(|id| id.len() <= 128);
        Self {
            id: given.cloned().unwrap_or_else(new_id),
            at: Instant::now(),
            ledger: None,
            wants_failures: false,
            keep_alive: None,
            request: None,
            errors,
            router,
        }
    }

    /// Says how the call goes by, where the client looks for it too.
    fn name(&self, headers: &mut HeaderMap) {
        headers.insert(CALL_ID, self.id.clone());
        if self.errors == ErrorShape::Anthropic {
            headers.insert(REQUEST_ID, self.id.clone());
        }
    }

    /// Follows the request, which gets the name of the call.
    pub(crate) fn follow(&mut self, request: &LlmRequest) {
        let ledger = request.ledger();
        if let (Some(ledger), Ok(id)) = (ledger, self.id.to_str()) {
            ledger.set_name(id);
        }
        self.ledger = ledger.cloned();
        self.request = self.router.is_some().then(|| request.clone());
    }
}

/// A random UUID, version 4.
fn new_id() -> HeaderValue {
    let random = (fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{random:032x}");
    let id = format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    );
    HeaderValue::try_from(id).expect("hexadecimal digits are a header value")
}

/// Makes the HTTP response of an answer or an error, with the headers that tell what happened.
pub(crate) fn respond(
    called: &Called,
    answer: Result<LlmResponse, Error>,
) -> Response<ResponseBody> {
    let is_refused = answer.as_ref().is_err_and(|it| Refused::find(it).is_some());
    let mut response = match answer {
        Ok(mut answer) => {
            tell_charge(&mut answer);
            let (headers, body, kind) = match answer.into_complete() {
                Ok((headers, bytes)) => {
                    (headers, ResponseBody::complete(bytes), "application/json")
                }
                Err(stream) => {
                    let (mut headers, items) = stream.into_parts();
                    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
                    let body = match has_events(&headers) {
                        true => {
                            let keep_alive = KeepAlive::new(called.keep_alive);
                            ResponseBody::stream(items, keep_alive, called.errors)
                        }
                        false => ResponseBody::bytes(items),
                    };
                    (headers, body, called.errors.stream_type())
                }
            };
            let mut response = Response::new(body);
            *response.headers_mut() = headers;
            let kind = HeaderValue::from_static(kind);
            response.headers_mut().entry(CONTENT_TYPE).or_insert(kind);
            response
        }
        Err(error) => refuse(&error, called.errors),
    };
    if is_refused {
        // It is told which limit it met, and nothing of others.
        tell(called, response.headers_mut());
    } else {
        tell_all(called, response.headers_mut());
    }
    response
}

/// Tells how the call went, and what is left of limits.
fn tell_all(called: &Called, headers: &mut HeaderMap) {
    let served = tell(called, headers);
    if let Some(router) = &called.router {
        let request = called.request.as_ref();
        limits::tell_left(router, request, served.as_deref(), headers);
    }
}

/// The response that makes a connection of a request, with the same headers.
pub(crate) fn accepted(called: &Called, own: HeaderMap) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::complete(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = own;
    tell_all(called, response.headers_mut());
    response
}

/// Whether a stream is one of events, as it is unless it says something else.
fn has_events(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE);
    kind.is_none_or(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

/// The response of a stream that has not begun, so that the client knows that it will. How it went
/// is not known yet, and not told.
pub(crate) fn respond_late(called: &Called, answer: Answering) -> Response<ResponseBody> {
    let keep_alive = KeepAlive::new(called.keep_alive);
    let body = ResponseBody::late(answer, keep_alive, called.errors);
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let kind = HeaderValue::from_static(called.errors.stream_type());
    headers.insert(CONTENT_TYPE, kind);
    called.name(headers);
    if let Some(router) = &called.router {
        insert(headers, CONFIG, &format!("{:016x}", router.version()));
    }
    response
}

/// The response for an error: its status, its body in the client's shape, how long to wait where
/// that helps, and which limit it met if it met one.
pub(crate) fn refuse(error: &Error, shape: ErrorShape) -> Response<ResponseBody> {
    let refused = Refused::find(error);
    let body = shape.json(error);
    let with_limit = refused.and_then(|refused| limits::add_to_body(refused, &body));
    let mut response = Response::new(ResponseBody::complete(with_limit.unwrap_or(body)));
    *response.status_mut() = error.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if matches!(
        error.status(),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    ) {
        limits::tell_wait(error, headers);
    }
    if let Some(refused) = refused {
        limits::tell_refused(refused, headers);
    }
    limits::tell_provider(error, headers);
    response
}

/// Tells how the call went; gives the group that served.
fn tell(called: &Called, headers: &mut HeaderMap) -> Option<Arc<str>> {
    let total = called.at.elapsed();
    called.name(headers);
    headers.insert(DURATION, milliseconds(total));
    let ledger = called.ledger.as_ref()?;
    headers.insert(RETRIES, HeaderValue::from(ledger.retries()));
    headers.insert(FALLBACKS, HeaderValue::from(ledger.fallbacks()));
    let queued = ledger.queued();
    if !queued.is_zero() {
        headers.insert(QUEUED, milliseconds(queued));
    }
    if called.wants_failures {
        tell_failures(&ledger.failures(), headers);
    }
    if let Some(route) = ledger.route() {
        let plain: String = route.chars().map(ascii).collect();
        insert(headers, ROUTE, &plain);
    }
    let served = ledger.with_trail(|trail| {
        let attempts: Duration = trail
            .entries()
            .iter()
            .filter_map(ziggurat::TrailEntry::took)
            .sum();
        headers.insert(OVERHEAD, milliseconds(total.saturating_sub(attempts)));
        if let Some(served) = trail.served() {
            insert(headers, MODEL_ID, served.deployment().public_id().as_str());
            insert(headers, MODEL_GROUP, served.deployment().group());
            if let Some(region) = served.deployment().region() {
                insert(headers, REGION, region);
            }
            let mut text = String::with_capacity(48 * trail.entries().len());
            if write!(text, "{trail}").is_ok() {
                insert(headers, TRAIL, &text);
            }
        }
        let served = trail.served()?.deployment();
        Some(Arc::from(served.group()))
    });
    if let Some(router) = &called.router {
        insert(headers, CONFIG, &format!("{:016x}", router.version()));
    }
    served
}

/// A character that a header can carry.
fn ascii(c: char) -> char {
    if c == ' ' || c.is_ascii_graphic() {
        c
    } else {
        '?'
    }
}

/// Why the groups failed that were asked before: those that fit into a header.
fn tell_failures(failures: &[Error], headers: &mut HeaderMap) {
    const LONGEST: usize = 8 * 1024;
    let mut told = Vec::new();
    let mut length = 0;
    for error in failures {
        let message: String = error.message().chars().take(500).map(ascii).collect();
        let one = serde_json::json!({
            "message": message,
            "type": error.error_type(),
            "param": error.param(),
            "code": error.code(),
        });
        length += one.to_string().len() + 1;
        if length > LONGEST {
            break;
        }
        told.push(one);
    }
    if !told.is_empty() {
        let list = serde_json::Value::Array(told).to_string();
        insert(headers, FALLBACK_ERRORS, &list);
    }
}

/// What a whole answer is charged.
fn tell_charge(answer: &mut LlmResponse) {
    let Some(charge) = answer.charge().copied() else {
        return;
    };
    let headers = answer.headers_mut();
    if let Some(cost) = charge.cost {
        insert(headers, COST, &cost.to_string());
    }
    if charge.estimated {
        headers.insert(ESTIMATED, HeaderValue::from_static("true"));
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // A name from the configuration that no header can hold is left out.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn milliseconds(duration: Duration) -> HeaderValue {
    let text = format!("{:.3}", duration.as_secs_f64() * 1000.0);
    HeaderValue::try_from(text).expect("a number is a header value")
}
