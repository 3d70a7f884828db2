//! One message on its way.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use tokio::time::{sleep, timeout};
use tower::ServiceExt as _;
use tower_service::Service;

use crate::{Webhook, gate::Notice, message};

/// How long one try may take.
const TIME: Duration = Duration::from_secs(10);

/// The pauses between the tries.
const PAUSES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(20),
];

/// The longest pause that a webhook may ask for.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// There was no answer.
    Unreachable,
    /// It was refused.
    Refused(StatusCode),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable => f.write_str("no answer"),
            Self::Refused(status) => write!(f, "status {}", status.as_u16()),
        }
    }
}

/// Sends a message, four times at most. What is wrong with the message itself is not sent again.
pub(crate) async fn send<S, B>(
    service: S,
    webhook: &Webhook,
    notice: &Notice,
) -> Result<(), Failure>
where
    S: Service<Request<Bytes>, Response = Response<B>> + Clone,
{
    let body = message::body(notice, webhook.format());
    let mut pauses = PAUSES.into_iter();
    loop {
        let answer = timeout(
            TIME,
            service.clone().oneshot(request(webhook, body.clone())),
        )
        .await;
        let (failure, asked) = match answer {
            Ok(Ok(response)) if response.status().is_success() => return Ok(()),
            Ok(Ok(response)) => (Failure::Refused(response.status()), retry_after(&response)),
            Ok(Err(_)) | Err(_) => (Failure::Unreachable, None),
        };
        match pauses.next() {
            Some(pause) if is_passing(failure) => {
                sleep(asked.map_or(pause, |asked| asked.clamp(pause, MAX_PAUSE))).await;
            }
            _ => return Err(failure),
        }
    }
}

fn request(webhook: &Webhook, body: Bytes) -> Request<Bytes> {
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = webhook.address().clone();
    let json = HeaderValue::from_static("application/json");
    request.headers_mut().insert(header::CONTENT_TYPE, json);
    request
}

/// Whether the same message may be taken later.
fn is_passing(failure: Failure) -> bool {
    match failure {
        Failure::Unreachable => true,
        Failure::Refused(status) => {
            status.is_server_error()
                || status == StatusCode::TOO_MANY_REQUESTS
                || status == StatusCode::REQUEST_TIMEOUT
        }
    }
}

fn retry_after<B>(response: &Response<B>) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?;
    let seconds = value.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
