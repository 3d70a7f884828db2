//! The routes of the gateway.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    http::{Method, StatusCode, Uri, request::Parts},
    response::{IntoResponse, Response},
    routing::{any_service, get, post, post_service},
};
use serde_json::json;
use tower_service::Service;
use ziggurat::{
    ByteBudget, Deployments, Error, ErrorKind, LlmRequest, LlmResponse, Operation, ReadOptions,
    Secret, config::Plan,
};

use crate::{
    DEFAULT_MAX_BODY, Endpoint, Identified, Identify, Identity, any_path,
    count_tokens::count_tokens,
    edge::Edge,
    google,
    headers::refuse,
    health, key_info, listing,
    passing::Passing,
    policy::{Policies, Policy},
    reading::Reading,
    realtime,
    shape::ErrorShape,
    stored, tell, usage,
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

/// How many bytes of bodies are held at a time unless it is said otherwise.
pub const DEFAULT_BODY_BUDGET: u64 = 1 << 30;

/// How long a report on a choice may be, in bytes.
const MAX_OUTCOME: usize = 16 * 1024;

/// The gateway: routes, the check of the key, and listings, over a stack.
#[derive(Clone)]
pub struct Gateway {
    deployments: Deployments,
    policies: Policies,
    max_body: usize,
    budget: ByteBudget,
    /// The bytes of the budget if no plan says it.
    usual_bytes: u64,
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
            budget: ByteBudget::new(DEFAULT_BODY_BUDGET),
            usual_bytes: DEFAULT_BODY_BUDGET,
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
        let plan = router.plan();
        let gateway = Self {
            policies: Policies::new(Policy::of(&plan)),
            router: Some(router.clone()),
            ..Self::new(router.deployments().clone())
        };
        gateway.set_budget(&plan);
        gateway
    }

    /// The bytes that a plan says; else the usual ones.
    fn set_budget(&self, plan: &Plan) {
        let said = plan.own.overload.body_bytes;
        self.budget.set_limit(said.unwrap_or(self.usual_bytes));
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
        self.set_budget(plan);
        Ok(())
    }

    /// Asks for a key on every route but probes and metrics: for this one, which opens everything, or
    /// for one of the plan's callers.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "whoever sets it gives it away; only its hash is kept"
    )]
    pub fn key(mut self, key: Option<Secret>) -> Self {
        let set = |policy: &mut Policy| policy.set_master_key(key.as_ref());
        self.policies = self.policies.with(set);
        self
    }

    /// Lets the application say who asks, on every route but probes and metrics, in the place of the
    /// keys of a plan. What [`reload`](Self::reload) says of keys changes nothing then.
    #[must_use]
    pub fn identify(mut self, identify: impl Identify) -> Self {
        let own = Arc::new(identify);
        self.policies = self.policies.with(|policy| policy.own = Some(own));
        self
    }

    /// Sets how many bytes a body may have.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Sets out of which bytes bodies are held, of all requests together;
    /// [`DEFAULT_BODY_BUDGET`] if neither this nor a plan says it. One that finds no room is answered
    /// with 503. As long as the plan says how many bytes, that is the limit of the budget.
    #[must_use]
    pub fn body_budget(mut self, budget: ByteBudget) -> Self {
        self.usual_bytes = budget.limit();
        self.budget = budget;
        if let Some(router) = &self.router {
            self.set_budget(&router.plan());
        }
        self
    }

    /// Sets how long a body may take, to which each 16 KiB that have come add a second; one that takes
    /// longer is answered with 408.
    #[must_use]
    pub fn body_timeout(mut self, time: Option<Duration>) -> Self {
        self.policies = self.policies.with(|policy| policy.body_timeout = time);
        self
    }

    /// How many bytes of bodies are held, and may be.
    #[must_use]
    pub fn bodies(&self) -> &ByteBudget {
        &self.budget
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
    pub fn keep_alive(mut self, after: Option<Duration>) -> Self {
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
                .body_budget(self.budget.clone())
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
            let count = post(move |State(gateway), request| {
                count_tokens(gateway, counter.clone(), request)
            });
            let count = count.fallback(wrong_method);
            app = app.route(&format!("{start}/messages/count_tokens"), count);
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
            app = app.route(&path, route);
        }
        for path in both("/realtime") {
            let endpoint = endpoint(Operation::Realtime);
            let connect = get(move |request| realtime::connect(endpoint.clone(), request));
            app = app.route(&path, connect.fallback(wrong_method));
        }
        for path in both("/key/info") {
            app = app.route(&path, get(key_info::key_info).fallback(wrong_method));
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
        for path in both("/usage") {
            app = app.route(&path, get(usage::usage).fallback(wrong_method));
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
        Edge::new(Identified::new(app, Arc::new(self.policies.clone())))
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("policy", &self.policies)
            .field("max_body", &self.max_body)
            .field("bodies", &self.budget)
            .finish_non_exhaustive()
    }
}

impl Gateway {
    pub(crate) fn deployments(&self) -> &Deployments {
        &self.deployments
    }

    /// What clients must have and may send now.
    pub(crate) fn policies(&self) -> &Policies {
        &self.policies
    }

    /// Reads a body that is looked at before an endpoint gets it.
    pub(crate) async fn read_body(&self, parts: &Parts, body: Body) -> Result<Bytes, Error> {
        let budget = Some(&self.budget);
        let bounds = self.policies.load().bounds(parts, self.max_body, budget);
        Reading::new(body, &parts.headers, bounds).await
    }

    /// How a body is read now.
    pub(crate) fn read_options(&self) -> ReadOptions {
        self.policies.load().read_options()
    }

    /// Refuses who may not use a model that is there.
    pub(crate) fn may_ask(&self, identity: Option<&Identity>, model: &str) -> Result<(), Error> {
        let Some(caller) = identity.and_then(Identity::caller) else {
            return Ok(());
        };
        let snapshot = self.deployments.load();
        let route = snapshot.route(model);
        match route.and_then(|route| caller.refused_by(model, route)) {
            Some(models) => Err(models.refusal(model)),
            None => Ok(()),
        }
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
