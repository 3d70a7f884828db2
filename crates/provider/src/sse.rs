//! Splits a byte stream into server-sent events, without copying and without reading them.
//!
//! After the event stream format of the WHATWG HTML standard: lines end with LF, CR LF or CR; an
//! event ends with an empty line; one byte order mark may come first.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

/// The byte order mark that may begin a stream.
pub(crate) const BOM: &[u8] = b"\xef\xbb\xbf";

/// An event is longer than may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Finds whole events in what is read, wherever the reads are cut.
#[derive(Debug)]
pub(crate) struct Splitter {
    /// The beginning of an event whose end has not been read yet.
    pending: BytesMut,
    scan: Scan,
    max: usize,
}

/// How far the lines have been looked at.
#[derive(Debug, Default)]
struct Scan {
    /// Where each event ends that was found last.
    ends: Vec<usize>,
    line_start: usize,
    at: usize,
    /// Whether the event has a line that is not empty.
    has_lines: bool,
}

impl Splitter {
    /// A splitter that keeps at most `max` bytes of an event that has not ended.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            pending: BytesMut::new(),
            scan: Scan::default(),
            max,
        }
    }

    /// Takes what was read and gives the events that are whole now, one behind the other;
    /// [`ends`](Self::ends) says where each of them ends. Bytes are copied only if an event lies in
    /// more than one read.
    pub(crate) fn push(&mut self, mut chunk: Bytes) -> Result<Bytes, TooLong> {
        let whole = if self.pending.is_empty() {
            let end = self.scan.events(&chunk);
            let whole = chunk.split_to(end);
            self.pending.extend_from_slice(&chunk);
            whole
        } else {
            self.pending.extend_from_slice(&chunk);
            let end = self.scan.events(&self.pending);
            self.pending.split_to(end).freeze()
        };
        if self.pending.len() > self.max {
            return Err(TooLong);
        }
        Ok(whole)
    }

    /// Where each event of the last [`push`](Self::push) ends.
    pub(crate) fn ends(&self) -> &[usize] {
        &self.scan.ends
    }

    /// What is left when the stream has ended: an event without the empty line after it, or nothing.
    pub(crate) fn rest(&mut self) -> Bytes {
        self.pending.split().freeze()
    }
}

impl Scan {
    /// Notes the ends of all whole events, and returns the last one; the bytes up to it are gone
    /// the next time.
    fn events(&mut self, bytes: &[u8]) -> usize {
        self.ends.clear();
        loop {
            let Some(found) = memchr2(b'\n', b'\r', &bytes[self.at..]) else {
                self.at = bytes.len();
                break;
            };
            let line_end = self.at + found;
            let next = match (bytes[line_end], bytes.get(line_end + 1)) {
                (b'\r', Some(b'\n')) => line_end + 2,
                // A LF that belongs to this CR may be the next byte.
                (b'\r', None) => {
                    self.at = line_end;
                    break;
                }
                _ => line_end + 1,
            };
            if line_end > self.line_start {
                self.has_lines = true;
            } else if std::mem::take(&mut self.has_lines) {
                self.ends.push(next);
            }
            self.at = next;
            self.line_start = next;
        }
        let end = self.ends.last().copied().unwrap_or_default();
        self.at -= end;
        self.line_start -= end;
        end
    }
}

/// The events in bytes that hold nothing but whole ones; the last may lack the empty line behind it.
pub(crate) fn events(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut scan = Scan::default();
    let rest = scan.events(bytes)..bytes.len();
    if !rest.is_empty() {
        scan.ends.push(rest.end);
    }
    let mut start = 0;
    let ends = scan.ends.into_iter();
    ends.map(move |end| &bytes[std::mem::replace(&mut start, end)..end])
}

/// What an event says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event<'a> {
    /// Its `data`, the lines joined; `None` for a comment.
    pub(crate) data: Option<Cow<'a, [u8]>>,
    /// Whether it calls itself an error.
    pub(crate) is_error: bool,
}

impl<'a> Event<'a> {
    /// Reads one event.
    pub(crate) fn read(event: &'a [u8]) -> Self {
        // Nearly all events are one line of data.
        if let Some(data) = event.strip_prefix(b"data:") {
            let data = data.trim_ascii_end();
            if memchr2(b'\n', b'\r', data).is_none() {
                return Self {
                    data: Some(Cow::Borrowed(data.strip_prefix(b" ").unwrap_or(data))),
                    is_error: false,
                };
            }
        }
        Self::read_lines(event)
    }

