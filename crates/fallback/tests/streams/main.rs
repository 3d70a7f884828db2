//! Streams that break after their first item.

mod beneath;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::{StreamExt, poll, stream};
use parking_lot::Mutex;
use tokio::time::{Instant, advance};
use tower::{ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use ziggurat_core::{
    Clock, Error,
    ErrorKind::{
        self, BadAnswer, BadRequest, Budget, ContentPolicy, ContextWindow, Internal, RateLimited,
        StreamBroken, Unavailable,
    },
    FallbackList, FallbackTarget, HasLedger, Items, Ledger, LlmRequest, LlmResponse, Outcome,
    ProviderLimits, Quota, ReadOptions, Reason, Rejection, Scope,
};
use ziggurat_fallback::{FallbackLayer, FallbackLists};
use ziggurat_testkit::contract::{Answer, Ended, Probe};

use beneath::{
    Beneath,
    Part::{Fails, Refuses, Says, Whole},
    WORDS, Words, word,
};

fn request() -> LlmRequest {
    LlmRequest::chat("a", "hi")
}

fn ledger(request: &LlmRequest) -> &Ledger {
    request.ledger().expect("has one")
}

type Boxed = BoxCloneSyncService<LlmRequest, LlmResponse, Error>;

fn service(lists: FallbackLists, words: Words, beneath: &Beneath) -> Boxed {
    let layer = FallbackLayer::new(lists).transcripts(words);
    BoxCloneSyncService::new(ServiceBuilder::new().layer(layer).service(beneath.clone()))
}

fn lists() -> FallbackLists {
    FallbackLists::new().general([("a", ["b", "c"])])
}

async fn begin(words: Words, beneath: &Beneath, request: &LlmRequest) -> Items {
    let response = service(lists(), words, beneath)
        .oneshot(request.clone())
        .await;
    response.expect("begins").into_parts().1
}

/// What the client reads, and the kind and message of the failure at its end.
async fn read(mut items: Items) -> (String, Option<(ErrorKind, String)>) {
    let mut words = Vec::new();
    while let Some(item) = items.next().await {
        match item {
            Ok(item) => words.push(String::from_utf8(item.bytes.to_vec()).expect("is text")),
            Err(error) => {
                let failure = (error.kind(), error.message().to_owned());
                assert!(items.next().await.is_none(), "a failure is the end");
                return (words.join(" "), Some(failure));
            }
        }
    }
    (words.join(" "), None)
}

async fn send(beneath: &Beneath) -> (String, Option<(ErrorKind, String)>) {
    read(begin(WORDS, beneath, &request()).await).await
}

fn broken() -> Option<(ErrorKind, String)> {
    Some((StreamBroken, "a broke".to_owned()))
}

#[tokio::test]
async fn a_stream_that_breaks_is_gone_on_with_by_its_own_group_first() {
    let beneath = Beneath::new([
        Says(&["one", "two"], Some(StreamBroken)),
        Says(&["role", "three"], None),
    ]);
    let request = request();
    let (words, failure) = read(begin(WORDS, &beneath, &request).await).await;
    assert_eq!((&*words, failure), ("one two three", None));
    assert_eq!(beneath.calls(), ["a", "a prefill onetwo"]);
    assert_eq!(ledger(&request).fallbacks(), 0);
    let trail = ledger(&request).trail();
    let outcomes: Vec<_> = trail
        .entries()
        .iter()
        .map(|entry| entry.outcome())
        .collect();
    assert_eq!(outcomes, [Outcome::Failed(StreamBroken), Outcome::Complete]);
}

#[tokio::test]
async fn without_transcripts_that_listen_a_break_is_the_end() {
    let script = || Beneath::new([Says(&["one"], Some(StreamBroken))]);
    let deaf = Words {
        listens: false,
        ..WORDS
    };
    let beneath = script();
    let read_all = read(begin(deaf, &beneath, &request()).await).await;
    assert_eq!(read_all, ("one".to_owned(), broken()));
    let service = ServiceBuilder::new()
        .layer(FallbackLayer::new(lists()))
        .service(script());
    let response = service.oneshot(request()).await.expect("begins");
    assert_eq!(read(response.into_parts().1).await.1, broken());
}

#[tokio::test]
async fn who_refuses_the_one_way_is_asked_in_the_other_and_then_the_next_group_is() {
    let beneath = Beneath::new([
        Says(&["one"], Some(StreamBroken)),
        Refuses(Scope::Attempt),
        Refuses(Scope::Attempt),
        Fails(BadRequest),
        Says(&["role", "two"], None),
    ]);
    let request = request();
    let (words, failure) = read(begin(WORDS, &beneath, &request).await).await;
    assert_eq!((&*words, failure), ("one two", None));
    let calls = [
        "a",
        "a prefill one",
        "a instruction one",
        "b prefill one",
        "b instruction one",
    ];
    assert_eq!(beneath.calls(), calls);
    assert_eq!(ledger(&request).fallbacks(), 1);
    assert_eq!(ledger(&request).attempts(), 3, "refusals cost none");
}

#[tokio::test]
async fn a_rest_that_is_too_long_for_a_group_goes_to_those_that_stand_in_for_long_ones_first() {
    let too_long = Fails(ContextWindow);
    let rest = Says(&["role", "two"], None);
    for (lists, takes) in [
        (lists(), "b"),
        (lists().context_window([("a", ["long"])]), "long"),
    ] {
        let first = Says(&["one"], Some(StreamBroken));
        let beneath = Beneath::new([first, too_long, too_long, rest]);
        let service = service(lists, WORDS, &beneath);
        let response = service.oneshot(request()).await.expect("begins");
        let (words, failure) = read(response.into_parts().1).await;
        assert_eq!((&*words, failure), ("one two", None));
        let last = beneath.calls().pop();
        assert_eq!(last, Some(format!("{takes} prefill one")));
    }
}

#[tokio::test]
async fn who_fails_before_the_first_item_of_the_rest_is_left_for_the_next_group() {
    for part in [Fails(Unavailable), Fails(RateLimited), Whole] {
        let beneath = Beneath::new([
            Says(&["one"], Some(Internal)),
            part,
            Fails(Internal),
            Says(&["role", "two"], None),
        ]);
        let (words, failure) = send(&beneath).await;
        assert_eq!((&*words, failure), ("one two", None));
        let calls = ["a", "a prefill one", "b prefill one", "c prefill one"];
        assert_eq!(beneath.calls(), calls);
    }
}

#[tokio::test]
async fn a_rest_that_breaks_is_gone_on_with_by_who_gave_it() {
    let beneath = Beneath::new([
        Says(&["one"], Some(StreamBroken)),
        Fails(Internal),
        Says(&["role", "two"], Some(ErrorKind::Timeout(Clock::Idle))),
        Says(&["role", "three"], Some(Unavailable)),
        Says(&["role", "four"], None),
    ]);
    let (words, failure) = send(&beneath).await;
    assert_eq!((&*words, failure), ("one two three four", None));
    let calls = [
        "a",
        "a prefill one",
        "b prefill one",
        "b prefill onetwo",
        "b prefill onetwothree",
    ];
    assert_eq!(beneath.calls(), calls);
}

#[tokio::test]
async fn the_break_is_reported_if_nobody_goes_on() {
    for (script, calls) in [
        (
            vec![Fails(Internal), Fails(Unavailable), Fails(RateLimited)],
            4,
        ),
        // A hard stop, and a refusal of the request wherever it goes, end the search.
        (vec![Fails(Budget)], 2),
        (vec![Refuses(Scope::Request)], 2),
        // What is named for an outage is no way round a refusal.
        (vec![Fails(ContentPolicy)], 2),
    ] {
        let beneath = Beneath::new(
            [Says(&["one"], Some(StreamBroken))]
                .into_iter()
                .chain(script),
        );
        assert_eq!(send(&beneath).await, ("one".to_owned(), broken()));
        assert_eq!(beneath.calls().len(), calls);
    }
}

#[tokio::test]
async fn a_failure_that_no_general_list_serves_is_not_gone_on_with() {
    for kind in ErrorKind::ALL {
        let rest = Says(&["role", "two"], None);
        let beneath = Beneath::new([Says(&["one"], Some(kind)), rest]);
        let (_, failure) = send(&beneath).await;
        let general = kind.rule().fallback == FallbackList::General;
        assert_eq!(failure.is_none(), general, "{kind}");
        assert_eq!(beneath.calls().len(), 1 + usize::from(general), "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_gone_on_with_after_the_deadline_or_without_an_attempt() {
    let script = || Beneath::new([Says(&["one"], Some(StreamBroken))]);
    let (beneath, late) = (script(), request());
    ledger(&late).limit(Instant::now() + Duration::from_secs(1));
    let items = begin(WORDS, &beneath, &late).await;
    advance(Duration::from_secs(1)).await;
    assert_eq!(read(items).await.1, broken());
    let (beneath, spent) = (script(), request());
    ledger(&spent).set_attempts(1);
    assert_eq!(read(begin(WORDS, &beneath, &spent).await).await.1, broken());
}

#[tokio::test]
async fn attempts_bound_how_often_an_answer_is_gone_on_with() {
    let part = Says(&["role", "x"], Some(StreamBroken));
    let beneath = Beneath::new(vec![part; 7]);
    let (_, failure) = send(&beneath).await;
    assert_eq!(failure.map(|(kind, _)| kind), Some(StreamBroken));
    assert_eq!(beneath.calls().len(), 6);
}

#[tokio::test]
async fn an_answer_is_gone_on_with_sixteen_times_where_nobody_counts_attempts() {
    let probe = Probe::new().with_answer(Answer::stream(1).breaking(StreamBroken));
    let layer = FallbackLayer::new(FallbackLists::new()).transcripts(WORDS);
    let service = ServiceBuilder::new().layer(layer).service(probe.clone());
    let response = service.oneshot(request()).await.expect("begins");
    let (_, failure) = read(response.into_parts().1).await;
    assert_eq!(failure.map(|(kind, _)| kind), Some(StreamBroken));
    assert_eq!(probe.calls(), 17);
}

#[tokio::test]
async fn a_target_goes_on_with_its_own_values() {
    let warm = serde_json::json!({"model": "b", "temperature": 0});
    let warm = FallbackTarget::from_json(warm, ReadOptions::new()).expect("is a target");
    let lists = FallbackLists::new().general([("a", [warm, "c".into()])]);
    let parts = Arc::new(Mutex::new(VecDeque::from([None, Some(()), None, Some(())])));
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let keeps = Arc::clone(&bodies);
    let inner = tower::service_fn(move |request: LlmRequest| {
        let warm = request.body().windows(11).any(|it| it == b"temperature");
        keeps.lock().push((request.group().to_string(), warm));
        let answers = parts.lock().pop_front().flatten();
        async move {
            let error = || Error::new(Internal, "failed");
            answers.ok_or_else(error)?;
            let items = [Ok(word("one")), Ok(word("two")), Err(error())];
            Ok::<_, Error>(LlmResponse::stream(Box::pin(stream::iter(items))))
        }
    });
    let layer = FallbackLayer::new(lists).transcripts(WORDS);
    let service = ServiceBuilder::new().layer(layer).service(inner);
    let response = service.oneshot(request()).await.expect("begins");
    read(response.into_parts().1).await;
    let seen = std::mem::take(&mut *bodies.lock());
    let seen: Vec<_> = seen.iter().map(|(group, warm)| (&**group, *warm)).collect();
    assert_eq!(
        seen[..4],
        [("a", false), ("b", true), ("b", true), ("c", false)]
    );
}

#[tokio::test]
async fn a_group_where_what_was_said_cannot_be_gone_on_with_is_not_asked() {
    let only_told = Words {
        prefill: false,
        ..WORDS
    };
    let beneath = Beneath::new([
        Says(&["one"], Some(StreamBroken)),
        Refuses(Scope::Attempt),
        Says(&["role", "two"], None),
    ]);
    let (words, _) = read(begin(only_told, &beneath, &request()).await).await;
    assert_eq!(words, "one two");
    assert_eq!(
        beneath.calls(),
        ["a", "a instruction one", "b instruction one"]
    );
    let never = Words {
        instruction: false,
        ..only_told
    };
    let beneath = Beneath::new([Says(&["one"], Some(StreamBroken))]);
    let request = request();
    assert_eq!(
        read(begin(never, &beneath, &request).await).await.1,
        broken()
    );
    assert_eq!(ledger(&request).fallbacks(), 0);
}

#[tokio::test]
async fn an_item_of_which_nothing_is_left_is_not_passed_on_unless_it_tells_the_usage() {
    let beneath = Beneath::new([
        Says(&["one"], Some(StreamBroken)),
        Says(&["role", "two"], Some(StreamBroken)),
        Says(&["usage"], None),
    ]);
    let mut items = begin(WORDS, &beneath, &request()).await;
    let mut seen = Vec::new();
    while let Some(item) = items.next().await {
        let item = item.expect("is gone on with");
        seen.push((item.bytes.len(), item.usage.is_some()));
    }
    assert_eq!(seen, [(3, false), (3, false), (0, true)]);
}

#[tokio::test]
async fn the_answer_keeps_its_headers_and_limits_and_a_complete_one_is_left_alone() {
    let limits = ProviderLimits {
        requests: Some(Quota {
            limit: 9,
            remaining: 1,
            resets_at: None,
        }),
        ..ProviderLimits::default()
    };
    for streams in [true, false] {
        let inner = tower::service_fn(move |_: LlmRequest| async move {
            let mut response = match streams {
                true => LlmResponse::stream(Box::pin(stream::iter([Ok(word("one"))]))),
                false => LlmResponse::complete("one", None),
            };
            response
                .headers_mut()
                .insert("x-id", http::HeaderValue::from_static("7"));
            Ok::<_, Error>(response.with_provider_limits(limits))
        });
        let layer = FallbackLayer::new(lists()).transcripts(WORDS);
        let service = ServiceBuilder::new().layer(layer).service(inner);
        let response = service.oneshot(request()).await.expect("answers");
        assert_eq!(response.headers()["x-id"], "7");
        assert_eq!(response.provider_limits(), Some(&limits));
        assert_eq!(response.is_stream(), streams);
    }
}

#[tokio::test]
async fn a_stream_that_is_dropped_drops_who_is_asked_for_the_rest() {
    let script = [
        Answer::stream(1).breaking(StreamBroken),
        Answer::stream(1).held(),
    ];
    let probe = Probe::new().with_script(script);
    let layer = FallbackLayer::new(lists()).transcripts(WORDS);
    let service = ServiceBuilder::new().layer(layer).service(probe.clone());
    let response = service.oneshot(request()).await.expect("begins");
    let mut items = response.into_parts().1;
    assert!(items.next().await.is_some_and(|item| item.is_ok()));
    assert!(poll!(items.next()).is_pending());
    assert_eq!(
        (probe.calls(), probe.live()),
        (2, 1),
        "the broken one is gone"
    );
    assert_eq!(probe.ends(), [Ended::Failed(StreamBroken)]);
    drop(items);
    assert_eq!(probe.live(), 0);
}

#[tokio::test]
async fn those_beneath_are_told_of_the_other_ways_that_are_left() {
    let left = Arc::new(Mutex::new(Vec::new()));
    let keeps = Arc::clone(&left);
    let inner = tower::service_fn(move |request: LlmRequest| {
        keeps.lock().push(ledger(&request).fallbacks_left());
        let first = keeps.lock().len() == 1;
        async move {
            let refused = Rejection::new(Reason::Filtered, Scope::Attempt);
            let broke = Error::new(BadAnswer, "broke");
            let items = [Ok(word("one")), Err(broke)];
            match first {
                true => Ok(LlmResponse::stream(Box::pin(stream::iter(items)))),
                false => Err(Error::rejected(refused, "refused")),
            }
        }
    });
    let layer = FallbackLayer::new(FallbackLists::new().general([("a", ["b"])]));
    let service = ServiceBuilder::new()
        .layer(layer.transcripts(WORDS))
        .service(inner);
    let response = service.oneshot(request()).await.expect("begins");
    read(response.into_parts().1).await;
    assert_eq!(*left.lock(), [1, 2, 1, 1, 0]);
}
