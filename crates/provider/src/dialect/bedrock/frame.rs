//! The frames of AWS's event streams (`application/vnd.amazon.eventstream`).
//!
//! A frame is its length, the length of its headers, a checksum of these two, the headers, the
//! payload, and a checksum of everything before it. Numbers are big endian, checksums are CRC-32.

use bytes::{Buf, Bytes, BytesMut};
use ziggurat_core::{Error, ErrorKind};

/// The two lengths and their checksum.
const PRELUDE: usize = 12;
/// The checksum at the end.
const TRAILER: usize = 4;
/// How long a frame may be.
const MAX_FRAME: usize = 16 * 1024 * 1024;

/// A stream that cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

impl From<Damaged> for Error {
    fn from(Damaged: Damaged) -> Self {
        Self::new(ErrorKind::BadAnswer, "the provider's stream is damaged")
    }
}

/// One frame whose checksums are right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    headers: Bytes,
    pub(crate) payload: Bytes,
}

impl Frame {
    /// The frame that is made of these.
    #[cfg(any(fuzzing, test))]
    pub(crate) fn of(headers: &[u8], payload: &[u8]) -> Self {
        Self {
            headers: Bytes::copy_from_slice(headers),
            payload: Bytes::copy_from_slice(payload),
        }
    }

    /// A header with a text; `None` if there is none of that name, or the headers make no sense.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        /// The type of a text.
        const TEXT: u8 = 7;
        let mut rest = &self.headers[..];
        while !rest.is_empty() {
            let found = take_short(&mut rest)?;
            let kind = take(&mut rest, 1)?[0];
            let value = match kind {
                0 | 1 => &[],
                2 => take(&mut rest, 1)?,
                3 => take(&mut rest, 2)?,
                4 => take(&mut rest, 4)?,
                5 | 8 => take(&mut rest, 8)?,
                6 | TEXT => {
                    let length = take(&mut rest, 2)?;
                    take(&mut rest, u16::from_be_bytes([length[0], length[1]]).into())?
                }
                9 => take(&mut rest, 16)?,
                _ => return None,
            };
            if kind == TEXT && found == name.as_bytes() {
                return std::str::from_utf8(value).ok();
            }
        }
        None
    }
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

/// Bytes behind their own length.
fn take_short<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take(rest, 1)?[0];
    take(rest, length.into())
}

/// Puts frames together, wherever what is read is cut.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    unread: BytesMut,
    /// The lengths of the frame that has begun, once they are known to be right.
    lengths: Option<(usize, usize)>,
}

impl Frames {
    /// Takes what was read.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    /// The next frame, if it is whole.
    ///
    /// # Errors
    ///
    /// [`Damaged`] if a checksum is wrong, or the lengths make no sense. There is no next frame
    /// then: nobody can tell where it begins.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, Damaged> {
        let Some((length, headers)) = self.lengths()? else {
            return Ok(None);
        };
        if self.unread.len() < length {
            return Ok(None);
        }
        let mut frame = self.unread.split_to(length).freeze();
        self.lengths = None;
        let mut checksum = frame.split_off(length - TRAILER);
        if crc32fast::hash(&frame) != checksum.get_u32() {
            return Err(Damaged);
        }
        let payload = frame.split_off(PRELUDE + headers);
        let headers = frame.split_off(PRELUDE);
        Ok(Some(Frame { headers, payload }))
    }

    fn lengths(&mut self) -> Result<Option<(usize, usize)>, Damaged> {
        if self.lengths.is_none() {
            let Some(mut prelude) = self.unread.get(..PRELUDE) else {
                return Ok(None);
            };
            let right = crc32fast::hash(&prelude[..8]);
            let (length, headers) = (prelude.get_u32() as usize, prelude.get_u32() as usize);
            let most = length.checked_sub(PRELUDE + TRAILER).ok_or(Damaged)?;
            if prelude.get_u32() != right || length > MAX_FRAME || headers > most {
                return Err(Damaged);
            }
            self.lengths = Some((length, headers));
        }
        Ok(self.lengths)
    }
}

/// A frame with these headers.
#[cfg(any(fuzzing, test))]
pub(crate) fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut head = Vec::new();
    for (name, value) in headers {
        head.push(u8::try_from(name.len()).expect("is short"));
        head.extend(name.as_bytes());
        head.push(7);
        head.extend(u16::try_from(value.len()).expect("is short").to_be_bytes());
        head.extend(value.as_bytes());
    }
    raw_frame(&head, payload)
}

