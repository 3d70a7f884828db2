//! Whatever a request takes is given back wherever it is dropped.

use ziggurat_core::{ErrorKind, Scope};

use crate::contract::{
    Answer, Contract, Foreign, Law, Lawful, Probe, Readiness,
    rig::{HOUR, Rig},
};

/// More polls than any request of the suite takes.
const MOST_POLLS: usize = 64;

/// Each request is dropped after 0, 1, 2, … polls, until it completes.
pub(super) async fn check<L, R>(contract: &Contract<L, R>)
where
    L: Lawful<Probe, R> + Lawful<Foreign, R>,
{
    let late = Answer::complete().yielding(3);
    let fails = Answer::error(ErrorKind::Unavailable).yielding(1);
    let refuses = Answer::busy(Scope::Deployment).yielding(1);
    let scenarios: [(&str, Readiness, Vec<Answer>); 6] = [
        ("that answers late", Readiness::Ready, vec![late.clone()]),
        (
            "that is ready late",
            Readiness::Yielding(2),
            vec![late.clone()],
        ),
        (
            "that streams",
            Readiness::Ready,
            vec![Answer::stream(2).yielding(1)],
        ),
        (
            "that never answers",
            Readiness::Ready,
            vec![Answer::complete().held()],
        ),
        (
            "that fails first",
            Readiness::Ready,
            vec![fails, late.clone()],
        ),
        ("that refuses first", Readiness::Ready, vec![refuses, late]),
    ];
    for (name, readiness, script) in scenarios {
        for polls in 0.. {
            let probe = Probe::new()
                .with_readiness(readiness)
                .with_script(script.iter().cloned());
            let rig = Rig::new(contract, Law::Guard, probe);
            let completed = dropped_after(&rig, polls, name).await;
            // The one that never answers is woken no more once it hangs.
            if completed || (name == "that never answers" && polls > 8) {
                break;
            }
            if polls > MOST_POLLS {
                rig.broken(format_args!(
                    "over an inner service {name}, it takes more than {MOST_POLLS} polls"
                ));
            }
        }
    }
}

/// Drops a request after so many polls; tells whether it had completed.
async fn dropped_after<L, R>(rig: &Rig<'_, L, R>, polls: usize, name: &str) -> bool
where
    L: Lawful<Probe, R> + Lawful<Foreign, R>,
{
    let mut service = rig.service();
    let mut future = rig.call(&mut service).await;
    let output = future.poll_n(polls, HOUR).await;
    let completed = output.is_some();
    let failed = matches!(output, Some(Err(_)));
    if !completed && polls > 0 && rig.probe.live() > 0 {
        rig.assert_in_flight(
            1,
            format_args!("over an inner service {name} that is at work"),
        );
    }
    drop((future, output, service));
    let when = format!("over an inner service {name}, dropped after {polls} polls");
    rig.assert_at_rest(&when);

    rig.probe.set_answer(Answer::complete());
    // A layer may rest the deployment for the failure it has seen.
    let may_refuse = name == "that fails first" || name == "that refuses first" || failed;
    match rig.ask(rig.service()).await {
        Ok(_) => {}
        Err(error) if may_refuse && error.rejection().is_some() => {}
        Err(error) => rig.broken(format_args!("{when}, the next request fails: {error:?}")),
    }
    rig.assert_at_rest(format_args!("{when}, and after the next request"));
    completed
}