    fn read_lines(event: &'a [u8]) -> Self {
        let mut read = Self {
            data: None,
            is_error: false,
        };
        for line in event.split(|byte| matches!(byte, b'\n' | b'\r')) {
            let (field, value) = match memchr::memchr(b':', line) {
                Some(colon) => (&line[..colon], &line[colon + 1..]),
                None => (line, &line[line.len()..]),
            };
            let value = value.strip_prefix(b" ").unwrap_or(value);
            match field {
                b"data" => match &mut read.data {
                    None => read.data = Some(Cow::Borrowed(value)),
                    Some(data) => {
                        let data = data.to_mut();
                        data.push(b'\n');
                        data.extend_from_slice(value);
                    }
                },
                b"event" => read.is_error = value == b"error",
                _ => {}
            }
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The events of a stream that is read in these pieces, whole bytes and data.
    fn split<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, Vec<Option<Vec<u8>>>) {
        let mut splitter = Splitter::new(1 << 20);
        let (mut bytes, mut data) = (Vec::new(), Vec::new());
        for piece in pieces {
            let whole = splitter
                .push(Bytes::copy_from_slice(piece))
                .expect("is short");
            let mut start = 0;
            for &end in splitter.ends() {
                data.push(Event::read(&whole[start..end]).data.map(Cow::into_owned));
                start = end;
            }
            assert_eq!(start, whole.len(), "events fill what is given");
            bytes.extend_from_slice(&whole);
        }
        bytes.extend_from_slice(&splitter.rest());
        (bytes, data)
    }

    fn all_splits_agree(stream: &[u8]) {
        let (_, expected) = split([stream]);
        for at in 0..=stream.len() {
            let (bytes, data) = split([&stream[..at], &stream[at..]]);
            assert_eq!(data, expected, "cut at {at}");
            assert!(bytes == stream, "cut at {at}");
        }
        let (bytes, data) = split(stream.chunks(1));
        assert_eq!(data, expected, "cut everywhere");
        assert!(bytes == stream);
    }

    fn texts(stream: &str) -> Vec<Option<String>> {
        let (_, data) = split([stream.as_bytes()]);
        data.into_iter()
            .map(|data| data.map(|data| String::from_utf8(data).expect("is text")))
            .collect()
    }

    #[test]
    fn events_are_the_same_wherever_the_reads_are_cut() {
        for end in ["\n", "\r\n", "\r"] {
            let stream = [
                ": ping",
                "",
                "data: {\"a\":1}",
                "",
                "event: error",
                "data:x",
                "data: y",
                "id: 7",
                "",
                "",
                "",
                "data: ä",
                "",
                "data: unfinished",
            ]
            .join(end);
            all_splits_agree(stream.as_bytes());
            let expected = [None, Some("{\"a\":1}"), Some("x\ny"), Some("ä")];
            let texts = texts(&stream);
            let texts: Vec<_> = texts.iter().map(Option::as_deref).collect();
            assert_eq!(texts, expected);
        }
    }

    #[test]
    fn an_event_in_one_read_is_not_copied() {
        let chunk = Bytes::from_static(b"data: a\n\ndata: b\n\nda");
        let mut splitter = Splitter::new(100);
        let whole = splitter.push(chunk.clone()).expect("is short");
        assert_eq!(whole.as_ptr(), chunk.as_ptr());
        assert_eq!(whole, "data: a\n\ndata: b\n\n");
        assert_eq!(splitter.ends(), [9, 18]);
    }

    #[test]
    fn whole_events_are_told_apart_and_the_last_needs_no_end() {
        for stream in [
            "data: a\n\n: b\n\n",
            "data: a\n\ndata: b",
            "\r\rdata: a\r\rb\r\r",
            "",
        ] {
            let events: Vec<_> = events(stream.as_bytes()).collect();
            assert_eq!(events.concat(), stream.as_bytes());
            assert_eq!(
                events.len(),
                if stream.is_empty() { 0 } else { 2 },
                "{stream:?}"
            );
        }
    }

    #[test]
    fn an_event_without_end_is_refused_when_it_is_too_long() {
        let mut splitter = Splitter::new(20);
        assert!(
            splitter
                .push(Bytes::from_static(b"data: 0123456789"))
                .is_ok()
        );
        assert_eq!(splitter.push(Bytes::from_static(b"012345")), Err(TooLong));
    }

    #[test]
    fn the_name_of_an_event_may_say_that_it_is_an_error() {
        assert!(Event::read(b"event: error\ndata: {}\n\n").is_error);
        assert!(!Event::read(b"event: message\ndata: {}\n\n").is_error);
    }

    #[test]
    fn recorded_streams_are_the_same_wherever_they_are_cut() {
        for stream in crate::fixtures::streams() {
            let (_, expected) = split([&stream.body[..]]);
            for at in (1..stream.body.len()).step_by(stream.body.len().div_ceil(2_000)) {
                let (head, tail) = stream.body.split_at(at);
                assert_eq!(
                    split([head, tail]).1,
                    expected,
                    "{} cut at {at}",
                    stream.name
                );
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_give_the_same_events(
            bytes in "(data|event|:|a|\n|\r|\r\n| ){0,40}",
            cuts in prop::collection::vec(0_usize..60, 0..6),
        ) {
            let bytes = bytes.as_bytes();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            let expected = split([bytes]);
            prop_assert_eq!(split(pieces), expected);
        }

        #[test]
        fn garbage_is_no_reason_to_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6)) {
            split(pieces.iter().map(Vec::as_slice));
        }
    }
}
