//! Two copies of a late request.

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::{StreamExt, future::join_all};
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};
use tower::{Layer, ServiceExt, service_fn, util::Oneshot};
use ziggurat_core::{
    Deployment, Error, ErrorKind, HasLedger, Ledger, LlmRequest, LlmResponse, Operation, Scope,
};
use ziggurat_hedge::{Hedge, HedgeLayer, Hedging, PercentError};
use ziggurat_testkit::contract::{Answer, Probe, Readiness, Watched};

#[tokio::test(start_paused = true)]
async fn the_second_copy_is_sent_after_the_percentile_and_never_before() {
    let probe = learned(HedgeLayer::new(95.0), USUAL).await;
    probe.tell([slow(), slow()]);
    let mut response = probe.ask(request());
    assert!(response.within(USUAL).await.is_err());
    assert_eq!(probe.copies(), 1);
    // A percentile is known to a fifth.
    assert!(response.within(USUAL / 5).await.is_err());
    assert_eq!(probe.copies(), 2);
    assert!(response.within(USUAL * 10).await.is_err());
    assert_eq!(probe.copies(), 2, "there is one hedge");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_late_before_the_least_delay() {
    let layer = HedgeLayer::new(95.0).map(|layer| layer.min_delay(USUAL * 30));
    let probe = learned(layer, USUAL).await;
    probe.tell([slow(), slow()]);
    let mut response = probe.ask(request());
    assert!(response.within(USUAL * 30 - MOMENT).await.is_err());
    assert_eq!(probe.copies(), 1);
    assert!(response.within(MOMENT * 2).await.is_err());
    assert_eq!(probe.copies(), 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_late_before_twenty_answers_are_known() {
    let probe = Hedged::new(HedgeLayer::new(95.0));
    probe.learn(19, USUAL).await;
    probe.tell([slow(), slow()]);
    let answer = probe.ask(request()).within(SLOW * 2).await;
    assert!(answer.is_ok());
    assert_eq!(probe.copies(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_first_answer_wins_and_the_other_copy_is_cancelled_at_once() {
    for (second, hedge_wins) in [(MOMENT, true), (SLOW * 2, false)] {
        let probe = learned(HedgeLayer::new(95.0), USUAL).await;
        probe.tell([slow(), Answer::stream(1).after(second)]);
        let mut response = probe.ask(request());
        let answer = response.within(SLOW * 2).await.expect("comes");
        let answer = answer.expect("is an answer");
        assert_eq!(probe.copies(), 2);
        assert_eq!(answer.is_stream(), hedge_wins);
        // The future has not been dropped yet; what lives is the stream that won.
        assert_eq!(probe.inner.live(), usize::from(hedge_wins));
        drop(answer);
        assert_eq!(probe.inner.live(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_never_wins_over_an_answer_to_come() {
    let fails = |after| Answer::error(ErrorKind::Internal).after(after);
    for script in [[fails(SLOW), slow_by(2)], [slow_by(2), fails(MOMENT)]] {
        let probe = learned(HedgeLayer::new(95.0), USUAL).await;
        probe.tell(script);
        let answer = probe.ask(request()).within(SLOW * 3).await.expect("comes");
        assert!(answer.is_ok());
        assert_eq!(probe.copies(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn if_both_fail_the_error_is_that_of_the_first_unless_it_was_only_refused() {
    let fails = |kind, after| Answer::error(kind).after(after);
    let refuses = || Answer::busy(Scope::Request).after(SLOW);
    let (ours, other) = (ErrorKind::Overloaded, ErrorKind::Internal);
    for (script, expected) in [
        ([fails(ours, SLOW), fails(other, MOMENT)], ours),
        ([fails(ours, SLOW), fails(other, SLOW * 2)], ours),
        ([refuses(), fails(other, MOMENT)], other),
        ([refuses(), fails(other, SLOW * 2)], other),
        ([fails(ours, SLOW), refuses()], ours),
        ([refuses(), refuses()], ErrorKind::Rejected),
    ] {
        let probe = learned(HedgeLayer::new(95.0), USUAL).await;
        probe.tell(script);
        let answer = probe.ask(request()).within(SLOW * 3).await.expect("comes");
        assert_eq!(answer.expect_err("fails").kind(), expected);
        assert_eq!(probe.copies(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_before_it_is_late_is_not_hedged() {
    let probe = learned(HedgeLayer::new(95.0), USUAL).await;
    probe.tell([Answer::error(ErrorKind::Internal).after(USUAL / 2)]);
    let answer = probe.ask(request()).within(SLOW * 2).await.expect("comes");
    assert_eq!(answer.expect_err("fails").kind(), ErrorKind::Internal);
    assert_eq!(probe.copies(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_hedged_for_which_nobody_is_left_or_no_attempt_or_no_time() {
    let spoilt: [(&str, fn(&Ledger)); 4] = [
        ("nothing", |_| {}),
        ("no untried deployment", |ledger| ledger.set_untried(0)),
        ("no attempt", |ledger| ledger.set_attempts(0)),
        ("no time", |ledger| ledger.limit(Instant::now() + MOMENT)),
    ];
    for (what, spoil) in spoilt {
        let probe = learned(HedgeLayer::new(95.0), USUAL).await;
        probe.tell([slow(), slow()]);
        let request = request();
        spoil(request.ledger().expect("has one"));
        assert!(probe.ask(request).within(SLOW * 2).await.is_ok());
        let expected = if what == "nothing" { 2 } else { 1 };
        assert_eq!(probe.copies(), expected, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn streams_are_compared_with_streams() {
    let probe = learned(HedgeLayer::new(95.0), USUAL).await;
    probe.tell([slow(), slow()]);
    let body = json!({"model": "gpt", "messages": [], "stream": true});
    let streamed = LlmRequest::from_value(Operation::ChatCompletions, &body).expect("is valid");
    streamed.ledger().expect("has one").set_untried(1);
    assert!(probe.ask(streamed).within(SLOW * 2).await.is_ok());
    assert_eq!(probe.copies(), 1, "nothing is known of streams yet");
}

#[tokio::test(start_paused = true)]
async fn groups_are_compared_with_themselves() {
    let probe = learned(HedgeLayer::new(95.0), USUAL).await;
    probe.tell([slow(), slow()]);
    assert!(
        probe
            .ask(request().with_group("large"))
            .within(SLOW)
            .await
            .is_ok()
    );
    assert_eq!(probe.copies(), 1, "nothing is known of the other group");
}

#[tokio::test(start_paused = true)]
async fn it_can_be_kept_to_some_groups_and_some_requests() {
    let groups = |names: &[&'static str]| {
        let names = names.to_vec();
        HedgeLayer::new(95.0).map(|layer| layer.groups(names))
    };
    for (layer, copies) in [(groups(&["gpt"]), 2), (groups(&["large"]), 1)] {
        let probe = learned(layer, USUAL).await;
        probe.tell([slow(), slow()]);
        assert!(probe.ask(request()).within(SLOW * 2).await.is_ok());
        assert_eq!(probe.copies(), copies);
    }

    let layer = HedgeLayer::new(95.0).expect("is a percentile");
    let inner = Probe::new().with_answer(slow());
    let service = layer
        .clone()
        .hedging_by(|_: &LlmRequest| Hedging::Off)
        .layer(inner.clone());
    let hedged = Hedged::new(Ok(layer));
    hedged.learn(20, USUAL).await;
    assert!(service.oneshot(request()).await.is_ok());
    assert_eq!(inner.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn clones_share_what_was_learned_and_other_settings_keep_it() {
    let layer = HedgeLayer::new(95.0).expect("is a percentile");
    Hedged::new(Ok(layer.clone())).learn(20, USUAL).await;
    let after = layer.percentile(90.0).and_then(|it| it.budget(50.0));
    let probe = Hedged::new(after);
    probe.tell([slow(), slow()]);
    assert!(probe.ask(request()).within(SLOW * 2).await.is_ok());
    assert_eq!(probe.copies(), 2);
}

#[tokio::test(start_paused = true)]
async fn under_a_slow_provider_the_hedges_stay_within_five_percent_of_the_requests() {
    fastrand::seed(7);
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    // A fourth of the answers takes its time: all of those want a hedge.
    let provider = service_fn(move |_: LlmRequest| {
        counted.fetch_add(1, Relaxed);
        let late = fastrand::u8(..4) == 0;
        async move {
            sleep(if late { SLOW } else { USUAL }).await;
            Ok::<_, Error>(LlmResponse::complete("{}", None))
        }
    });
    let layer = HedgeLayer::new(70.0).expect("is a percentile");
    let service = layer.layer(provider);
    let began = Instant::now();
    let requests = 3_000;
    let all = (0..requests).map(|number| {
        let service = service.clone();
        async move {
            sleep_until(began + Duration::from_millis(20) * number).await;
            service.oneshot(request()).await
        }
    });
    assert!(join_all(all).await.iter().all(Result::is_ok));
    let calls = u32::try_from(calls.load(Relaxed));
    let hedges = calls.expect("is small") - requests;
    assert!(hedges * 100 <= requests * 5, "{hedges}");
    assert!(hedges * 100 >= requests * 4, "it is used: {hedges}");
}

#[tokio::test(start_paused = true)]
async fn without_a_budget_there_are_no_hedges() {
    let probe = learned(HedgeLayer::new(95.0).and_then(|it| it.budget(0.0)), USUAL).await;
    probe.tell([slow(), slow()]);
    assert!(probe.ask(request()).within(SLOW * 2).await.is_ok());
    assert_eq!(probe.copies(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_counts_once_for_the_budget_however_often_it_is_tried() {
    let tried = || {
        let request = request();
        let ledger = request.ledger().expect("has one");
        let attempt = ledger.attempt(&Arc::new(Deployment::new("a", "gpt", "m")));
        drop(attempt.expect("is allowed"));
        request
    };
    let answers = Answer::complete().after(USUAL);
    let refuses = Answer::busy(Scope::Request);
    for (counts, before) in [
        (
            true,
            (0..40).map(|_| (request(), answers.clone())).collect(),
        ),
        (false, (0..40).map(|_| (tried(), answers.clone())).collect()),
        (
            false,
            (0..40)
                .map(|_| (request(), refuses.clone()))
                .collect::<Vec<_>>(),
        ),
    ] {
        let probe = learned(HedgeLayer::new(95.0), USUAL).await;
        // What has taught the layer counts no more.
        sleep(SLOW * 2).await;
        for (request, answer) in before {
            probe.inner.set_answer(answer);
            assert!(probe.ask(request).within(SLOW).await.is_ok());
        }
        let seen = probe.inner.calls();
        probe.tell([slow(), slow()]);
        assert!(probe.ask(request()).within(SLOW * 2).await.is_ok());
        assert_eq!(probe.inner.calls() - seen == 2, counts);
    }
}

#[tokio::test(start_paused = true)]
async fn each_copy_is_readied_before_it_is_sent() {
    let probe = learned(HedgeLayer::new(95.0), USUAL).await;
    probe.tell([slow(), slow()]);
    probe.inner.set_readiness(Readiness::Yielding(3));
    // The probe panics if it is called without having said that it is ready.
    assert!(probe.ask(request()).within(SLOW * 2).await.is_ok());
    assert_eq!(probe.copies(), 2);
}

#[tokio::test(start_paused = true)]
async fn dropped_while_both_copies_run_it_leaves_nothing() {
    let probe = learned(HedgeLayer::new(95.0), USUAL).await;
    probe.tell([slow(), slow()]);
    let mut response = probe.ask(request());
    assert!(response.within(USUAL * 2).await.is_err());
    assert_eq!(probe.inner.live(), 2);
    drop(response);
    assert_eq!(probe.inner.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_won_passes_unchanged() {
    let probe = learned(HedgeLayer::new(95.0), USUAL).await;
    probe.tell([slow(), Answer::stream(3)]);
    let answer = probe.ask(request()).within(SLOW * 2).await.expect("comes");
    let (_, items) = answer.expect("is an answer").into_parts();
    assert_eq!(
        items
            .filter(|item| std::future::ready(item.is_ok()))
            .count()
            .await,
        3
    );
}

#[test]
fn a_percentage_that_is_none_is_an_error() {
    for wrong in [-1.0, 101.0, f64::NAN, f64::INFINITY] {
        assert!(HedgeLayer::new(wrong).is_err());
        let layer = HedgeLayer::new(99.9).expect("is a percentile");
        assert!(layer.clone().percentile(wrong).is_err());
        let error = layer.budget(wrong).expect_err("is none");
        assert!(
            error
                .to_string()
                .starts_with("a percentage must be from 0 to 100")
        );
    }
}

const MOMENT: Duration = Duration::from_millis(1);
const USUAL: Duration = Duration::from_millis(100);
const SLOW: Duration = Duration::from_secs(5);

fn request() -> LlmRequest {
    let request = LlmRequest::chat("gpt", "hi");
    request.ledger().expect("has one").set_untried(1);
    request
}

fn slow() -> Answer {
    slow_by(1)
}

fn slow_by(times: u32) -> Answer {
    Answer::complete().after(SLOW * times)
}

/// A layer over a probe, which stands for a balancer that always finds somebody.
struct Hedged {
    service: Hedge<Probe>,
    inner: Probe,
    /// How many calls were made before the test.
    seen: Cell<usize>,
}

impl Hedged {
    fn new(layer: Result<HedgeLayer, PercentError>) -> Self {
        let inner = Probe::new();
        let layer = layer.expect("is a percentage");
        Self {
            service: layer.layer(inner.clone()),
            inner,
            seen: Cell::new(0),
        }
    }

    /// Makes that many requests that take so long.
    async fn learn(&self, requests: usize, took: Duration) {
        self.inner.set_answer(Answer::complete().after(took));
        for _ in 0..requests {
            assert!(self.ask(request()).within(SLOW * 2).await.is_ok());
        }
        self.seen.set(self.inner.calls());
    }

    /// Tells what the next copies are answered.
    fn tell(&self, script: impl IntoIterator<Item = Answer>) {
        drop(self.inner.clone().with_script(script));
    }

    fn ask(&self, request: LlmRequest) -> Watched<Oneshot<Hedge<Probe>, LlmRequest>> {
        Watched::new(self.service.clone().oneshot(request))
    }

    /// How many copies were sent since the layer has learned.
    fn copies(&self) -> usize {
        self.inner.calls() - self.seen.get()
    }
}

/// A layer that knows that answers take so long.
async fn learned(layer: Result<HedgeLayer, PercentError>, took: Duration) -> Hedged {
    let hedged = Hedged::new(layer);
    hedged.learn(20, took).await;
    hedged
}
