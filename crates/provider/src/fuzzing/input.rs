//! The bytes of a try, read as a text that people can write too.

use http::{HeaderMap, HeaderName, HeaderValue};

/// How often a stream is cut at most.
const MAX_CUTS: usize = 16;

/// What is left of a try: lines that choose, and the rest behind them.
#[derive(Debug)]
pub(super) struct Input<'a> {
    choices: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// A try whose first line chooses, a byte for each choice.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut input = Self {
            choices: &[],
            rest: bytes,
        };
        input.choices = input.line();
        input
    }

    /// The next choice among so many; the first if the line has ended.
    pub(super) fn choice(&mut self, among: usize) -> usize {
        let Some((chosen, rest)) = self.choices.split_first() else {
            return 0;
        };
        self.choices = rest;
        usize::from(chosen.wrapping_sub(b'0')) % among
    }

    /// The next choice among these.
    pub(super) fn one_of<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.choice(among.len())]
    }

    /// The next choice between yes and no.
    pub(super) fn flag(&mut self) -> bool {
        self.choice(2) == 1
    }

    /// The next line, without what ends it.
    pub(super) fn line(&mut self) -> &'a [u8] {
        let end = memchr::memchr(b'\n', self.rest);
        let (line, rest) = match end {
            Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
            None => (self.rest, &[][..]),
        };
        self.rest = rest;
        line
    }

    /// Headers, one on each line, up to a line that is empty. What is no header is left out.
    pub(super) fn headers(&mut self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                return headers;
            }
            let Some(colon) = memchr::memchr(b':', line) else {
                continue;
            };
            let name = HeaderName::from_bytes(&line[..colon]);
            let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
            if let (Ok(name), Ok(value)) = (name, value) {
                headers.insert(name, value);
            }
        }
    }

    /// All that is left.
    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }
}

/// The pieces of a stream: each byte of `cuts` is a place in it, as parts of 256.
pub(super) fn pieces<'a>(stream: &'a [u8], cuts: &[u8]) -> Vec<&'a [u8]> {
    let cuts = cuts.iter().take(MAX_CUTS);
    let mut cuts: Vec<_> = cuts
        .map(|cut| usize::from(*cut) * stream.len() / 256)
        .collect();
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect()
}

/// The smallest pieces of a stream, or of the beginning of a long one.
pub(super) fn byte_by_byte(stream: &[u8]) -> Vec<&[u8]> {
    const MOST: usize = 2048;
    let (beginning, rest) = stream.split_at(stream.len().min(MOST));
    beginning.chunks(1).chain([rest]).collect()
}
