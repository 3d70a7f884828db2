//! One answer about an image, audio or a text that is judged.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_TYPE};
use http_body::Body;
use http_body_util::Full;
use ziggurat_core::{BoxError, Deployment, Error, ErrorKind, LlmResponse, Operation};

use crate::{
    body,
    chunks::Chunks,
    dialect::openai::{Content, Watch, Whole},
    exchange::begin_with,
};

/// Reads the answer to an operation: whole, or to its first event or byte.
pub(crate) async fn respond<B>(
    operation: Operation,
    streams: bool,
    headers: &HeaderMap,
    body: B,
    deployment: &Arc<Deployment>,
    max_answer: usize,
) -> Result<LlmResponse, Error>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let content = Content::of(headers);
    if content == Content::Events && streams {
        let watch = Watch::new(Arc::clone(deployment));
        return Ok(LlmResponse::stream(begin_with(body, watch).await?));
    }
    if content == Content::Bytes && operation == Operation::Speech && !streams {
        let chunks = Chunks::new(Arc::clone(deployment));
        let mut response = LlmResponse::stream(begin_with(body, chunks).await?);
        let unknown = http::HeaderValue::from_static("application/octet-stream");
        let kind = headers.get(CONTENT_TYPE).cloned().unwrap_or(unknown);
        response.headers_mut().insert(CONTENT_TYPE, kind);
        return Ok(response);
    }
    let body = body::whole(body, max_answer).await?;
    let whole = Whole::read(operation, headers, body, deployment)?;
    if streams {
        let Some(events) = whole.as_events(operation) else {
            let message = "the provider's answer is no stream";
            return Err(Error::new(ErrorKind::BadAnswer, message));
        };
        let watch = Watch::new(Arc::clone(deployment));
        let items = begin_with(Full::new(events), watch).await?;
        return Ok(LlmResponse::stream(items));
    }
    let mut response = LlmResponse::complete(whole.bytes, whole.usage);
    if let Some(kind) = whole.content_type {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    Ok(response)
}
