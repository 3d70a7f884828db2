//! A stream that is gone on with when it breaks.

use std::{
    future::Future,
    pin::Pin,
    slice,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use pin_project_lite::pin_project;
use tower_service::Service;
use ziggurat_core::{
    Error, ErrorKind, FallbackList, GoOn, Item, Items, LlmResponse, Redirect, Transcript,
};

use crate::on_break::Way;

/// How a group may be asked for the rest, the better way first.
const WAYS: [GoOn; 2] = [GoOn::Prefill, GoOn::Instruction];

/// How often one answer is gone on with, whatever the request's attempts are.
const MAX_BREAKS: u32 = 16;

pin_project! {
    /// The items of an answer, then those of the answers that go on with it.
    ///
    /// Dropped, it drops what is read or asked at that moment.
    pub(crate) struct Continued<S, R, T>
    where
        S: Service<R>,
    {
        rest: Rest<S, R, T>,
        #[pin]
        state: State<S::Future, R>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, R> {
        Reading {
            items: Items,
        },
        Readying {
            request: Option<R>,
        },
        Calling {
            #[pin]
            response: F,
        },
        Ended,
    }
}

/// Who is asked for the rest, and how.
struct Rest<S, R, T> {
    way: Way<S, R>,
    transcript: T,
    /// The ways in which the group was not asked yet whose turn it is.
    ways: slice::Iter<'static, GoOn>,
    /// What the answer broke with.
    cause: Option<Error>,
    breaks: u32,
}

impl<S: Service<R>, R, T> Continued<S, R, T> {
    pub(crate) fn new(items: Items, way: Way<S, R>, transcript: T) -> Self {
        Self {
            rest: Rest {
                way,
                transcript,
                ways: [].iter(),
                cause: None,
                breaks: 0,
            },
            state: State::Reading { items },
        }
    }
}

impl<S, R, T> Rest<S, R, T>
where
    R: Redirect,
    T: Transcript<R>,
{
    /// The answer broke: what to ask for the rest, or the error that is the end of it.
    fn broke(&mut self, error: Error) -> Result<R, Error> {
        let course = &mut self.way.course;
        course.note(&error);
        if error.kind().rule().fallback != FallbackList::General
            || self.breaks == MAX_BREAKS
            || !course.may_go_on(&error)
        {
            return Err(error);
        }
        self.breaks += 1;
        // The group that answered goes first: beneath, it has other deployments.
        self.ways = WAYS.iter();
        let here = self.ask();
        let Some(request) = here.or_else(|| self.ask_others(FallbackList::General)) else {
            return Err(error);
        };
        self.cause = Some(error);
        Ok(request)
    }

    /// Who was asked for the rest failed: what to ask next, or the break, which is the end.
    fn failed(&mut self, error: &Error) -> Result<R, Error> {
        let next = self.go_on(error);
        next.ok_or_else(|| self.give_up())
    }

    fn give_up(&mut self) -> Error {
        self.cause
            .take()
            .expect("it broke before it was gone on with")
    }

    fn go_on(&mut self, error: &Error) -> Option<R> {
        if !self.way.course.may_go_on(error) {
            self.way.course.note(error);
            return None;
        }
        let kind = error.kind();
        let for_its_form = is_refused_for_its_form(kind);
        if for_its_form && let Some(request) = self.ask() {
            return Some(request);
        }
        self.way.course.note(error);
        let next = self.ask_others(kind.rule().fallback);
        if next.is_none() && for_its_form {
            return self.ask_others(FallbackList::General);
        }
        next
    }

    /// The request for the rest, in the next way that there is for the group whose turn it is.
    fn ask(&mut self) -> Option<R> {
        let course = &self.way.course;
        let request = (self.ways).find_map(|how| self.transcript.rest(course.request(), *how))?;
        course.tell(self.ways.len() as u32);
        course.note_altered();
        Some(request)
    }

    fn ask_others(&mut self, list: FallbackList) -> Option<R> {
        let mut moves = self.way.course.advance(list);
        while moves {
            self.ways = WAYS.iter();
            if let Some(request) = self.ask() {
                self.way.course.note_move();
                return Some(request);
            }
            moves = self.way.course.pass_over();
        }
        None
    }
}

/// Whether a group that failed so may still take the request for the rest in another form. A refusal
/// of what we have made is not the client's fault either.
const fn is_refused_for_its_form(kind: ErrorKind) -> bool {
    use ErrorKind::{BadRequest, ContextWindow, Rejected, Unprocessable};
    matches!(kind, BadRequest | ContextWindow | Rejected | Unprocessable)
}

impl<S, R, T> Stream for Continued<S, R, T>
where
    S: Service<R, Response = LlmResponse>,
    S::Error: Into<Error>,
    R: Redirect,
    T: Transcript<R>,
{
    type Item = Result<Item, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        let rest = this.rest;
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Reading { items } => match ready!(Pin::new(items).poll_next(cx)) {
                    Some(Ok(item)) => {
                        let item = rest.transcript.pass(item);
                        if item.bytes.is_empty() && item.usage.is_none() {
                            continue;
                        }
                        return Poll::Ready(Some(Ok(item)));
                    }
                    Some(Err(error)) => rest.broke(error),
                    None => {
                        this.state.set(State::Ended);
                        return Poll::Ready(None);
                    }
                },
                StateProj::Readying { request } => match ready!(rest.way.inner.poll_ready(cx)) {
                    Ok(()) => {
                        let request = request.take().expect("is asked once");
                        let response = rest.way.inner.call(request);
                        this.state.set(State::Calling { response });
                        continue;
                    }
                    Err(_) => Err(rest.give_up()),
                },
                StateProj::Calling { response } => match ready!(response.poll(cx)) {
                    Ok(response) if response.is_stream() => {
                        rest.transcript.goes_on();
                        let (_, items) = response.into_parts();
                        this.state.set(State::Reading { items });
                        continue;
                    }
                    Ok(_) => {
                        let message = "the rest of a streamed answer is no stream";
                        rest.failed(&Error::new(ErrorKind::BadAnswer, message))
                    }
                    Err(error) => rest.failed(&error.into()),
                },
                StateProj::Ended => return Poll::Ready(None),
            };
            match next {
                Ok(request) => this.state.set(State::Readying {
                    request: Some(request),
                }),
                Err(error) => {
                    this.state.set(State::Ended);
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}
