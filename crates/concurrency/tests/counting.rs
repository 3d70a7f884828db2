//! Places, against a list of who has one.

use std::{future::Future, num::NonZeroU32, pin::Pin, sync::Arc};

use futures_util::{FutureExt as _, stream};
use parking_lot::Mutex;
use proptest::prelude::*;
use tokio::sync::oneshot;
use tower::{Layer as _, ServiceExt as _, service_fn, util::BoxCloneSyncService};
use ziggurat_concurrency::ConcurrencyLayer;
use ziggurat_core::{
    Concurrency, ConcurrencyMode, Deployment, Error, ErrorKind, Item, LlmRequest, LlmResponse,
    Reason, Rejection, Routed, Scope,
};

type Answer = Result<LlmResponse, Error>;
type Service = BoxCloneSyncService<Routed<LlmRequest>, LlmResponse, Error>;

#[derive(Clone, Debug)]
enum Step {
    Send(usize),
    Answer(usize),
    Fail(usize, ErrorKind),
    Refuse(usize),
    HangUp(usize),
}

/// A request that has a place.
struct Held {
    at: usize,
    answer: Option<oneshot::Sender<Answer>>,
    future: Option<Pin<Box<dyn Future<Output = Answer>>>>,
    response: Option<LlmResponse>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kinds = prop::sample::select(vec![
        ErrorKind::RateLimited,
        ErrorKind::Overloaded,
        ErrorKind::Internal,
        ErrorKind::Timeout(ziggurat_core::Clock::FirstToken),
    ]);
    let step = prop_oneof![
        4 => (0..3_usize).prop_map(Step::Send),
        2 => any::<usize>().prop_map(Step::Answer),
        1 => (any::<usize>(), kinds).prop_map(|(which, kind)| Step::Fail(which, kind)),
        1 => any::<usize>().prop_map(Step::Refuse),
        2 => any::<usize>().prop_map(Step::HangUp),
    ];
    prop::collection::vec(step, 1..120)
}

fn streamed() -> LlmResponse {
    LlmResponse::stream(Box::pin(stream::repeat_with(|| Ok(Item::default()))))
}

proptest! {
    #[test]
    fn nobody_is_let_in_above_the_limit_and_no_place_is_lost(
        mode in prop::sample::select(ConcurrencyMode::ALL.to_vec()),
        max in 1..12_u32,
        hard in prop::option::of(1..12_u32),
        steps in steps(),
    ) {
        let layer = ConcurrencyLayer::new(Concurrency {
            max: NonZeroU32::new(max),
            min: Some(NonZeroU32::MIN),
            ..mode.into()
        });
        let waiting = Arc::new(Mutex::new(None::<oneshot::Receiver<Answer>>));
        let inner = {
            let waiting = Arc::clone(&waiting);
            service_fn(move |_: Routed<LlmRequest>| {
                let answer = waiting.lock().take().expect("was put there");
                async move { answer.await.expect("is given or dropped") }
            })
        };
        let service: Service = BoxCloneSyncService::new(layer.layer(inner));
        let deployments: Vec<_> = (0..3)
            .map(|i| {
                let deployment = Deployment::new(format!("d{i}").as_str(), "g", "m");
                Arc::new(match hard {
                    Some(hard) => deployment.with_max_parallel(hard),
                    None => deployment,
                })
            })
            .collect();
        let mut held: Vec<Held> = Vec::new();
        for step in steps {
            let pick = |which: usize, held: &[Held], begun: bool| {
                let fits = |it: &&(usize, &Held)| it.1.response.is_some() == begun;
                let all: Vec<_> = held.iter().enumerate().collect();
                let all: Vec<_> = all.iter().filter(fits).map(|it| it.0).collect();
                (!all.is_empty()).then(|| all[which % all.len()])
            };
            match step {
                Step::Send(at) => {
                    let limit = layer.limit(&deployments[at]);
                    let has_room = limit.is_none_or(|limit| {
                        held.iter().filter(|it| it.at == at).count() < limit as usize
                    });
                    let (answer, receiver) = oneshot::channel();
                    *waiting.lock() = Some(receiver);
                    let request = LlmRequest::chat("g", "hi");
                    let routed = Routed::new(request, Arc::clone(&deployments[at]));
                    let mut future = Box::pin(service.clone().oneshot(routed));
                    match (&mut future).now_or_never() {
                        None => {
                            prop_assert!(has_room);
                            held.push(Held {
                                at,
                                answer: Some(answer),
                                future: Some(future),
                                response: None,
                            });
                        }
                        Some(result) => {
                            prop_assert!(!has_room);
                            let error = result.expect_err("nobody answers yet");
                            let refusal = error.rejection().expect("was not sent");
                            prop_assert_eq!(refusal.reason(), Reason::Busy);
                            prop_assert_eq!(refusal.scope(), Scope::Deployment);
                        }
                    }
                }
                Step::Answer(which) => {
                    if let Some(at) = pick(which, &held, false) {
                        let it = &mut held[at];
                        it.answer.take().expect("once").send(Ok(streamed())).expect("is awaited");
                        let future = it.future.take().expect("once");
                        it.response = Some(future.now_or_never().expect("is there").expect("is one"));
                    }
                }
                Step::Fail(which, _) | Step::Refuse(which) => {
                    if let Some(at) = pick(which, &held, false) {
                        let mut it = held.swap_remove(at);
                        let error = match step {
                            Step::Fail(_, kind) => Error::new(kind, "failed"),
                            _ => Error::rejected(
                                Rejection::new(Reason::RateLimited, Scope::Attempt),
                                "from beneath",
                            ),
                        };
                        it.answer.take().expect("once").send(Err(error)).expect("is awaited");
                        let future = it.future.take().expect("once");
                        prop_assert!(future.now_or_never().expect("is there").is_err());
                    }
                }
                Step::HangUp(which) => {
                    if let Some(at) = pick(which, &held, which % 2 == 0) {
                        held.swap_remove(at);
                    }
                }
            }
            for (at, deployment) in deployments.iter().enumerate() {
                let count = held.iter().filter(|it| it.at == at).count();
                prop_assert_eq!(layer.in_flight(deployment.id()) as usize, count);
                let most = max.min(hard.unwrap_or(u32::MAX));
                let limit = layer.limit(deployment);
                prop_assert_eq!(limit.is_none(), mode == ConcurrencyMode::Off);
                prop_assert!(limit.is_none_or(|limit| (1..=most).contains(&limit)));
            }
        }
        held.clear();
        layer.retain(|_| false);
        for deployment in &deployments {
            prop_assert_eq!(layer.in_flight(deployment.id()), 0);
        }
    }
}
