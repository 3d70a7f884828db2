//! Reads a stream of events that are no chat: the words of a transcript, the bytes of speech, an
//! image as it grows.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use ziggurat_core::{Deployment, Error, ErrorKind, Item};

use super::{
    chunk::Chunk,
    error,
    out::Out,
    reader::{DONE, GRACE_DONE, GRACE_FINISHED, MAX_EVENT},
};
use crate::{
    sse::{BOM, Event, Splitter, TooLong},
    stream::Read,
};

/// What an event is, by the end of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// A part of the answer.
    Part,
    /// The last event of the answer.
    Last,
    /// The last event of one image; there may be more images.
    Whole,
    /// Anything else.
    Other,
}

impl Stage {
    fn of(kind: &str) -> Self {
        match kind.rsplit('.').next() {
            Some("delta" | "segment" | "partial_image") => Self::Part,
            Some("done") => Self::Last,
            Some("completed") => Self::Whole,
            _ => Self::Other,
        }
    }
}

/// Reads the events of one answer, and passes them on byte for byte.
///
/// The answer begins with its first part and is whole after its last event, whose type ends in
/// `done` or `completed`: a `[DONE]`, which only some of these streams have, makes none whole.
#[derive(Debug)]
pub(crate) struct Watch {
    splitter: Splitter,
    deployment: Arc<Deployment>,
    out: Out,
    /// Whether an event has been read.
    started: bool,
    /// How much was read before the answer began.
    unbegun: usize,
    begun: bool,
    whole: bool,
    /// Whether nothing but `[DONE]` can follow.
    last: bool,
    end: Option<Result<(), Error>>,
}

impl Watch {
    pub(crate) fn new(deployment: Arc<Deployment>) -> Self {
        Self {
            splitter: Splitter::new(MAX_EVENT),
            deployment,
            out: Out::default(),
            started: false,
            unbegun: 0,
            begun: false,
            whole: false,
            last: false,
            end: None,
        }
    }

    fn events(&mut self, whole: &Bytes) {
        let mut start = 0;
        if !whole.is_empty() && !std::mem::replace(&mut self.started, true) {
            start = whole.strip_prefix(BOM).map_or(0, |_| BOM.len());
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
            if self.end.is_some() {
                break;
            }
            start = end;
        }
        self.out.push(whole.slice(run));
    }

    /// Reads one event; tells whether to pass it on.
    fn event(&mut self, bytes: &[u8]) -> bool {
        let event = Event::read(bytes);
        let Some(data) = event.data else {
            // Comments keep a connection alive; there is nobody to keep it for yet.
            return self.begun;
        };
        if data.trim_ascii() == DONE {
            let end = self.complete();
            let is_whole = end.is_ok();
            self.end = Some(end);
            self.out.events += u32::from(is_whole);
            return is_whole;
        }
        let chunk = Chunk::read(&data);
        let kind = chunk.as_ref().and_then(|chunk| chunk.kind.text());
        let fails = chunk.as_ref().is_some_and(Chunk::is_error) || kind == Some("error");
        if event.is_error || fails {
            self.end = Some(Err(error::in_band(&data, &self.deployment)));
            return false;
        }
        let any = self.deployment.takes_any_answer();
        let Some(chunk) = chunk else {
            self.begun |= any;
            // One event that nobody can read is no reason to lose the others.
            return any;
        };
        let stage = kind.map_or(Stage::Other, Stage::of);
        self.begun |= any || stage != Stage::Other;
        self.whole |= matches!(stage, Stage::Last | Stage::Whole);
        self.last |= stage == Stage::Last;
        if let Some(usage) = chunk.usage() {
            self.out.usage = Some(usage);
        }
        self.out.events += 1;
        true
    }

    /// Whether what has been read is a whole answer.
    fn complete(&self) -> Result<(), Error> {
        if self.whole || (self.begun && self.deployment.takes_any_answer()) {
            return Ok(());
        }
        Err(if self.begun {
            let message = "the provider's stream ended before its last event";
            Error::new(ErrorKind::StreamBroken, message)
        } else {
            Error::new(
                ErrorKind::BadAnswer,
                "the provider's stream holds no answer",
            )
        })
    }
}

