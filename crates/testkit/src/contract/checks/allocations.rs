//! The success path allocates no more than was said.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use tower_service::Service;

use crate::contract::{Allocations, Contract, Foreign, Law, Lawful, Probe, rig::Rig};

/// Counts the layer over the probe against the probe alone, both warm.
pub(super) async fn check<L, R>(contract: &Contract<L, R>)
where
    L: Lawful<Probe, R> + Lawful<Foreign, R>,
{
    let Some(allocations) = &contract.allocations else {
        return;
    };
    let rig = Rig::new(contract, Law::Allocations, Probe::new());
    let bare = typical(&rig, allocations, &Probe::new());
    let whole = typical(&rig, allocations, &rig.service());
    let own = whole.saturating_sub(bare);
    if own > allocations.most {
        rig.broken(format_args!(
            "a request costs {own} allocations ({whole} less the {bare} of the inner service) instead of {} at most",
            allocations.most
        ));
    }
}

/// The median of several requests: what a table or a list allocates to grow, now and then, is
/// nobody's cost.
fn typical<L, R, S>(rig: &Rig<'_, L, R>, allocations: &Allocations, service: &S) -> u64
where
    L: Lawful<Probe, R> + Lawful<Foreign, R>,
    S: Service<R> + Clone,
{
    const WARM_UP: usize = 16;
    const ROUNDS: usize = 15;
    let mut counts: Vec<u64> = (0..WARM_UP + ROUNDS)
        .map(|_| {
            let mut request = Some(rig.request());
            let mut answered = false;
            let count = (allocations.count)(&mut || {
                if let Some(request) = request.take() {
                    answered = answers_at_once(service, request);
                }
            });
            if !answered {
                rig.broken("a request over an inner service that answers at once fails or waits");
            }
            count
        })
        .skip(WARM_UP)
        .collect();
    counts.sort_unstable();
    counts[ROUNDS / 2]
}

fn answers_at_once<S: Service<R> + Clone, R>(service: &S, request: R) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    let mut service = service.clone();
    matches!(service.poll_ready(&mut cx), Poll::Ready(Ok(())))
        && matches!(
            pin!(service.call(request)).poll(&mut cx),
            Poll::Ready(Ok(_))
        )
}
