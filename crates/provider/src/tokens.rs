//! Tokens that are good for a while: whoever proves who they are gets one, and shows it with every
//! request.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use parking_lot::RwLock;
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use tower_service::Service;
use ziggurat_core::{BoxError, Error, ErrorKind, Idle, Keyed};

use crate::{RequestBody, body, dialect::credential::secret, transport};

/// How many tokens are kept.
const KEPT: usize = 4096;
/// How much of an answer is read, and for how long.
const ANSWER_BYTES: usize = 64 * 1024;
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// How long a token is good of which nobody says it, and how long at most.
const UNTOLD: u64 = 60;
const LONGEST: u64 = 24 * 3600;

/// Asks for tokens.
pub(crate) trait Issuer: fmt::Debug + Send + Sync {
    /// All that a token depends on, secrets included: who has the same gets the same token. It is
    /// hashed, and not kept.
    fn identity(&self) -> String;

    /// What is sent to get a token, at that time in seconds since 1970.
    ///
    /// # Errors
    ///
    /// If the credential cannot be used. The message repeats nothing of it.
    fn request(&self, now: u64) -> Result<TokenRequest, Error>;
}

/// The request for a token: a POST, which is answered as OAuth 2.0 (RFC 6749, section 5) says.
pub(crate) struct TokenRequest {
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// An issuer, and the place of its token among those that are kept.
#[derive(Debug)]
pub(crate) struct TokenSource {
    issuer: Box<dyn Issuer>,
    key: [u8; 32],
}

impl TokenSource {
    pub(crate) fn new(issuer: impl Issuer + 'static) -> Self {
        let mut key = [0; 32];
        key.copy_from_slice(digest(&SHA256, issuer.identity().as_bytes()).as_ref());
        let issuer = Box::new(issuer);
        Self { issuer, key }
    }

    #[cfg(test)]
    pub(crate) fn asked(&self, now: u64) -> Result<TokenRequest, Error> {
        self.issuer.request(now)
    }
}

/// The tokens that were got.
#[derive(Debug)]
pub(crate) struct Tokens(Keyed<[u8; 32], Slot>);

#[derive(Default)]
struct Slot(RwLock<Option<Token>>);

struct Token {
    /// `Bearer` and the token.
    value: HeaderValue,
    until: Instant,
}

impl Idle for Slot {
    fn is_idle(&self) -> bool {
        let token = self.0.read();
        token
            .as_ref()
            .is_none_or(|token| token.until <= Instant::now())
    }
}

impl Tokens {
    pub(crate) fn new() -> Self {
        Self(Keyed::new(KEPT))
    }

    /// The value of an `Authorization` header: a token that is kept, or a new one.
    ///
    /// Requests that come at the same time without a token each get one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Authentication`] if the credential is refused, [`ErrorKind::Connect`] if nobody
    /// can be asked.
    pub(crate) async fn get<C, B>(
        &self,
        source: &TokenSource,
        client: &mut C,
        now: u64,
    ) -> Result<HeaderValue, Error>
    where
        C: Service<Request<RequestBody>, Response = Response<B>>,
        C::Error: Into<BoxError>,
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let slot = self.0.get_or_default(&source.key);
        if let Some(token) = &*slot.0.read()
            && token.until > Instant::now()
        {
            return Ok(token.value.clone());
        }
        let token = fetch(source.issuer.request(now)?, client).await?;
        let value = token.value.clone();
        *slot.0.write() = Some(token);
        Ok(value)
    }

    /// The token that is kept, if one is.
    pub(crate) fn kept(&self, source: &TokenSource) -> Option<HeaderValue> {
        let slot = self.0.get(&source.key)?;
        let token = slot.0.read();
        token.as_ref().map(|token| token.value.clone())
    }

    /// Forgets a token that was refused, unless there is a new one already.
    pub(crate) fn forget(&self, source: &TokenSource, refused: &HeaderValue) {
        if let Some(slot) = self.0.get(&source.key) {
            let mut token = slot.0.write();
            if token.as_ref().is_some_and(|token| token.value == *refused) {
                *token = None;
            }
        }
    }
}

async fn fetch<C, B>(asked: TokenRequest, client: &mut C) -> Result<Token, Error>
where
    C: Service<Request<RequestBody>, Response = Response<B>>,
    C::Error: Into<BoxError>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let mut request = Request::new(RequestBody::from(asked.body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = asked.uri;
    *request.headers_mut() = asked.headers;
    std::future::poll_fn(|cx| client.poll_ready(cx))
        .await
        .map_err(|error| transport::failure(error.into()))?;
    let answer = client.call(request).await;
    let answer = answer.map_err(|error| transport::failure(error.into()))?;
    let status = answer.status();
    let body = body::beginning(answer.into_body(), ANSWER_BYTES, ANSWER_TIME).await;
    if !status.is_success() {
        return Err(refusal(status, &body));
    }
    read(&body, Instant::now()).ok_or_else(|| {
        let message = "what was asked for a token gave none";
        Error::new(ErrorKind::Connect, message)
    })
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    /// Seconds; as a text with Azure's older addresses.
    #[serde(default)]
    expires_in: Value,
}

fn read(body: &[u8], now: Instant) -> Option<Token> {
    let granted: Granted = serde_json::from_slice(body).ok()?;
    let value = secret(&format!("Bearer {}", granted.access_token))?;
    let told = match granted.expires_in {
        Value::Number(seconds) => seconds.as_u64(),
        Value::String(seconds) => seconds.parse().ok(),
        _ => None,
    };
    let seconds = told.unwrap_or(UNTOLD).min(LONGEST);
    // A tenth of its time is left to whoever is under way with it, and to clocks that differ.
    let until = now + Duration::from_secs(seconds) * 9 / 10;
    (!granted.access_token.is_empty()).then_some(Token { value, until })
}

/// Whether an answer holds a token.
#[cfg(any(fuzzing, test))]
pub(crate) fn is_granted(body: &[u8]) -> bool {
    read(body, Instant::now()).is_some()
}

/// The codes with which a token is refused: RFC 6749, section 5.2, and what Entra and Google add.
const CODES: [&str; 12] = [
    "access_denied",
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_resource",
    "invalid_scope",
    "org_internal",
    "server_error",
    "slow_down",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_grant_type",
];

/// Why there is no token. Of what was answered only the code is told: the rest may repeat secrets.
pub(crate) fn refusal(status: StatusCode, body: &[u8]) -> Error {
    let refused = status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS;
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let code = answer["error"].as_str().filter(|code| CODES.contains(code));
    let code = code.map_or_else(|| format!("status {}", status.as_u16()), str::to_owned);
    let (kind, message) = match refused {
        true => (ErrorKind::Authentication, "the credential gets no token"),
        false => (ErrorKind::Connect, "no token can be had now"),
    };
    Error::new(kind, format!("{message}: {code}"))
}

/// A form, as browsers send it.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let mut form = String::new();
    for (name, value) in fields {
        if !form.is_empty() {
            form.push('&');
        }
        form.push_str(name);
        form.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                form.push(char::from(byte));
            } else {
                form.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    form
}

#[cfg(test)]
mod tests;
