use std::sync::Arc;

use serde_json::json;
use ziggurat_core::{Capabilities, Operation};

use super::*;

const DEFAULTS: Timeouts = Timeouts {
    attempt: secs(600),
    stream: secs(60),
    first_token: secs(20),
    idle: secs(30),
};

#[test]
fn an_answer_that_is_not_streamed_has_one_clock() {
    let clocks = |own, body| extract(own, DEFAULTS, body);
    let of = |attempt| AttemptClocks {
        attempt,
        ..AttemptClocks::default()
    };
    let own = Timeouts {
        attempt: secs(300),
        ..Timeouts::default()
    };
    let callers = AttemptClocks {
        callers: true,
        ..of(secs(7))
    };
    assert_eq!(clocks(own, json!({"timeout": 7})), callers);
    assert_eq!(clocks(own, json!({"timeout": 301})), of(secs(301)));
    assert_eq!(clocks(own, json!({"stream_timeout": 7})), of(secs(300)));
    assert_eq!(clocks(Timeouts::default(), json!({})), of(secs(600)));
    assert_eq!(
        extract(Timeouts::default(), Timeouts::default(), json!({})),
        of(None)
    );
}

#[test]
fn the_first_token_has_the_shorter_of_its_own_time_and_the_streams() {
    let first_token = |own, body| extract(own, DEFAULTS, streamed(body)).first_token;
    assert_eq!(first_token(Timeouts::default(), json!({})), secs(20));
    assert_eq!(
        first_token(Timeouts::default(), json!({"stream_timeout": 5})),
        secs(5)
    );
    let patient = Timeouts {
        first_token: secs(120),
        ..Timeouts::default()
    };
    assert_eq!(first_token(patient, json!({})), secs(60));
    assert_eq!(
        first_token(patient, json!({"stream_timeout": 90})),
        secs(90)
    );
}

#[test]
fn a_stream_without_clocks_of_its_own_has_those_of_an_answer_that_is_not_streamed() {
    let defaults = Timeouts {
        attempt: secs(600),
        ..Timeouts::default()
    };
    let clocks = extract(
        Timeouts::default(),
        defaults,
        streamed(json!({"timeout": 9})),
    );
    let expected = AttemptClocks {
        attempt: None,
        first_token: secs(9),
        idle: secs(9),
        is_stream: true,
        callers: true,
        callers_idle: true,
        share: Share::Whole,
        adaptive: Some(Adaptive::AtLeast(FIRST_TOKEN)),
    };
    assert_eq!(clocks, expected);
}

#[test]
fn silence_has_its_own_clock_or_the_streams() {
    let idle = |own, defaults| extract(own, defaults, streamed(json!({}))).idle;
    let own = Timeouts {
        idle: secs(3),
        ..Timeouts::default()
    };
    assert_eq!(idle(own, DEFAULTS), secs(3));
    assert_eq!(idle(Timeouts::default(), DEFAULTS), secs(30));
    let unset = Timeouts {
        idle: None,
        ..DEFAULTS
    };
    assert_eq!(idle(Timeouts::default(), unset), secs(60));
}

#[test]
fn zero_is_not_set() {
    let own = Timeouts {
        attempt: secs(0),
        ..Timeouts::default()
    };
    assert_eq!(extract(own, DEFAULTS, json!({})).attempt, secs(600));
}

#[test]
fn each_time_is_that_of_the_request_or_the_deployment_or_the_group_or_the_layer() {
    let timeouts = |secs_of: [u64; 4]| {
        let [attempt, stream, first_token, idle] = secs_of.map(|time| match time {
            0 => None,
            time => secs(time),
        });
        Timeouts {
            attempt,
            stream,
            first_token,
            idle,
        }
    };
    let clocks = RequestClocks::new(timeouts([40, 41, 42, 43]))
        .group("gpt", timeouts([30, 31, 32, 0]))
        .group("other", timeouts([1, 1, 1, 1]));
    let of = |own, body| clocks.extract(&routed(timeouts(own), body));
    let buffered = |own, body| of(own, body).attempt;
    let streamed = |own, body| {
        let clocks = of(own, streamed(body));
        (clocks.first_token, clocks.idle)
    };
    assert_eq!(buffered([20, 0, 0, 0], json!({"timeout": 10})), secs(10));
    assert_eq!(buffered([20, 0, 0, 0], json!({})), secs(20));
    assert_eq!(buffered([0, 0, 0, 0], json!({})), secs(30));
    assert_eq!(
        streamed([0, 0, 22, 23], json!({"stream_timeout": 11})),
        (secs(11), secs(23))
    );
    assert_eq!(streamed([0, 21, 22, 0], json!({})), (secs(21), secs(43)));
    assert_eq!(streamed([0, 0, 0, 0], json!({})), (secs(31), secs(43)));
}

