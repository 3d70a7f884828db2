//! What becomes of a stream that breaks after its first item: [`Fail`], or [`Continue`].

use std::fmt;

use tower_service::Service;
use ziggurat_core::{Error, LlmResponse, Redirect, Transcripts};

use crate::{continued::Continued, course::Course};

/// What becomes of an answer that breaks once it has begun.
///
/// Implemented by [`Fail`], for answers of any type, and by [`Continue`], for an [`LlmResponse`].
pub trait OnBreak<S: Service<R>, R> {
    /// Takes an answer that has begun, and gives what the client gets.
    fn begun(&self, response: S::Response, way: Way<S, R>) -> S::Response;
}

/// What it takes to ask another time for the rest of an answer.
pub struct Way<S, R> {
    pub(crate) inner: S,
    pub(crate) course: Course<R>,
}

impl<S, R> fmt::Debug for Way<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Way").finish_non_exhaustive()
    }
}

/// A break is the end of the answer: the client gets the error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fail;

impl<S: Service<R>, R> OnBreak<S, R> for Fail {
    fn begun(&self, response: S::Response, _: Way<S, R>) -> S::Response {
        response
    }
}

/// Another deployment goes on with the answer, where the [`Transcripts`] know how.
///
/// See [the crate docs](crate#streams-that-break).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Continue<T> {
    transcripts: T,
}

impl<T> Continue<T> {
    pub(crate) const fn new(transcripts: T) -> Self {
        Self { transcripts }
    }
}

impl<S, R, T> OnBreak<S, R> for Continue<T>
where
    S: Service<R, Response = LlmResponse> + Send + 'static,
    S::Error: Into<Error>,
    S::Future: Send,
    R: Redirect + Send + 'static,
    T: Transcripts<R>,
{
    fn begun(&self, response: LlmResponse, way: Way<S, R>) -> LlmResponse {
        if !response.is_stream() {
            return response;
        }
        let Some(transcript) = self.transcripts.listen(way.course.request()) else {
            return response;
        };
        let limits = response.provider_limits().copied();
        let (headers, items) = response.into_parts();
        // The one place where a stream is wrapped again: layers above attach to what spans all the
        // attempts, while each attempt ends with its own part.
        let stream = Continued::new(items, way, transcript);
        let response = LlmResponse::stream(Box::pin(stream)).with_headers(headers);
        match limits {
            Some(limits) => response.with_provider_limits(limits),
            None => response,
        }
    }
}
