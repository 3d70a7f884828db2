//! The request that goes through the stack.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{Extensions, HeaderValue};
use serde::Serialize;

use crate::{
    Caller, Capability, CapabilitySet, Controls, DeploymentId, Error, ErrorKind, FieldSet,
    HasLedger, Ledger, Operation, Param, Prefixes, ReadOptions, Unrouted,
    form::Form,
    head::{Given, Head, ModelAs, StreamOptions},
    passed::Passed,
};

/// The model group a request is for: the public name a client asked for, or that of a fallback.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelGroup(Arc<str>);

impl ModelGroup {
    /// A group of that name.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The place in a queue: lower is sooner. The default is 0, as for a request that names none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Priority(pub i64);

/// A request to an LLM, on its way through the stack.
///
/// The body stays the client's own bytes. What routing needs of it is read once, when the request
/// is made; clones share it, so passing a request to another attempt copies nothing. The provider
/// gets the same bytes with `model` replaced and the router's own fields cut out:
///
/// ```
/// use ziggurat_core::{LlmRequest, Operation};
///
/// let body = r#"{"model": "gpt", "num_retries": 1, "messages": [], "future_field": {"x": 1}}"#;
/// let request = LlmRequest::from_bytes(Operation::ChatCompletions, body)?;
/// assert_eq!(request.group().as_str(), "gpt");
/// assert_eq!(request.controls().num_retries, Some(1));
/// assert_eq!(
///     request.upstream_body("gpt-4o-mini", false),
///     r#"{"model": "gpt-4o-mini", "messages": [], "future_field": {"x": 1}}"#,
/// );
/// # Ok::<(), ziggurat_core::Error>(())
/// ```
#[derive(Clone)]
pub struct LlmRequest {
    inner: Arc<Inner>,
    group: ModelGroup,
}

#[derive(Clone)]
struct Inner {
    operation: Operation,
    body: Bytes,
    head: Head,
    ledger: Ledger,
    required: CapabilitySet,
    caller: Option<Arc<Caller>>,
    extensions: Extensions,
    passed: Option<Arc<Passed>>,
}

impl LlmRequest {
    /// A request from the bytes a client sent.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadRequest`], saying what and where, if the body is not UTF-8, not a JSON
    /// object, nested deeper than 128 levels, names no `model`, or has a field that routing reads
    /// in a wrong type. A moderation without a `model` is one by `omni-moderation-latest`.
    pub fn from_bytes(operation: Operation, body: impl Into<Bytes>) -> Result<Self, Error> {
        Self::read(operation, body, ReadOptions::new())
    }

    /// The same, with a say in what a client may send.
    ///
    /// # Errors
    ///
    /// As [`from_bytes`](Self::from_bytes).
    pub fn read(
        operation: Operation,
        body: impl Into<Bytes>,
        options: ReadOptions,
    ) -> Result<Self, Error> {
        let body = body.into();
        let head = Head::read(operation, &body, None, options)?;
        Ok(Self::with_head(operation, body, head))
    }

    /// The same for a request whose path says which model is to answer, and whether as a stream. The
    /// body stays without both: a `model` in it is not looked at, and cut out.
    ///
    /// ```
    /// use ziggurat_core::{LlmRequest, Operation, ReadOptions};
    ///
    /// let body = r#"{"contents": [{"parts": [{"text": "hi"}]}], "num_retries": 1}"#;
    /// let operation = Operation::GenerateContent;
    /// let request = LlmRequest::read_for(operation, body, "gemini", true, ReadOptions::new())?;
    /// assert_eq!((request.model(), request.is_stream()), ("gemini", true));
    /// let sent = r#"{"contents": [{"parts": [{"text": "hi"}]}]}"#;
    /// assert_eq!(request.upstream_body("gemini-2.5-pro", false), sent);
    /// # Ok::<(), ziggurat_core::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`from_bytes`](Self::from_bytes), and if the operation is one whose path is the same for
    /// each model.
    pub fn read_for(
        operation: Operation,
        body: impl Into<Bytes>,
        model: impl Into<Arc<str>>,
        streams: bool,
        options: ReadOptions,
    ) -> Result<Self, Error> {
        if operation != Operation::GenerateContent {
            let message = format!("the model of `{operation}` is named in the body");
            return Err(Error::new(ErrorKind::BadRequest, message));
        }
        let body = body.into();
        let given = Given {
            model: model.into(),
            stream: streams,
        };
        let head = Head::read(operation, &body, Some(given), options)?;
        Ok(Self::with_head(operation, body, head))
    }

