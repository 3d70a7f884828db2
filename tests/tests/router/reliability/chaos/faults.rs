//! Providers that have a bad day.

use std::time::Duration;

use fastrand::Rng;
use parking_lot::Mutex;
use serde_json::json;
use ziggurat_testkit::provider::{Call, Script, SseChunking, Step};

/// What every request says.
pub(crate) const PROMPT: &str = "hello";

/// The text of every answer.
pub(crate) const TEXT: &str = "it begins and goes on to the very end";

/// How an answer ends that a filter has cut.
pub(crate) const FILTERED: &str = "content_filter";

/// Whatever can happen, in the order of the seed.
pub(crate) fn bad_day(rng: Rng) -> Script {
    let rng = Mutex::new(rng);
    Script::from_fn(move |call| step(&mut rng.lock(), call))
}

fn step(rng: &mut Rng, call: &Call) -> Step {
    let step = match rng.u8(..10) {
        0..4 => Step::ok(),
        4..6 => refusal(rng),
        6..8 => broken(rng),
        8 => odd(rng),
        _ => no_answer(rng, call),
    };
    let step = match rng.u8(..4) {
        0 => step.delay(millis(rng, 4_000)),
        1 => step.first_token_delay(millis(rng, 4_000)),
        2 => step.chunk_delay(millis(rng, 800)),
        _ => step,
    };
    step.text(rest(call))
}

/// What is left to say: a request may bring the beginning of an answer that broke.
fn rest(call: &Call) -> &'static str {
    let asked = call.json();
    let last = asked["messages"].as_array().and_then(|all| all.last());
    let said = match last {
        Some(last) if last["role"] == "assistant" => last["content"].as_str(),
        Some(_) => None,
        None => asked["prompt"]
            .as_str()
            .and_then(|it| it.strip_prefix(PROMPT)),
    };
    let rest = TEXT.strip_prefix(said.unwrap_or_default());
    rest.expect("what was said is how it begins")
}

/// An error with a status.
fn refusal(rng: &mut Rng) -> Step {
    match rng.u8(..8) {
        0 => Step::status(429),
        1..3 => Step::status(429).retry_after(rng.u64(1..10)),
        3 => Step::status(500),
        4 => Step::status(503),
        5 => Step::status(503).retry_after(rng.u64(1..10)),
        6 if rng.u8(..3) == 0 => Step::status([401, 404][rng.usize(..2)]),
        6 => Step::status(500).error_message("boom"),
        _ => Step::status(400),
    }
}

/// An answer that breaks off, or does not come.
fn broken(rng: &mut Rng) -> Step {
    let events = rng.usize(..9);
    let error = json!({"message": "overloaded", "type": "server_error"});
    match rng.u8(..9) {
        0 => Step::ok().reset(),
        1 => Step::ok().hang(),
        2 => Step::ok().cut_after(events),
        3 => Step::ok().end_after(events),
        4 => Step::ok().stall_after(events, None),
        5 => Step::ok().stall_after(events, Some(millis(rng, 3_000))),
        6 => Step::ok().stream_error_after(events, error),
        7 => Step::ok().first_token_delay(millis(rng, 60_000)),
        _ => Step::ok().chunk_delay(millis(rng, 9_000)),
    }
}

/// An answer that is one, in another way than usual.
fn odd(rng: &mut Rng) -> Step {
    match rng.u8(..6) {
        0 => Step::ok().without_done(),
        1 => Step::ok().comments().role_chunk_first(),
        2 => Step::ok().sse_chunking(SseChunking::SplitEvery(7)),
        3 => Step::ok().sse_chunking(SseChunking::Crlf),
        4 => Step::ok().sse_chunking(SseChunking::AllAtOnce),
        _ => Step::ok().malformed_at(rng.usize(1..9)),
    }
}

/// A success that is no answer, or one that declines.
fn no_answer(rng: &mut Rng, call: &Call) -> Step {
    match rng.u8(..6) {
        0 => Step::ok().empty_answer(),
        1 => Step::ok().raw("{\"choices\": [", "application/json"),
        2 => Step::ok().raw("<html>later</html>", "text/html"),
        3 => Step::status(503).error_in_200(),
        4 => Step::ok().without_finish(),
        _ => filtered(call),
    }
}

fn filtered(call: &Call) -> Step {
    let streams = call.json()["stream"] == true;
    let mut choice = json!({"index": 0, "finish_reason": FILTERED});
    let said = json!({"role": "assistant", "content": ""});
    if call.path.ends_with("/chat/completions") {
        choice[if streams { "delta" } else { "message" }] = said;
    } else {
        choice["text"] = "".into();
    }
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13});
    let answer = json!({"id": "x", "object": "x", "model": "m", "choices": [choice]});
    if streams {
        let events = format!("data: {answer}\n\ndata: [DONE]\n\n");
        return Step::ok().raw(events, "text/event-stream");
    }
    let mut answer = answer;
    answer["usage"] = usage;
    Step::ok().raw(answer.to_string(), "application/json")
}

fn millis(rng: &mut Rng, most: u64) -> Duration {
    Duration::from_millis(rng.u64(..most))
}
