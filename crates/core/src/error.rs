//! The one error type of every layer.

use std::{borrow::Cow, convert::Infallible, fmt, time::Duration};

use http::StatusCode;
use tokio::time::Instant;

use crate::{
    Blame, Clock, DeploymentId, ErrorKind, ProviderLimits, Reason, Rejection, Retry, Usage,
};

/// A boxed error, as Tower passes it between middleware.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The error of every Ziggurat layer, whatever the order they are stacked in.
///
/// It is the size of a pointer, and goes through [`BoxError`] and back without loss, so any Tower
/// layer may stand between ours. Its [`kind`](Self::kind) decides, through the one table of
/// [`ErrorKind::rule`], what each layer does with it.
///
/// ```
/// use ziggurat_core::{BoxError, Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::RateLimited, "slow down");
/// let through_a_foreign_layer: BoxError = error.into();
/// let back = Error::from(through_a_foreign_layer);
/// assert_eq!(back.kind(), ErrorKind::RateLimited);
/// assert_eq!(back.status(), 429);
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    rejection: Option<Rejection>,
    status: Option<StatusCode>,
    retry_after: Option<Duration>,
    error_type: Option<Box<str>>,
    code: Option<Box<str>>,
    param: Option<Box<str>>,
    replayable: Option<bool>,
    blame: Option<Blame>,
    deployment: Option<DeploymentId>,
    usage: Option<Box<Usage>>,
    limits: Option<Box<ProviderLimits>>,
    source: Option<BoxError>,
}