#[test]
fn groups_may_be_meant_by_a_pattern_and_the_nearest_counts() {
    let attempt = |time| Timeouts {
        attempt: secs(time),
        ..Timeouts::default()
    };
    let all = RequestClocks::new(DEFAULTS).group("*", attempt(1));
    let of = |clocks: &RequestClocks| {
        let routed = routed(Timeouts::default(), json!({}));
        clocks.extract(&routed).attempt
    };
    assert_eq!(of(&all), secs(1));
    let some = all.group("g*", attempt(2));
    assert_eq!(of(&some), secs(2));
    assert_eq!(of(&some.group("gpt", attempt(3))), secs(3));
}

#[test]
fn a_group_is_known_by_the_name_that_was_asked_for_or_by_that_of_its_deployment() {
    let group = |attempt| Timeouts {
        attempt: secs(attempt),
        ..Timeouts::default()
    };
    let clocks = RequestClocks::new(DEFAULTS).group("gpt", group(7));
    let routed = routed(Timeouts::default(), json!({}));
    let (request, deployment) = routed.into_parts();
    let aliased = Routed::new(request.clone().with_group("best"), deployment);
    assert_eq!(clocks.extract(&aliased).attempt, secs(7));
    let clocks = clocks.group("best", group(8));
    assert_eq!(clocks.extract(&aliased).attempt, secs(8));
    let elsewhere = Arc::new(Deployment::new("b", "small", "m"));
    let moved = Routed::new(request.with_group("small"), elsewhere);
    assert_eq!(clocks.extract(&moved).attempt, secs(600));
}

#[test]
fn what_the_request_shortens_speaks_against_nobody() {
    let of = |first_token, idle| {
        let (mut request, deployment) =
            routed(Timeouts::default(), streamed(json!({}))).into_parts();
        request.controls_mut().first_token_timeout = first_token;
        request.controls_mut().idle_timeout = idle;
        let clocks = RequestClocks::new(DEFAULTS).extract(&Routed::new(request, deployment));
        (
            (clocks.first_token, clocks.callers),
            (clocks.idle, clocks.callers_idle),
        )
    };
    let ours = (secs(20), false);
    assert_eq!(of(None, None), (ours, (secs(30), false)));
    assert_eq!(of(secs(5), None), ((secs(5), true), (secs(30), false)));
    assert_eq!(of(None, secs(5)), (ours, (secs(5), true)));
    assert_eq!(
        of(secs(25), secs(99)),
        ((secs(25), false), (secs(99), false))
    );
}

#[test]
fn half_of_the_time_is_left_to_whoever_could_still_answer() {
    struct Case {
        fallbacks: u32,
        untried: u32,
        attempts: u32,
        num_retries: Option<u32>,
    }
    let plain = Case {
        fallbacks: 0,
        untried: 0,
        attempts: 3,
        num_retries: None,
    };
    let of = |case: &Case| {
        let (mut request, deployment) = routed(Timeouts::default(), json!({})).into_parts();
        request.controls_mut().num_retries = case.num_retries;
        let ledger = request.ledger().expect("has one");
        ledger.set_fallbacks_left(case.fallbacks);
        ledger.set_untried(case.untried);
        ledger.set_attempts(case.attempts);
        let clocks = RequestClocks::new(Timeouts::default());
        clocks.extract(&Routed::new(request, deployment)).share
    };
    let untried = Case {
        untried: 1,
        ..plain
    };
    let no_retries = Case {
        num_retries: Some(0),
        ..untried
    };
    let fallback = Case {
        fallbacks: 1,
        ..no_retries
    };
    let no_attempts = Case {
        attempts: 0,
        ..fallback
    };
    assert_eq!(of(&plain), Share::Whole);
    assert_eq!(of(&untried), Share::Half);
    assert_eq!(of(&no_retries), Share::Whole);
    assert_eq!(of(&fallback), Share::Half);
    assert_eq!(of(&no_attempts), Share::Whole);
}

