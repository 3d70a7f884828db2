//! Reads an event stream: what to pass on, where the answer begins, and whether it ended well.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use ziggurat_core::{Deployment, Error, ErrorKind, Item, Usage};

use super::{
    answer::{self, CUT, EMPTY, FAILED},
    arguments::Calls,
    chunk::Chunk,
    error,
    likeness::Likeness,
    out::Out,
    roles,
};
use crate::sse::{BOM, Event, Splitter, TooLong};

/// How long an event may be, and all that comes before the first content.
pub(super) const MAX_EVENT: usize = 16 * 1024 * 1024;
/// How long the connection may still be open after the last event, so that it can be used again.
pub(super) const GRACE_DONE: Duration = Duration::from_millis(100);
/// How long usage and the last event may take after the last finish reason.
pub(super) const GRACE_FINISHED: Duration = Duration::from_secs(5);

/// How many bytes of a refusal are kept.
const MAX_WORDS: usize = 4096;

pub(super) const DONE: &[u8] = b"[DONE]";
const DONE_EVENT: &[u8] = b"data: [DONE]\n\n";

/// What a reader must know of the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// Whether the client wants the event that holds nothing but usage.
    pub(crate) usage: bool,
    /// How many choices must finish before the stream may be taken for complete while it is open;
    /// `None` if that is not known.
    pub(crate) choices: Option<u64>,
    /// Whether an answer that declines is to fail.
    pub(crate) refusals: bool,
}

/// Reads the events of one answer. Nothing is passed on but what came, byte for byte.
#[derive(Debug)]
pub(crate) struct Reader {
    splitter: Splitter,
    deployment: Arc<Deployment>,
    asked: Asked,
    /// The last event with nothing but text in it.
    like: Likeness,
    out: Out,
    /// Whether an event has been read.
    started: bool,
    /// How much was read before the answer began.
    unbegun: usize,
    /// Whether an answer has begun: there is content, or an end that explains why there is none.
    substance: bool,
    /// Whether output tokens were reported.
    spent: bool,
    /// The choices that were seen and those that finished, a bit for each.
    seen: u128,
    finished: u128,
    /// The choices that said whose message they are.
    roles: u128,
    calls: Calls,
    /// What was said to decline, if something was.
    refusal: Option<String>,
    end: Option<Result<(), Error>>,
}

impl Reader {
    pub(crate) fn new(deployment: Arc<Deployment>, asked: Asked) -> Self {
        Self {
            splitter: Splitter::new(MAX_EVENT),
            deployment,
            asked,
            like: Likeness::default(),
            out: Out::default(),
            started: false,
            unbegun: 0,
            substance: false,
            spent: false,
            seen: 0,
            finished: 0,
            roles: 0,
            calls: Calls::default(),
            refusal: None,
            end: None,
        }
    }

    /// Whether the answer has begun.
    pub(crate) fn is_committed(&self) -> bool {
        self.substance
    }

