//! A JSON reader that validates and remembers positions, and builds nothing.
//!
//! It follows RFC 8259 to the letter, except that it does not look at which code units a `\u`
//! escape names, and it refuses nesting deeper than [`MAX_DEPTH`].

use std::{borrow::Cow, fmt, ops::Range};

use crate::tally::{Block, Medium, Tally};

/// How deep arrays and objects may be nested: more than any request of the field needs.
pub(crate) const MAX_DEPTH: u32 = 128;

/// Where a text stops being JSON, and what should have stood there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    pub(crate) at: usize,
    pub(crate) expected: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} at byte {}", self.expected, self.at)
    }
}

/// What a value is, told by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

/// What the caller of [`Scanner::object`] decides about a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Member {
    Keep,
    Cut,
}

/// How an object came out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ObjectEnd {
    /// Where its `}` stands.
    pub(crate) brace: usize,
    /// How many members are kept.
    pub(crate) kept: usize,
    /// How many are cut.
    pub(crate) cut: usize,
}

pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    tally: Tally,
    /// Of the last object.
    medium: Medium<'a>,
}

type Result<T> = std::result::Result<T, Malformed>;

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            tally: Tally::default(),
            medium: Medium::default(),
        }
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    fn peek(&self) -> Option<u8> {
        self.bytes().get(self.at).copied()
    }

    fn expected<T>(&self, expected: &'static str) -> Result<T> {
        Err(Malformed {
            at: self.at,
            expected,
        })
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// The position of the next value.
    pub(crate) fn position(&mut self) -> usize {
        self.space();
        self.at
    }

    /// Where the last value ended.
    pub(crate) fn here(&self) -> usize {
        self.at
    }

    /// What the next value is.
    pub(crate) fn shape(&mut self) -> Result<Shape> {
        self.space();
        match self.peek() {
            Some(b'{') => Ok(Shape::Object),
            Some(b'[') => Ok(Shape::Array),
            Some(b'"') => Ok(Shape::String),
            Some(b'-' | b'0'..=b'9') => Ok(Shape::Number),
            Some(b't' | b'f') => Ok(Shape::Bool),
            Some(b'n') => Ok(Shape::Null),
            _ => self.expected("a value"),
        }
    }

    /// Reads an object, giving each key to `member`, which must read the value.
    ///
    /// The byte ranges of members that are to be cut, commas included, are added to `cuts`.
    pub(crate) fn object<E: From<Malformed>>(
        &mut self,
        cuts: &mut Vec<Range<usize>>,
        mut member: impl FnMut(
            &mut Self,
            &str,
            &mut Vec<Range<usize>>,
        ) -> std::result::Result<Member, E>,
    ) -> std::result::Result<ObjectEnd, E> {
        self.space();
        if self.peek() != Some(b'{') {
            return Ok(self.expected("an object")?);
        }
        self.at += 1;
        self.space();
        let mut end = ObjectEnd {
            brace: self.at,
            kept: 0,
            cut: 0,
        };
        let mut comma = None;
        let mut leading: Option<usize> = None;
        if self.peek() != Some(b'}') {
            loop {
                self.space();
                let start = self.at;
                let key = self.string()?;
                self.space();
                if self.peek() != Some(b':') {
                    return Ok(self.expected("`:`")?);
                }
                self.at += 1;
                let cuts_before = cuts.len();
                match member(self, &key, cuts)? {
                    Member::Keep => {
                        if let Some(from) = leading.take() {
                            cuts.insert(cuts_before, from..start);
                        }
                        end.kept += 1;
                    }
                    Member::Cut => {
                        cuts.truncate(cuts_before);
                        end.cut += 1;
                        match comma {
                            _ if end.kept == 0 => leading = leading.or(Some(start)),
                            Some(comma) => cuts.push(comma..self.at),
                            None => {}
                        }
                    }
                }
                let value_end = self.at;
                self.space();
                match self.peek() {
                    Some(b',') => comma = Some(self.at),
                    Some(b'}') => {
                        if let Some(from) = leading {
                            cuts.push(from..value_end);
                        }
                        break;
                    }
                    _ => return Ok(self.expected("`,` or `}`")?),
                }
                self.at += 1;
            }
        }
        end.brace = self.at;
        self.at += 1;
        Ok(end)
    }

    /// Reads an array, calling `item` before each value, which it must read.
    pub(crate) fn array<E: From<Malformed>>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> std::result::Result<(), E>,
    ) -> std::result::Result<usize, E> {
        self.space();
        if self.peek() != Some(b'[') {
            return Ok(self.expected("an array")?);
        }
        self.at += 1;
        self.space();
        let mut items = 0;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(items);
        }
        loop {
            item(self)?;
            items += 1;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Ok(self.expected("`,` or `]`")?),
            }
        }
        self.at += 1;
        Ok(items)
    }

    /// Reads a string and undoes its escapes; allocates only if it has some.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>> {
        self.space();
        let start = self.at;
        let escaped = self.skip_string()?;
        let raw = &self.text[start..self.at];
        if !escaped {
            return Ok(Cow::Borrowed(&raw[1..raw.len() - 1]));
        }
        match serde_json::from_str(raw) {
            Ok(text) => Ok(Cow::Owned(text)),
            Err(_) => Err(Malformed {
                at: start,
                expected: "a string of whole characters",
            }),
        }
    }

    /// Reads a number, as its text.
    pub(crate) fn number(&mut self) -> Result<&'a str> {
        self.space();
        let start = self.at;
        self.skip_number()?;
        Ok(&self.text[start..self.at])
    }

    /// Reads a `true` or `false`.
    pub(crate) fn bool(&mut self) -> Result<bool> {
        self.space();
        let value = self.peek() == Some(b't');
        self.skip_literal()?;
        Ok(value)
    }

    /// Reads any value, and returns its text.
    pub(crate) fn raw(&mut self) -> Result<&'a str> {
        let start = self.position();
        self.skip()?;
        Ok(&self.text[start..self.at])
    }

    /// Reads any value, and counts what it holds.
    pub(crate) fn tally(&mut self) -> Result<Tally> {
        self.tally = Tally::default();
        self.skip()?;
        Ok(self.tally)
    }

    /// Reads any value and forgets it.
    pub(crate) fn skip(&mut self) -> Result<()> {
        self.skip_nested(1)
    }

    fn skip_nested(&mut self, depth: u32) -> Result<()> {
        match self.shape()? {
            Shape::Object | Shape::Array if depth >= MAX_DEPTH => self.expected("less nesting"),
            Shape::Object => self.skip_object(depth),
            Shape::Array => self.array(|s| s.skip_nested(depth + 1)).map(drop),
            Shape::Number => self.skip_number(),
            Shape::Bool | Shape::Null => self.skip_literal(),
            Shape::String => {
                let start = self.at + 1;
                self.skip_string()?;
                self.tally.string(&self.bytes()[start..self.at - 1]);
                Ok(())
            }
        }
    }

    fn skip_object(&mut self, depth: u32) -> Result<()> {
        self.at += 1;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        let mut block = Block::default();
        loop {
            self.space();
            let start = self.at;
            self.skip_string()?;
            let key = &self.bytes()[start..self.at];
            self.tally.key(key);
            self.space();
            if self.peek() != Some(b':') {
                return self.expected("`:`");
            }
            self.at += 1;
            let (value, before) = (self.position(), self.tally.text);
            self.medium = Medium::default();
            self.skip_nested(depth + 1)?;
            let value = &self.bytes()[value..self.at];
            block.member(key, value, before, &mut self.medium, &mut self.tally);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return self.expected("`,` or `}`"),
            }
        }
        self.at += 1;
        block.end(&mut self.medium, &mut self.tally);
        Ok(())
    }

    /// Passes over a string; tells whether it has escapes.
    fn skip_string(&mut self) -> Result<bool> {
        if self.peek() != Some(b'"') {
            return self.expected("a string");
        }
        self.at += 1;
        let mut escaped = false;
        loop {
            self.at += plain_prefix(&self.bytes()[self.at..]);
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.skip_escape()?;
                }
                Some(_) => return self.expected("an escaped control character"),
                None => return self.expected("the end of a string"),
            }
        }
        self.at += 1;
        Ok(escaped)
    }

    fn skip_escape(&mut self) -> Result<()> {
        self.at += 1;
        let digits = match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 0,
            Some(b'u') => 4,
            _ => return self.expected("an escape"),
        };
        self.at += 1;
        for _ in 0..digits {
            if !self.peek().is_some_and(|b| b.is_ascii_hexdigit()) {
                return self.expected("four hexadecimal digits");
            }
            self.at += 1;
        }
        Ok(())
    }

    fn skip_number(&mut self) -> Result<()> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return self.expected("a digit"),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Result<()> {
        if !self.peek().is_some_and(|b| b.is_ascii_digit()) {
            return self.expected("a digit");
        }
        self.digits();
        Ok(())
    }

    fn skip_literal(&mut self) -> Result<()> {
        for literal in ["true", "false", "null"] {
            if self.text[self.at..].starts_with(literal) {
                self.at += literal.len();
                return Ok(());
            }
        }
        self.expected("`true`, `false` or `null`")
    }

    /// Makes sure that nothing but white space is left.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.space();
        match self.peek() {
            None => Ok(()),
            Some(_) => self.expected("the end of the body"),
        }
    }
}

