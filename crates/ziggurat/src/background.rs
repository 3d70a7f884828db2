//! What no request waits for.

use std::{num::NonZeroUsize, pin::Pin, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tower_layer::Layer as _;
use tower_service::Service;
use ziggurat_core::{Deployment, Error, LlmRequest, LlmResponse, Routed};
use ziggurat_health::{HealthChecks, Report};
use ziggurat_mock::MockAnswerLayer;
use ziggurat_redis::RedisChecks;

use crate::{Router, alerts, ending::Step, router::Copies};

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The health checks of a router, over its own leaf.
pub(crate) struct Checks {
    run: Mutex<Option<BoxFuture<()>>>,
    now: Box<dyn Fn() -> BoxFuture<Report> + Send + Sync>,
}

impl Checks {
    /// With other instances, if there are some.
    pub(crate) fn new<P, L>(
        checks: &HealthChecks,
        together: Option<RedisChecks>,
        probe: P,
        leaf: &L,
    ) -> Self
    where
        P: Service<Arc<Deployment>, Response = Option<bool>> + Clone + Send + Sync + 'static,
        P::Error: Into<Error> + Send,
        P::Future: Send,
        L: Service<Routed<LlmRequest>, Response = LlmResponse> + Clone + Send + Sync + 'static,
        L::Error: Into<Error> + Send,
        L::Future: Send,
    {
        let call = MockAnswerLayer::new().layer(leaf.clone());
        let checks = checks.clone();
        let (own, asks, calls) = (checks.clone(), probe.clone(), call.clone());
        Self {
            run: Mutex::new(Some(Box::pin(own.run_shared(asks, calls, together)))),
            now: Box::new(move || {
                let (checks, probe, call) = (checks.clone(), probe.clone(), call.clone());
                Box::pin(async move { checks.check_now(probe, call).await })
            }),
        }
    }
}

/// What no request waits for.
impl Router {
    /// Sends the copies for the mirrors of deployments, reads streams on whose client has gone, checks
    /// the health of deployments, tells webhooks what is wrong, widens the queue of a group when a
    /// deployment's rest is over, and shares with other instances what is known and used, each where the
    /// plan wants it: to be spawned once. It costs nothing while there is nothing to do, and ends when
    /// the router and its clones are gone, or are told [to end it](Self::end_background). `None` the
    /// second time.
    #[must_use = "nothing is done but by the future"]
    pub fn background(&self) -> Option<impl Future<Output = ()> + Send + use<>> {
        const COPIES: u32 = 16;
        const DRAINED: NonZeroUsize = NonZeroUsize::new(1_000).expect("is not zero");
        const DRAIN_TIME: Duration = Duration::from_secs(600);
        let state = self.state();
        let mirrored = state.mirrored.lock().take()?;
        let draining = state.draining.lock().take()?;
        let alerting = state.alerting.lock().take()?;
        let together = state.together.lock().take();
        let (copies, checks) = {
            let plan = self.plan_mut();
            let checks = plan.general.health.enabled;
            (plan.own.mirror.max_in_flight.unwrap_or(COPIES), checks)
        };
        let copies = NonZeroUsize::new(copies as usize).unwrap_or(NonZeroUsize::MIN);
        let checking = self.checks().run.lock().take().filter(|_| checks);
        let mirroring = mirrored.run(Copies::of(self), copies);
        let watched = Copies::of(self);
        let told = state.ending.reached(Step::Alerts);
        let look = move || alerts::look(&watched);
        let alerting = alerting.run_until(alerts::Client::default(), look, told);
        let gating = state.queues.group_gates().run();
        let running = state.ending.runs();
        Some(async move {
            // It is waited for.
            let _running = running;
            // These end with the router; of the others, alerts end when they are told.
            let sending = async {
                tokio::join!(mirroring, draining.run(DRAINED, DRAIN_TIME));
            };
            let checking = async {
                match checking {
                    Some(checking) => checking.await,
                    None => std::future::pending().await,
                }
            };
            let sharing = async {
                if let Some(together) = together {
                    together.into_driver().await;
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = sending => {}
                () = checking => {}
                () = alerting => {}
                () = sharing => {}
                () = gating => {}
            }
        })
    }

    /// What is known of the health of deployments by checks.
    #[must_use]
    pub fn health(&self) -> &HealthChecks {
        &self.state().health
    }

    /// Checks every deployment now, and reports what is known then. Who asks while others do shares
    /// their result.
    pub async fn check_health(&self) -> Report {
        let checking = (self.checks().now)();
        checking.await
    }
}