impl Error {
    /// An error of a kind, with a message for the client.
    ///
    /// The message is lower case, without a full stop, and holds no secret and no URL query.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            rejection: None,
            status: None,
            retry_after: None,
            error_type: None,
            code: None,
            param: None,
            replayable: None,
            blame: None,
            deployment: None,
            usage: None,
            limits: None,
            source: None,
        }))
    }

    /// A refusal, with a message for the client.
    #[must_use]
    pub fn rejected(rejection: Rejection, message: impl Into<Cow<'static, str>>) -> Self {
        let mut error = Self::new(ErrorKind::Rejected, message);
        error.0.rejection = Some(rejection);
        error
    }

    /// A clock that ran out.
    #[must_use]
    pub fn timeout(clock: Clock) -> Self {
        let message = match clock {
            Clock::Connect => "no connection to the provider in time",
            Clock::FirstToken => "no first token in time",
            Clock::Idle => "the stream fell silent",
            Clock::Attempt => "the attempt took too long",
            Clock::Total => "the request's deadline has passed",
        };
        Self::new(ErrorKind::Timeout(clock), message)
    }

    /// Keeps the provider's own status for the client.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = Some(status);
        self
    }

    /// Adds how long the provider wants to be left alone.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// Adds what the provider says it used all the same.
    #[must_use]
    pub fn with_usage(mut self, usage: Usage) -> Self {
        self.0.usage = Some(Box::new(usage));
        self
    }

    /// Adds what the provider says is left of its own limits.
    #[must_use]
    pub fn with_provider_limits(mut self, limits: ProviderLimits) -> Self {
        self.0.limits = (!limits.is_empty()).then(|| Box::new(limits));
        self
    }

    /// Adds `error.type` of the OpenAI error shape.
    #[must_use]
    pub fn with_type(mut self, error_type: impl Into<Box<str>>) -> Self {
        self.0.error_type = Some(error_type.into());
        self
    }

    /// Adds `error.code` of the OpenAI error shape.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<Box<str>>) -> Self {
        self.0.code = Some(code.into());
        self
    }

    /// Adds `error.param` of the OpenAI error shape: the field of the request that is wrong.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<Box<str>>) -> Self {
        self.0.param = Some(param.into());
        self
    }

    /// Overrides whether sending the request again can do no harm.
    #[must_use]
    pub fn with_replayable(mut self, replayable: bool) -> Self {
        self.0.replayable = Some(replayable);
        self
    }

    /// Overrides whom it speaks against, where more is known than the kind says: a deployment is
    /// not to blame for a time limit that the caller chose.
    #[must_use]
    pub fn with_blame(mut self, blame: Blame) -> Self {
        self.0.blame = Some(blame);
        self
    }

    /// Names the deployment that failed.
    #[must_use]
    pub fn with_deployment(mut self, id: DeploymentId) -> Self {
        self.0.deployment = Some(id);
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The kind, which decides what layers do with it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The refusal, if it is one.
    #[must_use]
    pub fn rejection(&self) -> Option<&Rejection> {
        self.0.rejection.as_ref()
    }

    /// Whom it speaks against.
    #[must_use]
    pub fn scope(&self) -> Blame {
        self.0.blame.unwrap_or(self.0.kind.rule().blame)
    }

    /// The HTTP status for a client: the provider's own where it has one that clients understand.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        if let Some(rejection) = &self.0.rejection {
            return rejection.status_and_code().0;
        }
        match self.0.status {
            Some(status) if (400..520).contains(&status.as_u16()) => status,
            _ => self.0.kind.rule().status,
        }
    }

    /// How long to wait before another try, as the provider or the refusing layer says.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after.or_else(|| {
            let at = self.0.rejection.as_ref()?.ends_at()?;
            Some(at.saturating_duration_since(Instant::now()))
        })
    }

    /// Whether the request may be sent again: nothing of an answer has been passed on, and its
    /// kind does not forbid it.
    #[must_use]
    pub fn is_replayable(&self) -> bool {
        let rule = self.0.kind.rule();
        self.0.replayable.unwrap_or(rule.retry != Retry::Never)
    }

    /// Whether the request must not be sent again whatever is said of its kind: something of an
    /// answer has been passed on, or the provider's word is final.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.0.replayable == Some(false)
    }

    /// The message for the client.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// `error.type` of the OpenAI error shape.
    #[must_use]
    pub fn error_type(&self) -> &str {
        if let Some(given) = &self.0.error_type {
            return given;
        }
        match self.rejection().map(Rejection::reason) {
            Some(Reason::Filtered | Reason::Unsupported) => ErrorKind::BadRequest.rule().error_type,
            Some(Reason::Forbidden) => ErrorKind::Permission.rule().error_type,
            Some(Reason::Budget) => ErrorKind::Budget.rule().error_type,
            Some(_) if self.status() == StatusCode::TOO_MANY_REQUESTS => {
                ErrorKind::RateLimited.rule().error_type
            }
            _ => self.0.kind.rule().error_type,
        }
    }

    /// `error.code` of the OpenAI error shape.
    #[must_use]
    pub fn code(&self) -> &str {
        match (&self.0.code, &self.0.rejection) {
            (Some(code), _) => code,
            (None, Some(rejection)) => rejection.status_and_code().1,
            (None, None) => self.0.kind.rule().code,
        }
    }

    /// `error.param` of the OpenAI error shape.
    #[must_use]
    pub fn param(&self) -> Option<&str> {
        self.0.param.as_deref()
    }

    /// The deployment that failed, if one did.
    #[must_use]
    pub fn deployment(&self) -> Option<&DeploymentId> {
        self.0.deployment.as_ref()
    }

    /// The error as the body that OpenAI's clients read.
    ///
    /// ```
    /// # use ziggurat_core::{Error, ErrorKind};
    /// let body = Error::new(ErrorKind::BadRequest, "no \"model\"").with_param("model").to_json();
    /// assert_eq!(
    ///     body,
    ///     r#"{"error":{"message":"no \"model\"","type":"invalid_request_error","param":"model","code":"bad_request"}}"#,
    /// );
    /// ```
    #[must_use]
    pub fn to_json(&self) -> String {
        #[derive(serde::Serialize)]
        struct Envelope<'a> {
            error: Body<'a>,
        }
        #[derive(serde::Serialize)]
        struct Body<'a> {
            message: &'a str,
            r#type: &'a str,
            param: Option<&'a str>,
            code: &'a str,
        }
        let error = Body {
            message: self.message(),
            r#type: self.error_type(),
            param: self.param(),
            code: self.code(),
        };
        serde_json::to_string(&Envelope { error }).expect("strings always serialise")
    }

    /// What the provider says it used all the same.
    #[must_use]
    pub fn usage(&self) -> Option<&Usage> {
        self.0.usage.as_deref()
    }

    /// What the provider says is left of its own limits.
    #[must_use]
    pub fn provider_limits(&self) -> Option<&ProviderLimits> {
        self.0.limits.as_deref()
    }

    /// A copy for a second reader; the source stays with the original.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let inner = &*self.0;
        Self(Box::new(Inner {
            kind: inner.kind,
            message: inner.message.clone(),
            rejection: inner.rejection.clone(),
            status: inner.status,
            retry_after: inner.retry_after,
            error_type: inner.error_type.clone(),
            code: inner.code.clone(),
            param: inner.param.clone(),
            replayable: inner.replayable,
            blame: inner.blame,
            deployment: inner.deployment.clone(),
            usage: inner.usage.clone(),
            limits: inner.limits.clone(),
            source: None,
        }))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Error");
        out.field("kind", &self.0.kind)
            .field("message", &self.0.message);
        if let Some(rejection) = &self.0.rejection {
            out.field("rejection", rejection);
        }
        if let Some(status) = &self.0.status {
            out.field("status", status);
        }
        if let Some(after) = &self.0.retry_after {
            out.field("retry_after", after);
        }
        if let Some(deployment) = &self.0.deployment {
            out.field("deployment", deployment);
        }
        if let Some(source) = &self.0.source {
            out.field("source", source);
        }
        out.finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<BoxError> for Error {
    /// Takes back an [`Error`] that went through a foreign layer.
    ///
    /// One that the foreign layer wrapped is found through `source()`; Tower's own timeout becomes
    /// [`ErrorKind::Timeout`]; anything else is [`ErrorKind::Internal`].
    fn from(error: BoxError) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(error) => return *error,
            Err(error) => error,
        };
        if error.is::<tower::timeout::error::Elapsed>() {
            return Self::timeout(Clock::Attempt).with_source(error);
        }
        let mut cause = error.source();
        while let Some(current) = cause {
            if let Some(wrapped) = current.downcast_ref::<Self>() {
                return wrapped.duplicate().with_source(error);
            }
            cause = current.source();
        }
        Self::new(ErrorKind::Internal, error.to_string()).with_source(error)
    }
}

impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scope;

    #[derive(Debug)]
    struct Wrapper(Error);

    impl fmt::Display for Wrapper {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a foreign layer failed")
        }
    }

    impl std::error::Error for Wrapper {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn it_is_the_size_of_a_pointer() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        assert_eq!(size_of::<Result<(), Error>>(), size_of::<usize>());
    }

    #[test]
    fn a_rejection_inside_a_foreign_wrapper_is_still_seen() {
        let rejection = Rejection::new(Reason::Busy, Scope::Deployment);
        let inner = Error::rejected(rejection.clone(), "busy");
        let boxed: BoxError = Box::new(Wrapper(inner));
        assert_eq!(Error::from(boxed).rejection(), Some(&rejection));
    }

    #[test]
    fn towers_timeout_is_a_timeout() {
        let boxed: BoxError = Box::new(tower::timeout::error::Elapsed::new());
        assert_eq!(
            Error::from(boxed).kind(),
            ErrorKind::Timeout(Clock::Attempt)
        );
    }

    #[test]
    fn a_status_that_clients_do_not_know_is_replaced_by_the_tables() {
        let overloaded = Error::new(ErrorKind::Overloaded, "overloaded")
            .with_status(StatusCode::from_u16(529).expect("529 is a number a status may have"));
        assert_eq!(overloaded.status(), 503);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rejection_carries_the_time_left_as_retry_after() {
        let at = Instant::now() + Duration::from_secs(3);
        let error = Error::rejected(
            Rejection::new(Reason::RateLimited, Scope::Request).retry_at(at),
            "later",
        );
        assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
        assert_eq!(error.status(), 429);
    }

    #[test]
    fn resting_after_throttling_is_a_429_and_resting_after_an_outage_a_503() {
        let rest = Rejection::new(Reason::Cooldown, Scope::Deployment);
        let throttled = Error::rejected(rest.clone().because_of(ErrorKind::RateLimited), "rests");
        let down = Error::rejected(rest.because_of(ErrorKind::Overloaded), "rests");
        assert_eq!(throttled.status(), 429);
        assert_eq!(down.status(), 503);
    }
}
