//! Tower layers that are not ours may stand beneath.

use std::time::Duration;

use futures_util::StreamExt;
use ziggurat_core::{ErrorKind, Scope};

use crate::contract::{
    Answer, Contract, Foreign, Law, Lawful, Probe, Readiness,
    rig::{HOUR, Rig},
};

const KIND: ErrorKind = ErrorKind::Overloaded;

/// Over a `ConcurrencyLimit` with room for one, which a layer that hoards readiness blocks, and a
/// `Timeout`, whose error is a `BoxError`.
pub(super) async fn check<L, R>(contract: &Contract<L, R>)
where
    L: Lawful<Probe, R> + Lawful<Foreign, R>,
{
    let probe = Probe::new()
        .with_readiness(Readiness::Yielding(1))
        .with_answer(Answer::complete().yielding(1));
    let rig = Rig::new(contract, Law::Foreign, probe);
    let (service, _) = rig.over_foreign(1, 2 * HOUR);
    for _ in 0..3 {
        rig.pass(service.clone(), "over foreign layers").await;
    }

    // Dropped on the way: the room of the limit is free again.
    for polls in 0..4 {
        let mut dropped = service.clone();
        let mut future = rig.call(&mut dropped).await;
        drop(future.poll_n(polls, HOUR).await);
        drop((future, dropped));
        rig.pass(
            service.clone(),
            "over foreign layers, after one was dropped",
        )
        .await;
    }

    rig.probe.set_answer(Answer::stream(3));
    let response = rig.pass(service.clone(), "over foreign layers").await;
    let items: Vec<_> = response.into_parts().1.collect().await;
    if items.len() != 3 || items.iter().any(Result::is_err) {
        rig.broken(format_args!(
            "over foreign layers, a stream of 3 items became {items:?}"
        ));
    }
    rig.assert_at_rest("over foreign layers, after a stream");
    drop(service);

    for scope in [Scope::Deployment, Scope::Attempt, Scope::Request] {
        let rig = Rig::new(
            contract,
            Law::Foreign,
            Probe::new().with_answer(Answer::busy(scope)),
        );
        match rig.ask(rig.over_foreign(1, 2 * HOUR).0).await {
            Err(error) if error.rejection().is_some() => {}
            other => rig.broken(format_args!(
                "through foreign layers, a refusal of scope {scope:?} became {other:?}"
            )),
        }
        rig.assert_at_rest("over foreign layers, after a refusal");
    }

    let rig = Rig::new(
        contract,
        Law::Foreign,
        Probe::new().with_answer(Answer::error(KIND)),
    );
    match rig.ask(rig.over_foreign(1, 2 * HOUR).0).await {
        Err(error) if error.kind() == KIND || error.rejection().is_some() => {}
        other => rig.broken(format_args!(
            "through foreign layers, a failure of kind {KIND} became {other:?}"
        )),
    }
    rig.assert_at_rest("over foreign layers, after a failure");

    let rig = Rig::new(
        contract,
        Law::Foreign,
        Probe::new().with_answer(Answer::complete().held()),
    );
    match rig
        .ask(rig.over_foreign(1, Duration::from_millis(10)).0)
        .await
    {
        Err(error)
            if matches!(error.kind(), ErrorKind::Timeout(_)) || error.rejection().is_some() => {}
        other => rig.broken(format_args!(
            "the time-out of a foreign layer became {other:?}"
        )),
    }
    rig.assert_at_rest("after the time-out of a foreign layer");
}
