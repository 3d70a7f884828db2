//! The fields of a request that parameters of a model stand in.

use std::fmt;

use bytes::Bytes;

macro_rules! fields {
    ($($bit:literal $name:literal,)+) => {
        const NAMES: &[&str] = &[$($name,)+];

        const fn bit(index: usize) -> u64 {
            1 << index
        }

        /// The bit of a name; zero if it is none that is known.
        fn bits(name: &str) -> u64 {
            match name {
                $($name => bit($bit),)+
                _ => 0,
            }
        }
    };
}

fields! {
    0 "audio",
    1 "dimensions",
    2 "encoding_format",
    3 "frequency_penalty",
    4 "function_call",
    5 "functions",
    6 "input_type",
    7 "logit_bias",
    8 "logprobs",
    9 "max_completion_tokens",
    10 "max_output_tokens",
    11 "max_tokens",
    12 "min_p",
    13 "modalities",
    14 "n",
    15 "parallel_tool_calls",
    16 "prediction",
    17 "presence_penalty",
    18 "prompt_cache_key",
    19 "reasoning",
    20 "reasoning_effort",
    21 "repetition_penalty",
    22 "response_format",
    23 "safety_identifier",
    24 "seed",
    25 "service_tier",
    26 "stop",
    27 "store",
    28 "stream",
    29 "stream_options",
    30 "temperature",
    31 "thinking",
    32 "tool_choice",
    33 "tools",
    34 "top_k",
    35 "top_logprobs",
    36 "top_p",
    37 "truncation",
    38 "user",
    39 "verbosity",
    40 "voice",
    41 "web_search_options",
    42 "metadata",
    43 "best_of",
    44 "echo",
    45 "suffix",
}

/// Which of the fields that OpenAI's and compatible APIs know are in a request, or are understood
/// by a deployment.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct FieldSet(u64);

impl FieldSet {
    /// The set of one field; `None` if the name is none that is known.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        match bits(name) {
            0 => None,
            bits => Some(Self(bits)),
        }
    }

    /// Adds a field; a name that is not known changes nothing.
    pub fn insert(&mut self, name: &str) {
        self.0 |= bits(name);
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The set without the members of another.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether it holds none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names of its members.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let names = NAMES.iter().enumerate();
        names
            .filter(move |(index, _)| self.0 & bit(*index) != 0)
            .map(|(_, name)| *name)
    }
}

impl<'a> FromIterator<&'a str> for FieldSet {
    /// Names that are not known are left out.
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        let mut set = Self::default();
        names.into_iter().for_each(|name| set.insert(name));
        set
    }
}

impl fmt::Debug for FieldSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// Names for the length of an answer, of which a request has one.
const LENGTHS: [&str; 3] = ["max_tokens", "max_completion_tokens", "max_output_tokens"];

/// A field that a deployment puts into requests which do not have it.
#[derive(Clone, PartialEq, Eq)]
pub struct DefaultField {
    field: FieldSet,
    /// The fields of which one is enough for this not to be added.
    same: FieldSet,
    /// With the comma before it: `model` is always a member of the object it is added to.
    member: Bytes,
    /// The value as a form has it: a string as it is, else JSON.
    text: Bytes,
}

impl DefaultField {
    /// A field and its value; `None` if the name is none that is known.
    ///
    /// ```
    /// use ziggurat_core::DefaultField;
    ///
    /// let cool = DefaultField::new("temperature", &serde_json::json!(0.2));
    /// assert_eq!(cool.expect("is a known field").name(), "temperature");
    /// assert!(DefaultField::new("model", &serde_json::json!("m")).is_none());
    /// ```
    #[must_use]
    pub fn new(name: &str, value: &serde_json::Value) -> Option<Self> {
        let member = format!(",\"{name}\":{value}");
        let text = match value.as_str() {
            Some(text) => Bytes::copy_from_slice(text.as_bytes()),
            None => value.to_string().into(),
        };
        let field = FieldSet::of(name)?;
        let caps: FieldSet = LENGTHS.into_iter().collect();
        Some(Self {
            field,
            same: if caps.and(field).is_empty() {
                field
            } else {
                caps
            },
            member: member.into(),
            text,
        })
    }

    /// The name of the field.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.field.names().next().unwrap_or_default()
    }

    /// Whether it is to be added to a request that has these fields.
    pub(crate) fn is_missing_in(&self, present: FieldSet) -> bool {
        self.same.and(present).is_empty()
    }

    /// What is added right before the last brace of a JSON body.
    pub(crate) fn member(&self) -> &Bytes {
        &self.member
    }

    /// The value as a form has it.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }
}

impl fmt::Debug for DefaultField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_says_how_long_an_answer_may_be_is_not_told_twice() {
        let length = DefaultField::new("max_tokens", &serde_json::json!(9)).expect("is known");
        let has = |name| FieldSet::of(name).expect("is known");
        assert!(!length.is_missing_in(has("max_completion_tokens")));
        assert!(length.is_missing_in(has("seed")));
    }

    #[test]
    fn every_name_has_a_bit_of_its_own() {
        let all: FieldSet = NAMES.iter().copied().collect();
        assert!(all.names().eq(NAMES.iter().copied()));
        for (index, name) in NAMES.iter().enumerate() {
            assert_eq!(bits(name), bit(index), "{name}");
        }
        assert!(FieldSet::of("unknown").is_none());
    }
}
