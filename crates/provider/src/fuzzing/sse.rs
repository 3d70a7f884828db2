use std::borrow::Cow;

use bytes::Bytes;
use ziggurat_core::Error;

use super::input::{Input, byte_by_byte, pieces};
use crate::{
    chat::Events,
    dialect::{
        Decoder,
        sse::{OnEvent, SseDecoder},
    },
    sse::{self, Event, Splitter, TooLong},
};

type Read = Vec<(Option<Vec<u8>>, bool)>;

/// The reader of server-sent events: it finds the same ones wherever the stream is cut, loses no
/// byte, and keeps no more than it may.
///
/// The first line is how the stream is cut, the rest is the stream.
pub fn sse(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let most = 1 + input.choice(64);
    let cuts = input.line();
    let stream = input.rest();
    let pieces = pieces(stream, cuts);

    let whole = split(&[stream], usize::MAX).expect("is not bounded");
    assert_eq!(split(&pieces, usize::MAX), Ok(whole.clone()));
    let bytes = byte_by_byte(stream);
    assert_eq!(split(&bytes, usize::MAX), Ok(whole.clone()));
    // What is read in pieces within the bound is no less.
    if let Ok(bounded) = split(&bytes, most) {
        assert_eq!(bounded, whole);
    }

    assert_eq!(sse::events(stream).collect::<Vec<_>>().concat(), stream);
    assert_eq!(data(&[stream]), data(&pieces));
    assert_eq!(data(&[stream]), data(&bytes));
}

/// All events, and what is left.
fn split(pieces: &[&[u8]], most: usize) -> Result<(Read, Bytes), TooLong> {
    let mut splitter = Splitter::new(most);
    let mut events = Vec::new();
    let (mut given, mut read) = (0, 0);
    for piece in pieces {
        read += piece.len();
        let whole = splitter.push(Bytes::copy_from_slice(piece))?;
        let mut start = 0;
        for end in splitter.ends() {
            let event = Event::read(&whole[start..*end]);
            events.push((event.data.map(Cow::into_owned), event.is_error));
            start = *end;
        }
        assert_eq!(start, whole.len(), "what is given is whole events");
        given += whole.len();
        assert!(read - given <= most, "keeps {} bytes", read - given);
    }
    let rest = splitter.rest();
    assert_eq!(given + rest.len(), read, "nothing is lost");
    Ok((events, rest))
}

/// What a dialect is told of a stream.
fn data(pieces: &[&[u8]]) -> Vec<u8> {
    let mut out = Events::new("m", 7);
    let mut decoder = SseDecoder::new(Collected);
    for piece in pieces {
        decoder
            .read(Bytes::copy_from_slice(piece), &mut out)
            .expect("is short");
    }
    decoder.finish(&mut out).expect("is no error");
    out.take().to_vec()
}

/// Tells every event on.
#[derive(Debug)]
struct Collected;

impl OnEvent for Collected {
    fn event(&mut self, data: &[u8], out: &mut Events) -> Result<(), Error> {
        out.set_id("x");
        out.text(0, &String::from_utf8_lossy(data));
        Ok(())
    }
}
