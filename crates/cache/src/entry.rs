//! What is kept.

use std::{pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_TYPE};
use ziggurat_core::{Charge, Error, Item, LlmResponse, Maker, Money, Usage};

use crate::CacheKey;

/// The header that names the entry an answer came from, or was kept as.
pub const CACHE_KEY: HeaderName = HeaderName::from_static("x-litellm-cache-key");
/// The header that says how old an answer from the cache is, in seconds (RFC 9111).
pub const AGE: HeaderName = HeaderName::from_static("age");

/// What an entry takes beside the bytes of its answer.
const OVERHEAD: usize = 256;

/// A complete answer, as it was passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    content_type: Option<HeaderValue>,
    usage: Option<Tokens>,
    body: Recorded,
}

/// The tokens that the answer used when it was new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tokens {
    input: u64,
    output: u64,
    cached_input: u64,
    reasoning: u64,
}

impl Tokens {
    fn of(usage: &Usage) -> Self {
        Self {
            input: usage.input,
            output: usage.output,
            cached_input: usage.cached_input,
            reasoning: usage.reasoning,
        }
    }

    fn usage(self) -> Usage {
        Usage {
            cached_input: self.cached_input,
            reasoning: self.reasoning,
            ..Usage::new(self.input, self.output)
        }
    }
}

/// The body of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Recorded {
    Whole(Bytes),
    /// The pieces of a stream, and how many events each holds.
    Stream(Vec<(Bytes, u32)>),
}

impl Recorded {
    /// About how many bytes a piece takes.
    pub(crate) fn size_of(piece: &Bytes) -> usize {
        piece.len() + 48
    }
}

impl Entry {
    pub(crate) fn new(headers: &HeaderMap, body: Recorded) -> Self {
        Self {
            content_type: headers.get(CONTENT_TYPE).cloned(),
            usage: None,
            body,
        }
    }

    /// The same with another body.
    pub(crate) fn with(&self, body: Recorded) -> Self {
        Self {
            content_type: self.content_type.clone(),
            usage: self.usage,
            body,
        }
    }

    /// Says what the answer used, if it is the provider's word and of tokens.
    pub(crate) fn used(mut self, usage: Option<&Usage>) -> Self {
        let told = usage.filter(|usage| usage.counts_tokens && !usage.estimated);
        self.usage = told.map(Tokens::of);
        self
    }

    /// The tokens that the answer used when it was new, if the provider told them.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.usage.map(Tokens::usage)
    }

    /// An answer that is no stream.
    #[must_use]
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self {
            content_type: None,
            usage: None,
            body: Recorded::Whole(bytes.into()),
        }
    }

    /// The answer, if it is no stream.
    #[must_use]
    pub fn bytes(&self) -> Option<&Bytes> {
        match &self.body {
            Recorded::Whole(bytes) => Some(bytes),
            Recorded::Stream(_) => None,
        }
    }

    /// About how many bytes it takes.
    #[must_use]
    pub fn size(&self) -> usize {
        let body = match &self.body {
            Recorded::Whole(bytes) => bytes.len(),
            Recorded::Stream(pieces) => {
                let sizes = pieces.iter().map(|(bytes, _)| Recorded::size_of(bytes));
                sizes.sum()
            }
        };
        body + OVERHEAD
    }

    /// The answer again: the same bytes, in the same pieces. It costs nothing.
    pub(crate) fn replay(&self, key: &CacheKey, age: Duration) -> LlmResponse {
        let mut headers = HeaderMap::with_capacity(3);
        if let Some(kind) = &self.content_type {
            headers.insert(CONTENT_TYPE, kind.clone());
        }
        headers.insert(CACHE_KEY, header(key));
        headers.insert(AGE, HeaderValue::from(age.as_secs()));
        let response = match &self.body {
            Recorded::Whole(bytes) => LlmResponse::complete(bytes.clone(), self.usage()),
            Recorded::Stream(pieces) => LlmResponse::stream(items(pieces.clone(), self.usage())),
        };
        let charge = Charge {
            cost: Some(Money::ZERO),
            estimated: false,
        };
        response
            .with_headers(headers)
            .with_maker(Maker::Cache)
            .with_charge(charge)
    }

    /// The entry as bytes, for a store that is elsewhere.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size());
        let kind = self
            .content_type
            .as_ref()
            .map_or(&b""[..], HeaderValue::as_bytes);
        let number = |out: &mut Vec<u8>, it: usize| out.extend((it as u64).to_le_bytes());
        out.push(VERSION);
        number(&mut out, kind.len());
        out.extend_from_slice(kind);
        if let Some(told) = self.usage {
            out[0] |= USAGE;
            for count in [told.input, told.output, told.cached_input, told.reasoning] {
                out.extend(count.to_le_bytes());
            }
        }
        match &self.body {
            Recorded::Whole(bytes) => out.extend_from_slice(bytes),
            Recorded::Stream(pieces) => {
                out[0] |= STREAM;
                for (bytes, events) in pieces {
                    number(&mut out, bytes.len());
                    number(&mut out, *events as usize);
                    out.extend_from_slice(bytes);
                }
            }
        }
        out
    }

    /// The entry that was written so; `None` if it was not.
    #[must_use]
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Option<Self> {
        let mut rest = bytes.into();
        let first = *rest.first()?;
        rest = rest.slice(1..);
        let length = take(&mut rest)?;
        let kind = split(&mut rest, length)?;
        let content_type = match &kind[..] {
            b"" => None,
            kind => Some(HeaderValue::from_bytes(kind).ok()?),
        };
        let usage = match first & USAGE {
            0 => None,
            _ => Some(Tokens {
                input: take(&mut rest)?,
                output: take(&mut rest)?,
                cached_input: take(&mut rest)?,
                reasoning: take(&mut rest)?,
            }),
        };
        let body = match first & !USAGE {
            VERSION => Recorded::Whole(rest),
            first if first == VERSION | STREAM => {
                let mut pieces = Vec::new();
                while !rest.is_empty() {
                    let (length, events) = (take(&mut rest)?, take(&mut rest)?);
                    pieces.push((split(&mut rest, length)?, u32::try_from(events).ok()?));
                }
                Recorded::Stream(pieces)
            }
            _ => return None,
        };
        Some(Self {
            content_type,
            usage,
            body,
        })
    }
}

