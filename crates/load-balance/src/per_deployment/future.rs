//! The future of [`PerDeploymentService`](crate::PerDeploymentService).

use std::{
    fmt,
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::{
    task::unconstrained,
    time::{Sleep, sleep},
};
use tower_service::Service;
use ziggurat_core::{Error, HasDeployment, Reason, Rejection, Scope};

use super::instance::{Instance, Instances};

pin_project! {
    /// Asks a deployment's instance whether it is ready, and for the answer if it is.
    ///
    /// Dropped at any time, it leaves nothing behind that the instance does not.
    pub struct PerDeploymentFuture<S, R>
    where
        S: Service<R>,
    {
        // Held so that what it limits is not forgotten.
        instance: Arc<Instance<S>>,
        instances: Arc<Instances<S>>,
        #[pin]
        state: State<S, R>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, R>
    where
        S: Service<R>,
    {
        Ready {
            service: S,
            request: Option<R>,
            patience: Option<Duration>,
            #[pin]
            alarm: Option<Sleep>,
        },
        Answer {
            #[pin]
            answer: S::Future,
        },
    }
}

impl<S: Service<R> + Clone, R> PerDeploymentFuture<S, R> {
    pub(super) fn new(
        instance: Arc<Instance<S>>,
        instances: Arc<Instances<S>>,
        request: R,
        patience: Option<Duration>,
    ) -> Self {
        Self {
            state: State::Ready {
                service: instance.service(),
                request: Some(request),
                patience,
                alarm: None,
            },
            instance,
            instances,
        }
    }
}

impl<S, R> Future for PerDeploymentFuture<S, R>
where
    R: HasDeployment,
    S: Service<R>,
    S::Error: Into<Error>,
{
    type Output = Result<S::Response, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Ready {
                    service,
                    request,
                    patience,
                    mut alarm,
                } => {
                    match readiness(service, cx) {
                        Poll::Ready(Ok(())) => {
                            let request = request.take().expect("it is sent once");
                            let answer = service.call(request);
                            this.state.set(State::Answer { answer });
                        }
                        Poll::Ready(Err(error)) => {
                            // It will not be ready again.
                            this.instances.forget(this.instance);
                            return Poll::Ready(Err(error.into()));
                        }
                        Poll::Pending => {
                            if let Some(patience) = patience.take() {
                                alarm.set(Some(sleep(patience)));
                            }
                            if let Some(alarm) = alarm.as_pin_mut() {
                                ready!(alarm.poll(cx));
                            }
                            let request = request.as_ref().expect("it is sent once");
                            return Poll::Ready(Err(busy(request)));
                        }
                    }
                }
                StateProj::Answer { answer } => {
                    return answer.poll(cx).map_err(Into::into);
                }
            }
        }
    }
}

/// Whether a service is ready. Tokio's budget does not count: a task that has done much would
/// otherwise find everything busy.
fn readiness<S: Service<R>, R>(
    service: &mut S,
    cx: &mut Context<'_>,
) -> Poll<Result<(), S::Error>> {
    let ready = std::future::poll_fn(|cx| service.poll_ready(cx));
    pin!(unconstrained(ready)).poll(cx)
}

fn busy(request: &impl HasDeployment) -> Error {
    let id = request.deployment().id();
    let rejection = Rejection::new(Reason::Busy, Scope::Deployment);
    let message = format!("deployment `{id}` is busy");
    Error::rejected(rejection, message).with_deployment(id.clone())
}

impl<S: Service<R>, R> fmt::Debug for PerDeploymentFuture<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let was_asked = matches!(self.state, State::Answer { .. });
        f.debug_struct("PerDeploymentFuture")
            .field("was_asked", &was_asked)
            .finish_non_exhaustive()
    }
}
