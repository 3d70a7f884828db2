//! The vector of a question.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;
use ziggurat_core::{Caller, HasLedger, LlmRequest, LlmResponse, Operation};

use super::Vector;

/// The longest answer that is read.
const LONGEST: usize = 1024 * 1024;

/// The request for the vector of a text, in the name of who asks and of the request: it is made by
/// the router, so access to the model is not the caller's.
pub(super) fn request(
    asked: &LlmRequest,
    model: &str,
    text: &str,
    until: Instant,
) -> Option<LlmRequest> {
    #[derive(Serialize)]
    struct Body<'a> {
        model: &'a str,
        input: &'a str,
    }
    let body = Body { model, input: text };
    let mut request = LlmRequest::from_value(Operation::Embeddings, &body).ok()?;
    if let Some(caller) = asked.caller() {
        let mut own = Caller::clone(caller).with_admin();
        own.access_groups = None;
        request = request.with_caller(own);
    }
    request.controls_mut().disable_fallbacks = true;
    if let (Some(ledger), Some(of)) = (request.ledger(), asked.ledger()) {
        ledger.set_name(of.request_id().to_string());
        ledger.limit(of.deadline().map_or(until, |deadline| deadline.min(until)));
    }
    Some(request)
}

fn read(response: &LlmResponse) -> Option<Vector> {
    #[derive(Deserialize)]
    struct Body {
        data: [Embedding; 1],
    }
    #[derive(Deserialize)]
    struct Embedding {
        embedding: Vec<f32>,
    }
    let bytes = response.bytes().filter(|bytes| bytes.len() <= LONGEST)?;
    let Body { data: [of] } = serde_json::from_slice(bytes).ok()?;
    Vector::new(of.embedding)
}

pin_project! {
    /// Asks for a vector, and gives up in time. What fails is no vector.
    pub(super) struct Embed<E>
    where
        E: Service<LlmRequest>,
    {
        service: E,
        request: Option<LlmRequest>,
        #[pin]
        call: Option<E::Future>,
        #[pin]
        patience: Sleep,
    }
}

impl<E: Service<LlmRequest>> Embed<E> {
    pub(super) fn new(
        service: E,
        asked: &LlmRequest,
        model: &str,
        text: &str,
        patience: Duration,
    ) -> Self {
        let until = Instant::now() + patience;
        Self {
            service,
            request: request(asked, model, text, until),
            call: None,
            patience: sleep_until(until),
        }
    }
}

impl<E> Future for Embed<E>
where
    E: Service<LlmRequest, Response = LlmResponse>,
{
    type Output = Option<Vector>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            if let Some(call) = this.call.as_mut().as_pin_mut() {
                if let Poll::Ready(answer) = call.poll(cx) {
                    let answer = answer.ok();
                    return Poll::Ready(answer.as_ref().and_then(read));
                }
            } else if this.request.is_none() {
                return Poll::Ready(None);
            } else {
                match this.service.poll_ready(cx) {
                    Poll::Ready(Ok(())) => {
                        let request = this.request.take().expect("it was there");
                        let call = this.service.call(request);
                        this.call.set(Some(call));
                        continue;
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(None),
                    Poll::Pending => {}
                }
            }
            ready!(this.patience.as_mut().poll(cx));
            return Poll::Ready(None);
        }
    }
}