impl Read for Watch {
    fn is_committed(&self) -> bool {
        self.begun
    }

    fn is_ended(&self) -> bool {
        self.end.is_some()
    }

    fn take_item(&mut self) -> Option<Item> {
        self.out.take()
    }

    fn take_error(&mut self) -> Option<Error> {
        let error = std::mem::replace(self.end.as_mut()?, Ok(())).err()?;
        Some(error.with_deployment(self.deployment.id().clone()))
    }

    fn grace(&self) -> Option<Duration> {
        match self.end {
            Some(_) => Some(GRACE_DONE),
            None => self.last.then_some(GRACE_FINISHED),
        }
    }

    fn read(&mut self, bytes: Bytes) {
        if self.is_ended() {
            return;
        }
        if !self.begun {
            self.unbegun += bytes.len();
        }
        let fail = |message| Some(Err(Error::new(ErrorKind::BadAnswer, message)));
        match self.splitter.push(bytes) {
            Ok(whole) => self.events(&whole),
            Err(TooLong) => self.end = fail("the provider sent an event that does not end"),
        }
        if !self.begun && !self.is_ended() && self.unbegun > MAX_EVENT {
            self.end = fail("the provider's answer does not begin");
        }
    }

    fn finish(&mut self) {
        if self.is_ended() {
            return;
        }
        let rest = self.splitter.rest();
        if !rest.trim_ascii().is_empty() && self.event(&rest) {
            self.out.push(rest);
            self.out.push(Bytes::from_static(b"\n\n"));
        }
        if !self.is_ended() {
            self.end = Some(self.complete());
        }
    }

    fn broke(&mut self, error: Error) {
        if self.whole {
            return self.finish();
        }
        if !self.is_ended() {
            self.end = Some(Err(error));
        }
    }
}

#[cfg(test)]
mod tests {
    use ziggurat_core::Usage;

    use super::*;

    const TRANSCRIPT: &str = "data: {\"type\":\"transcript.text.delta\",\"delta\":\"It\"}\r\n\r\n\
        : alive\r\n\r\n\
        data: {\"type\":\"transcript.text.done\",\"text\":\"It is\",\"usage\":{\"type\":\"tokens\",\"total_tokens\":9,\"input_tokens\":7,\"output_tokens\":2}}\r\n\r\n\
        data: [DONE]\r\n\r\n";
    const SPEECH: &str = "event: speech.audio.delta\ndata: {\"type\":\"speech.audio.delta\",\"audio\":\"AAAA\"}\n\n\
        event: speech.audio.done\ndata: {\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":7,\"output_tokens\":2,\"total_tokens\":9}}\n\n";
    const IMAGES: &str = "data: {\"type\":\"image_generation.partial_image\",\"b64_json\":\"AA==\",\"partial_image_index\":0}\n\n\
        data: {\"type\":\"image_generation.completed\",\"b64_json\":\"AAAA\",\"usage\":{\"input_tokens\":7,\"output_tokens\":2}}\n\n";

    /// What is passed on of a stream, its usage, and its end.
    struct Passed {
        bytes: String,
        usage: Option<Usage>,
        error: Option<ErrorKind>,
        committed: bool,
    }

    fn watch(pieces: &[&[u8]], broken: bool) -> Passed {
        let mut watch = Watch::new(Arc::new(Deployment::new("a", "g", "m")));
        let mut passed = Passed {
            bytes: String::new(),
            usage: None,
            error: None,
            committed: false,
        };
        let mut take = |watch: &mut Watch| {
            while let Some(item) = watch.take_item() {
                passed.bytes += std::str::from_utf8(&item.bytes).expect("is text");
                passed.usage = item.usage.or(passed.usage);
            }
        };
        for piece in pieces {
            watch.read(Bytes::copy_from_slice(piece));
            take(&mut watch);
        }
        match broken {
            true => watch.broke(Error::new(ErrorKind::StreamBroken, "it broke")),
            false => watch.finish(),
        }
        take(&mut watch);
        passed.committed = watch.is_committed();
        passed.error = watch.take_error().map(|error| {
            assert!(error.deployment().is_some());
            error.kind()
        });
        passed
    }

