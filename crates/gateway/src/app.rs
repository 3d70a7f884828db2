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
    extract::{DefaultBodyLimit, State},
    http::{Method, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::{any_service, get, post, post_service},
};
use serde_json::json;
use tower_service::Service;
use ziggurat::{
    Deployments, Error, ErrorKind, LlmRequest, LlmResponse, Operation, ReadOptions, Secret,
    config::Plan,
};

use crate::{
    DEFAULT_MAX_BODY, Endpoint, any_path,
    count_tokens::count_tokens,
    edge::Edge,
    google,
    headers::refuse,
    health, listing,
    passing::Passing,
    policy::{Policies, Policy},
    realtime,
    shape::ErrorShape,
    stored, tell,
};

/// The operations that are served.
const OPERATIONS: [Operation; 13] = [
    Operation::ChatCompletions,
    Operation::Completions,
    Operation::Embeddings,
    Operation::ImageGeneration,
    Operation::ImageEdit,
    Operation::ImageVariation,
    Operation::Transcription,
    Operation::Translation,
    Operation::Speech,
    Operation::Moderation,
    Operation::Rerank,
    Operation::Responses,
    Operation::Messages,
];

/// Further paths of operations, as their makers' clients know them.
const OTHER_PATHS: [(Operation, &str); 2] = [
    (Operation::Rerank, "/v2/rerank"),
    (Operation::Messages, "/anthropic/v1/messages"),
];

/// How long a report on a choice may be, in bytes.
const MAX_OUTCOME: usize = 16 * 1024;

/// The gateway: routes, the check of the key, and listings, over a stack.
#[derive(Clone)]
pub struct Gateway {
    deployments: Deployments,
    policies: Policies,
    max_body: usize,
    router: Option<ziggurat::Router>,
    metrics: Option<Arc<dyn Fn() -> String + Send + Sync>>,
    draining: Arc<AtomicBool>,
}

impl Gateway {
    /// A gateway that lists these deployments, asks for no key and allows what is harmless.
    #[must_use]
    pub fn new(deployments: Deployments) -> Self {
        Self {
            deployments,
            policies: Policies::default(),
            max_body: DEFAULT_MAX_BODY,
            router: None,
            metrics: None,
            draining: Arc::default(),
        }
    }

    /// A gateway that lists the deployments of a router, and asks for and allows what the router's
    /// plan says.
    ///
    /// It also serves what the router tells of itself: model groups, settings, the health of
    /// deployments, and in `x-ratelimit-*` headers what a group has left of its limits; and it takes
    /// reports on learned choices.
    #[must_use]
    pub fn over(router: &ziggurat::Router) -> Self {
        Self {
            policies: Policies::new(Policy::of(&router.plan())),
            router: Some(router.clone()),
            ..Self::new(router.deployments().clone())
        }
    }

    /// Carries out another plan from the next request on: its router's part of it, if it has a
    /// router, and what clients must have and may send. Clones of this gateway, and the services
    /// they made, follow.
    ///
    /// # Errors
    ///
    /// If a deployment cannot be called as it is configured; then nothing changes.
    pub fn reload(&self, plan: &Plan) -> Result<(), Error> {
        if let Some(router) = &self.router {
            router.reload(plan)?;
        }
        self.policies.store(Policy::of(plan));
        Ok(())
    }

    /// Asks for a key on every route but probes and metrics.
    #[must_use]
    pub fn key(mut self, key: Option<Secret>) -> Self {
        self.policies = self.policies.with(|policy| policy.key = key);
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
        self.policies = self.policies.with(|policy| policy.mocks = allow);
        self
    }

    /// Lets clients send `api_key` and `api_base`.
    #[must_use]
    pub fn client_credentials(mut self, allow: bool) -> Self {
        self.policies = self.policies.with(|policy| policy.credentials = allow);
        self
    }

    /// Shows filters which program sent a request.
    #[must_use]
    pub fn user_agent(mut self, show: bool) -> Self {
        self.policies = self.policies.with(|policy| policy.user_agent = show);
        self
    }

