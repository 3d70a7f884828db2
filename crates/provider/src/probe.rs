//! Whether a deployment can be reached, without asking it for tokens.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;
use ziggurat_core::{BoxError, Deployment, Error};

use crate::{
    RequestBody, ReqwestClient,
    body::{self, Most},
    dialect::{self, openai},
    exchange::{answer, named},
    future::ProbeFuture,
    service::Shared,
};

/// Finds out whether a deployment can be reached and takes its credential: asks for the provider's
/// list of models, which costs no tokens. A provider that has no such list (Bedrock) is not asked: it
/// counts as reached.
///
/// *Deferring*: `poll_ready` is always ready. It asks once, and sets no limit of time: that is for
/// whoever checks. An error answer fails as that of a call does. Dropping the future hangs up.
///
/// Made by [`LlmService::probe`](crate::LlmService::probe).
#[derive(Clone)]
pub struct Probe<C = ReqwestClient> {
    client: C,
    shared: Arc<Shared>,
}

impl<C> Probe<C> {
    pub(crate) fn new(client: C, shared: Arc<Shared>) -> Self {
        Self { client, shared }
    }
}

/// What a deployment says that can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probed {
    lists_model: Option<bool>,
}

impl Probed {
    /// It says that it has the model, or has it not, or says nothing of models.
    #[must_use]
    pub const fn new(lists_model: Option<bool>) -> Self {
        Self { lists_model }
    }

    /// Whether the deployment's model is in the provider's list; `None` if the answer is no list.
    /// Some providers do not list all that they serve.
    #[must_use]
    pub const fn lists_model(&self) -> Option<bool> {
        self.lists_model
    }
}

impl<C, B> Service<Arc<Deployment>> for Probe<C>
where
    C: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
    C::Error: Into<BoxError>,
    C::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Probed;
    type Error = Error;
    type Future = ProbeFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, deployment: Arc<Deployment>) -> Self::Future {
        let (client, shared) = (self.client.clone(), Arc::clone(&self.shared));
        ProbeFuture::new(async move {
            let probed = probe(client, &shared, &deployment).await;
            probed.map_err(|error| named(error, &deployment))
        })
    }
}

async fn probe<C, B>(
    mut client: C,
    shared: &Shared,
    deployment: &Arc<Deployment>,
) -> Result<Probed, Error>
where
    C: Service<Request<RequestBody>, Response = Response<B>>,
    C::Error: Into<BoxError>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let endpoint = shared.endpoints.get(deployment)?;
    let dialect = dialect::of_deployment(deployment);
    if dialect.is_some_and(|dialect| !dialect.lists_models()) {
        return Ok(Probed::new(None));
    }
    let answer = answer(
        &mut client,
        shared,
        &endpoint,
        endpoint.models(),
        deployment,
        dialect,
    )
    .await?;
    let most = Most {
        bytes: shared.max_answer,
        budget: None,
    };
    let body = body::whole(answer.into_body(), &most).await?;
    openai::lists(&body, deployment).map(Probed::new)
}

impl<C> fmt::Debug for Probe<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").finish_non_exhaustive()
    }
}
