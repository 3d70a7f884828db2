//! Requests for a path of a provider, which are passed through.

mod body;
mod lines;
mod path;

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, Method, Request, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use smallvec::SmallVec;

use self::body::{Named, Read};
use crate::{
    DeploymentId, Error, ErrorKind, LlmRequest,
    head::{Head, ModelAs},
    objects,
};

/// The headers of a client that say how a provider is to be asked, and nothing of who asks.
const HARMLESS: [HeaderName; 6] = [
    ACCEPT,
    CONTENT_TYPE,
    HeaderName::from_static("anthropic-beta"),
    HeaderName::from_static("anthropic-version"),
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("openai-beta"),
];

/// What is asked of a provider under a path of its own: a method, the path and query, some headers,
/// and a body of which next to nothing is known.
///
/// It stays as the client wrote it, but for what is ours in it: ids of objects are restored to those
/// of the provider, wherever they stand in the path, the query, a JSON body or the fields of a form.
///
/// ```
/// use http::{Method, Request};
/// use ziggurat_core::{DeploymentId, LlmRequest, ObjectId, Passed};
///
/// let id = ObjectId::new(&DeploymentId::new("east"), "batch_1").expect("is one");
/// let request = Request::get(format!("/batches/{id}?limit=2")).body(Default::default())?;
/// let passed = Passed::stored(&request, &[])?;
/// assert_eq!(passed.path(), "/batches/batch_1");
/// assert_eq!(passed.query(), "limit=2");
/// let request = LlmRequest::pass_through("", passed)?;
/// assert_eq!(request.group().as_str(), "east");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Passed {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Bytes,
    read: Read,
    owner: Option<DeploymentId>,
    is_stored: bool,
}

impl Passed {
    /// A request for any path of a provider: only for deployments that
    /// [take any](crate::Deployment::takes_any_path).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadRequest`] if the method is not one of `GET`, `POST`, `PUT`, `PATCH` and
    /// `DELETE`; if the path or query is too long, or has parts that different servers may read in
    /// different ways; if a form is none; or if objects of several deployments are named.
    pub fn any(request: &Request<Bytes>) -> Result<Self, Error> {
        Self::of(request, &[], false)
    }

    /// A request for objects that are kept by a provider with OpenAI's API, under the paths of that
    /// API without its version. The fields of the body that are called so are for whoever chooses the
    /// deployment; they are [taken](Self::taken) out.
    ///
    /// # Errors
    ///
    /// As [`any`](Self::any).
    pub fn stored(request: &Request<Bytes>, fields: &[&str]) -> Result<Self, Error> {
        Self::of(request, fields, true)
    }

    fn of(request: &Request<Bytes>, fields: &[&str], is_stored: bool) -> Result<Self, Error> {
        let method = request.method().clone();
        let allowed = [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ];
        if !allowed.contains(&method) {
            let message = format!("{method} is not passed on to providers");
            return Err(Error::new(ErrorKind::BadRequest, message)
                .with_status(StatusCode::METHOD_NOT_ALLOWED)
                .with_code("method_not_allowed"));
        }
        let (path, mut ids) = path::restored_path(request.uri().path())?;
        let (query, more) = path::restored_query(request.uri().query().unwrap_or_default())?;
        ids.extend(more);
        let kind = request.headers().get(CONTENT_TYPE);
        let kind = kind.map(|kind| kind.to_str().unwrap_or_default());
        let read = Read::new(request.body(), kind, fields, is_stored && path == "/files")?;
        ids.extend(read.ids());
        let mut headers = HeaderMap::new();
        for name in HARMLESS {
            for value in request.headers().get_all(&name) {
                headers.append(&name, value.clone());
            }
        }
        Ok(Self {
            method,
            path,
            query,
            headers,
            body: request.body().clone(),
            read,
            owner: objects::owner(&ids)?,
            is_stored,
        })
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The path, as it is written in a URL.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The query, as it is written in a URL; empty if there is none.
    #[must_use]
    pub fn query(&self) -> &str {
        &self.query
    }

    /// The headers that are passed on.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body as it came.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Whether it is about objects that a provider with OpenAI's API keeps.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.is_stored
    }

    /// The only deployment that has the objects it names, if it names some.
    #[must_use]
    pub fn owner(&self) -> Option<&DeploymentId> {
        self.owner.as_ref()
    }

    /// The `model` of the body, if there is one that was not taken out.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.read.model.as_ref().map(|named| &*named.text)
    }

    /// What a field said that was taken out of the body; the first of a list.
    #[must_use]
    pub fn taken(&self, field: &str) -> Option<&str> {
        let mut taken = self.read.taken.iter();
        let found = taken.find(|(name, _)| **name == *field);
        found.map(|(_, text)| &**text)
    }

    /// The model in the first line of a batch that is uploaded.
    #[must_use]
    pub fn batch_model(&self) -> Option<String> {
        let lines = self.read.lines.clone()?;
        lines::first_model(&self.body[lines])
    }

    /// What is known of it without looking into it.
    pub(crate) fn head(&self, model: &str) -> Head {
        let mut head = Head {
            model: Arc::from(model),
            model_as: ModelAs::Beside,
            choices: 1,
            stream: self.read.stream,
            ..Head::default()
        };
        head.controls.get_or_insert_default().disable_fallbacks = true;
        head
    }

    /// The body for a provider.
    fn parts(&self, asked: &str, model: &str) -> SmallVec<[Bytes; 5]> {
        let mut edits: SmallVec<[(Range<usize>, Bytes); 4]> = SmallVec::new();
        edits.extend(self.read.edits.iter().cloned());
        if let Some(Named { text, at, is_json }) = &self.read.model
            && **text == *asked
            && asked != model
        {
            let model = match is_json {
                true => serde_json::to_string(model).expect("a string always serialises"),
                false => model.to_owned(),
            };
            edits.push((at.clone(), model.into()));
        }
        if let Some(lines) = &self.read.lines
            && asked != model
        {
            let body = lines::for_model(&self.body[lines.clone()], asked, model);
            edits.push((lines.clone(), body.into()));
        }
        edits.sort_by_key(|(at, _)| at.start);
        let mut parts = SmallVec::new();
        let mut from = 0;
        for (at, text) in edits {
            parts.push(self.body.slice(from..at.start));
            parts.push(text);
            from = at.end;
        }
        parts.push(self.body.slice(from..));
        parts.retain(|part: &mut Bytes| !part.is_empty());
        parts
    }
}

impl LlmRequest {
    /// The body of a request for a path, as a provider gets it that calls the model so, in pieces;
    /// empty for any other request.
    ///
    /// What stays is not copied, but for a batch that is uploaded: where `body.model` of a line is
    /// the model that was asked for, it becomes the provider's name of it.
    #[must_use]
    pub fn passed_parts(&self, model: &str) -> SmallVec<[Bytes; 5]> {
        self.passed()
            .map(|passed| passed.parts(self.model(), model))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
