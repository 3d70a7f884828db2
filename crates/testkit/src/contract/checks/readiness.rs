//! Readiness errors reach the caller, and nobody invents readiness.

use std::{future::poll_fn, task::Poll};

use tower_service::Service;
use ziggurat_core::ErrorKind;

use crate::contract::{Contract, Foreign, Law, Lawful, Probe, Readiness, Watched, rig::Rig};

const KIND: ErrorKind = ErrorKind::Unavailable;

/// An inner service that fails to become ready, and one that never does.
pub(super) async fn check<L, R>(contract: &Contract<L, R>)
where
    L: Lawful<Probe, R> + Lawful<Foreign, R>,
{
    let probe = Probe::new().with_readiness(Readiness::Failed(KIND));
    let rig = Rig::new(contract, Law::Readiness, probe);
    match rig.ask(rig.service()).await {
        Err(error) if error.kind() == KIND || error.rejection().is_some() => {}
        Err(error) => rig.broken(format_args!(
            "an error of kind {KIND} in `poll_ready` became {error:?}"
        )),
        Ok(_) => rig.broken("an error in `poll_ready` became an answer"),
    }
    rig.assert_at_rest("after an error in `poll_ready`");

    let probe = Probe::new().with_readiness(Readiness::Pending);
    let rig = Rig::new(contract, Law::Readiness, probe);
    let mut service = rig.service();
    let mut ready = Watched::new(poll_fn(|cx| service.poll_ready(cx)));
    match (ready.poll(), contract.deferring) {
        (Poll::Pending, false) => {
            rig.probe.set_readiness(Readiness::Ready);
            if !ready.is_woken() {
                rig.broken("the inner service became ready, and who waits was not woken");
            }
        }
        (Poll::Ready(Ok(())), true) => {}
        (_, false) => rig.broken("a pass-through layer is ready although its inner service is not"),
        (_, true) => rig.broken("a deferring layer is not ready at once"),
    }
    drop(ready);
    drop(service);
    rig.assert_at_rest("after a service that waited for readiness was dropped");
}
