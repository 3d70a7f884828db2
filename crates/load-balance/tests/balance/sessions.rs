//! Sessions stay where the provider has their prompt in its cache.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use parking_lot::Mutex;
use tokio::time::{advance, sleep};
use tower::{Layer, ServiceExt, service_fn};
use ziggurat_core::{Error, ErrorKind, LlmResponse};
use ziggurat_load_balance::{ConsistentHash, LoadBalanceLayer};

use crate::{
    support::Sent,
    world::{equal, millis, request},
};

const TURNS: usize = 50;

#[tokio::test(start_paused = true)]
async fn long_sessions_stay_on_one_deployment_and_the_load_is_even() {
    fastrand::seed(30);
    for (ids, count) in [(&["a", "b"][..], 200), (&["a", "b", "c", "d"], 1_000)] {
        let layer = LoadBalanceLayer::new(equal(ids), ConsistentHash::new());
        let loads = Mutex::new(HashMap::<String, u32>::new());
        let stack = layer.layer(service_fn(|sent: Sent| {
            let id = sent.deployment().id().to_string();
            *loads.lock().entry(id.clone()).or_default() += 1;
            async {
                sleep(millis(fastrand::u64(200..1_000))).await;
                Ok::<_, Error>(LlmResponse::complete(id, None))
            }
        }));
        let session = async |number| {
            let mut turns = HashMap::<_, usize>::new();
            for _ in 0..TURNS {
                sleep(millis(fastrand::u64(..4_000))).await;
                let answer = stack.clone().oneshot(request(number, false)).await;
                let answer = answer.expect("all serve");
                *turns.entry(answer.bytes().cloned()).or_default() += 1;
            }
            turns.into_values().max().unwrap_or_default()
        };
        let sessions: FuturesUnordered<_> = (0..count).map(session).collect();
        let stayed: usize = sessions.collect::<Vec<_>>().await.into_iter().sum();
        let all = f64::from(count) * TURNS as f64;
        let stayed = stayed as f64 / all;
        assert!(stayed >= 0.95, "{ids:?}: {stayed}");
        let most = loads.lock().values().copied().max().unwrap_or_default();
        let skew = f64::from(most) * ids.len() as f64 / all;
        assert!(skew <= 1.25, "{ids:?}: {skew}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_deployment_dies_moves_once_and_returns_when_it_is_back() {
    let ids = ["a", "b", "c"];
    let layer = LoadBalanceLayer::new(equal(&ids), ConsistentHash::new());
    let is_down = Arc::new(AtomicBool::new(false));
    let stack = layer.layer(service_fn(|sent: Sent| {
        let id = sent.deployment().id().to_string();
        let answer = if id == "a" && is_down.load(Relaxed) {
            Err(Error::new(ErrorKind::Connect, "refused"))
        } else {
            Ok(LlmResponse::complete(id, None))
        };
        async move { answer }
    }));
    let mut served = vec![Vec::new(); 30];
    let mut failed = 0;
    for turn in 0..TURNS {
        is_down.store((10..30).contains(&turn), Relaxed);
        for (session, served) in (0..).zip(&mut served) {
            advance(millis(50)).await;
            let request = request(session, false);
            let mut answer = stack.clone().oneshot(request.clone()).await;
            if answer.is_err() {
                failed += 1;
                answer = stack.clone().oneshot(request).await;
            }
            let by = answer.expect("another serves").bytes().cloned();
            served.push(by.expect("it is complete"));
        }
    }
    assert!(failed <= 7, "{failed} found out that it is down");
    let homes = served.iter().filter(|turns| turns[0] == "a").count();
    assert!(homes > 3, "{homes}");
    for turns in &served {
        let moves = turns.windows(2).filter(|two| two[0] != two[1]).count();
        assert_eq!(moves, if turns[0] == "a" { 2 } else { 0 }, "{turns:?}");
        assert_eq!(turns.first(), turns.last());
    }
}