    /// A request from the bytes of a form, `multipart/form-data`, of that content type.
    ///
    /// Its small text fields are read as the members of a JSON body are: `model`, `stream`, `n`,
    /// `user` and what is meant for the router, of which lists and objects come as JSON text, or
    /// lists of strings as `name[]` once for each. Files are neither read nor copied.
    ///
    /// ```
    /// use ziggurat_core::{LlmRequest, Operation, ReadOptions};
    ///
    /// let part = |name: &str, more: &str, value: &str| {
    ///     format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n{value}\r\n")
    /// };
    /// let (model, retries) = (part("model", "", "whisper"), part("num_retries", "", "2"));
    /// let file = part("file", "; filename=\"a.wav\"", "RIFF…");
    /// let request = LlmRequest::read_multipart(
    ///     Operation::Transcription,
    ///     format!("{model}{retries}{file}--x--\r\n"),
    ///     "multipart/form-data; boundary=x",
    ///     ReadOptions::new(),
    /// )?;
    /// assert_eq!(request.controls().num_retries, Some(2));
    /// assert_eq!(request.content_type(), "multipart/form-data; boundary=x");
    /// let model = part("model", "", "whisper-1");
    /// assert_eq!(request.upstream_body("whisper-1", false), format!("{model}{file}--x--\r\n"));
    /// # Ok::<(), ziggurat_core::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadRequest`], saying what and where, if the content type has no valid boundary,
    /// the body is no well-formed form, has more than 128 parts, names no `model`, or has a text
    /// field of more than 128 KiB or one that routing reads in a wrong form.
    pub fn read_multipart(
        operation: Operation,
        body: impl Into<Bytes>,
        content_type: &str,
        options: ReadOptions,
    ) -> Result<Self, Error> {
        let body = body.into();
        let form = Form::of(content_type)?;
        let head = form.head(operation, &body, options)?;
        Ok(Self::with_head(operation, body, head))
    }

    fn with_head(operation: Operation, body: Bytes, head: Head) -> Self {
        let group = ModelGroup(Arc::clone(&head.model));
        let ledger = Ledger::new();
        if let Some((_, id)) = head.objects.first() {
            ledger.pin(id.deployment().clone());
        }
        Self {
            inner: Arc::new(Inner {
                operation,
                body,
                head,
                ledger,
                required: CapabilitySet::default(),
                caller: None,
                extensions: Extensions::new(),
                passed: None,
            }),
            group,
        }
    }

    /// A request from anything that serialises to the JSON of its operation.
    ///
    /// # Errors
    ///
    /// As [`from_bytes`](Self::from_bytes), and if it cannot be serialised.
    pub fn from_value(operation: Operation, value: &impl Serialize) -> Result<Self, Error> {
        let body = serde_json::to_vec(value).map_err(|error| {
            Error::new(
                ErrorKind::BadRequest,
                format!("cannot be serialised: {error}"),
            )
        })?;
        Self::from_bytes(operation, body)
    }

    /// A chat request with one message, for examples and tests.
    ///
    /// # Panics
    ///
    /// If `model` is empty.
    #[must_use]
    pub fn chat(model: &str, message: &str) -> Self {
        let body =
            serde_json::json!({"model": model, "messages": [{"role": "user", "content": message}]});
        Self::from_value(Operation::ChatCompletions, &body)
            .expect("a chat request with a model is valid")
    }

