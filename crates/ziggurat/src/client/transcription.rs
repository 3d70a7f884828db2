//! What was said in a sound file.

use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_TYPE};
use serde_json::Value;
use tower_service::Service;
use ziggurat_core::{Error, LlmRequest, LlmResponse, Operation};

use super::{Answer, Client, Form, Reply, read_json, unreadable};

/// What was said in a sound file.
#[derive(Clone, Debug)]
pub struct Transcription {
    text: String,
    other: Value,
}

impl Transcription {
    /// The text; subtitles if the form asked for them.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Anything else that is said of it, for instance `language`, `duration` or `segments`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.other.get(name)
    }
}

impl Reply for Transcription {
    const OPERATION: Operation = Operation::Transcription;

    fn read(body: &Bytes, headers: &HeaderMap) -> Result<Self, Error> {
        let kind = headers.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes);
        if kind.is_some_and(|kind| !kind.starts_with(b"application/json")) {
            return Ok(Self {
                text: String::from_utf8_lossy(body).into_owned(),
                other: Value::Null,
            });
        }
        let other: Value = read_json(body)?;
        let text = other["text"]
            .as_str()
            .ok_or_else(|| unreadable(&"it has no `text`"))?;
        Ok(Self {
            text: text.to_owned(),
            other,
        })
    }
}

impl<S> Client<S>
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone,
    S::Error: Into<Error>,
{
    /// Asks what is said in a sound file, which the form has as `file`.
    ///
    /// # Errors
    ///
    /// Those of [`send_as`](Self::send_as), and [`ErrorKind::BadRequest`] if the form is none.
    ///
    /// [`ErrorKind::BadRequest`]: ziggurat_core::ErrorKind::BadRequest
    pub async fn transcribe(&self, form: &Form) -> Result<Answer<Transcription>, Error> {
        self.send_as(form.to_request(Operation::Transcription)?)
            .await
    }

    /// The same in English.
    ///
    /// # Errors
    ///
    /// As [`transcribe`](Self::transcribe).
    pub async fn translate(&self, form: &Form) -> Result<Answer<Transcription>, Error> {
        self.send_as(form.to_request(Operation::Translation)?).await
    }
}
