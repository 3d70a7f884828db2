//! A gateway over that provider, of which everything that comes out is looked at.

use std::{
    io,
    pin::Pin,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, combinators::UnsyncBoxBody};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use ziggurat::{BoxError, Router, config::Plan};
use ziggurat_gateway::Gateway;

use crate::{
    canaries::{self, CALLER, HASH, MASTER},
    deployments,
    provider::Provider,
};

/// A gateway over a provider.
pub(crate) struct World {
    pub(crate) provider: Provider,
    pub(crate) router: Router,
    pub(crate) gateway: Gateway,
    serve: Box<dyn Fn(Request<Bytes>) -> Served>,
    logged: &'static Logged,
    metrics: &'static PrometheusHandle,
}

type Served = Pin<Box<dyn Future<Output = Response<UnsyncBoxBody<Bytes, BoxError>>>>>;

/// How an answer came.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl World {
    /// One with a deployment for every group.
    pub(crate) async fn start() -> Self {
        let provider = Provider::start().await;
        let deployments = deployments::all(provider.address);
        Self::with(provider, &deployments)
    }

    pub(crate) fn with(provider: Provider, deployments: &[Value]) -> Self {
        let logged = Logged::install();
        let metrics = metrics();
        let config = config(deployments);
        let plan = match Plan::parse(&config.to_string(), "test.yaml", |_| None) {
            Ok(plan) => plan,
            Err(problems) => panic!("{problems}"),
        };
        clean(
            "the plan",
            &format!("{plan:?} {} {:?}", plan.explanation(), plan.warnings()),
        );
        let router = Router::from_plan(&plan).expect("the plan is valid");
        let gateway = Gateway::over(&router).metrics(|| crate::world::metrics().render());
        let service = gateway.service(&router);
        let serve = move |request: Request<Bytes>| -> Served {
            let service = service.clone();
            Box::pin(async move {
                let Ok(response) = service.oneshot(request.map(Into::into)).await;
                response.map(|body| body.map_err(Into::into).boxed_unsync())
            })
        };
        Self {
            serve: Box::new(serve),
            provider,
            router,
            gateway,
            logged,
            metrics,
        }
    }

    /// Sends a request, and looks at all of the answer.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Got {
        self.send_as(MASTER, method, path, body).await
    }

    /// The same with another key.
    pub(crate) async fn send_as(
        &self,
        key: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Got {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {key}"));
        let request = request.header("content-type", "application/json");
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request.body(body.into()).expect("is a request");
        let response = (self.serve)(request).await;
        self.provider.begun();
        let (head, mut body) = response.into_parts();
        let mut bytes = Vec::new();
        while let Some(Ok(frame)) = body.frame().await {
            bytes.extend(frame.into_data().unwrap_or_default());
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        clean(path, &format!("{:?}\n{text}", head.headers));
        Got {
            status: head.status.as_u16(),
            text,
        }
    }

    /// Asks a group, in the way of that number.
    pub(crate) async fn ask(&self, group: &str, way: usize) -> Got {
        let (path, mut body) = WAYS[way % WAYS.len()]();
        body["model"] = group.into();
        self.send(Method::POST, path, Some(&body)).await
    }

    /// Looks at all that was told besides answers.
    pub(crate) fn is_clean(&self) {
        self.logged.is_clean();
        clean("metrics", &self.metrics.render());
        clean("the router", &format!("{:?}", self.router));
        clean("the gateway", &format!("{:?}", self.gateway));
        clean(
            "the deployments",
            &format!("{:?}", self.router.deployments().load()),
        );
    }
}

/// How clients ask.
pub(crate) const WAYS: [fn() -> (&'static str, Value); 6] = [
    || ("/v1/chat/completions", chat()),
    || {
        let mut body = chat();
        body["stream"] = true.into();
        ("/v1/chat/completions", body)
    },
    || {
        let mut body = chat();
        body["max_tokens"] = 9.into();
        ("/v1/messages", body)
    },
    || ("/v1/responses", json!({"input": "hi", "stream": true})),
    || ("/v1/embeddings", json!({"input": "hi"})),
    || ("/v1/completions", json!({"prompt": "hi"})),
];

fn chat() -> Value {
    json!({"messages": [{"role": "user", "content": "hi"}]})
}

/// A configuration of these deployments, in which nothing is tried again and nobody rests.
pub(crate) fn config(deployments: &[Value]) -> Value {
    json!({
        "model_list": deployments,
        "router_settings": {"num_retries": 0, "disable_cooldowns": true},
        "general_settings": {"master_key": MASTER, "allow_client_side_credentials": true},
        "ziggurat_settings": {"keys": [
            {"name": "caller", "key": CALLER, "models": ["nothing"], "expires": "9000-01-01"},
            {"name": "hashed", "hash": format!("sha256:{HASH}"), "rpm_limit": 9},
        ]},
    })
}

/// Makes sure that nothing is seen.
pub(crate) fn clean(what: &str, text: &str) {
    if let Some(seen) = canaries::seen(text) {
        panic!("{what} tells {seen}");
    }
}

fn metrics() -> &'static PrometheusHandle {
    static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();
    METRICS.get_or_init(|| {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).expect("is the only one");
        ziggurat::telemetry::describe();
        handle
    })
}

/// All that was logged, of every level.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Logged {
    fn install() -> &'static Self {
        static LOGGED: OnceLock<Logged> = OnceLock::new();
        LOGGED.get_or_init(|| {
            let logged = Self::default();
            let writer = logged.clone();
            tracing_subscriber::fmt()
                .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
                .with_ansi(false)
                .with_writer(move || writer.clone())
                .init();
            logged
        })
    }

    fn is_clean(&self) {
        let logged = std::mem::take(&mut *self.0.lock());
        clean("the log", &String::from_utf8_lossy(&logged));
    }
}

impl io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