    /// A request for a path of a provider, with whatever body.
    ///
    /// It goes to a deployment of the group `model`, to one that is named by its id, or, if it names
    /// objects by ids of ours, to the one that has them, whatever `model` says. It is never answered
    /// by another group. A `model` in the body that is this one is replaced by the deployment's own.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadRequest`] if there is neither a model nor an object.
    pub fn pass_through(model: &str, passed: Passed) -> Result<Self, Error> {
        let owner = passed.owner().map(DeploymentId::as_str);
        let model = Some(model).filter(|model| !model.is_empty()).or(owner);
        let Some(model) = model else {
            let message = "nothing says which model or deployment the request is for";
            return Err(Error::new(ErrorKind::BadRequest, message).with_param("model"));
        };
        let head = passed.head(model);
        let mut request = Self::with_head(Operation::PassThrough, passed.body().clone(), head);
        if let Some(owner) = passed.owner() {
            request.inner.ledger.pin(owner.clone());
        }
        request.make_mut().passed = Some(Arc::new(passed));
        Ok(request)
    }

    /// What is asked of the provider, if the request is one for a path.
    #[must_use]
    pub fn passed(&self) -> Option<&Passed> {
        self.inner.passed.as_deref()
    }

    /// The same request for another model group.
    #[must_use]
    pub fn with_group(mut self, group: impl Into<Arc<str>>) -> Self {
        self.group = ModelGroup(group.into());
        self
    }

    /// The same request with another ledger.
    #[must_use]
    pub fn with_ledger(mut self, ledger: Ledger) -> Self {
        if let Some(pin) = self.inner.ledger.pinned() {
            ledger.pin(pin.clone());
        }
        self.make_mut().ledger = ledger;
        self
    }

    /// The same request with a body in which these fields are new. What did not come in the body
    /// stays, unless a field says it.
    pub(crate) fn with_body(
        &self,
        body: Vec<u8>,
        new: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Self, Error> {
        let options = ReadOptions::new().client_credentials(true);
        let old = self.head();
        // It stays what the path says.
        let given = (old.model_as == ModelAs::Beside).then(|| Given {
            model: Arc::clone(&old.model),
            stream: old.stream,
        });
        let mut head = match &old.form {
            None => Head::read(self.operation(), &body, given, options)?,
            Some(form) => form.head(self.operation(), &body, options)?,
        };
        let said = |names: &[&str]| names.iter().any(|name| new.contains_key(*name));
        if !said(&["tags", "metadata", "litellm_metadata"]) {
            head.tags.clone_from(&old.tags);
        }
        if !said(&["litellm_session_id", "metadata", "litellm_metadata"]) {
            head.session.clone_from(&old.session);
        }
        let mut controls = self.controls().clone();
        if let Some(read) = &head.controls {
            if said(&["timeout", "request_timeout"]) {
                controls.timeout = read.timeout;
            }
            if said(&["stream_timeout"]) {
                controls.stream_timeout = read.stream_timeout;
            }
            if said(&["num_retries"]) {
                controls.num_retries = read.num_retries;
            }
        }
        head.controls = Some(Box::new(controls));
        head.needs = head.needs.union(self.inner.required);
        let mut other = self.clone();
        let inner = other.make_mut();
        inner.body = body.into();
        inner.head = head;
        Ok(other)
    }

    /// Asks for something that a model must be able to do, beyond what the body says.
    #[must_use]
    pub fn requiring(mut self, capability: Capability) -> Self {
        let inner = self.make_mut();
        inner.required = inner.required.with(capability);
        inner.head.needs = inner.head.needs.with(capability);
        self
    }

    fn make_mut(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.inner)
    }

    pub(crate) fn head(&self) -> &Head {
        &self.inner.head
    }

    /// What is asked.
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.inner.operation
    }

    /// The model group it is for now; a fallback changes it.
    #[must_use]
    pub fn group(&self) -> &ModelGroup {
        &self.group
    }

