//! What each attempt settles as.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::time::sleep;
use tower::{Layer as _, ServiceExt as _, service_fn};
use ziggurat_core::{
    Deployment, Error, ErrorKind, Item, LlmRequest, LlmResponse, Maker, Operation, Prices, Reason,
    Rejection, Routed, Scope, Usage,
};
use ziggurat_settle::{JsonLines, Outcome, Recent, SettleLayer, Settlement, SettlementSink, Sinks};

/// One token in costs a picodollar, one out ten.
fn deployment() -> Arc<Deployment> {
    let prices = Prices {
        input: Some(1e-12),
        output: Some(10e-12),
        ..Prices::default()
    };
    Arc::new(Deployment::new("a", "gpt", "m").with_prices(prices))
}

/// Twelve bytes of text, and four of the role: an estimate of four tokens.
fn request() -> LlmRequest {
    LlmRequest::chat("gpt", "hello, world")
}

/// Sends a request to what answers so, lets `read` do with the answer what it wants, and gives what
/// was settled.
async fn settled<F, R>(
    request: LlmRequest,
    leaf: impl Fn() -> F + Clone,
    read: impl FnOnce(Result<LlmResponse, Error>) -> R,
) -> Vec<Settlement>
where
    F: Future<Output = Result<LlmResponse, Error>>,
    R: Future<Output = ()>,
{
    let recent = Arc::new(Recent::new(10));
    let leaf = service_fn(move |_: Routed<LlmRequest>| leaf());
    let service = SettleLayer::new(Arc::clone(&recent)).layer(leaf);
    let answer = service.oneshot(Routed::new(request, deployment()));
    read(answer.await).await;
    recent.take()
}

fn word(text: &str) -> Result<Item, Error> {
    let event = serde_json::json!({"choices": [{"index": 0, "delta": {"content": text}}]});
    Ok(Item {
        bytes: Bytes::from(format!("data: {event}\n\n")),
        events: 1,
        ..Item::default()
    })
}

fn told(usage: Usage) -> Result<Item, Error> {
    Ok(Item {
        bytes: Bytes::from_static(b"data: {\"choices\":[]}\n\n"),
        events: 1,
        usage: Some(usage),
        ..Item::default()
    })
}

fn broken() -> Result<Item, Error> {
    Err(Error::new(ErrorKind::StreamBroken, "broke off"))
}

fn streams(
    items: impl Fn() -> Vec<Result<Item, Error>> + Clone,
) -> impl Fn() -> std::future::Ready<Result<LlmResponse, Error>> + Clone {
    move || {
        let items = stream::iter(items());
        std::future::ready(Ok(LlmResponse::stream(Box::pin(items))))
    }
}

async fn to_the_end(answer: Result<LlmResponse, Error>) {
    if let Ok(answer) = answer {
        let (_, mut items) = answer.into_parts();
        while items.next().await.is_some() {}
    }
}