const VERSION: u8 = 2;
const STREAM: u8 = 0x80;
const USAGE: u8 = 0x40;

fn take(rest: &mut Bytes) -> Option<u64> {
    let number = rest.get(..8)?.try_into().ok()?;
    *rest = rest.slice(8..);
    Some(u64::from_le_bytes(number))
}

fn split(rest: &mut Bytes, length: u64) -> Option<Bytes> {
    let length = usize::try_from(length)
        .ok()
        .filter(|length| *length <= rest.len())?;
    Some(rest.split_to(length))
}

pub(crate) fn header(key: &CacheKey) -> HeaderValue {
    HeaderValue::from_str(&key.to_string()).expect("a key is written in hexadecimal digits")
}

/// The pieces, and after them what they used.
fn items(
    pieces: Vec<(Bytes, u32)>,
    usage: Option<Usage>,
) -> Pin<Box<dyn Stream<Item = Result<Item, Error>> + Send>> {
    let pieces = pieces.into_iter().map(|(bytes, events)| Item {
        bytes,
        events,
        ..Item::default()
    });
    let told = usage.map(|usage| Item {
        usage: Some(usage),
        ..Item::default()
    });
    Box::pin(stream::iter(pieces.chain(told).map(Ok)))
}

/// An entry that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// What was kept.
    pub entry: Arc<Entry>,
    /// How long ago.
    pub age: Duration,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            kind in prop::option::of("[a-z]{1,9}"),
            pieces in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..9), 0_u32..3), 0..4),
            is_stream: bool, used: bool,
        ) {
            let body = match is_stream {
                true => Recorded::Stream(pieces.into_iter().map(|(it, n)| (it.into(), n)).collect()),
                false => Recorded::Whole(pieces.into_iter().flat_map(|(it, _)| it).collect()),
            };
            let content_type = kind.map(|kind| HeaderValue::from_str(&kind).expect("is a header"));
            let usage = used.then(|| Tokens::of(&Usage::new(3, 4)));
            let entry = Entry { content_type, usage, body };
            prop_assert_eq!(Entry::from_bytes(entry.to_bytes()), Some(entry));
        }

        #[test]
        fn whatever_else_is_there_is_no_entry_and_no_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..40), length in 0_u64..9,
        ) {
            let likely = |first: u8| {
                let mut likely = vec![first];
                likely.extend(length.to_le_bytes());
                likely.extend(&bytes);
                likely
            };
            for bytes in [likely(VERSION | STREAM), likely(VERSION | USAGE), bytes] {
                if let Some(entry) = Entry::from_bytes(bytes.clone()) {
                    prop_assert_eq!(entry.to_bytes(), bytes);
                }
            }
        }
    }
}
