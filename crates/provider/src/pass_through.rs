//! Requests for a path of a provider, passed through.
//!
//! Nothing is translated. In answers that are JSON, whole or as events, the ids of what the
//! deployment keeps become ours, so that they lead back to it; everything else, files above all,
//! passes as it comes.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, Response,
    header::{CONTENT_DISPOSITION, CONTENT_TYPE},
};
use http_body::Body;
use tower_service::Service;
use ziggurat_core::{
    Blame, BoxError, Deployment, Error, ErrorKind, Item, LlmRequest, LlmResponse, ObjectId, Passed,
    Routed, off_reactor,
};

use crate::{
    RequestBody, body,
    chat::unsupported,
    dialect::{
        self, Dialect,
        openai::{self, Out},
    },
    exchange::{answer, begin_with, finisher},
    minted,
    service::Shared,
    sse::{Event, Splitter, TooLong},
    stream::Read,
};

/// How long an event may be.
const MAX_EVENT: usize = 16 * 1024 * 1024;

/// Calls the deployment.
pub(crate) async fn pass_through<C, B>(
    mut client: C,
    shared: &Shared,
    routed: &Routed<LlmRequest>,
    passed: &Passed,
) -> Result<LlmResponse, Error>
where
    C: Service<Request<RequestBody>, Response = Response<B>>,
    C::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (request, deployment) = (routed.request(), routed.deployment());
    let dialect = dialect::of(deployment.provider());
    if let Some(dialect) = dialect
        && (passed.is_stored() || !dialect.passes_paths())
    {
        return Err(unsupported::operation(request.operation()));
    }
    let endpoint = shared.endpoints.get(deployment)?;
    let body = RequestBody::new(request.passed_parts(routed.model()));
    let outgoing = endpoint.passed(passed, body)?;
    let dialect = dialect.map(|dialect| dialect as &dyn Dialect);
    let answer = answer(
        &mut client,
        shared,
        &endpoint,
        outgoing,
        deployment,
        dialect,
    );
    let (head, body) = answer.await.map_err(of_the_request)?.into_parts();
    let deployment = &shared.called(&endpoint, deployment);
    let finish = finisher(&head.headers);
    let kind = Kind::of(&head.headers, passed, &body);
    let mut response = match kind {
        Kind::Json => {
            let bytes = body::whole(body, &shared.most(request)).await?;
            let (own, length) = (Arc::clone(deployment), bytes.len());
            let reading = move || {
                let usage = openai::usage_of(&bytes);
                let minted = ObjectId::mint(own.public_id(), &bytes);
                (minted.map_or(bytes, Bytes::from), usage)
            };
            let (bytes, usage) = off_reactor(length, reading).await;
            LlmResponse::complete(bytes, usage)
        }
        Kind::Nothing => LlmResponse::complete(Bytes::new(), None),
        Kind::Events => {
            let reader = Passing::events(Arc::clone(deployment));
            LlmResponse::stream(begin_with(body, reader).await?)
        }
        Kind::Bytes => {
            let reader = Passing::bytes(Arc::clone(deployment));
            LlmResponse::stream(begin_with(body, reader).await?)
        }
    };
    for name in [CONTENT_TYPE, CONTENT_DISPOSITION] {
        if let Some(value) = head.headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    if kind == Kind::Bytes {
        let unknown = HeaderValue::from_static("application/octet-stream");
        response
            .headers_mut()
            .entry(CONTENT_TYPE)
            .or_insert(unknown);
    }
    finish(response)
}

/// An object that is not there says nothing of the deployment.
fn of_the_request(error: Error) -> Error {
    if error.kind() != ErrorKind::NotFound {
        return error;
    }
    let is_usual = error.code() == "model_not_found" && !error.message().contains("model");
    let error = error.with_blame(Blame::Request);
    match is_usual {
        true => error.with_code("not_found"),
        false => error,
    }
}

/// How an answer is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Json,
    Events,
    Bytes,
    Nothing,
}

impl Kind {
    fn of(headers: &HeaderMap, passed: &Passed, body: &impl Body) -> Self {
        match Self::of_type(headers) {
            _ if body.size_hint().exact() == Some(0) => Self::Nothing,
            // Whatever is in a file is its owner's.
            _ if passed.path().ends_with("/content") => Self::Bytes,
            kind => kind,
        }
    }

    fn of_type(headers: &HeaderMap) -> Self {
        let kind = headers
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        let kind = kind
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default();
        match kind.trim().to_ascii_lowercase().as_str() {
            "text/event-stream" => Self::Events,
            "application/json" => Self::Json,
            kind if kind.ends_with("+json") => Self::Json,
            _ => Self::Bytes,
        }
    }
}

/// Passes on what comes as it comes. The answer begins with its first byte, or with its first event,
/// and ends with its body: what makes it whole is not known.
#[derive(Debug)]
struct Passing {
    deployment: Arc<Deployment>,
    /// What finds events, if there are some.
    splitter: Option<Splitter>,
    out: Out,
    begun: bool,
    end: Option<Result<(), Error>>,
}

impl Passing {
    fn bytes(deployment: Arc<Deployment>) -> Self {
        Self {
            deployment,
            splitter: None,
            out: Out::default(),
            begun: false,
            end: None,
        }
    }

    fn events(deployment: Arc<Deployment>) -> Self {
        Self {
            splitter: Some(Splitter::new(MAX_EVENT)),
            ..Self::bytes(deployment)
        }
    }

    /// Takes one event. An error that comes first is one of the request.
    fn event(&mut self, event: Bytes) {
        let read = Event::read(&event);
        if let Some(data) = &read.data {
            if read.is_error && !self.begun {
                self.end = Some(Err(openai::in_band(data, &self.deployment)));
                return;
            }
            self.begun = true;
            self.out.events += 1;
            self.out.usage = openai::usage_of(data).or(self.out.usage);
        }
        let minted = minted::event(self.deployment.public_id(), &event);
        self.out.push(minted.unwrap_or(event));
    }
}

impl Read for Passing {
    fn is_committed(&self) -> bool {
        self.begun || self.end.is_some()
    }

    fn is_ended(&self) -> bool {
        self.end.is_some()
    }

    fn take_item(&mut self) -> Option<Item> {
        self.out.take()
    }

    fn take_error(&mut self) -> Option<Error> {
        let error = std::mem::replace(self.end.as_mut()?, Ok(())).err()?;
        Some(error.with_deployment(self.deployment.id().clone()))
    }

    fn grace(&self) -> Option<Duration> {
        None
    }

    fn read(&mut self, bytes: Bytes) {
        if self.is_ended() {
            return;
        }
        let Some(splitter) = &mut self.splitter else {
            self.begun |= !bytes.is_empty();
            self.out.events = 1;
            return self.out.push(bytes);
        };
        let Ok(whole) = splitter.push(bytes).map_err(|TooLong| ()) else {
            let message = "the provider sent an event that does not end";
            self.end = Some(Err(Error::new(ErrorKind::BadAnswer, message)));
            return;
        };
        let ends = splitter.ends().to_vec();
        let mut start = 0;
        for end in ends {
            self.event(whole.slice(start..end));
            start = end;
            if self.is_ended() {
                break;
            }
        }
    }

    fn finish(&mut self) {
        if let Some(splitter) = &mut self.splitter {
            let rest = splitter.rest();
            if !rest.is_empty() && self.end.is_none() {
                self.event(rest);
            }
        }
        self.end.get_or_insert(Ok(()));
    }

    fn broke(&mut self, error: Error) {
        self.end.get_or_insert(Err(error));
    }
}
