//! The layer over a provider that has places.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::{FutureExt as _, future::join_all};
use parking_lot::Mutex;
use tokio::time::sleep;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_service::Service;
use ziggurat_concurrency::ConcurrencyLayer;
use ziggurat_core::{
    Blame, ClientCredentials, Clock, Concurrency, ConcurrencyMode, Deployment, Error, ErrorKind,
    LlmRequest, LlmResponse, Reason, Rejection, Routed, Secret,
};

const SECOND: Duration = Duration::from_secs(1);

fn deployment(id: &str) -> Arc<Deployment> {
    Arc::new(Deployment::new(id, "gpt", "m"))
}

fn to(deployment: &Arc<Deployment>) -> Routed<LlmRequest> {
    Routed::new(LlmRequest::chat("gpt", "hi"), Arc::clone(deployment))
}

/// A service of a layer over a provider that fails in that way past so many places.
fn over(
    layer: &ConcurrencyLayer,
    places: u32,
    fail: impl Fn() -> Error + Clone + Send + Sync + 'static,
) -> impl Service<Routed<LlmRequest>, Response = LlmResponse, Error = Error, Future: Send> + Clone {
    let taken = Arc::new(AtomicU32::new(0));
    layer.layer(service_fn(move |_: Routed<LlmRequest>| {
        let (taken, fail) = (Arc::clone(&taken), fail.clone());
        async move {
            if taken.fetch_add(1, Relaxed) >= places {
                taken.fetch_sub(1, Relaxed);
                return Err(fail());
            }
            sleep(SECOND).await;
            taken.fetch_sub(1, Relaxed);
            Ok(LlmResponse::complete("{}", None))
        }
    }))
}

fn fails_with(error: impl Fn() -> Error + Clone + Send + Sync + 'static) -> Option<u32> {
    let layer = ConcurrencyLayer::new(ConcurrencyMode::Aimd);
    let target = deployment("a");
    let service = over(&layer, 9, error);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime needs nothing");
    runtime.block_on(join_all(
        (0..10).map(|_| service.clone().oneshot(to(&target))),
    ));
    layer.limit(&target)
}

#[test]
fn refusals_overloads_and_late_first_contents_cut_the_limit() {
    for kind in [
        ErrorKind::RateLimited,
        ErrorKind::Overloaded,
        ErrorKind::Timeout(Clock::FirstToken),
        ErrorKind::Timeout(Clock::Attempt),
    ] {
        assert_eq!(
            fails_with(move || Error::new(kind, "no")),
            Some(9),
            "{kind}"
        );
    }
}