    /// The model the client asked for.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.inner.head.model
    }

    /// Whether the answer is to be a stream of events, where the operation has such answers.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.inner.head.stream
    }

    /// Whether the client asked for usage at the end of a stream.
    #[must_use]
    pub fn wants_stream_usage(&self) -> bool {
        matches!(
            self.inner.head.stream_options,
            StreamOptions::Object {
                include_usage: Some((true, _)),
                ..
            }
        )
    }

    /// The most output tokens the client allows, if it says so.
    #[must_use]
    pub fn max_output_tokens(&self) -> Option<u64> {
        self.inner.head.max_output_tokens
    }

    /// How many answers are asked for: `n`.
    #[must_use]
    pub fn choices(&self) -> u64 {
        self.inner.head.choices
    }

    /// The input tokens, roughly: a token for each four bytes of text, that of the system and of the
    /// tools that are offered included. Never counted exactly here.
    #[must_use]
    pub fn estimated_input_tokens(&self) -> u64 {
        (self.inner.head.text_bytes as u64).div_ceil(4)
    }

    /// The end user, as the client names it.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.inner.head.user.as_deref()
    }

    /// The same, to be kept for longer than the request.
    #[must_use]
    pub fn shared_user(&self) -> Option<Arc<str>> {
        self.inner.head.user.clone()
    }

    /// The session, if the client names one.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.inner.head.session.as_deref()
    }

    /// Sets the session, where it did not come in the body.
    #[must_use]
    pub fn with_session(mut self, session: impl Into<Arc<str>>) -> Self {
        self.make_mut().head.session = Some(session.into());
        self
    }

    /// The tags that choose among deployments.
    #[must_use]
    pub fn tags(&self) -> &[Arc<str>] {
        &self.inner.head.tags
    }

    /// Adds tags that did not come in the body.
    pub fn add_tags<'a>(&mut self, tags: impl IntoIterator<Item = &'a str>) {
        self.make_mut()
            .head
            .tags
            .extend(tags.into_iter().map(Arc::from));
    }

    /// Whether tools are offered.
    #[must_use]
    pub fn uses_tools(&self) -> bool {
        self.needs().contains(Capability::Tools)
    }

    /// Whether an answer by a JSON schema is asked for.
    #[must_use]
    pub fn uses_json_schema(&self) -> bool {
        self.needs().contains(Capability::JsonSchema)
    }

    /// Whether an image is in the input.
    #[must_use]
    pub fn has_images(&self) -> bool {
        self.needs().contains(Capability::Vision)
    }

    /// Whether audio is in the input.
    #[must_use]
    pub fn has_audio(&self) -> bool {
        self.needs().contains(Capability::AudioInput)
    }

    /// What a model must be able to do to answer.
    #[must_use]
    pub fn needs(&self) -> CapabilitySet {
        self.inner.head.needs
    }

    /// Which of the usual fields are in the body.
    #[must_use]
    pub fn fields(&self) -> FieldSet {
        self.inner.head.fields
    }

    /// The region in which it is to be served, if it says so.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.inner.head.region.as_deref()
    }

    /// The answer that it goes on from: `previous_response_id`.
    #[must_use]
    pub fn previous_response(&self) -> Option<&str> {
        self.inner.head.previous_response.as_deref()
    }

    /// What the client says has a prompt in common with it: `prompt_cache_key`.
    #[must_use]
    pub fn prompt_cache_key(&self) -> Option<&str> {
        self.inner.head.cache_key.as_deref()
    }

    /// Whether the input holds encrypted reasoning, or a signed thought, which only the account
    /// that made it can read.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.inner.head.is_signed
    }

    /// The last `most` beginnings of the prompt. Reads the prompt once more: about as fast as
    /// memory is copied.
    #[must_use]
    pub fn prefixes(&self, most: usize) -> Prefixes {
        Prefixes::of(self.prompt(), self.inner.operation as u64, most)
    }

    /// The text of the prompt as it stands in the body: JSON, escapes and all. Empty for a form.
    #[must_use]
    pub fn prompt(&self) -> &str {
        let prompt = &self.inner.body[self.inner.head.prompt_at.clone()];
        std::str::from_utf8(prompt).unwrap_or_default()
    }

    /// Who asks, if the application says so.
    #[must_use]
    pub fn caller(&self) -> Option<&Arc<Caller>> {
        self.inner.caller.as_ref()
    }

    /// Says who asks.
    #[must_use]
    pub fn with_caller(mut self, caller: impl Into<Arc<Caller>>) -> Self {
        self.make_mut().caller = Some(caller.into());
        self
    }

    /// The fields meant for the router.
    #[must_use]
    pub fn controls(&self) -> &Controls {
        static NONE: std::sync::LazyLock<Controls> = std::sync::LazyLock::new(Controls::default);
        self.inner.head.controls.as_deref().unwrap_or(&NONE)
    }

    /// The fields meant for the router, to add what came in headers.
    pub fn controls_mut(&mut self) -> &mut Controls {
        self.make_mut().head.controls.get_or_insert_default()
    }

    /// Values that an application attaches to the request for layers of its own.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.inner.extensions
    }

    /// The same, to add some.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.make_mut().extensions
    }

    /// The content type of the body, for whoever is sent it: JSON, or a form with its boundary.
    #[must_use]
    pub fn content_type(&self) -> &HeaderValue {
        static JSON: HeaderValue = HeaderValue::from_static("application/json");
        let form = self.inner.head.form.as_ref();
        form.map_or(&JSON, |form| form.content_type())
    }

    pub(crate) fn form(&self) -> Option<&Form> {
        self.inner.head.form.as_deref()
    }

    /// The body as the client sent it.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.inner.body
    }
}

