//! One rule.

use std::{fmt::Write, sync::Arc};

use ziggurat_core::{Capability, LlmRequest};

use super::glob;

/// How many members of a list an explanation names.
const LISTED: usize = 4;

/// A group for the requests for which all conditions hold; for every request, if there are none.
///
/// ```
/// use ziggurat_auto_route::Rule;
/// use ziggurat_core::Capability;
///
/// let rule = Rule::new("long", "gpt-long")
///     .model("gpt-*")
///     .min_input_tokens(50_000)
///     .without(Capability::Vision);
/// ```
#[derive(Clone, Debug)]
pub struct Rule {
    pub(super) name: Arc<str>,
    pub(super) group: Arc<str>,
    pub(super) conditions: Vec<Condition>,
}

#[derive(Clone, Debug)]
pub(super) enum Condition {
    Model(Vec<Arc<str>>),
    MinInput(u64),
    MaxInput(u64),
    Needs(Capability),
    Without(Capability),
    Streams(bool),
    AnyTag(Vec<Arc<str>>),
    AllTags(Vec<Arc<str>>),
    User(Vec<Arc<str>>),
    /// What the rule's keywords are. They are looked for after everything else.
    Says(Vec<Arc<str>>),
}

impl Rule {
    /// A rule of that name, for that group. Explanations show the name.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, group: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            group: group.into(),
            conditions: Vec::new(),
        }
    }

    fn with(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }

    /// The group that is asked for has this name. A `*` stands for any text.
    #[must_use]
    pub fn model(self, name: impl Into<Arc<str>>) -> Self {
        self.models([name])
    }

    /// The group that is asked for has one of these names. A `*` stands for any text.
    #[must_use]
    pub fn models<T: Into<Arc<str>>>(self, names: impl IntoIterator<Item = T>) -> Self {
        self.with(Condition::Model(list(names)))
    }

    /// The input has this many tokens or more, by the
    /// [estimate](LlmRequest::estimated_input_tokens).
    #[must_use]
    pub fn min_input_tokens(self, tokens: u64) -> Self {
        self.with(Condition::MinInput(tokens))
    }

    /// The input has this many tokens or fewer, by the
    /// [estimate](LlmRequest::estimated_input_tokens).
    #[must_use]
    pub fn max_input_tokens(self, tokens: u64) -> Self {
        self.with(Condition::MaxInput(tokens))
    }

    /// The request [needs](LlmRequest::needs) this: it offers tools, holds an image or audio, asks
    /// for an answer by a JSON schema or for reasoning.
    #[must_use]
    pub fn needs(self, capability: Capability) -> Self {
        self.with(Condition::Needs(capability))
    }

    /// The request does not need this.
    #[must_use]
    pub fn without(self, capability: Capability) -> Self {
        self.with(Condition::Without(capability))
    }

    /// The answer is to be streamed, or is not.
    #[must_use]
    pub fn stream(self, streams: bool) -> Self {
        self.with(Condition::Streams(streams))
    }

    /// The user says one of these words, or phrases, in the last message: in its first 16 KiB of
    /// text.
    ///
    /// Case does not matter for the letters of ASCII. A word is not found inside a longer one:
    /// `go` is not in `good`.
    #[must_use]
    pub fn keywords<T: Into<Arc<str>>>(self, words: impl IntoIterator<Item = T>) -> Self {
        self.with(Condition::Says(list(words)))
    }

    /// The request has one of these tags.
    #[must_use]
    pub fn any_tag<T: Into<Arc<str>>>(self, tags: impl IntoIterator<Item = T>) -> Self {
        self.with(Condition::AnyTag(list(tags)))
    }

    /// The request has all of these tags.
    #[must_use]
    pub fn all_tags<T: Into<Arc<str>>>(self, tags: impl IntoIterator<Item = T>) -> Self {
        self.with(Condition::AllTags(list(tags)))
    }

    /// The request is from one of these end users, as the client names them.
    #[must_use]
    pub fn users<T: Into<Arc<str>>>(self, users: impl IntoIterator<Item = T>) -> Self {
        self.with(Condition::User(list(users)))
    }

    /// Why a request is for the group.
    pub(super) fn why(&self) -> String {
        let mut why = format!(r#"rule "{}""#, self.name);
        if self.conditions.is_empty() {
            why.push_str(", which holds for every request");
        }
        for (i, condition) in self.conditions.iter().enumerate() {
            why.push_str(if i == 0 {
                ", because the request "
            } else {
                " and "
            });
            condition.describe(&mut why);
        }
        why
    }
}

fn list<T: Into<Arc<str>>>(texts: impl IntoIterator<Item = T>) -> Vec<Arc<str>> {
    texts.into_iter().map(Into::into).collect()
}

impl Condition {
    pub(super) fn list(&self) -> Option<&[Arc<str>]> {
        match self {
            Self::Model(list)
            | Self::AnyTag(list)
            | Self::AllTags(list)
            | Self::User(list)
            | Self::Says(list) => Some(list),
            _ => None,
        }
    }

    /// Whether it holds, as far as can be told without reading the prompt.
    pub(super) fn holds(&self, request: &LlmRequest) -> bool {
        let has_tag = |tag: &Arc<str>| request.tags().contains(tag);
        match self {
            Self::Model(names) => {
                let group = request.group().as_str();
                names.iter().any(|name| glob::matches(name, group))
            }
            Self::MinInput(tokens) => request.estimated_input_tokens() >= *tokens,
            Self::MaxInput(tokens) => request.estimated_input_tokens() <= *tokens,
            Self::Needs(capability) => request.needs().contains(*capability),
            Self::Without(capability) => !request.needs().contains(*capability),
            Self::Streams(streams) => request.is_stream() == *streams,
            Self::AnyTag(tags) => tags.iter().any(has_tag),
            Self::AllTags(tags) => tags.iter().all(has_tag),
            Self::User(users) => {
                let user = request.user();
                user.is_some_and(|user| users.iter().any(|it| **it == *user))
            }
            Self::Says(_) => true,
        }
    }

    /// Says that it holds. Who the users are is nothing for a client to read.
    fn describe(&self, out: &mut String) {
        match self {
            Self::Model(names) => quote(out, "asks for ", names, " or "),
            Self::MinInput(tokens) => push(out, format_args!("has {tokens} input tokens or more")),
            Self::MaxInput(tokens) => push(out, format_args!("has {tokens} input tokens or fewer")),
            Self::Needs(capability) => push(out, format_args!("needs {capability}")),
            Self::Without(capability) => push(out, format_args!("does not need {capability}")),
            Self::Streams(true) => out.push_str("is streamed"),
            Self::Streams(false) => out.push_str("is not streamed"),
            Self::AnyTag(tags) => quote(out, "has the tag ", tags, " or "),
            Self::AllTags(tags) => quote(out, "has the tags ", tags, " and "),
            Self::User(_) => out.push_str("is from a user whom it names"),
            Self::Says(words) => quote(out, "says ", words, " or "),
        }
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a string takes all text");
}

fn quote(out: &mut String, verb: &str, list: &[Arc<str>], between: &str) {
    out.push_str(verb);
    for (i, text) in list.iter().take(LISTED).enumerate() {
        let between = if i > 0 { between } else { "" };
        push(out, format_args!(r#"{between}"{text}""#));
    }
    if let Some(more @ 1..) = list.len().checked_sub(LISTED) {
        push(out, format_args!("{between}{more} more"));
    }
}
