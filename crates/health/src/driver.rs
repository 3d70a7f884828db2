//! What asks the deployments.

use std::sync::Arc;

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until};
use tower_service::Service;
use ziggurat_core::{Deployment, Error, LlmRequest, LlmResponse, Routed};

use crate::{HealthChecks, Report, check::Check, examine::examine, schedule::Schedule};

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
        let mut schedule = Schedule::default();
        let mut running = FuturesUnordered::new();
        loop {
            let policy = self.0.policy();
            let has_room = running.len() < policy.at_once().get();
            let mut look_at = Instant::now();
            if has_room {
                let snapshot = self.0.snapshot();
                schedule.retain(|id| snapshot.get(id).is_some());
                let checks = Check::by_and_by(&snapshot, &policy);
                match schedule.next(checks, policy.every(), look_at, fastrand::f64()) {
                    Ok(check) => {
                        running.push(examine(check, policy, probe.clone(), call.clone()));
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
