use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header::RETRY_AFTER};
use serde_json::Value;

/// How a provider treats one request: the healthy answer of [`Step::ok`], with faults added.
///
/// Where a method counts *events*, it counts the content events of a stream, not a role-only
/// event, comments or the final ones. A stream breaks in one way only: of
/// [`cut_after`](Self::cut_after), [`end_after`](Self::end_after),
/// [`stall_after`](Self::stall_after) and [`stream_error_after`](Self::stream_error_after) the last
/// one holds. The first three break a buffered answer too, after half of its bytes.
#[derive(Clone, Debug)]
pub struct Step {
    pub(super) status: StatusCode,
    pub(super) reply: Reply,
    pub(super) error: ErrorFields,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) delay: Duration,
    pub(super) first_token_delay: Duration,
    pub(super) chunk_delay: Duration,
    pub(super) text: Text,
    pub(super) chunks: Option<usize>,
    pub(super) usage: Option<(u64, u64)>,
    pub(super) breaks: Option<(usize, Break)>,
    pub(super) malformed_at: Option<usize>,
    pub(super) chunking: SseChunking,
    pub(super) done: bool,
    pub(super) finish: bool,
    pub(super) role_chunk_first: bool,
    pub(super) comments: bool,
    pub(super) continues: bool,
    pub(super) close: Option<(u16, String)>,
}

/// What kind of answer there is at all.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Answer,
    Raw(Bytes, HeaderValue),
    Error,
    Hang,
    Reset,
}

#[derive(Clone, Debug, Default)]
pub(super) struct ErrorFields {
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
    pub(super) kind: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) enum Text {
    Default,
    Exact(String),
    Words(usize),
    Empty,
}

#[derive(Clone, Debug)]
pub(super) enum Break {
    Cut,
    End,
    Stall(Option<Duration>),
    Error(Value),
}

/// How the bytes of an event stream are spread over the chunks of the HTTP body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SseChunking {
    /// One chunk for each event.
    #[default]
    PerEvent,
    /// One chunk for the whole stream; [`Step::chunk_delay`] does not apply.
    AllAtOnce,
    /// Chunks of so many bytes, wherever the events begin and end; [`Step::chunk_delay`] is between
    /// these.
    SplitEvery(usize),
    /// One chunk for each event, whose lines end with CR LF.
    Crlf,
}

impl Step {
    /// The healthy answer: the text "from *name*", and in a stream three more words after it.
    #[must_use]
    pub fn ok() -> Self {
        Self::with(StatusCode::OK, Reply::Answer)
    }

    /// An error in the envelope of the dialect, of the type and code that go with the status; an
    /// answer with this status if it is a success.
    ///
    /// # Panics
    ///
    /// Panics if the number is no HTTP status from 200 to 999.
    #[must_use]
    pub fn status(status: u16) -> Self {
        assert!(status >= 200, "a status of an answer is 200 or more");
        let status = StatusCode::from_u16(status).expect("the status is valid");
        let reply = if status.is_success() {
            Reply::Answer
        } else {
            Reply::Error
        };
        Self::with(status, reply)
    }

    fn with(status: StatusCode, reply: Reply) -> Self {
        Self {
            status,
            reply,
            error: ErrorFields::default(),
            headers: Vec::new(),
            delay: Duration::ZERO,
            first_token_delay: Duration::ZERO,
            chunk_delay: Duration::ZERO,
            text: Text::Default,
            chunks: None,
            usage: None,
            breaks: None,
            malformed_at: None,
            chunking: SseChunking::PerEvent,
            done: true,
            finish: true,
            role_chunk_first: false,
            comments: false,
            continues: false,
            close: None,
        }
    }

    /// Sets the `code` of the error.
    #[must_use]
    pub fn error_code(mut self, code: impl Into<String>) -> Self {
        self.error.code = Some(code.into());
        self
    }

    /// Sets the `message` of the error.
    #[must_use]
    pub fn error_message(mut self, message: impl Into<String>) -> Self {
        self.error.message = Some(message.into());
        self
    }

    /// Sets the `type` of the error.
    #[must_use]
    pub fn error_type(mut self, kind: impl Into<String>) -> Self {
        self.error.kind = Some(kind.into());
        self
    }

    /// Answers with a status 200 and an error object in the place of the answer, also to a request
    /// for a stream.
    #[must_use]
    pub fn error_in_200(mut self) -> Self {
        self.status = StatusCode::OK;
        self.reply = Reply::Error;
        self
    }

    /// Answers with exactly these bytes.
    ///
    /// # Panics
    ///
    /// Panics if the content type is no valid header value.
    #[must_use]
    pub fn raw(mut self, body: impl Into<Bytes>, content_type: &str) -> Self {
        let content_type = content_type.parse().expect("the content type is valid");
        self.reply = Reply::Raw(body.into(), content_type);
        self
    }

    /// Takes the request and never answers.
    #[must_use]
    pub fn hang(mut self) -> Self {
        self.reply = Reply::Hang;
        self
    }

