//! The future of an answer that is settled.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use ziggurat_core::{Attach, Error, LlmResponse};

use crate::Account;

pin_project! {
    /// Waits for the answer. Dropped before, the attempt is settled as cancelled.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        response: F,
        account: Option<Account>,
    }
}

impl<F> ResponseFuture<F> {
    pub(crate) const fn new(response: F, account: Account) -> Self {
        Self {
            response,
            account: Some(account),
        }
    }
}

impl<F, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<LlmResponse, E>>,
    E: Into<Error>,
{
    type Output = Result<LlmResponse, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.response.poll(cx));
        let account = this.account.take().expect("polled after it was ready");
        Poll::Ready(match answer {
            Ok(response) => Ok(answered(response, account)),
            Err(error) => {
                let error = error.into();
                account.failed(&error);
                Err(error)
            }
        })
    }
}

fn answered(response: LlmResponse, mut account: Account) -> LlmResponse {
    account.answers(response.maker());
    match response.bytes() {
        Some(bytes) => {
            let charge = account.complete(bytes, response.usage());
            response.with_charge(charge)
        }
        None => response.attach(account),
    }
}
