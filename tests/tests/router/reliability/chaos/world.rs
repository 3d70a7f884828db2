//! A gateway over providers that have a bad day, in memory.

use std::sync::Arc;

use bytes::Bytes;
use fastrand::Rng;
use futures_util::future::join_all;
use http::{Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, combinators::UnsyncBoxBody};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tower::{ServiceExt as _, service_fn};
use ziggurat::{
    BoxError, HasLedger as _, Ledger, LlmRequest, Router,
    config::Plan,
    provider::LlmService,
    settle::{Recent, Settlement},
};
use ziggurat_gateway::Gateway;
use ziggurat_testkit::provider::{Simulator, Step};
use ziggurat_tests::chat;

use super::{
    faults,
    plans::{self, CAPACITY, GROUPS, PROVIDERS},
    wire::Wire,
};
use crate::support::{CHAT, secs};

/// What an answer is read from. Dropping it hangs up.
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;

pub(crate) struct World {
    providers: Arc<Simulator>,
    pub(crate) wire: Wire,
    pub(crate) router: Router,
    gateway: Gateway,
    ledgers: Arc<Mutex<Vec<Ledger>>>,
    settled: Arc<Recent>,
}

impl World {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let providers = Arc::new(Simulator::in_memory());
        for name in PROVIDERS {
            providers.script(name, faults::bad_day(rng.fork()));
        }
        let wire = Wire::new(Arc::clone(&providers));
        let leaf = LlmService::with_client(wire.clone());
        let plan = parse(&plans::all(), &providers);
        let router = Router::with_service(&plan, &leaf).expect("the plan is whole");
        let gateway = Gateway::over(&router);
        let settled = Arc::new(Recent::new(1_000_000));
        router.on_settlement(Arc::clone(&settled));
        Self {
            settled,
            providers,
            wire,
            router,
            gateway,
            ledgers: Arc::default(),
        }
    }

    /// Carries out another configuration.
    pub(crate) fn reload(&self, config: &str) {
        let plan = parse(config, &self.providers);
        self.gateway.reload(&plan).expect("the plan is whole");
    }

    /// Sends a request, and keeps the ledger of what becomes of it.
    pub(crate) async fn send(
        &self,
        path: &str,
        body: &Value,
        deadline: Option<f64>,
    ) -> (StatusCode, Body) {
        let mut request = Request::post(path).header(CONTENT_TYPE, "application/json");
        if let Some(deadline) = deadline {
            request = request.header("x-ziggurat-deadline", deadline.to_string());
        }
        let request = request.body(body.to_string().into()).expect("is a request");
        let (router, ledgers) = (self.router.clone(), Arc::clone(&self.ledgers));
        let stack = service_fn(move |request: LlmRequest| {
            let ledger = request.ledger().expect("a request has one");
            ledgers.lock().push(ledger.clone());
            router.clone().oneshot(request)
        });
        let sent = self.gateway.service(&stack).oneshot(request).await;
        let Ok(response) = sent;
        let (head, body) = response.into_parts();
        (head.status, body.map_err(Into::into).boxed_unsync())
    }

    /// What was settled since the last time.
    pub(crate) fn settled(&self) -> Vec<Settlement> {
        self.settled.take()
    }

    /// What became of every request.
    pub(crate) fn ledgers(&self) -> Vec<Ledger> {
        self.ledgers.lock().clone()
    }

    /// Nothing runs, and nothing that was lent is missing.
    pub(crate) async fn assert_idle(&self) {
        self.reload(&plans::all());
        assert_eq!(self.router.in_flight(), 0);
        for name in PROVIDERS {
            assert_eq!(self.providers.in_flight(name), 0, "{name}");
            self.providers.script(name, Step::ok().delay(secs(1)));
        }
        sleep(secs(700)).await;
        for (model, _) in GROUPS {
            // Whatever rested is probed by one request before others follow.
            self.assert_answered(model).await;
        }
        let began = Instant::now();
        let models = GROUPS.iter().map(|(model, _)| *model).cycle();
        join_all(
            models
                .take(CAPACITY)
                .map(|model| self.assert_answered(model)),
        )
        .await;
        assert!(began.elapsed() < secs(2), "all have their turn at once");
        assert_eq!(self.router.in_flight(), 0);
    }

    async fn assert_answered(&self, model: &str) {
        let (status, body) = self.send(CHAT, &chat(model, json!({})), None).await;
        let answer = body.collect().await.expect("comes whole").to_bytes();
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
    }
}

fn parse(config: &str, providers: &Simulator) -> Plan {
    let text = PROVIDERS.iter().fold(config.to_owned(), |text, name| {
        text.replace(&format!("{{{name}}}"), &providers.base_url(name))
    });
    match Plan::parse(&text, "chaos.yaml", |_| None) {
        Ok(plan) => plan,
        Err(problems) => panic!("{problems}\n{text}"),
    }
}
