//! A layer with room for one hands its room on, whoever is dropped.

use std::{future::poll_fn, time::Duration};

use futures_util::StreamExt;
use tower_service::Service;
use ziggurat_core::{Error, LlmResponse};

use crate::contract::{
    Answer, Contract, Foreign, Law, Lawful, Probe, Watched,
    rig::{HOUR, Rig},
};

const MOMENT: Duration = Duration::from_millis(1);

/// Who leaves, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaves {
    /// The second request, while it waits.
    Waiting,
    /// The second request, after the first made room and before it has looked.
    Granted,
    /// The first request, before its answer.
    First,
    /// The first request's stream, before its end.
    Stream,
    /// Nobody.
    Nobody,
}

/// One request holds the room, a second waits, one of them leaves, and a third must pass.
pub(super) async fn check<L, R>(contract: &Contract<L, R>)
where
    L: Lawful<Probe, R> + Lawful<Foreign, R>,
{
    let Some(layer) = &contract.saturated else {
        return;
    };
    for leaves in [
        Leaves::Waiting,
        Leaves::Granted,
        Leaves::First,
        Leaves::Stream,
        Leaves::Nobody,
    ] {
        let probe = Probe::new().with_script([Answer::stream(2).held()]);
        let rig = Rig::with_layer(contract, Law::Guard, layer(), probe);
        round(&rig, leaves).await;
    }
    if contract.deferring {
        let probe = Probe::new().with_answer(Answer::complete().held());
        let rig = Rig::with_layer(contract, Law::Guard, layer(), probe);
        takes_nothing_beneath(&rig).await;
    }
}

/// Who waits for the layer has not taken anything of the services beneath.
async fn takes_nothing_beneath<L, R>(rig: &Rig<'_, L, R>)
where
    L: Lawful<Probe, R> + Lawful<Foreign, R>,
{
    // One for the first request, one for whoever else asks.
    let (mut service, mut beneath) = rig.over_foreign(2, HOUR);
    let mut first = rig.call(&mut service).await;
    let answered = first.within(MOMENT).await.is_ok();
    let mut second = rig.call(&mut service).await;
    if answered || second.within(MOMENT).await.is_ok() {
        rig.broken("the saturated layer does not wait for an inner service that was told to wait");
    }
    let mut ready = Watched::new(poll_fn(|cx| Service::<R>::poll_ready(&mut beneath, cx)));
    if ready.within(MOMENT).await.is_err() {
        rig.broken("who waits for the layer holds the readiness of the service beneath");
    }
}

async fn round<L, R>(rig: &Rig<'_, L, R>, leaves: Leaves)
where
    L: Lawful<Probe, R> + Lawful<Foreign, R>,
{
    let mut service = rig.service();
    let mut first = rig.call(&mut service).await;
    if first.within(MOMENT).await.is_ok() || rig.probe.calls() != 1 {
        rig.broken("the saturated layer does not let its first request through");
    }
    let mut second = rig.call(&mut service).await;
    waits(rig, &mut second, "the inner service has not answered").await;
    if leaves == Leaves::First {
        drop(first);
        passes(rig, second, leaves).await;
    } else {
        rig.probe.release();
        let answer = match rig.finish(first).await {
            Ok(answer) => answer,
            Err(error) => rig.broken(format_args!("the first request fails: {error:?}")),
        };
        waits(rig, &mut second, "the stream is open").await;
        if leaves == Leaves::Waiting {
            drop(second);
            read(answer).await;
        } else {
            if leaves == Leaves::Stream {
                drop(answer);
            } else {
                read(answer).await;
            }
            if leaves == Leaves::Granted {
                drop(second);
            } else {
                passes(rig, second, leaves).await;
            }
        }
    }
    drop(service);
    let when = format!("with room for one, when this one leaves: {leaves:?}");
    rig.assert_at_rest(&when);
    rig.pass(rig.service(), &when).await;
    rig.assert_at_rest(&when);
}

/// Reads a stream to its end.
async fn read(answer: LlmResponse) {
    answer.into_parts().1.count().await;
}

async fn waits<L, R, F: Future>(rig: &Rig<'_, L, R>, second: &mut Watched<F>, why: &str)
where
    L: Lawful<Probe, R> + Lawful<Foreign, R>,
{
    if second.within(MOMENT).await.is_ok() || rig.probe.calls() != 1 {
        rig.broken(format_args!(
            "with room for one, a second request does not wait while {why}"
        ));
    }
}

async fn passes<L, R, F>(rig: &Rig<'_, L, R>, second: Watched<F>, leaves: Leaves)
where
    L: Lawful<Probe, R> + Lawful<Foreign, R>,
    F: Future<Output = Result<LlmResponse, Error>>,
{
    if let Err(error) = rig.finish(second).await {
        rig.broken(format_args!(
            "with room for one, when this one leaves: {leaves:?}, who waits fails: {error:?}"
        ));
    }
}
