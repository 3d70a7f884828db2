//! The routes of the gateway.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use axum::{
    Json, Router,
    extract::State,
    http::{Method, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::{get, post_service},
};
use serde_json::{Value, json};
use tower_service::Service;
use ziggurat::{
    Deployment, Deployments, Error, ErrorKind, LlmRequest, LlmResponse, Operation, Secret,
};

use crate::{DEFAULT_MAX_BODY, Endpoint, edge::Edge, headers::refuse};

/// The operations that are served.
const OPERATIONS: [Operation; 3] = [
    Operation::ChatCompletions,
    Operation::Completions,
    Operation::Embeddings,
];

/// The gateway: routes, the check of the key, and listings, over a stack.
#[derive(Clone)]
pub struct Gateway {
    deployments: Deployments,
    key: Option<Secret>,
    max_body: usize,
    allow_mocks: bool,
    metrics: Option<Arc<dyn Fn() -> String + Send + Sync>>,
    draining: Arc<AtomicBool>,
}

impl Gateway {
    /// A gateway that lists these deployments and asks for no key.
    #[must_use]
    pub fn new(deployments: Deployments) -> Self {
        Self {
            deployments,
            key: None,
            max_body: DEFAULT_MAX_BODY,
            allow_mocks: false,
            metrics: None,
            draining: Arc::default(),
        }
    }

    /// Asks for a key on every route but probes and metrics.
    #[must_use]
    pub fn key(mut self, key: Option<Secret>) -> Self {
        self.key = key;
        self
    }

    /// Sets how many bytes a body may have.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Lets clients send `mock_*` fields.
    #[must_use]
    pub fn allow_mocks(mut self, allow: bool) -> Self {
        self.allow_mocks = allow;
        self
    }

    /// Serves `/metrics` with what this renders.
    #[must_use]
    pub fn metrics(mut self, render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.metrics = Some(Arc::new(render));
        self
    }

    /// Answers readiness probes with 503 from now on.
    pub fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    /// The HTTP service over a stack.
    pub fn service<S>(
        &self,
        stack: &S,
    ) -> impl Service<
        http::Request<axum::body::Body>,
        Response = http::Response<
            impl http_body::Body<Data = bytes::Bytes, Error: Into<ziggurat::BoxError>> + Send + 'static,
        >,
        Error = std::convert::Infallible,
        Future: Send + 'static,
    > + Clone
    + Send
    + Sync
    + 'static
    where
        S: Service<LlmRequest, Response = LlmResponse> + Clone + Send + Sync + 'static,
        S::Error: Into<Error>,
        S::Future: Send + 'static,
    {
        let mut app = Router::new();
        for operation in OPERATIONS {
            let endpoint = Endpoint::new(stack.clone(), operation)
                .max_body(self.max_body)
                .allow_mocks(self.allow_mocks);
            let route = post_service(endpoint).fallback(wrong_method);
            let path = operation.path();
            app = app
                .route(path, route.clone())
                .route(&format!("/v1{path}"), route);
        }
        let listing = |path: &str| [path.to_owned(), format!("/v1{path}")];
        for path in listing("/models") {
            app = app.route(&path, get(models).fallback(wrong_method));
        }
        for path in listing("/model/info") {
            app = app.route(&path, get(model_info).fallback(wrong_method));
        }
        for path in ["/health/liveliness", "/health/liveness"] {
            app = app.route(
                path,
                get(async || Json("I'm alive!")).fallback(wrong_method),
            );
        }
        let app = app
            .route("/health/readiness", get(readiness).fallback(wrong_method))
            .route("/metrics", get(metrics).fallback(wrong_method))
            .fallback(no_route)
            .with_state(self.clone());
        Edge::new(app, self.key.clone())
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("max_body", &self.max_body)
            .finish_non_exhaustive()
    }
}

fn error_response(error: &Error) -> Response {
    refuse(error).map(axum::body::Body::new).into_response()
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    let message = format!("{} cannot be called with {method}", uri.path());
    let error = Error::new(ErrorKind::BadRequest, message);
    error_response(
        &error
            .with_status(StatusCode::METHOD_NOT_ALLOWED)
            .with_code("method_not_allowed"),
    )
}

async fn no_route(method: Method, uri: Uri) -> Response {
    let message = format!("there is no {method} {}", uri.path());
    error_response(&Error::new(ErrorKind::NotFound, message).with_code("not_found"))
}

async fn readiness(State(gateway): State<Gateway>) -> Response {
    match gateway.draining.load(Relaxed) {
        false => Json(json!({"status": "healthy"})).into_response(),
        true => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({"status": "draining"})),
        )
            .into_response(),
    }
}

async fn metrics(State(gateway): State<Gateway>) -> Response {
    match &gateway.metrics {
        Some(render) => ([("content-type", "text/plain; version=0.0.4")], render()).into_response(),
        None => no_route(Method::GET, Uri::from_static("/metrics")).await,
    }
}

async fn models(State(gateway): State<Gateway>) -> Json<Value> {
    let snapshot = gateway.deployments.load();
    let data: Vec<_> = snapshot
        .names()
        .iter()
        .map(|name| json!({"id": name, "object": "model", "created": 1_677_610_602, "owned_by": "openai"}))
        .collect();
    Json(json!({"object": "list", "data": data}))
}

async fn model_info(State(gateway): State<Gateway>) -> Json<Value> {
    let snapshot = gateway.deployments.load();
    let mut deployments: Vec<_> = snapshot.deployments().collect();
    deployments.sort_by_key(|deployment| (deployment.group().to_owned(), deployment.id().clone()));
    let data: Vec<_> = deployments
        .into_iter()
        .map(|deployment| describe(deployment))
        .collect();
    Json(json!({"data": data}))
}

/// What may be told of a deployment: no credential, no headers, no query or user of its URL.
fn describe(deployment: &Deployment) -> Value {
    let base = deployment.public_base_url();
    let timeouts = deployment.timeouts();
    let prices = deployment.prices();
    let params = json!({
        "model": format!("{}/{}", deployment.provider(), deployment.model()),
        "api_base": base,
        "weight": deployment.weight(),
        "order": deployment.order(),
        "rpm": deployment.rpm(),
        "tpm": deployment.tpm(),
        "max_parallel_requests": deployment.max_parallel(),
        "tags": deployment.tags(),
        "timeout": timeouts.attempt.map(|t| t.as_secs_f64()),
        "stream_timeout": timeouts.stream.map(|t| t.as_secs_f64()),
        "cooldown_time": deployment.cooldown_time().map(|t| t.as_secs_f64()),
    });
    let info = json!({
        "id": deployment.id().as_str(),
        "max_input_tokens": deployment.max_input_tokens(),
        "input_cost_per_token": prices.input,
        "output_cost_per_token": prices.output,
    });
    json!({
        "model_name": deployment.group(),
        "litellm_params": without_nulls(params),
        "model_info": without_nulls(info),
    })
}

fn without_nulls(mut value: Value) -> Value {
    if let Some(members) = value.as_object_mut() {
        members.retain(|_, member| !member.is_null());
    }
    value
}