#[test]
fn what_says_nothing_of_how_much_is_in_flight_cuts_nothing() {
    for kind in [
        ErrorKind::Internal,
        ErrorKind::Connect,
        ErrorKind::BadRequest,
        ErrorKind::Authentication,
        ErrorKind::StreamBroken,
        ErrorKind::Timeout(Clock::Connect),
    ] {
        let limit = fails_with(move || Error::new(kind, "no"));
        assert_eq!(limit, Some(1_000), "{kind}");
    }
    let of_caller = || Error::timeout(Clock::FirstToken).with_blame(Blame::Request);
    assert_eq!(fails_with(of_caller), Some(1_000), "the caller's own clock");
    let beneath = || {
        let rejection = Rejection::new(Reason::RateLimited, ziggurat_core::Scope::Deployment);
        Error::rejected(rejection, "no")
    };
    assert_eq!(fails_with(beneath), Some(1_000), "a refusal from beneath");
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_hangs_holds_no_more_than_its_limit_and_others_are_served() {
    let mut settings = Concurrency::from(ConcurrencyMode::Fixed);
    settings.max = NonZeroU32::new(3);
    let layer = ConcurrencyLayer::new(settings);
    let hangs = layer.layer(service_fn(async |routed: Routed<LlmRequest>| {
        if routed.deployment().id().as_str() == "a" {
            std::future::pending::<()>().await;
        }
        Ok::<_, Error>(LlmResponse::complete("{}", None))
    }));
    let (a, b) = (deployment("a"), deployment("b"));
    let mut waiting: Vec<_> = (0..3)
        .map(|_| Box::pin(hangs.clone().oneshot(to(&a))))
        .collect();
    for it in &mut waiting {
        assert!(it.now_or_never().is_none());
    }
    let refused = hangs.clone().oneshot(to(&a)).await.expect_err("is full");
    let refusal = refused.rejection().expect("was not sent");
    assert_eq!((refusal.reason(), refusal.ends_at()), (Reason::Busy, None));
    hangs.clone().oneshot(to(&b)).await.expect("is another");
    waiting.pop();
    let mut again = Box::pin(hangs.clone().oneshot(to(&a)));
    assert!((&mut again).now_or_never().is_none(), "has a place");
}

#[tokio::test(start_paused = true)]
async fn who_wants_to_know_is_told_of_another_limit_once_for_each_change() {
    let layer = ConcurrencyLayer::new(ConcurrencyMode::Aimd);
    let told = Arc::new(Mutex::new(Vec::new()));
    let target = deployment("a");
    let tell = {
        let (told, layer, target) = (Arc::clone(&told), layer.clone(), Arc::clone(&target));
        move |id: &ziggurat_core::DeploymentId| {
            told.lock().push((id.to_string(), layer.limit(&target)));
        }
    };
    assert!(layer.on_change(tell));
    assert!(!layer.on_change(|_| {}), "the first stays");
    let service = over(&layer, 9, || Error::new(ErrorKind::RateLimited, "no"));
    join_all((0..20).map(|_| service.clone().oneshot(to(&target)))).await;
    assert_eq!(told.lock().clone(), [("a".to_owned(), Some(9))]);
}

#[test]
fn who_ends_while_more_are_in_flight_than_there_is_room_for_is_told() {
    let layer = ConcurrencyLayer::new(ConcurrencyMode::Fixed);
    let target = deployment("a");
    let told = Arc::new(AtomicU32::new(0));
    let tells = Arc::clone(&told);
    assert!(layer.on_change(move |_| {
        tells.fetch_add(1, Relaxed);
    }));
    assert_eq!(layer.in_flight_above(target.id(), 0), 0, "nobody was there");
    let service = layer.layer(service_fn(async |_: Routed<LlmRequest>| {
        std::future::pending::<Result<LlmResponse, Error>>().await
    }));
    let begin = || {
        let mut call = Box::pin(service.clone().oneshot(to(&target)));
        assert!((&mut call).now_or_never().is_none());
        call
    };
    let mut calls = [0; 5].map(|_| begin()).into_iter();
    let mut end = || {
        drop(calls.next());
        told.load(Relaxed)
    };
    assert_eq!(end(), 0);
    assert_eq!(layer.in_flight_above(target.id(), 2), 4);
    assert_eq!([end(), end(), end(), end()], [1, 2, 2, 2]);
}

#[tokio::test(start_paused = true)]
async fn what_was_learned_survives_other_settings_and_not_another_mode() {
    let layer = ConcurrencyLayer::new(ConcurrencyMode::Aimd);
    let target = deployment("a");
    let service = over(&layer, 9, || Error::new(ErrorKind::RateLimited, "no"));
    join_all((0..20).map(|_| service.clone().oneshot(to(&target)))).await;
    let mut settings = Concurrency::from(ConcurrencyMode::Aimd);
    settings.max = NonZeroU32::new(500);
    layer.set(settings);
    assert_eq!(layer.limit(&target), Some(9));
    settings.max = NonZeroU32::new(7);
    layer.set(settings);
    assert_eq!(layer.limit(&target), Some(7));
    let hard = Deployment::new("a", "gpt", "m").with_max_parallel(5);
    assert_eq!(layer.limit(&hard), Some(5));
    layer.set(ConcurrencyMode::Gradient);
    assert_eq!(layer.limit(&target), Some(20));
    layer.set(ConcurrencyMode::Off);
    assert_eq!(layer.limit(&target), None);
}

#[tokio::test(start_paused = true)]
async fn a_clients_own_credential_has_a_limit_of_its_own() {
    let layer = ConcurrencyLayer::new(ConcurrencyMode::Aimd);
    let ours = deployment("a");
    let client = ClientCredentials {
        api_key: Some(Secret::new("theirs")),
        ..ClientCredentials::default()
    };
    let theirs = Arc::new(ours.for_client(&client));
    let service = over(&layer, 9, || Error::new(ErrorKind::RateLimited, "no"));
    join_all((0..20).map(|_| service.clone().oneshot(to(&theirs)))).await;
    assert_eq!(
        (layer.limit(&theirs), layer.limit(&ours)),
        (Some(9), Some(1_000))
    );
    layer.retain(|id| id.as_str() == "a");
    assert_eq!(
        layer.limit(&theirs),
        Some(9),
        "the configured one is still there"
    );
    layer.retain(|_| false);
    assert_eq!(layer.limit(&theirs), Some(1_000));
}

#[test]
fn who_comes_while_what_is_gone_is_forgotten_is_counted() {
    let layer = ConcurrencyLayer::new(ConcurrencyMode::Fixed);
    let target = deployment("a");
    let service = layer.layer(service_fn(async |_: Routed<LlmRequest>| {
        std::future::pending::<Result<LlmResponse, Error>>().await
    }));
    let is_over = AtomicBool::new(false);
    let counts = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Relaxed) {
                layer.retain(|_| false);
            }
        });
        let counts: Vec<_> = (0..50_000)
            .map(|_| {
                let mut call = Box::pin(service.clone().oneshot(to(&target)));
                let answer = (&mut call).now_or_never();
                (answer.is_none(), layer.in_flight(target.id()))
            })
            .collect();
        is_over.store(true, Relaxed);
        counts
    });
    assert!(counts.iter().all(|count| *count == (true, 1)));
}

#[tokio::test(start_paused = true)]
async fn a_gradient_measures_streams_and_answers_in_one_piece_apart() {
    let layer = ConcurrencyLayer::new(ConcurrencyMode::Gradient);
    let target = deployment("a");
    let count = Arc::new(AtomicU32::new(0));
    let service = layer.layer(service_fn(move |_: Routed<LlmRequest>| {
        let is_stream = count.fetch_add(1, Relaxed).is_multiple_of(2);
        async move {
            // Whole answers take sixty times as long as streams take to begin.
            let wait = if is_stream { SECOND } else { 60 * SECOND };
            sleep(wait).await;
            Ok::<_, Error>(match is_stream {
                true => LlmResponse::stream(Box::pin(futures_util::stream::empty())),
                false => LlmResponse::complete("{}", None),
            })
        }
    }));
    for _ in 0..40 {
        let most = layer.limit(&target).expect("is limited");
        join_all((0..most).map(|_| service.clone().oneshot(to(&target)))).await;
    }
    let limit = layer.limit(&target).expect("is limited");
    assert!(limit >= 60, "{limit}");
}