impl fmt::Debug for LlmRequest {
    /// Shows what routing sees, not what the client wrote.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LlmRequest")
            .field("operation", &self.inner.operation)
            .field("group", &self.group.0)
            .field("stream", &self.inner.head.stream)
            .field("bytes", &self.inner.body.len())
            .finish_non_exhaustive()
    }
}

impl HasLedger for LlmRequest {
    fn ledger(&self) -> Option<&Ledger> {
        Some(&self.inner.ledger)
    }
}

impl Unrouted for LlmRequest {}

impl Param<ModelGroup> for LlmRequest {
    fn param(&self) -> ModelGroup {
        self.group.clone()
    }
}

impl Param<Operation> for LlmRequest {
    fn param(&self) -> Operation {
        self.operation()
    }
}

impl Param<Option<Arc<Caller>>> for LlmRequest {
    fn param(&self) -> Option<Arc<Caller>> {
        self.inner.caller.clone()
    }
}

impl Param<Priority> for LlmRequest {
    fn param(&self) -> Priority {
        Priority(self.controls().priority.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chat(body: &str) -> Result<LlmRequest, Error> {
        LlmRequest::from_bytes(Operation::ChatCompletions, body.to_owned())
    }

    fn refused(body: impl Into<Bytes>) -> Error {
        LlmRequest::from_bytes(Operation::ChatCompletions, body).expect_err("is refused")
    }

    #[test]
    fn what_a_model_must_be_able_to_do_is_seen() {
        let needs = |more: &str| {
            let body = format!(r#"{{"model":"m"{more}}}"#);
            chat(&body).expect("is valid").needs()
        };
        let one = |capability| CapabilitySet::default().with(capability);
        for (more, capability) in [
            (r#","tools":[{"type":"function"}]"#, Capability::Tools),
            (
                r#","tools":[{"type":"web_search_preview"}]"#,
                Capability::WebSearch,
            ),
            (r#","web_search_options":{}"#, Capability::WebSearch),
            (r#","tool_choice":"required""#, Capability::ToolChoice),
            (r#","reasoning_effort":"low""#, Capability::Reasoning),
            (
                r#","response_format":{"type":"json_schema"}"#,
                Capability::JsonSchema,
            ),
            (r#","modalities":["text","audio"]"#, Capability::AudioOutput),
            (
                r#","messages":[{"content":[{"type":"file","file":{}}]}]"#,
                Capability::Pdf,
            ),
            (
                r#","messages":[{"content":[{"type":"image_url","image_url":{"url":"x"}}]}]"#,
                Capability::Vision,
            ),
        ] {
            assert_eq!(needs(more), one(capability), "{more}");
        }
        for more in [
            r#","tools":[]"#,
            r#","tool_choice":"auto""#,
            r#","reasoning_effort":"none""#,
            r#","thinking":{"type":"disabled"}"#,
        ] {
            assert!(needs(more).is_empty(), "{more}");
        }
    }

    #[test]
    fn anthropics_shape_is_read_alike() {
        let body = json!({
            "model": "m", "stream": true, "max_tokens": 9, "system": [{"type": "text", "text": "be kind"}],
            "metadata": {"user_id": "u"}, "thinking": {"type": "enabled", "budget_tokens": 1024},
            "tools": [{"name": "f", "input_schema": {"type": "object"}}, {"type": "web_search_20250305", "name": "web_search"}],
            "tool_choice": {"type": "any"},
            "messages": [{"role": "user", "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A".repeat(10_000)}},
                {"type": "document", "source": {"type": "url", "url": "https://x/y.pdf"}},
            ]}],
        });
        let read = |body| LlmRequest::from_value(Operation::Messages, &body).expect("is valid");
        let request = read(body.clone());
        assert!(request.is_stream());
        assert_eq!(
            (request.max_output_tokens(), request.user()),
            (Some(9), Some("u"))
        );
        let needs = [
            Capability::Vision,
            Capability::Pdf,
            Capability::Tools,
            Capability::ToolChoice,
            Capability::WebSearch,
            Capability::Reasoning,
        ];
        let needs = needs
            .into_iter()
            .fold(CapabilitySet::default(), CapabilitySet::with);
        assert_eq!(request.needs(), needs);
        assert!((10..100).contains(&request.estimated_input_tokens()));
        let sent: serde_json::Value =
            serde_json::from_slice(&request.upstream_body("m", false)).expect("is JSON");
        assert_eq!(sent, body);
        let choice =
            |kind| read(json!({"model": "m", "tool_choice": {"type": kind, "name": "auto"}}));
        assert!(choice("auto").needs().is_empty());
        assert!(!choice("tool").needs().is_empty());
    }

    #[test]
    fn credentials_of_the_client_are_refused_unless_they_are_allowed_and_never_sent_on() {
        let body = r#"{"model":"m","api_key":"sk-canary","base_url":"https://x.example.com"}"#;
        let error = refused(body);
        assert_eq!(error.param(), Some("api_key"));
        let options = ReadOptions::new().client_credentials(true);
        let request = LlmRequest::read(Operation::ChatCompletions, body, options);
        let request = request.expect("is allowed");
        let client = request.controls().client.as_ref().expect("brings some");
        assert!(client.api_key.is_some() && client.base_url.is_some());
        assert_eq!(request.upstream_body("m", false), r#"{"model":"m"}"#);
        assert!(!format!("{:?}", request.controls()).contains("canary"));
    }

    #[test]
    fn an_escaped_key_cannot_smuggle_a_second_model() {
        let error = refused(r#"{"model":"cheap","mod\u0065l":"dear"}"#);
        assert_eq!(
            (error.kind(), error.param()),
            (ErrorKind::BadRequest, Some("model"))
        );
        let request = chat(r#"{"mod\u0065l":"gpt"}"#).expect("is valid");
        assert_eq!(request.upstream_body("m", false), r#"{"mod\u0065l":"m"}"#);
    }

    #[test]
    fn a_client_cannot_choose_where_its_request_goes() {
        let error = refused(r#"{"model":"gpt","api_base":"http://evil"}"#);
        assert_eq!(
            (error.kind(), error.param()),
            (ErrorKind::BadRequest, Some("api_base"))
        );
    }

    #[test]
    fn bad_bodies_are_refused_with_what_and_where() {
        for (body, words) in [
            ("", "a"),
            ("[]", "expected an object at byte 0"),
            (r#"{"model":"m""#, "expected `,` or `}` at byte 12"),
            (
                r#"{"model":"m"} x"#,
                "expected the end of the body at byte 14",
            ),
            ("{}", "no `model`"),
            (r#"{"model":7}"#, "`model` must be a string"),
            (r#"{"model":""}"#, "`model` must be the name of a model"),
            (
                r#"{"model":"m","stream":"yes"}"#,
                "`stream` must be true or false",
            ),
            (
                r#"{"model":"m","max_tokens":-1}"#,
                "`max_tokens` must be a whole number from 0",
            ),
            (
                r#"{"model":"m","num_retries":1000}"#,
                "`num_retries` must be a whole number from 0 to 100",
            ),
            (
                r#"{"model":"m","timeout":0}"#,
                "`timeout` must be a number of seconds over 0",
            ),
            (
                r#"{"model":"m","fallbacks":"b"}"#,
                "`fallbacks` must be a list",
            ),
            (
                r#"{"model":"m","metadata":{"tags":"x"}}"#,
                "`metadata.tags` must be a list of strings",
            ),
        ] {
            let error = refused(body);
            assert_eq!(error.status(), 400, "{body}");
            assert!(
                error.message().contains(words),
                "{body}: {}",
                error.message()
            );
        }
        assert!(
            refused(&b"{\"model\":\"\xff\"}"[..])
                .message()
                .contains("UTF-8 at byte 10")
        );
    }

    #[test]
    fn fallbacks_may_be_names_or_a_map() {
        use crate::Fallbacks;

        let read = |body| chat(body).expect("is valid").controls().fallbacks.clone();
        let list = read(r#"{"model":"m","fallbacks":["a",{"model":"b","temperature":0}]}"#);
        assert!(matches!(list, Some(Fallbacks::List(targets)) if targets.len() == 2));
        let map = read(r#"{"model":"m","fallbacks":[{"m":["a"]},{"*":["z"]}]}"#);
        assert!(matches!(map, Some(Fallbacks::Map(maps)) if maps.len() == 2));
    }

    #[test]
    fn the_estimate_counts_what_the_system_says_and_what_tools_are_offered() {
        let words = "word ".repeat(100);
        for (operation, system, tools) in [
            (
                Operation::ChatCompletions,
                json!({"messages": [{"role": "system", "content": words}]}),
                json!({"tools": [{"type": "function", "function": {"name": "f", "description": words}}]}),
            ),
            (
                Operation::ChatCompletions,
                json!({"messages": [], "functions": []}),
                json!({"messages": [], "functions": [{"name": "f", "description": words}]}),
            ),
            (
                Operation::Messages,
                json!({"messages": [], "system": [{"type": "text", "text": words}]}),
                json!({"messages": [], "tools": [{"name": "f", "input_schema": {"description": words}}]}),
            ),
            (
                Operation::Responses,
                json!({"input": "", "instructions": words}),
                json!({"input": "", "tools": [{"type": "function", "name": "f", "description": words}]}),
            ),
        ] {
            let estimate = |more: &serde_json::Value| {
                let mut body = json!({"model": "m", "tools": null});
                let members = more.as_object().expect("is one").clone();
                body.as_object_mut().expect("is one").extend(members);
                let request = LlmRequest::from_value(operation, &body).expect("is valid");
                request.estimated_input_tokens()
            };
            assert_eq!(estimate(&json!({"tools": []})), 0);
            let has_system = system.get("functions").is_none();
            let told = estimate(&system);
            assert!(
                !has_system || (125..140).contains(&told),
                "{system}: {told}"
            );
            let offered = estimate(&tools);
            assert!((125..160).contains(&offered), "{tools}: {offered}");
        }
    }

    #[test]
    fn the_estimate_leaves_images_out() {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{}", "A".repeat(10_000))}},
        ]}]});
        let request = LlmRequest::from_value(Operation::ChatCompletions, &body).expect("is valid");
        assert!(request.has_images());
        assert!(request.estimated_input_tokens() < 10);
    }
}
