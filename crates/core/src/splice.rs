//! The body for a provider, spliced from the client's.

use std::ops::Range;

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};

use crate::{
    DefaultField, LlmRequest,
    head::{Head, StreamOptions},
};

impl LlmRequest {
    /// The body for a provider of the same dialect: the client's bytes, with `model` replaced, the
    /// router's fields cut out and, if `include_usage`, usage asked for at the end of a stream.
    ///
    /// Copies the body once, or not at all when nothing changes;
    /// [`upstream_parts`](Self::upstream_parts) never copies it.
    #[must_use]
    pub fn upstream_body(&self, model: &str, include_usage: bool) -> Bytes {
        let parts = self.upstream_parts(model, include_usage, &[]);
        match &parts[..] {
            [whole] => whole.clone(),
            parts => parts.concat().into(),
        }
    }

    /// The same as pieces, of which those that the client sent are not copied, with the fields that
    /// the deployment adds where they are missing.
    #[must_use]
    pub fn upstream_parts(
        &self,
        model: &str,
        include_usage: bool,
        defaults: &[DefaultField],
    ) -> SmallVec<[Bytes; 5]> {
        let (body, head) = (self.body(), self.head());
        let usage = if include_usage {
            head.usage_edit()
        } else {
            None
        };
        let mut added = defaults
            .iter()
            .filter_map(|field| field.missing_in(head.fields));
        let first = added.next();
        if model == &*head.model && head.cuts.is_empty() && usage.is_none() && first.is_none() {
            return smallvec![body.clone()];
        }
        let model = serde_json::to_vec(model).expect("a string always serialises");
        // Cuts are sorted and never overlap the model or the stream options, which are kept.
        let mut puts: SmallVec<[(Range<usize>, Bytes); 2]> =
            smallvec![(head.model_at.clone(), Bytes::from(model))];
        puts.extend(usage.map(|(range, text)| (range, Bytes::from_static(text.as_bytes()))));
        puts.sort_by_key(|(range, _)| range.start);
        let mut edits = Edits {
            body,
            parts: SmallVec::new(),
            at: 0,
        };
        let mut cuts = head.cuts.iter().peekable();
        for (range, text) in puts {
            while let Some(cut) = cuts.next_if(|cut| cut.start < range.start) {
                edits.replace(cut, Bytes::new());
            }
            edits.replace(&range, text);
        }
        for cut in cuts {
            edits.replace(cut, Bytes::new());
        }
        for member in first.into_iter().chain(added) {
            edits.replace(&(head.brace..head.brace), member.clone());
        }
        edits.finish()
    }
}

impl Head {
    /// What to put where so that the provider reports usage at the end of a stream.
    fn usage_edit(&self) -> Option<(Range<usize>, &'static str)> {
        match &self.stream_options {
            // `model` is always a member, so a comma is always right.
            StreamOptions::Absent => Some((
                self.brace..self.brace,
                r#","stream_options":{"include_usage":true}"#,
            )),
            StreamOptions::Null(range) => Some((range.clone(), r#"{"include_usage":true}"#)),
            StreamOptions::Object {
                include_usage: Some((true, _)),
                ..
            } => None,
            StreamOptions::Object {
                include_usage: Some((false, range)),
                ..
            } => Some((range.clone(), "true")),
            StreamOptions::Object {
                open, empty: true, ..
            } => Some((*open..*open, r#""include_usage":true"#)),
            StreamOptions::Object {
                open, empty: false, ..
            } => Some((*open..*open, r#""include_usage":true,"#)),
        }
    }
}

struct Edits<'a> {
    body: &'a Bytes,
    parts: SmallVec<[Bytes; 5]>,
    at: usize,
}

impl Edits<'_> {
    fn push(&mut self, part: Bytes) {
        if !part.is_empty() {
            self.parts.push(part);
        }
    }

    fn replace(&mut self, range: &Range<usize>, text: Bytes) {
        self.push(self.body.slice(self.at..range.start));
        self.push(text);
        self.at = range.end;
    }

    fn finish(mut self) -> SmallVec<[Bytes; 5]> {
        self.push(self.body.slice(self.at..));
        self.parts
    }
}
