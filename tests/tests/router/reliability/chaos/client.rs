//! One request, and what its client gets.

use std::time::Duration;

use fastrand::Rng;
use http::StatusCode;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    faults::{FILTERED, PROMPT, TEXT},
    plans::{DEADLINE, GROUPS},
    world::{Body, World},
};
use crate::support::{CHAT, secs};

/// No stream of a few words takes longer, however often it breaks.
const LONGEST: Duration = secs(1_000);

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// With a whole answer.
    Answered,
    /// With an error.
    Refused,
    /// With an error in the middle of a stream.
    Broken,
    /// The client went away.
    Gone,
}

pub(crate) struct Client<'a> {
    world: &'a World,
    path: &'static str,
    body: Value,
    /// What it says of its time, in seconds.
    deadline: Option<f64>,
    /// When it hangs up.
    patience: Option<Duration>,
    /// After how many pieces of a stream it hangs up.
    pieces: Option<usize>,
}

impl<'a> Client<'a> {
    pub(crate) fn new(world: &'a World, rng: &mut Rng) -> Self {
        let model = GROUPS[rng.usize(..GROUPS.len())].0;
        let said = [json!({"role": "user", "content": PROMPT})];
        let (path, mut body) = match rng.u8(..4) {
            0 => ("/v1/completions", json!({"model": model, "prompt": PROMPT})),
            1 => (
                "/v1/embeddings",
                json!({"model": model, "input": ["a", "b"]}),
            ),
            _ => (CHAT, json!({"model": model, "messages": said})),
        };
        if !path.ends_with("embeddings") {
            body["stream"] = rng.bool().into();
        }
        let some = |rng: &mut Rng, most: u64| (rng.u8(..5) == 0).then(|| rng.u64(..most));
        Self {
            world,
            path,
            body,
            deadline: (rng.u8(..3) == 0)
                .then(|| rng.u32(2..400).into())
                .map(tenths),
            patience: some(rng, 8_000).map(Duration::from_millis),
            pieces: some(rng, 8).map(|pieces| pieces as usize),
        }
    }

    /// Sends the request, and reads what comes until its end or until patience ends.
    pub(crate) async fn run(&self) -> Fate {
        let patience = self.patience.unwrap_or(2 * LONGEST);
        timeout(patience, self.ask()).await.unwrap_or(Fate::Gone)
    }

    async fn ask(&self) -> Fate {
        let own = self.deadline.map(Duration::from_secs_f64);
        let time = own.map_or(DEADLINE, |own| own.min(DEADLINE));
        let due = Instant::now() + time + secs(1);
        let answer = self.world.send(self.path, &self.body, self.deadline);
        let answer = timeout_at(due, answer).await;
        let (status, body) = answer.unwrap_or_else(|_| panic!("no answer in time: {}", self.body));
        let streams = self.body["stream"] == true && status == StatusCode::OK;
        let Some(text) = self.read(body, due, streams).await else {
            return Fate::Gone;
        };
        match streams {
            true => self.stream(&text),
            false => self.whole(status, &text),
        }
    }

    /// Reads a body, which has begun by the time that is due; `None` if the client hangs up.
    async fn read(&self, mut body: Body, due: Instant, streams: bool) -> Option<String> {
        let mut text = String::new();
        let mut pieces = 0;
        loop {
            // A stream that has begun may go on; what is not one is there.
            let until = match streams && text.contains("data:") {
                true => due + LONGEST,
                false => due,
            };
            let frame = timeout_at(until, body.frame()).await;
            let frame = frame.unwrap_or_else(|_| panic!("{} hangs after {text}", self.body));
            let Some(frame) = frame else {
                return Some(text);
            };
            let frame = frame.expect("a body does not break off");
            let bytes = frame.into_data().unwrap_or_default();
            text += std::str::from_utf8(&bytes).expect("is text");
            pieces += 1;
            if streams && self.pieces.is_some_and(|most| pieces > most) {
                return None;
            }
        }
    }

    fn whole(&self, status: StatusCode, text: &str) -> Fate {
        let json: Value = serde_json::from_str(text).unwrap_or_default();
        if status != StatusCode::OK {
            assert!(status.as_u16() >= 400, "{status}: {text}");
            assert!(json["error"]["message"].is_string(), "{status}: {text}");
            return Fate::Refused;
        }
        if let Some(inputs) = self.body["input"].as_array() {
            let vectors = json["data"].as_array().map_or(0, Vec::len);
            assert_eq!(vectors, inputs.len(), "{text}");
            return Fate::Answered;
        }
        let choice = &json["choices"][0];
        let said = choice["message"]["content"].as_str();
        let said = said.or(choice["text"].as_str()).unwrap_or_default();
        let is_whole = said == TEXT || choice["finish_reason"] == FILTERED;
        assert!(is_whole, "an answer is not whole: {text}");
        Fate::Answered
    }

    fn stream(&self, text: &str) -> Fate {
        let lines = text.lines().filter_map(|line| line.strip_prefix("data:"));
        let mut events: Vec<_> = lines.map(str::trim).collect();
        let last = events.pop().unwrap_or_default();
        assert!(!events.contains(&"[DONE]"), "goes on after its end: {text}");
        let events = events.into_iter().map(serde_json::from_str::<Value>);
        let events: Result<Vec<_>, _> = events.collect();
        let events = events.unwrap_or_else(|_| panic!("an event is no JSON: {text}"));
        let failed = events.iter().any(|event| !event["error"].is_null());
        assert!(!failed, "goes on after an error: {text}");
        if last != "[DONE]" {
            let error: Value = serde_json::from_str(last).unwrap_or_default();
            let is_told = error["error"]["message"].is_string();
            assert!(is_told, "a stream just ends: {} {text}", self.body);
            return Fate::Broken;
        }
        let choices = || events.iter().map(|event| &event["choices"][0]);
        let said = choices().filter_map(|choice| {
            let delta = choice["delta"]["content"].as_str();
            delta.or(choice["text"].as_str())
        });
        let said: String = said.collect();
        let is_filtered = choices().any(|choice| choice["finish_reason"] == FILTERED);
        let is_whole = said == TEXT || is_filtered;
        assert!(is_whole, "a stream is not whole: {said}\n{text}");
        let finished = choices().any(|choice| choice["finish_reason"].is_string());
        assert!(finished, "a stream has no finish reason: {text}");
        Fate::Answered
    }
}

fn tenths(tenths: f64) -> f64 {
    tenths / 10.0
}
