//! The request that goes through the stack.

mod overrides;

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{Extensions, HeaderValue};
use serde::Serialize;

pub use self::overrides::Overrides;
use crate::{
    ByteBudget, Caller, Capability, CapabilitySet, Controls, DeploymentId, Error, ErrorKind,
    FieldSet, HasLedger, Ledger, Operation, Param, Prefixes, ReadOptions, Unrouted,
    form::Form,
    head::{Given, Head, StreamOptions},
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

/// The name that was asked for, where something that is configured made another group of it: that of
/// a team, or of auto-routing. A fallback has none: it was not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked(pub Option<ModelGroup>);

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
    asked: Asked,
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
    budget: Option<ByteBudget>,
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
                budget: None,
            }),
            group,
            asked: Asked::default(),
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

    /// The same request for another model group, which its caller must be allowed to use.
    #[must_use]
    pub fn with_group(mut self, group: impl Into<Arc<str>>) -> Self {
        self.group = ModelGroup(group.into());
        self.asked = Asked(None);
        self
    }

    /// The same request for the group that is meant by the name that was asked for: who may use the
    /// name may use the group.
    #[must_use]
    pub fn with_meant_group(mut self, group: impl Into<Arc<str>>) -> Self {
        let before = std::mem::replace(&mut self.group, ModelGroup(group.into()));
        self.asked.0.get_or_insert(before);
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

    /// The same request, whose answers count in a budget where they are read whole, and what is
    /// [written](Self::hold) for it. Its body is [kept](crate::HeldBytes::keep) by whoever reads it.
    #[must_use]
    pub fn with_budget(mut self, budget: ByteBudget) -> Self {
        self.make_mut().budget = Some(budget);
        self
    }

    /// The budget that answers count in.
    #[must_use]
    pub fn budget(&self) -> Option<&ByteBudget> {
        self.inner.budget.as_ref()
    }

    /// What was written for it, in the words of a provider perhaps, which counts in its budget until the
    /// last clone is dropped.
    #[must_use]
    pub fn hold(&self, written: Bytes) -> Bytes {
        match self.budget() {
            // Its own body, passed on as it is, counts already.
            Some(budget) if written.as_ptr() != self.body().as_ptr() => {
                budget.count(written.len() as u64).keep(written)
            }
            _ => written,
        }
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
        std::str::from_utf8(self.prompt_bytes()).unwrap_or_default()
    }

    /// The same as bytes: of a very long one, that it is a text is not found out once more.
    #[must_use]
    pub fn prompt_bytes(&self) -> &[u8] {
        &self.inner.body[self.inner.head.prompt_at.clone()]
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

impl Param<Asked> for LlmRequest {
    fn param(&self) -> Asked {
        self.asked.clone()
    }
}

impl Param<Option<Priority>> for LlmRequest {
    /// What it says itself, or else its caller.
    fn param(&self) -> Option<Priority> {
        let of_caller = || self.caller().and_then(|caller| caller.priority);
        self.controls().priority.or_else(of_caller).map(Priority)
    }
}

impl Param<Priority> for LlmRequest {
    fn param(&self) -> Priority {
        let named: Option<Priority> = self.param();
        named.unwrap_or_default()
    }
}