/// How many bytes at the front need no attention in a string: no quote, no backslash, no control
/// character. Eight at a time, after "Determine if a word has a zero byte" in Anderson's Bit
/// Twiddling Hacks.
fn plain_prefix(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    const fn zero_bytes(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word & HIGHS
    }
    let mut chunks = bytes.chunks_exact(8);
    let mut at = 0;
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().expect("chunks have eight bytes"));
        let quote = zero_bytes(word ^ (ONES * b'"' as u64));
        let backslash = zero_bytes(word ^ (ONES * b'\\' as u64));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let found = quote | backslash | control;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = chunks.remainder();
    at + rest
        .iter()
        .position(|b| matches!(b, b'"' | b'\\' | 0..0x20))
        .unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn valid(text: &str) -> bool {
        let mut scanner = Scanner::new(text);
        scanner.skip().and_then(|()| scanner.end()).is_ok()
    }

    /// Cuts every member whose key starts with `x`, at the top and inside `in`.
    fn cut_x(text: &str) -> String {
        let mut cuts = Vec::new();
        let mut scanner = Scanner::new(text);
        scanner
            .object::<Malformed>(&mut cuts, |s, key, cuts| {
                if key == "in" && s.shape()? == Shape::Object {
                    s.object::<Malformed>(cuts, |s, key, _| {
                        s.skip()?;
                        Ok(if key.starts_with('x') {
                            Member::Cut
                        } else {
                            Member::Keep
                        })
                    })?;
                    return Ok(Member::Keep);
                }
                s.skip()?;
                Ok(if key.starts_with('x') {
                    Member::Cut
                } else {
                    Member::Keep
                })
            })
            .expect("is an object");
        let mut out = text.to_owned();
        for cut in cuts.into_iter().rev() {
            out.replace_range(cut, "");
        }
        out
    }

    #[test]
    fn cut_members_take_their_commas_with_them() {
        assert_eq!(cut_x(r#"{"x":1}"#), "{}");
        assert_eq!(cut_x(r#"{"x":1,"a":2}"#), r#"{"a":2}"#);
        assert_eq!(cut_x(r#"{"a":2,"x":1}"#), r#"{"a":2}"#);
        assert_eq!(cut_x(r#"{"a":2,"x":1,"b":3}"#), r#"{"a":2,"b":3}"#);
        assert_eq!(
            cut_x(r#"{ "x" : [1,2] , "xx":{} ,"a":2 , "x3" : 1 }"#),
            r#"{ "a":2  }"#
        );
        assert_eq!(
            cut_x(r#"{"x":1,"in":{"x":1,"a":2,"x":3},"x":4}"#),
            r#"{"in":{"a":2}}"#
        );
    }

    #[test]
    fn deep_nesting_is_refused_without_deep_recursion() {
        let deep = "[".repeat(20_000) + &"]".repeat(20_000);
        assert!(!valid(&deep));
        let allowed = "[".repeat(100) + &"]".repeat(100);
        assert!(valid(&allowed));
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i16>().prop_map(|x| serde_json::json!(f64::from(x) / 8.0)),
            any::<i64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::hash_map("(x|a|in|[a-z]{0,3}|.{0,3})", inner, 0..6)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_serde_writes_is_valid(value in any_json()) {
            prop_assert!(valid(&value.to_string()));
            prop_assert!(valid(&serde_json::to_string_pretty(&value).expect("serialises")));
        }

        #[test]
        fn it_agrees_with_serde_on_what_is_json(text in "[\\[\\]{}\",:0-9eE.+\\-truefalsn\\\\ \\n\u{1}ä]{0,24}") {
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(valid(&text), theirs, "{}", text);
        }

        #[test]
        fn cutting_gives_what_removing_from_a_tree_gives(value in any_json()) {
            prop_assume!(value.is_object());
            for text in [value.to_string(), serde_json::to_string_pretty(&value).expect("serialises")] {
                let mut model = value.clone();
                let members = model.as_object_mut().expect("assumed");
                members.retain(|key, _| !key.starts_with('x'));
                if let Some(inner) = members.get_mut("in").and_then(|v| v.as_object_mut()) {
                    inner.retain(|key, _| !key.starts_with('x'));
                }
                let ours: serde_json::Value = serde_json::from_str(&cut_x(&text)).expect("stays JSON");
                prop_assert_eq!(ours, model);
            }
        }

        #[test]
        fn plain_prefix_is_what_a_scan_finds(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let naive = bytes.iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20)).unwrap_or(bytes.len());
            prop_assert_eq!(plain_prefix(&bytes), naive);
        }
    }
}