#[test]
fn whether_there_are_retries_is_said_by_the_request_or_the_deployment_or_the_layer() {
    let of = |request: Option<u32>, deployment: Option<u32>, layer: Option<u32>| {
        let (mut asks, _) = routed(Timeouts::default(), json!({})).into_parts();
        asks.controls_mut().num_retries = request;
        asks.ledger().expect("has one").set_untried(1);
        let mut serves = Deployment::new("a", "gpt", "m");
        if let Some(retries) = deployment {
            serves = serves.with_num_retries(retries);
        }
        let mut clocks = RequestClocks::default();
        if let Some(retries) = layer {
            clocks = clocks.num_retries(retries);
        }
        clocks.extract(&Routed::new(asks, Arc::new(serves))).share
    };
    assert_eq!(of(Some(1), Some(0), Some(0)), Share::Half);
    assert_eq!(of(None, Some(0), Some(1)), Share::Whole);
    assert_eq!(of(None, None, Some(0)), Share::Whole);
    assert_eq!(of(None, None, None), Share::Half);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_the_callers_if_it_is_the_one_that_counts() {
    for (asked, ours, share) in [
        (secs(10), 900, Share::CallersHalf),
        (secs(10), 9, Share::Half),
        (None, 900, Share::Half),
    ] {
        let (mut request, deployment) = routed(Timeouts::default(), json!({})).into_parts();
        request.controls_mut().deadline = asked;
        let ledger = request.ledger().expect("has one");
        ledger.set_fallbacks_left(1);
        tokio::time::advance(Duration::from_millis(20)).await;
        let time = asked.into_iter().chain(secs(ours)).min();
        ledger.limit(tokio::time::Instant::now() + time.expect("there is one"));
        let clocks = RequestClocks::default().extract(&Routed::new(request, deployment));
        assert_eq!(clocks.share, share, "{asked:?}");
    }
}

#[test]
fn where_nobody_sets_a_limit_the_first_token_has_ten_seconds_and_more_for_a_long_prompt() {
    let text = |tokens: usize| "abcd".repeat(tokens);
    let of = |tokens| {
        let mut body = streamed(json!({}));
        body["messages"] = json!([{"role": "user", "content": text(tokens)}]);
        let clocks = RequestClocks::new(Timeouts {
            first_token: None,
            ..DEFAULTS
        });
        match clocks
            .extract(&routed_as(Timeouts::default(), body))
            .adaptive
        {
            Some(Adaptive::AtLeast(time)) => time.as_secs(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(of(1), 10);
    assert_eq!(of(25_000), 20);
}

#[test]
fn the_limit_is_learned_only_where_it_is_thought_before_it_is_answered() {
    let learned = Some(Adaptive::Learned);
    let body = streamed(json!({"reasoning_effort": "high"}));
    let asked = routed(Timeouts::default(), body);
    assert_eq!(RequestClocks::default().extract(&asked).adaptive, learned);
    let (request, _) = routed(Timeouts::default(), streamed(json!({}))).into_parts();
    let known = Capabilities::default().with(Capability::Reasoning, true);
    let deployment = Deployment::new("a", "gpt", "m").with_capabilities(known);
    let known = Routed::new(request, Arc::new(deployment));
    assert_eq!(RequestClocks::default().extract(&known).adaptive, learned);
}

#[test]
fn speech_is_a_stream_and_what_is_no_text_has_no_limit_that_nobody_set() {
    let of = |operation, body| {
        let request = LlmRequest::from_value(operation, &body).expect("is valid");
        let deployment = Arc::new(Deployment::new("a", "gpt", "m"));
        let clocks = RequestClocks::new(Timeouts {
            first_token: None,
            ..DEFAULTS
        });
        clocks.extract(&Routed::new(request, deployment))
    };
    let speech = of(Operation::Speech, json!({"model": "m", "input": "hi"}));
    assert!(speech.is_stream);
    assert_eq!((speech.first_token, speech.idle), (secs(60), secs(30)));
    assert_eq!(speech.adaptive, Some(Adaptive::Learned));
    let image = json!({"model": "m", "prompt": "a cat"});
    assert_eq!(
        of(Operation::ImageGeneration, image.clone()).attempt,
        secs(600)
    );
    let image = of(Operation::ImageGeneration, streamed(image));
    assert_eq!(image.adaptive, Some(Adaptive::Learned));
}

#[test]
fn a_limit_that_somebody_set_is_not_learned() {
    let set = |first_token| Timeouts {
        first_token,
        ..Timeouts::default()
    };
    let of = |clocks: RequestClocks, own, asked| {
        let (mut request, deployment) = routed(set(own), streamed(json!({}))).into_parts();
        request.controls_mut().first_token_timeout = asked;
        clocks.extract(&Routed::new(request, deployment)).adaptive
    };
    let clocks = RequestClocks::default;
    assert!(of(clocks(), None, None).is_some());
    assert!(of(clocks(), Some(Duration::ZERO), None).is_some());
    assert_eq!(of(clocks(), secs(5), None), None);
    assert_eq!(of(clocks(), None, secs(5)), None);
    assert_eq!(of(clocks().group("gpt", set(secs(5))), None, None), None);
    assert_eq!(of(RequestClocks::new(set(secs(5))), None, None), None);
    let after = FirstToken::After(Duration::from_secs(5));
    assert_eq!(of(clocks().first_token(after), None, None), None);
    assert_eq!(of(clocks().first_token(FirstToken::Off), None, None), None);
    let buffered = routed(Timeouts::default(), json!({}));
    assert_eq!(clocks().extract(&buffered).adaptive, None);
}

const fn secs(secs: u64) -> Option<Duration> {
    Some(Duration::from_secs(secs))
}

fn streamed(mut body: serde_json::Value) -> serde_json::Value {
    body["stream"] = true.into();
    body
}

fn extract(own: Timeouts, defaults: Timeouts, body: serde_json::Value) -> AttemptClocks {
    RequestClocks::new(defaults).extract(&routed(own, body))
}

fn routed(own: Timeouts, mut body: serde_json::Value) -> Routed<LlmRequest> {
    body["messages"] = json!([]);
    routed_as(own, body)
}

fn routed_as(own: Timeouts, mut body: serde_json::Value) -> Routed<LlmRequest> {
    body["model"] = "gpt".into();
    let request = LlmRequest::from_value(Operation::ChatCompletions, &body);
    let deployment = Deployment::new("a", "gpt", "m").with_timeouts(own);
    Routed::new(request.expect("is valid"), Arc::new(deployment))
}
