//! The client of the demo: it sends requests, and counts what came back.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::json;
use tokio::time::Instant;

pub(crate) struct Traffic {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
    tally: parking_lot::Mutex<Tally>,
    planned: AtomicUsize,
}

/// What came back so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: usize,
    pub(crate) answered: usize,
    pub(crate) failed: usize,
    pub(crate) planned: usize,
    pub(crate) retries: usize,
    pub(crate) fallbacks: usize,
    pub(crate) first_failure: Option<String>,
    /// Answers by deployment.
    pub(crate) served: BTreeMap<String, usize>,
    /// Attempts by deployment and outcome.
    pub(crate) outcomes: BTreeMap<(String, String), usize>,
    pub(crate) took: Vec<Duration>,
    pub(crate) last_trail: String,
}

impl Traffic {
    pub(crate) fn new(gateway: SocketAddr) -> Self {
        Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            url: format!("http://{gateway}/v1/chat/completions"),
            tally: parking_lot::Mutex::default(),
            planned: AtomicUsize::new(0),
        }
    }

    pub(crate) fn tally(&self) -> Tally {
        Tally {
            planned: self.planned.load(Relaxed),
            ..self.tally.lock().clone()
        }
    }

    /// Sends that many requests, `width` at a time: most to `chat`, some to the two groups that
    /// must fall back, every other one streamed.
    pub(crate) async fn send(&self, requests: usize, width: usize) {
        self.planned.store(requests, Relaxed);
        stream::iter(0..requests)
            .for_each_concurrent(width, |i| self.one(i))
            .await;
    }

    async fn one(&self, i: usize) {
        let group = match i % 20 {
            7 => "fragile",
            13 => "thinking",
            _ => "chat",
        };
        let body = json!({
            "model": group,
            "stream": i.is_multiple_of(2),
            "messages": [{"role": "user", "content": format!("request {i}")}],
        });
        self.tally.lock().sent += 1;
        let began = Instant::now();
        let answer = self.ask(body.to_string()).await;
        let mut tally = self.tally.lock();
        match answer {
            Ok(answer) => {
                tally.answered += 1;
                tally.took.push(began.elapsed());
                tally.retries += answer.retries;
                tally.fallbacks += answer.fallbacks;
                *tally.served.entry(answer.served).or_default() += 1;
                for attempt in answer.trail.split(", ") {
                    let Some((deployment, rest)) = attempt.split_once('=') else {
                        continue;
                    };
                    let outcome = rest.split('/').next().unwrap_or(rest);
                    *tally
                        .outcomes
                        .entry((deployment.to_owned(), outcome.to_owned()))
                        .or_default() += 1;
                }
                if answer.trail.contains(", ") {
                    tally.last_trail = answer.trail;
                }
            }
            Err(failure) => {
                tally.failed += 1;
                tally.first_failure.get_or_insert(failure);
            }
        }
    }

    async fn ask(&self, body: String) -> Result<Answer, String> {
        let request = Request::post(&self.url)
            .header("content-type", "application/json")
            .body(Full::from(body))
            .map_err(|error| error.to_string())?;
        let response = self
            .client
            .request(request)
            .await
            .map_err(|error| error.to_string())?;
        let header = |name: &str| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let answer = Answer {
            served: header("x-litellm-model-id"),
            trail: header("x-ziggurat-trail"),
            retries: header("x-litellm-attempted-retries")
                .parse()
                .unwrap_or_default(),
            fallbacks: header("x-litellm-attempted-fallbacks")
                .parse()
                .unwrap_or_default(),
        };
        let status = response.status();
        let stream = response
            .headers()
            .get("content-type")
            .is_some_and(|kind| kind == "text/event-stream");
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        if !status.is_success() || (stream && !text.ends_with("data: [DONE]\n\n")) {
            return Err(format!("{status}: {text}"));
        }
        Ok(answer)
    }
}

struct Answer {
    served: String,
    trail: String,
    retries: usize,
    fallbacks: usize,
}
