//! The future of an answer that is listened to.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::Instant;
use ziggurat_core::{Attach, Error, ErrorKind, Observer, ProviderLimits, Rejection};

use super::quota::{Quota, Sent};

pin_project! {
    /// Waits for the answer, and hears what it says of limits. Dropped before, what was sent counts
    /// until the provider says something again.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<F> {
        Refused { refusal: Option<Rejection> },
        Sent { #[pin] response: F, heard: Option<Heard> },
    }
}

/// Hears what an answer says of its provider's limits.
#[derive(Debug)]
pub struct Heard {
    quota: Arc<Quota>,
    sent: Sent,
}

impl Observer for Heard {
    fn provider_limits(&mut self, limits: &ProviderLimits) {
        self.quota.hear(self.sent, limits, Instant::now());
    }
}

impl Heard {
    fn fail(self, error: &Error) {
        if error.rejection().is_some() {
            return self.quota.give_back(self.sent);
        }
        if let Some(limits) = error.provider_limits() {
            self.quota.hear(self.sent, limits, Instant::now());
        }
        if error.kind() == ErrorKind::RateLimited
            && let Some(after) = error.retry_after()
            && let Some(until) = Instant::now().checked_add(after)
        {
            self.quota.stop(until);
        }
    }
}

impl<F> ResponseFuture<F> {
    pub(crate) const fn sent(response: F, quota: Arc<Quota>, sent: Sent) -> Self {
        let heard = Some(Heard { quota, sent });
        Self {
            state: State::Sent { response, heard },
        }
    }

    pub(crate) const fn refused(refusal: Rejection) -> Self {
        let refusal = Some(refusal);
        Self {
            state: State::Refused { refusal },
        }
    }
}

const POLLED_AGAIN: &str = "polled after it was ready";

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    T: Attach<Heard>,
    E: Into<Error>,
{
    type Output = Result<T::Output, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Refused { refusal } => {
                let refusal = refusal.take().expect(POLLED_AGAIN);
                let message = "the provider said that its limit is used up";
                Poll::Ready(Err(Error::rejected(refusal, message)))
            }
            StateProj::Sent { response, heard } => {
                let answer = ready!(response.poll(cx));
                let heard = heard.take().expect(POLLED_AGAIN);
                Poll::Ready(match answer {
                    Ok(response) => Ok(response.attach(heard)),
                    Err(error) => {
                        let error = error.into();
                        heard.fail(&error);
                        Err(error)
                    }
                })
            }
        }
    }
}
