//! One answer about an image, audio or a text that is judged.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_TYPE};
use http_body::Body;
use http_body_util::Full;
use serde::Deserialize;
use ziggurat_core::{
    BoxError, Deployment, Error, ErrorKind, LlmRequest, LlmResponse, Operation, Usage, off_reactor,
};

use crate::{
    body::{self, Most},
    chunks::Chunks,
    dialect::openai::{Content, Watch, Whole},
    exchange::begin_with,
};

/// What a request uses by itself, for want of a provider that counts it: the characters to be read
/// out.
pub(crate) fn asked(request: &LlmRequest) -> Option<Usage> {
    #[derive(Deserialize)]
    struct Asked<'a> {
        #[serde(borrow)]
        input: Cow<'a, str>,
    }
    if request.operation() != Operation::Speech {
        return None;
    }
    let asked: Asked<'_> = serde_json::from_slice(request.body()).ok()?;
    Some(Usage {
        characters: Some(asked.input.chars().count() as u64),
        ..Usage::default()
    })
}

/// Reads the answer to an operation: whole, or to its first event or byte. Where it does not say
/// what it used, that is what was `asked`.
pub(crate) async fn respond<B>(
    operation: Operation,
    asked: Option<Usage>,
    streams: bool,
    headers: HeaderMap,
    body: B,
    deployment: &Arc<Deployment>,
    most: &Most,
) -> Result<LlmResponse, Error>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let content = Content::of(&headers);
    if content == Content::Events && streams {
        let watch = Watch::new(Arc::clone(deployment));
        return Ok(LlmResponse::stream(begin_with(body, watch).await?));
    }
    if content == Content::Bytes && operation == Operation::Speech && !streams {
        let chunks = Chunks::new(Arc::clone(deployment), asked);
        let mut response = LlmResponse::stream(begin_with(body, chunks).await?);
        let unknown = http::HeaderValue::from_static("application/octet-stream");
        let kind = headers.get(CONTENT_TYPE).cloned().unwrap_or(unknown);
        response.headers_mut().insert(CONTENT_TYPE, kind);
        return Ok(response);
    }
    let body = body::whole(body, most).await?;
    let (own, length) = (Arc::clone(deployment), body.len());
    let reading = move || {
        let whole = Whole::read(operation, &headers, body, &own)?;
        let events = streams.then(|| whole.as_events(operation)).flatten();
        Ok::<_, Error>((whole, events))
    };
    let (whole, events) = off_reactor(length, reading).await?;
    if streams {
        let Some(events) = events else {
            let message = "the provider's answer is no stream";
            return Err(Error::new(ErrorKind::BadAnswer, message));
        };
        let watch = Watch::new(Arc::clone(deployment));
        let items = begin_with(Full::new(events), watch).await?;
        return Ok(LlmResponse::stream(items));
    }
    let mut response = LlmResponse::complete(whole.bytes, whole.usage.or(asked));
    if let Some(kind) = whole.content_type {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    Ok(response)
}
