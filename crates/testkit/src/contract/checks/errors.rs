//! Refusals and failures from beneath.

use std::time::Duration;

use ziggurat_core::{ErrorKind, Scope};

use crate::contract::{Answer, Contract, Foreign, Law, Lawful, Probe, rig::Rig};

/// Longer than a balancer remembers a refusal.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// A refusal of each scope is still one when it reaches the caller, and nothing is kept of it.
pub(super) async fn refusals<L, R>(contract: &Contract<L, R>)
where
    L: Lawful<Probe, R> + Lawful<Foreign, R>,
{
    for scope in [Scope::Deployment, Scope::Attempt, Scope::Request] {
        let probe = Probe::new().with_answer(Answer::busy(scope).yielding(1));
        let rig = Rig::new(contract, Law::Admission, probe);
        match rig.ask(rig.service()).await {
            Err(error) if error.rejection().is_some() => {}
            Err(error) => rig.broken(format_args!(
                "a refusal of scope {scope:?} became a failure: {error:?}"
            )),
            Ok(_) => rig.broken(format_args!(
                "a refusal of scope {scope:?}, time and again, became an answer"
            )),
        }
        let when = format!("after a refusal of scope {scope:?}");
        rig.assert_at_rest(&when);

        rig.probe.set_answer(Answer::complete());
        if scope == Scope::Deployment {
            tokio::time::advance(FORGOTTEN).await;
        }
        rig.pass(rig.service(), &when).await;
        rig.assert_at_rest(format_args!("{when} and an answer"));
    }
}

/// A failure of each kind, time and again, ends in one of that kind or in a refusal, and nothing is
/// kept of it.
pub(super) async fn failures<L, R>(contract: &Contract<L, R>)
where
    L: Lawful<Probe, R> + Lawful<Foreign, R>,
{
    for kind in ErrorKind::ALL {
        if kind == ErrorKind::Rejected {
            continue;
        }
        let probe = Probe::new().with_answer(Answer::error(kind).yielding(1));
        let rig = Rig::new(contract, Law::Errors, probe);
        match rig.ask(rig.service()).await {
            Err(error) if error.kind() == kind || error.rejection().is_some() => {}
            Err(error) => rig.broken(format_args!("a failure of kind {kind} became {error:?}")),
            Ok(_) => rig.broken(format_args!("a failure of kind {kind} became an answer")),
        }
        rig.assert_at_rest(format_args!("after a failure of kind {kind}"));
    }
}