    /// Resets the connection before any byte of an answer.
    #[must_use]
    pub fn reset(mut self) -> Self {
        self.reply = Reply::Reset;
        self
    }

    /// Adds a header to the answer.
    ///
    /// # Panics
    ///
    /// Panics if the name or the value is not valid.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = name.parse().expect("the header name is valid");
        let value = value.parse().expect("the header value is valid");
        self.headers.push((name, value));
        self
    }

    /// Adds a `Retry-After` header in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.headers.push((RETRY_AFTER, seconds.into()));
        self
    }

    /// Waits before the headers.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Sends the headers (and a role-only event) at once and waits before the first content.
    #[must_use]
    pub fn first_token_delay(mut self, delay: Duration) -> Self {
        self.first_token_delay = delay;
        self
    }

    /// Waits between the events of a stream.
    #[must_use]
    pub fn chunk_delay(mut self, delay: Duration) -> Self {
        self.chunk_delay = delay;
        self
    }

    /// Answers this text, in a stream one word per event.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Text::Exact(text.into());
        self
    }

    /// Answers [`healthy_text`](super::healthy_text) of this length, buffered or in as many events.
    #[must_use]
    pub fn words(mut self, words: usize) -> Self {
        self.text = Text::Words(words);
        self
    }

    /// Goes on with a [`healthy_text`](super::healthy_text) that the request has begun: answers only
    /// the words that follow those at the end of the prompt, or of the last message if that is the
    /// assistant's. Whose text was begun does not matter; where none was, the answer is whole.
    #[must_use]
    pub fn continues(mut self) -> Self {
        self.continues = true;
        self
    }

    /// Answers no text at all, and yet with success.
    #[must_use]
    pub fn empty_answer(mut self) -> Self {
        self.text = Text::Empty;
        self
    }

    /// Streams the default text in so many content events; a text of its own length in at most so
    /// many.
    #[must_use]
    pub fn chunks(mut self, chunks: usize) -> Self {
        self.chunks = Some(chunks);
        self
    }

    /// Reports so many prompt and completion tokens, instead of 10 and 5.
    #[must_use]
    pub fn usage(mut self, prompt: u64, completion: u64) -> Self {
        self.usage = Some((prompt, completion));
        self
    }

    /// Resets the connection in the middle of the body, after so many events.
    #[must_use]
    pub fn cut_after(self, events: usize) -> Self {
        self.breaking(events, Break::Cut)
    }

    /// Ends the body properly after so many events, with neither a finish reason nor `[DONE]`.
    #[must_use]
    pub fn end_after(self, events: usize) -> Self {
        self.breaking(events, Break::End)
    }

    /// Closes a session with this code and reason, in the place of 1000 and none, where
    /// [`end_after`](Self::end_after) says so.
    #[must_use]
    pub fn close_with(mut self, code: u16, reason: &str) -> Self {
        self.close = Some((code, reason.to_owned()));
        self
    }

    /// Falls silent after so many events: for ever, or for a while before it closes the connection
    /// without an end of the body.
    #[must_use]
    pub fn stall_after(self, events: usize, silence: Option<Duration>) -> Self {
        self.breaking(events, Break::Stall(silence))
    }

    /// Sends an error after so many events and ends the stream: `data: {"error": …}`, or what is said
    /// instead in another dialect. The error is told in OpenAI's words.
    #[must_use]
    pub fn stream_error_after(self, events: usize, error: Value) -> Self {
        self.breaking(events, Break::Error(error))
    }

    fn breaking(mut self, events: usize, how: Break) -> Self {
        self.breaks = Some((events, how));
        self
    }

    /// Makes the `n`th event, counted from one, broken JSON; what it would have held comes after it.
    ///
    /// A buffered answer becomes broken JSON, whatever `n` is.
    #[must_use]
    pub fn malformed_at(mut self, n: usize) -> Self {
        self.malformed_at = Some(n);
        self
    }

    /// Leaves out the `[DONE]` of a stream.
    #[must_use]
    pub fn without_done(mut self) -> Self {
        self.done = false;
        self
    }

    /// Leaves out the finish reason: the event of a stream, the member of a buffered answer.
    #[must_use]
    pub fn without_finish(mut self) -> Self {
        self.finish = false;
        self
    }

    /// Spreads the bytes of a stream over the chunks of the body in another way.
    #[must_use]
    pub fn sse_chunking(mut self, chunking: SseChunking) -> Self {
        self.chunking = chunking;
        self
    }

    /// Sends the role in an event of its own, without content, before the first content.
    #[must_use]
    pub fn role_chunk_first(mut self) -> Self {
        self.role_chunk_first = true;
        self
    }

    /// Sends a comment before each event of a stream, ahead of the wait for that event.
    #[must_use]
    pub fn comments(mut self) -> Self {
        self.comments = true;
        self
    }
}

impl Default for Step {
    fn default() -> Self {
        Self::ok()
    }
}