#[track_caller]
fn assert_one(rows: &[Settlement], outcome: Outcome, usage: Usage, cost: u128) {
    let [row] = rows else {
        panic!("there are {} rows", rows.len());
    };
    assert_eq!((row.outcome(), *row.usage()), (outcome, usage));
    assert_eq!(row.cost().map(|cost| cost.picodollars()), Some(cost));
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_is_charged_by_the_providers_word_and_says_so() {
    let leaf = async || Ok(LlmResponse::complete("{}", Some(Usage::new(7, 2))));
    let rows = settled(request(), leaf, async |answer| {
        let answer = answer.expect("answers");
        let charge = answer.charge().expect("is charged");
        assert!(!charge.estimated);
        assert_eq!(charge.cost.map(|cost| cost.picodollars()), Some(27));
    });
    assert_one(&rows.await, Outcome::Served, Usage::new(7, 2), 27);
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_count_is_estimated_and_marked() {
    let body = r#"{"choices":[{"message":{"role":"assistant","content":"12345"}}]}"#;
    let leaf = async || Ok(LlmResponse::complete(body, None));
    let rows = settled(request(), leaf, async |answer| {
        let answer = answer.expect("answers");
        assert!(answer.charge().expect("is charged").estimated);
    });
    let usage = Usage::new(4, 2).as_estimate();
    assert_one(&rows.await, Outcome::Served, usage, 24);
}

#[tokio::test(start_paused = true)]
async fn an_image_without_a_count_is_not_estimated_in_tokens() {
    let body = r#"{"model": "gpt", "prompt": "a cat"}"#;
    let request = LlmRequest::from_bytes(Operation::ImageGeneration, body).expect("is valid");
    let leaf = async || Ok(LlmResponse::complete("{}", None));
    let rows = settled(request, leaf, to_the_end).await;
    assert_eq!((*rows[0].usage(), rows[0].cost()), (Usage::default(), None));
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_charged_by_what_it_says_at_its_end() {
    let items = || vec![word("a"), word("b"), told(Usage::new(7, 2))];
    let rows = settled(request(), streams(items), to_the_end).await;
    assert_one(&rows, Outcome::Served, Usage::new(7, 2), 27);
    let without = || vec![word("1234"), word("5678")];
    let rows = settled(request(), streams(without), to_the_end).await;
    assert_one(&rows, Outcome::Served, Usage::new(4, 2).as_estimate(), 24);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_is_charged_what_was_seen() {
    let items = || vec![word("1234"), word("56"), broken()];
    let rows = settled(request(), streams(items), to_the_end).await;
    let outcome = Outcome::Failed(ErrorKind::StreamBroken);
    assert_one(&rows, outcome, Usage::new(4, 2).as_estimate(), 24);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_is_charged_what_it_was_sent() {
    let items = || (0..100).map(|_| word("12345678")).collect();
    let rows = settled(request(), streams(items), async |answer| {
        let (_, mut items) = answer.expect("answers").into_parts();
        for _ in 0..3 {
            assert!(items.next().await.is_some());
        }
    });
    let usage = Usage::new(4, 6).as_estimate();
    assert_one(&rows.await, Outcome::Cancelled, usage, 64);
}

#[tokio::test(start_paused = true)]
async fn what_the_provider_said_by_then_goes_before_an_estimate() {
    let cached = Usage {
        cached_input: 4,
        ..Usage::new(900, 1)
    };
    // It has counted the input, and begins to write.
    let items = move || vec![told(cached), word("12345678"), word("1234"), broken()];
    let rows = settled(request(), streams(items), to_the_end).await;
    let usage = Usage {
        output: 3,
        estimated: true,
        ..cached
    };
    let outcome = Outcome::Failed(ErrorKind::StreamBroken);
    assert_one(&rows, outcome, usage, 930);
    // It counts on with each event.
    let items = || {
        vec![
            word("1234"),
            told(Usage::new(9, 2)),
            word("56"),
            told(Usage::new(9, 5)),
            broken(),
        ]
    };
    let rows = settled(request(), streams(items), to_the_end).await;
    assert_one(&rows, outcome, Usage::new(9, 5), 59);
}

#[tokio::test(start_paused = true)]
async fn what_was_held_back_and_never_read_is_charged() {
    let items = || vec![word("12345678"), word("1234")];
    let rows = settled(request(), streams(items), async |answer| {
        let mut answer = answer.expect("answers");
        std::future::poll_fn(|cx| answer.poll_hold(cx, 2, usize::MAX))
            .await
            .expect("does not fail");
    });
    let usage = Usage::new(4, 3).as_estimate();
    assert_one(&rows.await, Outcome::Cancelled, usage, 34);
}

#[tokio::test(start_paused = true)]
async fn a_failure_without_an_answer_uses_nothing_unless_the_provider_says_otherwise() {
    let failure = || Error::new(ErrorKind::Overloaded, "busy");
    let rows = settled(request(), async || Err(failure()), to_the_end).await;
    let outcome = Outcome::Failed(ErrorKind::Overloaded);
    assert_one(&rows, outcome, Usage::new(0, 0), 0);
    let billed = async || Err(failure().with_usage(Usage::new(7, 0)));
    let rows = settled(request(), billed, to_the_end).await;
    assert_one(&rows, outcome, Usage::new(7, 0), 7);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_given_up_has_its_input_estimated() {
    let recent = Arc::new(Recent::new(10));
    let leaf = service_fn(async |_: Routed<LlmRequest>| {
        sleep(Duration::from_secs(60)).await;
        Ok::<_, Error>(LlmResponse::complete("{}", None))
    });
    let service = SettleLayer::new(Arc::clone(&recent)).layer(leaf);
    let answer = service.oneshot(Routed::new(request(), deployment()));
    let late = tokio::time::timeout(Duration::from_secs(5), answer).await;
    assert!(late.is_err());
    let rows = recent.take();
    let usage = Usage::new(4, 0).as_estimate();
    assert_one(&rows, Outcome::Cancelled, usage, 4);
    assert_eq!(rows[0].took(), Duration::from_secs(5));
    assert_eq!(rows[0].first_token(), None);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_settles_nothing() {
    let refusal = async || {
        let rejection = Rejection::new(Reason::Cooldown, Scope::Deployment);
        Err(Error::rejected(rejection, "rests"))
    };
    assert!(settled(request(), refusal, to_the_end).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_the_router_answers_itself_costs_nothing() {
    let usage = Usage::new(7, 2).as_estimate();
    let leaf = move || {
        let answer = LlmResponse::complete("{}", Some(usage)).with_maker(Maker::Mock);
        std::future::ready(Ok(answer))
    };
    let rows = settled(request(), leaf, to_the_end).await;
    assert_one(&rows, Outcome::Mocked, usage, 0);
}

#[tokio::test(start_paused = true)]
async fn a_row_says_whose_it_is_and_as_json_too() {
    let body = r#"{"model": "gpt", "messages": [], "user": "u", "metadata": {"tags": ["x", "y"]}}"#;
    let request = LlmRequest::from_bytes(Operation::ChatCompletions, body).expect("is valid");
    let caller = ziggurat_core::Caller::new().with_key("k").with_team("t");
    let request = request.with_caller(caller);
    let used = Usage {
        cached_input: 4,
        queries: Some(1),
        ..Usage::new(7, 2)
    };
    let leaf = move || std::future::ready(Ok(LlmResponse::complete("{}", Some(used))));
    let rows = settled(request, leaf, to_the_end).await;
    let mut json = rows[0].to_json();
    let members = json.as_object_mut().expect("is an object");
    for name in ["id", "request_id", "started"] {
        assert!(
            members.remove(name).is_some_and(|it| it.is_string()),
            "{name}"
        );
    }
    let expected = serde_json::json!({
        "model_group": "gpt", "model_id": "a", "provider": "openai", "model": "m",
        "operation": "chat_completions", "outcome": "served", "first_token_ms": 0, "took_ms": 0,
        "cost": "0.000000000027",
        "usage": {"estimated": false, "input": 7, "output": 2, "cached_input": 4, "queries": 1},
        "key": "k", "team": "t", "user": "u", "tags": ["x", "y"],
    });
    assert_eq!(json, expected);
}

#[tokio::test(start_paused = true)]
async fn every_attempt_has_a_name_of_its_own_and_shares_that_of_its_request() {
    let recent = Arc::new(Recent::new(10));
    let leaf =
        service_fn(async |_: Routed<LlmRequest>| Ok::<_, Error>(LlmResponse::complete("{}", None)));
    let service = SettleLayer::new(Arc::clone(&recent)).layer(leaf);
    let named = request();
    ziggurat_core::HasLedger::ledger(&named)
        .expect("has one")
        .set_name("call-1");
    for request in [&named, &named, &request()] {
        let routed = Routed::new(request.clone(), deployment());
        service.clone().oneshot(routed).await.expect("answers");
    }
    let rows = recent.take();
    let names: Vec<_> = rows
        .iter()
        .map(|row| row.request_id().to_string())
        .collect();
    assert_eq!((&*names[0], &*names[1]), ("call-1", "call-1"));
    assert_eq!(names[2].len(), 32);
    assert!(rows[0].id() != rows[1].id() && rows[1].id() != rows[2].id());
}

#[tokio::test(start_paused = true)]
async fn sinks_are_told_from_when_they_are_added_and_a_full_one_loses_the_oldest() {
    let sinks = Sinks::new();
    let leaf = service_fn(async |_: Routed<LlmRequest>| {
        Ok::<_, Error>(LlmResponse::complete("{}", Some(Usage::new(1, 0))))
    });
    let service = SettleLayer::new(sinks.clone()).layer(leaf);
    let (early, late) = (Arc::new(Recent::new(2)), Arc::new(Recent::new(2)));
    sinks.add(Arc::clone(&early));
    for sent in 0..3 {
        if sent == 2 {
            sinks.add(Arc::clone(&late));
        }
        let routed = Routed::new(request(), deployment());
        service.clone().oneshot(routed).await.expect("answers");
    }
    let (early_rows, late_rows) = (early.take(), late.take());
    assert_eq!((early_rows.len(), early.dropped()), (2, 1));
    assert_eq!((late_rows.len(), late.dropped()), (1, 0));
    assert_eq!(early_rows[1].id(), late_rows[0].id());
}

/// Takes bytes when it is let to.
struct Gate(
    std::sync::mpsc::Receiver<()>,
    Arc<parking_lot::Mutex<Vec<u8>>>,
);

impl std::io::Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let closed = |_| std::io::Error::other("is closed");
        self.0.recv().map_err(closed)?;
        self.1.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn lines_are_written_by_another_thread_and_what_finds_no_room_is_counted() {
    let leaf = async || Ok(LlmResponse::complete("{}", Some(Usage::new(7, 2))));
    let row = settled(request(), leaf, to_the_end).await.remove(0);
    let written = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let (open, gate) = std::sync::mpsc::sync_channel(1_000);
    let lines = JsonLines::new(Gate(gate, Arc::clone(&written)), 4).expect("starts");
    // The writer waits: it holds what it has taken, and four wait.
    while lines.dropped() == 0 {
        lines.settle(&row);
    }
    for _ in 0..1_000 {
        open.try_send(()).expect("has room");
    }
    lines.flush();
    let dropped = lines.dropped();
    lines.settle(&row);
    lines.flush();
    assert_eq!(lines.dropped(), dropped);
    let text = String::from_utf8(written.lock().clone()).expect("is text");
    assert!(text.lines().count() >= 5);
    for line in text.lines() {
        let json: serde_json::Value = serde_json::from_str(line).expect("is JSON");
        assert_eq!(json, row.to_json());
    }
}

#[tokio::test(start_paused = true)]
async fn lines_that_cannot_be_written_are_counted() {
    let leaf = async || Ok(LlmResponse::complete("{}", None));
    let row = settled(request(), leaf, to_the_end).await.remove(0);
    let (open, gate) = std::sync::mpsc::sync_channel(1);
    drop(open);
    let lines = JsonLines::new(Gate(gate, Arc::default()), 4).expect("starts");
    lines.settle(&row);
    lines.flush();
    assert!(lines.dropped() > 0);
}
