//! Who waits is polled a few times, not in a loop.

use std::{future::poll_fn, time::Duration};

use futures_util::StreamExt;
use tower_service::Service;

use crate::contract::{
    Answer, Contract, Foreign, Law, Lawful, Probe, Readiness, Watched, rig::Rig,
};

const MINUTE: Duration = Duration::from_secs(60);

/// The first poll, the one that finds the answer, and a few for the layer's own timers.
const MOST_POLLS: usize = 6;

/// The inner service takes a minute to answer, to stream on, to become ready.
pub(super) async fn check<L, R>(contract: &Contract<L, R>)
where
    L: Lawful<Probe, R> + Lawful<Foreign, R>,
{
    let probe = Probe::new().with_answer(Answer::complete().after(MINUTE));
    let rig = Rig::new(contract, Law::WakeUp, probe);
    let mut service = rig.service();
    let mut future = rig.call(&mut service).await;
    // A layer with a clock may end it early, with an error; the polls count all the same.
    if let Err(stuck) = future.within(2 * MINUTE).await {
        rig.broken(format_args!(
            "an answer that takes a minute does not arrive: {stuck}"
        ));
    }
    few(&rig, future.polls(), "the response future");
    drop(future);

    rig.probe.set_answer(Answer::complete().held());
    let mut future = rig.call(&mut service).await;
    let ended = future.within(MINUTE).await.is_ok();
    few(&rig, future.polls(), "the response future");
    rig.probe.release();
    if !ended && future.within(MINUTE).await.is_err() {
        rig.broken("an answer that was held and released does not arrive");
    }
    drop(future);

    rig.probe.set_answer(Answer::stream(1).hanging());
    let mut items = rig.pass(service.clone(), "a stream").await.into_parts().1;
    drop(items.next().await);
    let mut next = Watched::new(items.next());
    drop(next.within(MINUTE).await);
    few(&rig, next.polls(), "a silent stream");
    drop(next);
    drop(items);

    rig.probe.set_answer(Answer::complete());
    rig.probe.set_readiness(Readiness::Pending);
    let mut ready = Watched::new(poll_fn(|cx| service.poll_ready(cx)));
    let was_ready = ready.within(MINUTE).await.is_ok();
    few(&rig, ready.polls(), "`poll_ready`");
    drop(ready);
    if was_ready {
        let mut future = Watched::new(service.call(rig.request()));
        let ended = future.within(MINUTE).await.is_ok();
        few(
            &rig,
            future.polls(),
            "the response future over an unready service",
        );
        rig.probe.set_readiness(Readiness::Ready);
        if !ended && future.within(MINUTE).await.is_err() {
            rig.broken("the inner service became ready, and the response future was not woken");
        }
    }
}

fn few<L, R>(rig: &Rig<'_, L, R>, polls: usize, what: &str)
where
    L: Lawful<Probe, R> + Lawful<Foreign, R>,
{
    if polls > MOST_POLLS {
        rig.broken(format_args!(
            "{what} was polled {polls} times in a minute of waiting"
        ));
    }
}
