//! What the client sees.

use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::time::Instant;

/// What the client sees.
pub(crate) struct Client {
    pub(super) origin: Instant,
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// When the first event of a stream, or the whole of another answer, was there.
    pub(super) first: Option<f64>,
    pub(super) took: f64,
}

impl Client {
    pub(crate) fn new(origin: Instant, status: StatusCode, headers: &HeaderMap) -> Self {
        // All that it tells of the route, but for what is random and what belongs to the file.
        let is_told = |name: &str| {
            let told = ["x-ziggurat-", "x-litellm-", "x-ratelimit-", "retry-after"];
            let left_out = ["x-litellm-call-id", "x-ziggurat-config"];
            told.iter().any(|prefix| name.starts_with(prefix)) && !left_out.contains(&name)
        };
        let headers = headers.iter().filter(|(name, _)| is_told(name.as_str()));
        let text =
            |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Self {
            origin,
            status,
            headers: headers
                .map(|(name, value)| (name.to_string(), text(value)))
                .collect(),
            body: Vec::new(),
            first: None,
            took: 0.0,
        }
    }

    pub(crate) fn read(&mut self, bytes: &[u8], at: f64) {
        // A comment that keeps the connection alive is no answer.
        if !bytes.is_empty() && !bytes.starts_with(b":") {
            self.first.get_or_insert(at);
        }
        self.body.extend_from_slice(bytes);
    }

    pub(crate) fn end(&mut self, at: f64) {
        self.took = at;
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// The error that it is told, in the place of an answer or at the end of a stream.
    pub(super) fn error(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.body);
        let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let mut objects = events.chain([&*text]);
        objects.find_map(|object| {
            let object: Value = serde_json::from_str(object).ok()?;
            let error = object.get("error")?;
            let (code, message) = (error["code"].as_str()?, error["message"].as_str()?);
            Some(format!("{code}: {message}"))
        })
    }

    /// How many comments kept its connection alive.
    pub(super) fn comments(&self) -> usize {
        let text = String::from_utf8_lossy(&self.body);
        text.lines().filter(|line| line.starts_with(':')).count()
    }
}
