//! Providers that say what they are told to, and see what they are asked.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tower::{Service, service_fn};
use ziggurat_core::{
    Deployment, DeploymentId, Deployments, Error, ErrorKind, LlmRequest, LlmResponse, Routed,
    Snapshot,
};
use ziggurat_health::{HealthChecks, HealthPolicy, Report, Verdict};

/// What a provider says to one of the two questions.
#[derive(Clone, Copy)]
pub(crate) enum Says<T> {
    This(T),
    Error(ErrorKind),
    Rejects,
    Nothing,
    Panics,
}

/// Deployments, checks of them, and the providers behind.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) deployments: Deployments,
    pub(crate) health: HealthChecks,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    start: Instant,
    takes: Duration,
    probes: HashMap<DeploymentId, Says<Option<bool>>>,
    calls: HashMap<DeploymentId, Says<()>>,
    log: Vec<(u64, String)>,
    running: usize,
    peak: usize,
}

/// Counts the questions that are being asked.
struct Asking(World);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.inner.lock().running -= 1;
    }
}

pub(crate) fn gpt(id: &str) -> Deployment {
    Deployment::new(id, "gpt", format!("model-of-{id}"))
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

impl World {
    /// Providers that list every model and answer every call, at once.
    pub(crate) fn new(
        policy: HealthPolicy,
        deployments: impl IntoIterator<Item = Deployment>,
    ) -> Self {
        let deployments = Deployments::new(Snapshot::new(deployments));
        Self {
            health: HealthChecks::new(deployments.clone(), policy),
            deployments,
            inner: Arc::new(Mutex::new(Inner {
                start: Instant::now(),
                takes: Duration::ZERO,
                probes: HashMap::new(),
                calls: HashMap::new(),
                log: Vec::new(),
                running: 0,
                peak: 0,
            })),
        }
    }

    /// Lets every question take so long.
    pub(crate) fn takes(&self, time: Duration) {
        self.inner.lock().takes = time;
    }

    pub(crate) fn probe_says(&self, id: &str, says: Says<Option<bool>>) {
        self.inner.lock().probes.insert(id.into(), says);
    }

    pub(crate) fn call_says(&self, id: &str, says: Says<()>) {
        self.inner.lock().calls.insert(id.into(), says);
    }

    /// What was asked, with the second of it, since this was asked last.
    pub(crate) fn log(&self) -> Vec<(u64, String)> {
        std::mem::take(&mut self.inner.lock().log)
    }

    /// The same without the times.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.log().into_iter().map(|(_, what)| what).collect()
    }

    /// The most questions that were being asked at a time.
    pub(crate) fn peak(&self) -> usize {
        self.inner.lock().peak
    }

    /// How many questions are being asked.
    pub(crate) fn running(&self) -> usize {
        self.inner.lock().running
    }

    async fn ask<T>(&self, what: String, says: Says<T>) -> Result<T, Error> {
        let takes = {
            let inner = &mut *self.inner.lock();
            inner.log.push((inner.start.elapsed().as_secs(), what));
            inner.running += 1;
            inner.peak = inner.peak.max(inner.running);
            inner.takes
        };
        let _asking = Asking(self.clone());
        if !takes.is_zero() {
            sleep(takes).await;
        }
        match says {
            Says::This(this) => Ok(this),
            Says::Error(kind) => Err(Error::new(kind, "failed")),
            Says::Rejects => Err(Error::rejected(
                ziggurat_core::Rejection::new(
                    ziggurat_core::Reason::RateLimited,
                    ziggurat_core::Scope::Deployment,
                ),
                "refused",
            )),
            Says::Nothing => std::future::pending().await,
            Says::Panics => panic!("as it was told to"),
        }
    }

    pub(crate) fn probe(
        &self,
    ) -> impl Service<Arc<Deployment>, Response = Option<bool>, Error = Error, Future: Send>
    + Clone
    + Send
    + use<> {
        let world = self.clone();
        service_fn(move |deployment: Arc<Deployment>| {
            let world = world.clone();
            async move {
                let says = world
                    .inner
                    .lock()
                    .probes
                    .get(deployment.public_id())
                    .copied();
                let what = format!("probe {}", deployment.public_id());
                world
                    .ask(what, says.unwrap_or(Says::This(Some(true))))
                    .await
            }
        })
    }

    pub(crate) fn call(
        &self,
    ) -> impl Service<Routed<LlmRequest>, Response = LlmResponse, Error = Error, Future: Send>
    + Clone
    + Send
    + use<> {
        let world = self.clone();
        service_fn(move |routed: Routed<LlmRequest>| {
            let world = world.clone();
            async move {
                let id = routed.deployment().public_id().clone();
                let says = world.inner.lock().calls.get(&id).copied();
                world
                    .ask(format!("call {id}"), says.unwrap_or(Says::This(())))
                    .await?;
                Ok(LlmResponse::complete("{}", None))
            }
        })
    }

    /// Checks all, once.
    pub(crate) async fn check(&self) -> Report {
        self.health.check_now(self.probe(), self.call()).await
    }

    pub(crate) fn verdict(&self, id: &str) -> Option<Verdict> {
        self.health.verdict(&id.into())
    }

    pub(crate) fn is_healthy(&self, id: &str) -> Option<bool> {
        self.verdict(id).map(|verdict| verdict.is_healthy())
    }
}
