//! One check: the cheapest question first.

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc};

use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, timeout};
use tower::ServiceExt;
use tower_service::Service;
use ziggurat_core::{Blame, Clock, Deployment, Error, ErrorKind, LlmRequest, LlmResponse, Routed};

use crate::{HealthPolicy, check::Check, ping, verdict::Found};

/// Makes a check; `None` if nothing was found out.
pub(crate) async fn examine<P, C>(
    check: Check,
    policy: Arc<HealthPolicy>,
    probe: P,
    call: C,
) -> (Check, Option<Found>)
where
    P: Service<Arc<Deployment>, Response = Option<bool>>,
    P::Error: Into<Error>,
    C: Service<Routed<LlmRequest>, Response = LlmResponse>,
    C::Error: Into<Error>,
{
    let deployment = check.deployment();
    let began = Instant::now();
    let asking = ask(ping::asked(deployment), policy.always_calls(), probe, call);
    let limited = timeout(policy.time_limit(deployment), asking);
    let answer = match AssertUnwindSafe(limited).catch_unwind().await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Answer::Silent,
        // A fault of ours says nothing of the deployment.
        Err(_) => Answer::Nothing,
    };
    let found = answer.judge(&policy).map(|(healthy, error)| Found {
        healthy,
        error,
        took: began.elapsed(),
    });
    (check, found)
}

/// What came of a question.
enum Answer {
    Fine,
    Failed(Error),
    /// None in time.
    Silent,
    /// One that says nothing.
    Nothing,
}

impl Answer {
    /// Whether the deployment is healthy, and the error that was met.
    fn judge(self, policy: &HealthPolicy) -> Option<(bool, Option<Error>)> {
        match self {
            Self::Fine => Some((true, None)),
            Self::Silent => Some((false, Some(Error::timeout(Clock::Attempt)))),
            Self::Nothing => None,
            Self::Failed(error) if error.rejection().is_some() => None,
            Self::Failed(error) => {
                let speaks_against = error.scope() != Blame::Request && !policy.ignores(&error);
                Some((!speaks_against, Some(error)))
            }
        }
    }
}

async fn ask<P, C>(deployment: Arc<Deployment>, always_calls: bool, probe: P, call: C) -> Answer
where
    P: Service<Arc<Deployment>, Response = Option<bool>>,
    P::Error: Into<Error>,
    C: Service<Routed<LlmRequest>, Response = LlmResponse>,
    C::Error: Into<Error>,
{
    let is_wild = deployment.model().contains('*');
    let is_mock = deployment.mock_response().is_some();
    let listed = match is_mock {
        true => None,
        false => match probe.oneshot(Arc::clone(&deployment)).await {
            // No provider lists a pattern; that it lists anything is an answer.
            Ok(Some(_)) if is_wild => Some(true),
            Ok(listed) => listed,
            Err(error) => return Answer::Failed(error.into()),
        },
    };
    if listed == Some(true) && !always_calls {
        return Answer::Fine;
    }
    match ping::request(&deployment) {
        None => match listed {
            Some(true) => Answer::Fine,
            Some(false) => {
                let message = "the provider does not list the model";
                Answer::Failed(Error::new(ErrorKind::NotFound, message))
            }
            None => Answer::Nothing,
        },
        Some(Err(error)) => Answer::Failed(error),
        Some(Ok(request)) => match read(call.oneshot(Routed::new(request, deployment))).await {
            Ok(()) => Answer::Fine,
            Err(error) => Answer::Failed(error),
        },
    }
}

/// Reads an answer to its end.
async fn read<E: Into<Error>>(
    response: impl Future<Output = Result<LlmResponse, E>>,
) -> Result<(), Error> {
    let (_, mut items) = response.await.map_err(Into::into)?.into_parts();
    while let Some(item) = items.next().await {
        item?;
    }
    Ok(())
}