    #[test]
    fn whole_streams_pass_byte_for_byte_wherever_they_are_cut() {
        for stream in [TRANSCRIPT, SPEECH, IMAGES] {
            for at in 0..=stream.len() {
                let (one, two) = stream.as_bytes().split_at(at);
                let passed = watch(&[one, two], false);
                assert_eq!(passed.bytes, stream, "cut at {at}");
                assert_eq!((passed.error, passed.usage), (None, Some(Usage::new(7, 2))));
            }
        }
    }

    #[test]
    fn a_stream_is_whole_only_with_its_last_event() {
        for stream in [TRANSCRIPT, SPEECH, IMAGES] {
            let (first, rest) = stream
                .split_once("\n\n")
                .or_else(|| stream.split_once("\r\n\r\n"))
                .expect("has two");
            for end in ["", "\n\n", "\n\ndata: [DONE]\n\n"] {
                for broken in [false, true] {
                    let passed = watch(&[first.as_bytes(), end.as_bytes()], broken);
                    // What has no empty line behind it is read at the end of a body, not at a break.
                    let begun = !(broken && end.is_empty());
                    assert_eq!(passed.committed, begun, "{end:?}");
                    assert_eq!(passed.error, Some(ErrorKind::StreamBroken), "{end:?}");
                }
            }
            let passed = watch(&[first.as_bytes(), b"\n\n", rest.as_bytes()], true);
            assert_eq!(passed.error, None, "a break after the last event is none");
        }
    }

    #[test]
    fn what_comes_before_the_answer_begins_no_answer() {
        for stream in [
            "",
            ": ping\n\n",
            "data: {\"type\":\"transcript.created\"}\n\n",
            "data: [DONE]\n\n",
            "<html>",
            "data: {\n\n",
        ] {
            let passed = watch(&[stream.as_bytes()], false);
            assert_eq!(
                (passed.committed, passed.error),
                (false, Some(ErrorKind::BadAnswer)),
                "{stream}"
            );
        }
    }

    #[test]
    fn an_error_in_the_stream_keeps_its_kind() {
        for event in [
            "data: {\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"slow down\"}}\n\n",
            "data: {\"type\":\"error\",\"code\":\"rate_limit_exceeded\",\"message\":\"slow down\"}\n\n",
            "event: error\ndata: {\"code\":\"rate_limit_exceeded\",\"message\":\"slow down\"}\n\n",
        ] {
            for before in ["", &TRANSCRIPT[..60]] {
                let (before, _) = before.rsplit_once("\r\n\r\n").unwrap_or_default();
                let passed = watch(&[before.as_bytes(), b"\n\n", event.as_bytes()], false);
                assert_eq!(passed.error, Some(ErrorKind::RateLimited), "{event}");
            }
        }
    }

    #[test]
    fn an_event_that_does_not_end_is_bounded() {
        let piece = vec![b'x'; 1 << 20];
        let mut watch = Watch::new(Arc::new(Deployment::new("a", "g", "m")));
        for _ in 0..17 {
            watch.read(Bytes::copy_from_slice(&piece));
        }
        assert_eq!(
            watch.take_error().map(|error| error.kind()),
            Some(ErrorKind::BadAnswer)
        );
    }

    #[test]
    fn recorded_transcripts_pass_whole_wherever_they_are_cut() {
        for recorded in crate::fixtures::transcript_streams() {
            for at in 0..=recorded.body.len() {
                let (one, two) = recorded.body.split_at(at);
                let passed = watch(&[one, two], false);
                assert_eq!(passed.error, None, "{}, cut at {at}", recorded.name);
                assert_eq!(passed.bytes.as_bytes(), recorded.body);
                assert!(passed.usage.is_some(), "{}", recorded.name);
            }
        }
    }
}
