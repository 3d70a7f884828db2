//! Routers, requests and answers.

use std::{future::Future, time::Duration};

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::ServiceExt as _;
use ziggurat::{
    Error, ErrorKind, HasLedger as _, Ledger, LlmRequest, LlmResponse, Operation, Router, Trail,
    config::Plan,
};

use crate::{
    stack::leaf::Leaf,
    support::{Groups, model_list},
};

pub(crate) use crate::support::secs;

/// A plan of groups with their deployments, and further sections.
pub(crate) fn plan(groups: Groups<'_>, sections: &str) -> Plan {
    let text = model_list(groups, |_, _| String::new()) + sections;
    match Plan::parse(&text, "test.yaml", |_| None) {
        Ok(plan) => plan,
        Err(problems) => panic!("{problems}\n{text}"),
    }
}

/// The stack of such a plan over a leaf. Its random choices are the same in every run.
pub(crate) fn router(leaf: &Leaf, groups: Groups<'_>, sections: &str) -> Router {
    fastrand::seed(7);
    Router::with_leaf(&plan(groups, sections), leaf.clone()).expect("the plan is whole")
}

/// A request, with further fields.
pub(crate) fn request(model: &str, more: Value) -> LlmRequest {
    let body = ziggurat_tests::chat(model, more);
    LlmRequest::from_value(Operation::ChatCompletions, &body).expect("the request is valid")
}

/// A request for the group `gpt`.
pub(crate) fn gpt() -> LlmRequest {
    request("gpt", json!({}))
}

/// A request for a stream.
pub(crate) fn streamed() -> LlmRequest {
    request("gpt", json!({"stream": true}))
}

/// What became of a request.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) result: Result<LlmResponse, Error>,
    pub(crate) trail: Trail,
    pub(crate) took: Duration,
}

impl Sent {
    /// What kind of failure it was.
    pub(crate) fn kind(&self) -> Option<ErrorKind> {
        self.result.as_ref().err().map(Error::kind)
    }

    pub(crate) fn is_ok(&self) -> bool {
        self.result.is_ok()
    }

    /// How many attempts it took.
    pub(crate) fn attempts(&self) -> usize {
        self.trail.entries().len()
    }
}

/// Sends a request and waits for its answer to begin.
pub(crate) fn send(
    router: &Router,
    request: LlmRequest,
) -> impl Future<Output = Sent> + Send + use<> {
    let ledger = ledger(&request);
    let answer = router.clone().oneshot(request);
    async move {
        let began = Instant::now();
        let result = answer.await;
        Sent {
            result,
            trail: ledger.trail(),
            took: began.elapsed(),
        }
    }
}

/// The ledger of a request.
pub(crate) fn ledger(request: &LlmRequest) -> Ledger {
    request.ledger().expect("a request has one").clone()
}

/// Reads an answer to its end: how many items, and how it broke.
pub(crate) async fn read(response: LlmResponse) -> (usize, Option<ErrorKind>) {
    let (_, mut items) = response.into_parts();
    let mut read = 0;
    loop {
        match items.next().await {
            Some(Ok(_)) => read += 1,
            Some(Err(error)) => return (read, Some(error.kind())),
            None => return (read, None),
        }
    }
}
