//! What asks the deployments.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until, timeout};
use tower_service::Service;
use ziggurat_core::{Deployment, Error, LlmRequest, LlmResponse, Routed};

use crate::{
    CheckLeases, HealthChecks, HealthPolicy, Report,
    check::Check,
    examine::examine,
    schedule::{LEAST, Schedule},
    verdict::Found,
};

/// How long a lease is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long it takes at most, usually, until others know what was found.
const TOLD: Duration = Duration::from_secs(1);

impl HealthChecks {
    /// Checks every deployment by and by, through `probe` and `call`, for ever. To be spawned once.
    ///
    /// It is one future, which makes all checks itself and spawns nothing. It follows changes of the
    /// list of deployments within ten seconds. Dropped, it drops the checks that run; what they would
    /// have found stays unknown. A panic of `probe` or `call` ends the check that it comes from and
    /// nothing else.
    pub async fn run<P, C>(self, probe: P, call: C)
    where
        P: Service<Arc<Deployment>, Response = Option<bool>> + Clone,
        P::Error: Into<Error>,
        C: Service<Routed<LlmRequest>, Response = LlmResponse> + Clone,
        C::Error: Into<Error>,
    {
        self.run_shared(probe, call, ()).await;
    }

    /// The same with other instances, with which it [shares](Self::share) what is found: each check
    /// is made by the one that gets the lease, once in an interval. If that one dies before it has
    /// told, the deployments of the check are checked one interval later.
    pub async fn run_shared<P, C, L>(self, probe: P, call: C, leases: L)
    where
        P: Service<Arc<Deployment>, Response = Option<bool>> + Clone,
        P::Error: Into<Error>,
        C: Service<Routed<LlmRequest>, Response = LlmResponse> + Clone,
        C::Error: Into<Error>,
        L: CheckLeases,
    {
        let mut schedule = Schedule::default();
        let mut running = FuturesUnordered::new();
        loop {
            let policy = self.0.policy();
            let has_room = running.len() < policy.at_once().get();
            let mut look_at = Instant::now();
            if has_room {
                let snapshot = self.0.snapshot();
                self.0
                    .made_elsewhere(|id, began, ended| schedule.made(id, began, ended));
                schedule.retain(|id| snapshot.get(id).is_some());
                let checks = Check::by_and_by(&snapshot, &policy);
                match schedule.next(checks, policy.every(), look_at, fastrand::f64()) {
                    Ok(check) => {
                        let (probe, call) = (probe.clone(), call.clone());
                        running.push(if_ours(check, policy, probe, call, leases.clone()));
                        continue;
                    }
                    Err(at) => look_at = at,
                }
            }
            tokio::select! {
                Some((check, found)) = running.next() => {
                    schedule.done(&check);
                    if let Some(found) = found {
                        self.0.note(&check, &found, Instant::now());
                    }
                }
                () = sleep_until(look_at), if has_room => {}
            }
        }
    }

    /// Checks every deployment at once, as many at a time as the policy says, and reports what is
    /// known then. Groups that are not checked otherwise are, and so are deployments that get no
    /// requests; those that are not to be checked are not.
    ///
    /// Who calls it while another call is on its way waits for that one and takes what it found.
    /// Dropped, it leaves the rest unchecked.
    pub async fn check_now<P, C>(&self, probe: P, call: C) -> Report
    where
        P: Service<Arc<Deployment>, Response = Option<bool>> + Clone,
        P::Error: Into<Error>,
        C: Service<Routed<LlmRequest>, Response = LlmResponse> + Clone,
        C::Error: Into<Error>,
    {
        let asked = Instant::now();
        let _turn = self.0.turn.acquire().await;
        let policy = self.0.policy();
        let mut waiting = self.0.checks_since(asked).into_iter();
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < policy.at_once().get()
                && let Some(check) = waiting.next()
            {
                let policy = Arc::clone(&policy);
                running.push(examine(check, policy, probe.clone(), call.clone()));
            }
            let Some((check, found)) = running.next().await else {
                return self.report();
            };
            if let Some(found) = found {
                self.0.note(&check, &found, Instant::now());
            }
        }
    }
}

/// Makes a check, unless another instance does.
async fn if_ours<P, C, L>(
    check: Check,
    policy: Arc<HealthPolicy>,
    probe: P,
    call: C,
    leases: L,
) -> (Check, Option<Found>)
where
    P: Service<Arc<Deployment>, Response = Option<bool>>,
    P::Error: Into<Error>,
    C: Service<Routed<LlmRequest>, Response = LlmResponse>,
    C::Error: Into<Error>,
    L: CheckLeases,
{
    let deployment = check.deployment();
    let turn = policy.every().mul_f64(LEAST);
    let time = (policy.time_limit(deployment) + TOLD).min(turn);
    let lease = leases.take(deployment.id().as_str(), time);
    match timeout(PATIENCE, lease).await {
        Ok(Some(false)) => (check, None),
        _ => examine(check, policy, probe, call).await,
    }
}