    /// Sets after which silence a stream gets a comment that keeps its connection alive.
    #[must_use]
    pub fn keep_alive(mut self, after: Option<std::time::Duration>) -> Self {
        self.policies = self.policies.with(|policy| policy.keep_alive = after);
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
        let endpoint = |operation| {
            let endpoint = Endpoint::new(stack.clone(), operation)
                .max_body(self.max_body)
                .policies(self.policies.clone());
            match self.router.clone() {
                Some(router) => endpoint.router(router),
                None => endpoint,
            }
        };
        for operation in OPERATIONS {
            let route = post_service(endpoint(operation)).fallback(wrong_method);
            let path = operation.path();
            let others = OTHER_PATHS.iter().filter(|(of, _)| *of == operation);
            for (_, path) in others {
                app = app.route(path, route.clone());
            }
            app = app
                .route(path, route.clone())
                .route(&format!("/v1{path}"), route);
        }
        for start in ["", "/v1", "/anthropic/v1"] {
            let counter = endpoint(Operation::CountTokens);
            let count = post(move |State(gateway), parts, body| {
                count_tokens(gateway, counter.clone(), parts, body)
            });
            let count = count.fallback(wrong_method);
            app = app.route(
                &format!("{start}/messages/count_tokens"),
                count.layer(DefaultBodyLimit::max(self.max_body)),
            );
        }
        let both = |path: &str| [path.to_owned(), format!("/v1{path}")];
        let passing =
            |passing: Passing| any_service(endpoint(Operation::PassThrough).passing(passing));
        let stored = passing(Passing::Stored(self.deployments.clone()));
        for path in stored::paths().flat_map(|path| both(&path)) {
            app = app.route(&path, stored.clone());
        }
        let any = passing(Passing::Any(self.deployments.clone()));
        for path in any_path::paths() {
            app = app.route(&path, any.clone());
        }
        let models = google::Models {
            generate: endpoint(Operation::GenerateContent),
            embed: endpoint(Operation::Embeddings).errors(ErrorShape::Google),
            other: endpoint(Operation::PassThrough).passing(Passing::Any(self.deployments.clone())),
        };
        for path in google::paths() {
            let served = models.clone();
            let route = post(move |State(gateway), request| served.clone().call(gateway, request));
            // What we have nothing for may be for the provider.
            let route = match path.starts_with("/gemini/") || path.starts_with("/vertex_ai/") {
                true => route.fallback_service(models.other.clone()),
                false => route.fallback(wrong_method),
            };
            app = app.route(&path, route.layer(DefaultBodyLimit::max(self.max_body)));
        }
        for path in both("/realtime") {
            let endpoint = endpoint(Operation::Realtime);
            let connect = get(move |request| realtime::connect(endpoint.clone(), request));
            app = app.route(&path, connect.fallback(wrong_method));
        }
        for path in both("/models") {
            app = app.route(&path, get(listing::models).fallback(wrong_method));
        }
        for path in both("/model/info") {
            app = app.route(&path, get(listing::model_info).fallback(wrong_method));
        }
        for path in both("/model_group/info") {
            app = app.route(&path, get(tell::groups).fallback(wrong_method));
        }
        for path in both("/router/settings") {
            app = app.route(&path, get(tell::settings).fallback(wrong_method));
        }
        for path in both("/outcome") {
            let report = post(tell::outcome).fallback(wrong_method);
            app = app.route(&path, report.layer(DefaultBodyLimit::max(MAX_OUTCOME)));
        }
        for path in ["/health/liveliness", "/health/liveness"] {
            app = app.route(
                path,
                get(async || Json("I'm alive!")).fallback(wrong_method),
            );
        }
        let app = app
            .route("/health", get(health::health).fallback(wrong_method))
            .route("/health/readiness", get(readiness).fallback(wrong_method))
            .route("/metrics", get(metrics).fallback(wrong_method))
            .fallback(no_route)
            .with_state(self.clone());
        Edge::new(app, self.policies.clone())
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("policy", &self.policies)
            .field("max_body", &self.max_body)
            .finish_non_exhaustive()
    }
}

impl Gateway {
    pub(crate) fn deployments(&self) -> &Deployments {
        &self.deployments
    }

    /// How a body is read now.
    pub(crate) fn read_options(&self) -> ReadOptions {
        self.policies.load().read_options()
    }

    pub(crate) fn the_router(&self) -> Option<&ziggurat::Router> {
        self.router.as_ref()
    }
}

pub(crate) fn error_response(error: &Error) -> Response {
    shaped(error, ErrorShape::OpenAi)
}

pub(crate) fn shaped(error: &Error, shape: ErrorShape) -> Response {
    let response = refuse(error, shape);
    response.map(axum::body::Body::new).into_response()
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    let message = format!("{} cannot be called with {method}", uri.path());
    let error = Error::new(ErrorKind::BadRequest, message);
    shaped(
        &error
            .with_status(StatusCode::METHOD_NOT_ALLOWED)
            .with_code("method_not_allowed"),
        ErrorShape::of_path(uri.path()),
    )
}

pub(crate) async fn no_route(method: Method, uri: Uri) -> Response {
    let message = format!("there is no {method} {}", uri.path());
    let error = Error::new(ErrorKind::NotFound, message).with_code("not_found");
    shaped(&error, ErrorShape::of_path(uri.path()))
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
