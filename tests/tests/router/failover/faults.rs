//! The sixteen faults, and what the configuration says where it is not the ordinary one.

use std::time::Duration;

use tokio::time::Instant;
use ziggurat_testkit::provider::{Call, Script, Step};

use crate::{
    failover::{
        rules::{self, Outcome},
        run::{A, B, Setup},
        seen::Seen,
        shapes::Shape,
    },
    support::secs,
};

/// How the provider of `primary` misbehaves, and what must hold then.
pub(crate) struct Fault {
    /// As in the catalogue, with a letter where the configuration is another one.
    pub(crate) number: &'static str,
    /// What the provider does.
    pub(crate) provider: &'static str,
    /// On which shapes that makes sense.
    pub(crate) on: fn(&Shape) -> bool,
    pub(crate) a: fn() -> Script,
    pub(crate) b: fn() -> Script,
    pub(crate) setup: Setup,
    pub(crate) requests: u32,
    /// The time from one request to the next.
    pub(crate) every: Duration,
    pub(crate) rule: fn(&Seen) -> Outcome,
}

const ORDINARY: Setup = Setup {
    fallbacks: "fallbacks: [{primary: [backup]}]",
    takes_prefill: true,
    streams: "",
};

const HELD_BACK: Setup = Setup {
    streams: "hold_back: all",
    ..ORDINARY
};

const ALONE: Setup = Setup {
    fallbacks: "",
    ..ORDINARY
};

/// One request to a healthy provider, with a healthy fallback.
const CASE: Fault = Fault {
    number: "",
    provider: "",
    on: |_| true,
    a: || A.healthy().into(),
    b: || B.healthy().into(),
    setup: ORDINARY,
    requests: 1,
    every: Duration::ZERO,
    rule: |_| Outcome::Pass,
};