    /// Whether nothing more is to be read.
    pub(crate) fn is_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Whether it ended well: to be asked before the failure is [taken](Self::take_error).
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.end, Some(Ok(())))
    }

    /// What there is to pass on: all that was read since the last time, as one item.
    pub(crate) fn take_item(&mut self) -> Option<Item> {
        self.out.take()
    }

    /// Why the stream failed, if it did; told once.
    pub(crate) fn take_error(&mut self) -> Option<Error> {
        let mut error = std::mem::replace(self.end.as_mut()?, Ok(())).err()?;
        if let Some(usage) = self.out.usage {
            error = error.with_usage(usage);
        }
        Some(error.with_deployment(self.deployment.id().clone()))
    }

    /// How long to wait for a next read, if there is no need of one.
    pub(crate) fn grace(&self) -> Option<Duration> {
        if self.is_ended() {
            return Some(GRACE_DONE);
        }
        self.has_all().then_some(GRACE_FINISHED)
    }

    /// Whether every choice that was asked for has finished.
    fn has_all(&self) -> bool {
        let finished = u64::from(self.finished.count_ones());
        let all = self.asked.choices;
        all.is_some_and(|choices| finished >= choices.max(1)) && self.seen == self.finished
    }

    /// Takes what was read.
    pub(crate) fn read(&mut self, chunk: Bytes) {
        if self.is_ended() {
            return;
        }
        if !self.substance {
            self.unbegun += chunk.len();
        }
        match self.splitter.push(chunk) {
            Ok(whole) => self.events(&whole),
            Err(TooLong) => self.fail(
                ErrorKind::BadAnswer,
                "the provider sent an event that does not end",
            ),
        }
        if !self.substance && !self.is_ended() && self.unbegun > MAX_EVENT {
            self.fail(ErrorKind::BadAnswer, "the provider's answer does not begin");
        }
    }

    /// Takes the end of the body.
    pub(crate) fn finish(&mut self) {
        if self.is_ended() {
            return;
        }
        let rest = self.splitter.rest();
        if !rest.trim_ascii().is_empty() && self.event(&rest) {
            self.out.push(rest);
            self.out.push(Bytes::from_static(b"\n\n"));
        }
        if self.is_ended() {
            return;
        }
        let end = self.complete();
        if end.is_ok() {
            self.out.push(Bytes::from_static(DONE_EVENT));
            self.out.events += 1;
        }
        self.end = Some(end);
    }

    /// Takes the failure of the body. An answer that has all its finish reasons is complete.
    pub(crate) fn broke(&mut self, error: Error) {
        if self.complete().is_ok() {
            return self.finish();
        }
        if !self.is_ended() {
            self.end = Some(Err(error));
        }
    }

    fn events(&mut self, whole: &Bytes) {
        if whole.is_empty() {
            return;
        }
        let mut start = 0;
        if !std::mem::replace(&mut self.started, true) && whole.starts_with(BOM) {
            start = BOM.len();
        }
        // What is passed on without a gap stays one piece.
        let mut run = start..start;
        for event in 0..self.splitter.ends().len() {
            let end = self.splitter.ends()[event];
            if self.event(&whole[start..end]) {
                if run.end != start {
                    self.out.push(whole.slice(run));
                    run = start..end;
                }
                run.end = end;
            }
            if self.is_ended() {
                break;
            }
            start = end;
        }
        self.out.push(whole.slice(run));
    }

    /// Reads one event; tells whether to pass it on.
    fn event(&mut self, bytes: &[u8]) -> bool {
        if self.like.matches(bytes) {
            self.out.events += 1;
            return true;
        }
        let event = Event::read(bytes);
        let Some(data) = event.data else {
            // Comments keep a connection alive; there is nobody to keep it for yet.
            return self.substance;
        };
        if data.trim_ascii() == DONE {
            let end = self.complete();
            let complete = end.is_ok();
            self.end = Some(end);
            self.out.events += u32::from(complete);
            return complete;
        }
        let any = self.deployment.takes_any_answer();
        let Some(chunk) = Chunk::read(&data) else {
            if event.is_error {
                self.end = Some(Err(error::in_band(&data, &self.deployment)));
            } else if any {
                self.substance = true;
                self.out.events += 1;
            }
            // One event that nobody can read is no reason to lose the others.
            return any && !event.is_error;
        };
        if event.is_error || chunk.is_error() {
            self.end = Some(Err(error::in_band(&data, &self.deployment)));
            return false;
        }
        let choices = chunk.choices;
        if let Some(kind) = choices.failure.filter(|_| !any) {
            self.fail(kind, FAILED);
            return false;
        }
        let usage = chunk.usage();
        let again = choices.roles != 0 && choices.roles & !self.roles == 0;
        if again && !choices.substance && usage.is_none() && roles::are_all(&data) {
            return false;
        }
        self.roles |= choices.roles;
        self.seen |= choices.seen;
        self.finished |= choices.finished;
        self.substance |= if self.asked.refusals {
            choices.content
        } else {
            choices.substance
        };
        if choices.calls {
            self.calls.read(&data);
        }
        if choices.whole != 0 && !any && self.calls.are_cut(choices.whole) {
            self.fail(ErrorKind::StreamBroken, CUT);
            return false;
        }
        if self.asked.refusals && !self.substance && choices.refusals > 0 {
            let words = self.refusal.get_or_insert_default();
            if words.len() < MAX_WORDS {
                words.push_str(&answer::refusal(&data));
            }
        }
        if self.has_all() && self.declines() {
            self.end = Some(Err(self.declined()));
            return false;
        }
        if let Some(usage) = usage {
            self.usage(usage);
            if choices.count == 0 && !self.asked.usage {
                return false;
            }
        } else if let Some(text) = choices.only_text() {
            self.like.learn(bytes, text);
        }
        self.out.events += 1;
        true
    }

    /// Whether something was said to decline, and nothing else.
    fn declines(&self) -> bool {
        self.refusal.is_some() && !self.substance
    }

    fn declined(&mut self) -> Error {
        answer::declined(self.refusal.take().unwrap_or_default(), &self.deployment)
    }

    fn usage(&mut self, usage: Usage) {
        self.out.usage = Some(usage);
        self.spent |= usage.output > 0;
    }

    fn fail(&mut self, kind: ErrorKind, message: &'static str) {
        self.end = Some(Err(Error::new(kind, message)));
    }

    /// Whether what has been read is a whole answer.
    fn complete(&mut self) -> Result<(), Error> {
        let broken = |message| Err(Error::new(ErrorKind::StreamBroken, message));
        let any = self.deployment.takes_any_answer();
        if self.seen == 0 && !any {
            let message = "the provider's stream holds no answer";
            return Err(Error::new(ErrorKind::BadAnswer, message));
        }
        if self.seen != self.finished {
            return broken("the provider's stream ended without a finish reason");
        }
        if self.declines() {
            return Err(self.declined());
        }
        self.substance |= self.spent || any;
        if !self.substance {
            return Err(Error::new(ErrorKind::BadAnswer, EMPTY));
        }
        Ok(())
    }
}
