//! A recorder for one test, and a stack with both layers.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{StreamExt, stream};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneService};
use ziggurat_core::{
    Attach, Deployment, Deployments, Error, HasLedger, Item, LlmRequest, LlmResponse, Routed, Usage,
};
use ziggurat_telemetry::{AttemptLayer, RequestLayer};

pub(crate) type Stack = BoxCloneService<LlmRequest, LlmResponse, Error>;

/// One series: its name, its labels, its value.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
    pub(crate) samples: Vec<f64>,
    pub(crate) described: bool,
}

pub(crate) struct Recorded(pub(crate) Vec<Series>);

impl Recorded {
    /// The value of every series of that name together: counts, or the number of samples.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        self.named(name).map(|series| series.value).sum()
    }

    /// The one series of that name.
    pub(crate) fn only(&self, name: &str) -> &Series {
        let mut all = self.named(name);
        let series = all.next().unwrap_or_else(|| panic!("no `{name}`"));
        assert!(all.next().is_none(), "several `{name}`");
        series
    }

    fn named<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Series> {
        self.0.iter().filter(move |series| series.name == name)
    }
}

/// Runs a future with paused time and a recorder of its own, and tells what was recorded.
pub(crate) fn record(run: impl Future<Output = ()>) -> Recorded {
    let recorder = DebuggingRecorder::new();
    metrics::with_local_recorder(&recorder, || block_on(run));
    let snapshot = recorder.snapshotter().snapshot().into_vec();
    let series = snapshot.into_iter().map(|(key, unit, description, value)| {
        let (_, key) = key.into_parts();
        let samples = match &value {
            DebugValue::Histogram(samples) => samples.iter().map(|s| s.into_inner()).collect(),
            DebugValue::Counter(_) | DebugValue::Gauge(_) => Vec::new(),
        };
        Series {
            name: key.name().to_owned(),
            labels: key
                .labels()
                .map(|label| (label.key().to_owned(), label.value().to_owned()))
                .collect(),
            value: match value {
                DebugValue::Counter(count) => count as f64,
                DebugValue::Gauge(value) => value.into_inner(),
                DebugValue::Histogram(_) => samples.len() as f64,
            },
            samples,
            described: unit.is_some() && description.is_some(),
        }
    });
    Recorded(series.collect())
}

pub(crate) fn block_on<T>(run: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime starts")
        .block_on(run)
}

pub(crate) fn deployments() -> Deployments {
    [
        Deployment::new("a", "gpt", "gpt-4o")
            .with_base_url("https://a.example/v1")
            .with_provider("openai"),
        Deployment::new("b", "claude", "sonnet").with_provider("anthropic"),
        Deployment::new("c", "any/*", "*"),
    ]
    .into_iter()
    .collect()
}

/// Both layers, with what goes on between them given by `between`: it gets the request and the
/// service of the attempts. `leaf` answers the attempts.
pub(crate) fn stack<F, A>(
    between: impl Fn(LlmRequest, Attempts) -> F + Clone + Send + 'static,
    leaf: impl Fn(Routed<LlmRequest>) -> A + Clone + Send + 'static,
) -> Stack
where
    F: Future<Output = Result<LlmResponse, Error>> + Send + 'static,
    A: Future<Output = Result<LlmResponse, Error>> + Send + 'static,
{
    let attempts = Attempts(BoxCloneService::new(
        AttemptLayer::new().layer(service_fn(leaf)),
    ));
    let inner = service_fn(move |request| between(request, attempts.clone()));
    BoxCloneService::new(RequestLayer::new(deployments()).layer(inner))
}

/// What stands below the balancer.
#[derive(Clone)]
pub(crate) struct Attempts(BoxCloneService<Routed<LlmRequest>, LlmResponse, Error>);

impl Attempts {
    /// Sends a request to the first deployment of a group, and enters that in its ledger.
    pub(crate) async fn to(self, group: &str, request: LlmRequest) -> Result<LlmResponse, Error> {
        let snapshot = deployments().load();
        let group = snapshot.resolve(group).expect("is served");
        let deployment = Arc::clone(&group.members()[0]);
        let ledger = request.ledger().expect("has a ledger").clone();
        let attempt = ledger.attempt(&deployment).expect("an attempt is left");
        match self.0.oneshot(Routed::new(request, deployment)).await {
            Ok(answer) => {
                attempt.answering();
                Ok(answer.attach(attempt))
            }
            Err(error) => {
                attempt.fail(&error);
                Err(error)
            }
        }
    }
}

/// A stack in which each request makes one attempt in its group.
pub(crate) fn straight<A>(leaf: impl Fn(Routed<LlmRequest>) -> A + Clone + Send + 'static) -> Stack
where
    A: Future<Output = Result<LlmResponse, Error>> + Send + 'static,
{
    stack(
        |request, attempts| async move {
            let group = request.model().to_owned();
            attempts.to(&group, request).await
        },
        leaf,
    )
}

pub(crate) fn complete() -> LlmResponse {
    LlmResponse::complete("{}", Some(Usage::new(7, 4)))
}

pub(crate) fn streamed(
    items: impl IntoIterator<Item = Result<Item, Error>, IntoIter: Send + 'static>,
) -> LlmResponse {
    LlmResponse::stream(Box::pin(stream::iter(items)))
}

/// Reads a response to its end.
pub(crate) async fn read(response: LlmResponse) -> Vec<Result<Item, Error>> {
    response.into_parts().1.collect().await
}
