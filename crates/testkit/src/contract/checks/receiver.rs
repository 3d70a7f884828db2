//! Only a service that said it is ready is called.

use tower_service::Service;

use crate::contract::{
    Answer, Contract, Foreign, Law, Lawful, Probe, Readiness, Watched, rig::Rig,
};

/// Calls in a row, through clones and interleaved, over readiness that comes at once and late. The
/// probe does the judging: it panics when it is called without having said that it is ready.
pub(super) async fn check<L, R>(contract: &Contract<L, R>)
where
    L: Lawful<Probe, R> + Lawful<Foreign, R>,
{
    for readiness in [Readiness::Ready, Readiness::Yielding(2)] {
        let probe = Probe::new()
            .with_readiness(readiness)
            .with_answer(Answer::complete().yielding(1));
        let rig = Rig::new(contract, Law::Receiver, probe);

        let mut service = rig.service();
        for _ in 0..3 {
            let future = rig.call(&mut service).await;
            if let Err(error) = rig.finish(future).await {
                rig.broken(format_args!(
                    "one of several calls in a row fails: {error:?}"
                ));
            }
        }

        // A clone of a readied service is readied again, and the original still is ready.
        if let Err(error) = rig.ready(&mut service).await {
            rig.broken(format_args!("it is not ready again: {error:?}"));
        }
        rig.pass(service.clone(), "through a clone of a readied service")
            .await;
        let first = Watched::new(service.call(rig.request()));

        let second = rig.call(&mut service).await;
        for future in [second, first] {
            if let Err(error) = rig.finish(future).await {
                rig.broken(format_args!("one of two calls at a time fails: {error:?}"));
            }
        }
        let calls = rig.probe.calls();
        if calls != 6 {
            rig.broken(format_args!(
                "6 requests became {calls} calls of the inner service"
            ));
        }
    }
}
