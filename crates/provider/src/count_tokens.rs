//! How many tokens a prompt has, of a provider that counts them.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use serde_json::json;
use tower_service::Service;
use ziggurat_core::{
    Blame, BoxError, Error, ErrorKind, LlmRequest, LlmResponse, Routed, Usage, off_reactor,
};

use crate::{
    RequestBody, body,
    chat::unsupported,
    dialect::{self, Call, Dialect, OwnCall},
    exchange::{answer, finisher, seconds_since_1970},
    service::Shared,
};

/// Asks the deployment. It is not to blame for a failure: many servers answer well and count nothing.
///
/// # Errors
///
/// A refusal if its provider does not count, or what went wrong.
pub(crate) async fn count<C, B>(
    client: &mut C,
    shared: &Shared,
    routed: &Routed<LlmRequest>,
) -> Result<LlmResponse, Error>
where
    C: Service<Request<RequestBody>, Response = Response<B>>,
    C::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let deployment = routed.deployment();
    let Some(dialect) = dialect::of_deployment(deployment) else {
        return Err(unsupported::operation(routed.request().operation()));
    };
    let counted = asked(client, shared, routed, dialect).await;
    counted.map_err(|error| match error.rejection() {
        Some(_) => error,
        None => error.with_blame(Blame::Request),
    })
}

async fn asked<C, B>(
    client: &mut C,
    shared: &Shared,
    routed: &Routed<LlmRequest>,
    dialect: &'static dyn Dialect,
) -> Result<LlmResponse, Error>
where
    C: Service<Request<RequestBody>, Response = Response<B>>,
    C::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (request, deployment) = (routed.request(), routed.deployment());
    let endpoint = shared.endpoints.get(deployment)?;
    let parts = request.upstream_parts(routed.model(), false, &[]);
    let own = OwnCall::of(&Call {
        deployment,
        operation: request.operation(),
        request,
        body: &[],
        model: routed.model(),
        streams: false,
        now: seconds_since_1970(),
    });
    let counted = Arc::clone(&endpoint);
    let writing = move || {
        let own = own.with_body(parts.concat().into());
        let call = own.call();
        counted.outgoing(call.request, dialect.count(&call)?)
    };
    let outgoing = off_reactor(request.body().len(), writing).await?;
    let answer = answer(
        client,
        shared,
        &endpoint,
        outgoing,
        deployment,
        Some(dialect),
    )
    .await?;
    let (head, body) = answer.into_parts();
    let body = body::whole(body, &shared.most(request)).await?;
    let Some(tokens) = dialect.counted(&body) else {
        let message = "the provider's answer holds no count of tokens";
        return Err(Error::new(ErrorKind::BadAnswer, message));
    };
    let counted = json!({"input_tokens": tokens}).to_string();
    // To count costs nothing.
    let response = LlmResponse::complete(counted, Some(Usage::new(0, 0)));
    finisher(&head.headers)(response)
}
