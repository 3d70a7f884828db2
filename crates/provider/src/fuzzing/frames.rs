use crate::dialect::bedrock::frame::{Damaged, Frame, Frames, raw_frame};

use super::input::{Input, byte_by_byte, pieces};

type Read = (Vec<Frame>, Result<(), Damaged>);

/// The frames of an event stream: the same wherever the stream is cut, those that a plain reading
/// finds, and none of one in which a bit has changed.
///
/// The first line chooses: whether the rest is taken for the stream itself or for what is put into
/// frames, and which bit changes. The second is how the stream is cut.
pub fn frames(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let is_raw = input.flag();
    let (place, bit) = (input.choice(256), input.choice(8));
    let cuts = input.line();
    let rest = input.rest();
    let stream = match is_raw {
        true => rest.to_vec(),
        false => framed(rest),
    };

    let whole = read(&[&stream]);
    assert_eq!(read(&pieces(&stream, cuts)), whole);
    assert_eq!(read(&byte_by_byte(&stream)), whole);
    assert_eq!(plainly(&stream), whole);
    for frame in &whole.0 {
        for name in [":event-type", ":message-type", ":error-code", ""] {
            frame.header(name);
        }
    }
    if !is_raw && !stream.is_empty() {
        assert_eq!(whole.1, Ok(()));
        let mut damaged = stream.clone();
        let place = place * (stream.len() - 1) / 255;
        damaged[place] ^= 1 << bit;
        let (frames, end) = read(&[&damaged]);
        assert_eq!(end, Err(Damaged), "bit {bit} of byte {place}");
        assert_eq!(frames[..], whole.0[..frames.len()]);
    }
}

/// A frame for each line, of which the first byte says how much of it is headers.
fn framed(lines: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let Some((length, line)) = line.split_first() else {
            continue;
        };
        let (head, payload) = line.split_at(line.len().min(usize::from(*length)));
        stream.extend(raw_frame(head, payload));
    }
    stream
}

fn read(pieces: &[&[u8]]) -> Read {
    let (mut frames, mut all) = (Frames::default(), Vec::new());
    for piece in pieces {
        frames.push(piece);
        loop {
            match frames.next() {
                Ok(Some(frame)) => all.push(frame),
                Ok(None) => break,
                Err(damaged) => return (all, Err(damaged)),
            }
        }
    }
    (all, Ok(()))
}

/// The same in the simplest way: a frame is one if it is what its headers and its payload make.
fn plainly(mut stream: &[u8]) -> Read {
    const LONGEST: usize = 16 * 1024 * 1024;
    let number = |bytes: &[u8]| -> usize {
        let bytes = bytes.try_into().expect("four bytes");
        u32::from_be_bytes(bytes) as usize
    };
    let mut all = Vec::new();
    while let Some(prelude) = stream.get(..12) {
        let (length, head) = (number(&prelude[..4]), number(&prelude[4..8]));
        let is_right = crc32fast::hash(&prelude[..8]) as usize == number(&prelude[8..]);
        if !is_right || !(16..=LONGEST).contains(&length) || head > length - 16 {
            return (all, Err(Damaged));
        }
        let Some((frame, rest)) = stream.split_at_checked(length) else {
            break;
        };
        let (head, payload) = frame[12..length - 4].split_at(head);
        if frame != raw_frame(head, payload) {
            return (all, Err(Damaged));
        }
        all.push(Frame::of(head, payload));
        stream = rest;
    }
    (all, Ok(()))
}