/// A frame with these bytes for its headers.
#[cfg(any(fuzzing, test))]
pub(crate) fn raw_frame(head: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = |length: usize| u32::try_from(length).expect("is short").to_be_bytes();
    let mut frame = Vec::new();
    frame.extend(length(PRELUDE + head.len() + payload.len() + TRAILER));
    frame.extend(length(head.len()));
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame.extend(head);
    frame.extend(payload);
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All frames of a stream in these pieces, and whether it ends within one.
    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Frame>, Result<bool, Damaged>) {
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
        (all, Ok(!frames.unread.is_empty()))
    }

    /// The checksum bit by bit, as the standard has it.
    fn checksum(bytes: &[u8]) -> u32 {
        let mut crc = u32::MAX;
        for byte in bytes {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
            }
        }
        !crc
    }

    #[test]
    fn a_frame_is_read_byte_by_byte() {
        // Made by hand: one header "a" with the text "b", and the payload "{}".
        let mut bytes = vec![0, 0, 0, 24, 0, 0, 0, 6];
        bytes.extend(checksum(&bytes).to_be_bytes());
        bytes.extend([1, b'a', 7, 0, 1, b'b', b'{', b'}']);
        bytes.extend(checksum(&bytes).to_be_bytes());
        assert_eq!(bytes, frame(&[("a", "b")], b"{}"));
        let (frames, end) = read(bytes.chunks(1));
        assert_eq!(end, Ok(false));
        let [frame] = &frames[..] else {
            panic!("one frame")
        };
        assert_eq!(
            (frame.header("a"), &frame.payload[..]),
            (Some("b"), &b"{}"[..])
        );
        assert_eq!(frame.header("b"), None);
        assert_eq!(read([&bytes[..23]]), (Vec::new(), Ok(true)));
    }

    #[test]
    fn a_header_is_found_behind_those_of_every_other_type() {
        let mut head = Vec::new();
        let sizes = [
            (0, 0),
            (1, 0),
            (2, 1),
            (3, 2),
            (4, 4),
            (5, 8),
            (8, 8),
            (9, 16),
        ];
        for (kind, size) in sizes {
            head.extend([1, b'x', kind]);
            head.extend(vec![0xff; size]);
        }
        head.extend([1, b'a', 6, 0, 1, 0xff]);
        head.extend([1, b'a', 7, 0, 1, b'b']);
        let headers = |head: Vec<u8>| Frame {
            headers: head.into(),
            payload: Bytes::new(),
        };
        assert_eq!(headers(head.clone()).header("a"), Some("b"));
        for end in 0..head.len() {
            assert_eq!(headers(head[..end].to_vec()).header("a"), None);
        }
        assert_eq!(headers(vec![1, b'a', 10]).header("a"), None);
    }

    #[test]
    fn lengths_that_make_no_sense_end_the_stream_before_the_frame_does() {
        for (length, headers) in [
            (15_u32, 0_u32),
            (16, 1),
            (0, 0),
            (u32::MAX, 0),
            (20, u32::MAX),
        ] {
            let mut bytes = [length.to_be_bytes(), headers.to_be_bytes()].concat();
            bytes.extend(checksum(&bytes).to_be_bytes());
            assert_eq!(read([&bytes[..]]), (Vec::new(), Err(Damaged)), "{length}");
        }
    }

    proptest! {
        #[test]
        fn frames_are_the_same_wherever_they_are_cut(
            sent in prop::collection::vec(("[a-z:]{1,9}", "\\PC{0,9}", any::<Vec<u8>>()), 0..5),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..9),
        ) {
            let bytes: Vec<u8> = sent
                .iter()
                .flat_map(|(name, value, payload)| frame(&[("x", "y"), (name, value)], payload))
                .collect();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let (frames, end) = read(cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]));
            prop_assert_eq!(end, Ok(false));
            let read: Vec<_> = frames
                .iter()
                .zip(&sent)
                .map(|(frame, (name, _, _))| (frame.header(name), &frame.payload[..]))
                .collect();
            let sent: Vec<_> = sent
                .iter()
                .map(|(name, value, payload)| {
                    (Some(if name == "x" { "y" } else { value.as_str() }), &payload[..])
                })
                .collect();
            prop_assert_eq!(read, sent);
        }

        #[test]
        fn a_changed_bit_is_never_read_as_a_frame(
            payload in any::<Vec<u8>>(), place in any::<prop::sample::Index>(), bit in 0..8,
        ) {
            let mut bytes = frame(&[("a", "b")], &payload);
            let place = place.index(bytes.len());
            bytes[place] ^= 1_u8 << bit;
            prop_assert_eq!(read([&bytes[..]]), (Vec::new(), Err(Damaged)));
        }

        #[test]
        fn the_checksum_is_that_of_the_standard(bytes in any::<Vec<u8>>()) {
            prop_assert_eq!(crc32fast::hash(&bytes), checksum(&bytes));
        }

        #[test]
        fn any_bytes_are_survived(pieces in prop::collection::vec(any::<Vec<u8>>(), 0..9)) {
            let (frames, _) = read(pieces.iter().map(|piece| &piece[..]));
            for frame in frames {
                frame.header("a");
            }
        }
    }
}