/// All of them, in the order of the page.
pub(crate) static FAULTS: [Fault; 22] = [
    Fault {
        number: "1",
        provider: "429 with `Retry-After: 2` once, then healthy",
        a: throttled_once,
        rule: rules::throttled_once,
        ..CASE
    },
    Fault {
        number: "1a",
        provider: "the same, and there is no fallback",
        a: throttled_once,
        setup: ALONE,
        rule: rules::throttled_once,
        ..CASE
    },
    Fault {
        number: "2",
        provider: "429 for ever, without a header",
        a: || Step::status(429).into(),
        rule: rules::throttled,
        ..CASE
    },
    Fault {
        number: "2a",
        provider: "the same, and there is no fallback",
        a: || Step::status(429).into(),
        setup: ALONE,
        rule: rules::throttled_alone,
        ..CASE
    },
    Fault {
        number: "3",
        provider: "500 once, then healthy",
        a: || [Step::status(500), A.healthy()].into(),
        rule: rules::failing_once,
        ..CASE
    },
    Fault {
        number: "4",
        provider: "503 for ever",
        a: || Step::status(503).into(),
        rule: rules::down,
        ..CASE
    },
    Fault {
        number: "5",
        provider: "the connection is reset before any byte, once",
        a: || [Step::ok().reset(), A.healthy()].into(),
        rule: rules::reset_once,
        ..CASE
    },
    Fault {
        number: "6",
        provider: "takes the request and does not answer for 120 s",
        a: || A.healthy().delay(secs(120)).into(),
        rule: rules::silent,
        ..CASE
    },
    Fault {
        number: "7",
        provider: "headers at once, the first token after 20 s",
        a: || A.healthy().first_token_delay(secs(20)).into(),
        rule: rules::late,
        ..CASE
    },
    Fault {
        number: "8",
        provider: "the stream dies after 40 of 60 tokens; a body that is no stream, after half of it",
        a: || A.healthy().cut_after(40).into(),
        rule: rules::cut,
        ..CASE
    },
    Fault {
        number: "8a",
        provider: "the same, and the body ends as if it were whole",
        on: Shape::is_streamed,
        a: || A.healthy().end_after(40).into(),
        rule: rules::cut,
        ..CASE
    },
    Fault {
        number: "9",
        provider: "20 tokens, or half of a body, then 30 s of silence, then it closes",
        a: || A.healthy().stall_after(20, Some(secs(30))).into(),
        rule: rules::stalled,
        ..CASE
    },
    Fault {
        number: "10",
        provider: "the tenth event is broken JSON; of a body that is no stream, all of it",
        a: || A.healthy().malformed_at(10).into(),
        rule: rules::malformed,
        ..CASE
    },
    Fault {
        number: "10a",
        provider: "the same, with `hold_back: all`",
        on: Shape::is_streamed,
        a: || A.healthy().malformed_at(10).into(),
        setup: HELD_BACK,
        rule: rules::malformed,
        ..CASE
    },
    Fault {
        number: "11",
        provider: "a complete stream without `[DONE]`, or what says as much",
        on: Shape::has_last,
        a: || A.healthy().without_done().into(),
        rule: rules::without_done,
        ..CASE
    },
    Fault {
        number: "12",
        provider: "400 `context_length_exceeded`",
        a: || {
            Step::status(400)
                .error_code("context_length_exceeded")
                .into()
        },
        setup: Setup {
            fallbacks: "fallbacks: [{primary: [backup]}], context_window_fallbacks: [{primary: [backup]}]",
            ..ORDINARY
        },
        rule: rules::too_long,
        ..CASE
    },
    Fault {
        number: "13",
        provider: "400 `content_policy_violation`",
        a: declining,
        rule: rules::declined,
        ..CASE
    },
    Fault {
        number: "14",
        provider: "as 8, and the fallback refuses an assistant prefill",
        on: Shape::is_streamed_talk,
        a: || A.healthy().cut_after(40).into(),
        b: without_prefill,
        setup: Setup {
            takes_prefill: false,
            ..ORDINARY
        },
        rule: rules::cut_for_good,
        ..CASE
    },
    Fault {
        number: "14a",
        provider: "the same, with `hold_back: all`",
        on: Shape::is_streamed_talk,
        a: || A.healthy().cut_after(40).into(),
        b: without_prefill,
        setup: Setup {
            takes_prefill: false,
            ..HELD_BACK
        },
        rule: rules::cut_behind_the_scenes,
        ..CASE
    },
    Fault {
        number: "14b",
        provider: "the same, and the configuration says that it takes a prefill",
        on: Shape::is_streamed_chat,
        a: || A.healthy().cut_after(40).into(),
        b: without_prefill,
        rule: rules::cut_with_a_prefill_in_vain,
        ..CASE
    },
    Fault {
        number: "15",
        provider: "503 for 60 s, then healthy; 25 requests, one every 4 s",
        a: down_for_a_minute,
        requests: 25,
        every: secs(4),
        rule: rules::down_for_a_minute,
        ..CASE
    },
    Fault {
        number: "16",
        provider: "503 for ever: who answered, and what was it worth?",
        a: || Step::status(503).into(),
        rule: rules::told,
        ..CASE
    },
];

/// The fault of that number.
pub(crate) fn fault(number: &str) -> &'static Fault {
    let mut all = FAULTS.iter();
    all.find(|fault| fault.number == number)
        .expect("is in the table")
}

fn throttled_once() -> Script {
    [Step::status(429).retry_after(2), A.healthy()].into()
}

fn declining() -> Script {
    let step = Step::status(400).error_code("content_policy_violation");
    step.error_message(rules::REASON).into()
}

fn without_prefill() -> Script {
    let ends_in_answer = |call: &Call| {
        let asked = call.json();
        let turns = ["messages", "contents", "input"].map(|name| asked[name].as_array());
        let last = turns.into_iter().flatten().next().and_then(|it| it.last());
        last.is_some_and(|last| last["role"] == "assistant" || last["role"] == "model")
    };
    Script::from_fn(move |call| match ends_in_answer(call) {
        true => Step::status(400).error_message(rules::NO_PREFILL),
        false => B.healthy(),
    })
}

fn down_for_a_minute() -> Script {
    let began = Instant::now();
    Script::from_fn(move |call| match call.at - began < secs(60) {
        true => Step::status(503),
        false => A.healthy(),
    })
}
