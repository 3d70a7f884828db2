//! The body for a provider, spliced from the client's.

use std::ops::Range;

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};

use crate::{
    DefaultField, LlmRequest,
    head::{Head, ModelAs, StreamOptions},
};

impl LlmRequest {
    /// The body for a provider of the same dialect: the client's bytes, with `model` replaced, the
    /// router's fields cut out and, if `include_usage`, usage asked for at the end of a stream. A
    /// form stays one, with the same boundary.
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
        let is_beside = head.model_as == ModelAs::Beside;
        let usage = if include_usage && !is_beside {
            head.usage_edit()
        } else {
            None
        };
        let mut added = defaults
            .iter()
            .filter(|field| field.is_missing_in(head.fields));
        let first = added.next();
        let is_named = is_beside || model == &*head.model && !head.model_at.is_empty();
        if is_named
            && head.cuts.is_empty()
            && usage.is_none()
            && first.is_none()
            && head.objects.is_empty()
        {
            return smallvec![body.clone()];
        }
        // Cuts are sorted and never overlap the model or the stream options, which are kept.
        let mut puts: SmallVec<[(Range<usize>, Bytes); 2]> = SmallVec::new();
        if !is_beside {
            puts.push((head.model_at.clone(), head.model_text(model)));
        }
        puts.extend(head.objects.iter().map(|(at, id)| {
            let original = format!("\"{}\"", id.original());
            (at.clone(), original.into())
        }));
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
        for field in first.into_iter().chain(added) {
            edits.replace(&(head.brace..head.brace), head.added(field));
        }
        edits.finish()
    }
}

impl Head {
    /// What stands in the place of the model.
    fn model_text(&self, model: &str) -> Bytes {
        let json = || serde_json::to_string(model).expect("a string always serialises");
        match self.model_as {
            ModelAs::Json => json().into(),
            ModelAs::Member => format!("\"model\":{},", json()).into(),
            ModelAs::OnlyMember => format!("\"model\":{}", json()).into(),
            ModelAs::Text => Bytes::copy_from_slice(model.as_bytes()),
            ModelAs::Beside => Bytes::new(),
        }
    }

    /// What is added for a field of the deployment.
    fn added(&self, field: &DefaultField) -> Bytes {
        match &self.form {
            None => field.member().clone(),
            Some(form) => form.part(field.name(), field.text()).into(),
        }
    }

    /// What to put where so that the provider reports usage at the end of a stream.
    fn usage_edit(&self) -> Option<(Range<usize>, &'static str)> {
        match &self.stream_options {
            // There is always a member, the model or the conversation, so a comma is always right.
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

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::{Error, Operation};

    fn chat(body: &str) -> Result<LlmRequest, Error> {
        LlmRequest::from_bytes(Operation::ChatCompletions, body.to_owned())
    }

    #[test]
    fn fields_of_the_deployment_are_added_where_the_request_has_none() {
        let defaults: Vec<_> = [("temperature", json!(0.2)), ("seed", json!(7))]
            .iter()
            .filter_map(|(name, value)| DefaultField::new(name, value))
            .collect();
        let parts = |body: &str| {
            let request = chat(body).expect("is valid");
            let parts = request.upstream_parts("m", false, &defaults).concat();
            String::from_utf8(parts).expect("is text")
        };
        assert_eq!(
            parts(r#"{"model":"m","temperature":0,"timeout":3 }"#),
            r#"{"model":"m","temperature":0 ,"seed":7}"#,
        );
        assert_eq!(
            parts(r#"{"temperature":null,"model":"gpt"}"#),
            r#"{"temperature":null,"model":"m","seed":7}"#,
        );
    }

    #[test]
    fn a_model_that_need_not_be_named_is_named_upstream() {
        for (body, expected) in [
            ("{}", r#"{"model":"m"}"#),
            (r#" { "timeout":3 }"#, r#" {"model":"m"  }"#),
            (r#"{"input":"x"}"#, r#"{"model":"m","input":"x"}"#),
            (
                r#"{"tags":[],"input":["x"],"priority":1}"#,
                r#"{"model":"m","input":["x"]}"#,
            ),
        ] {
            let request = LlmRequest::from_bytes(Operation::Moderation, body);
            let request = request.expect("is valid");
            assert_eq!(request.model(), "omni-moderation-latest");
            assert_eq!(request.upstream_body("m", false), expected);
            let same = request.upstream_body(request.model(), false);
            assert!(serde_json::from_slice::<Value>(&same).is_ok_and(|it| it["model"].is_string()));
        }
        let error = LlmRequest::from_bytes(Operation::Embeddings, "{}").expect_err("has no model");
        assert_eq!(error.param(), Some("model"));
    }

    #[test]
    fn an_unchanged_body_is_not_copied() {
        let body = Bytes::from_static(br#"{"model":"m","messages":[]}"#);
        let request =
            LlmRequest::from_bytes(Operation::ChatCompletions, body.clone()).expect("is valid");
        assert_eq!(request.upstream_body("m", false).as_ptr(), body.as_ptr());
    }

    #[test]
    fn router_fields_are_cut_and_everything_else_stays_as_it_was_sent() {
        let body = r#"{ "fallbacks": ["b"], "model" : "gpt", "temperature":0.20,"metadata":{"tags":["x"],"mine":1},
            "timeout": 3, "unknown":  {"z": [1 , 2]}, "priority": 0, "cache":{"no-cache":true} }"#;
        let request = chat(body).expect("is valid");
        assert_eq!(
            request.upstream_body("m\"x", false),
            r#"{ "model" : "m\"x", "temperature":0.20,"metadata":{"mine":1}, "unknown":  {"z": [1 , 2]} }"#,
        );
        assert_eq!(request.controls().timeout, Some(Duration::from_secs(3)));
        assert_eq!(request.controls().priority, Some(0));
        assert_eq!(request.tags(), [Arc::from("x")]);
    }

    #[test]
    fn metadata_of_nothing_but_router_fields_goes_whole() {
        let request = chat(r#"{"model":"gpt","metadata":{"tags":["x"],"session_id":"s"}}"#)
            .expect("is valid");
        assert_eq!(request.upstream_body("gpt", false), r#"{"model":"gpt"}"#);
        assert_eq!(request.session(), Some("s"));
    }

    #[test]
    fn usage_is_asked_for_in_whatever_form_the_options_have() {
        for (options, expected) in [
            (
                "",
                r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#,
            ),
            (
                r#","stream_options":null"#,
                r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#,
            ),
            (
                r#","stream_options":{}"#,
                r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#,
            ),
            (
                r#","stream_options":{"include_usage":false}"#,
                r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#,
            ),
            (
                r#","stream_options":{"x":1}"#,
                r#"{"model":"m","stream":true,"stream_options":{"include_usage":true,"x":1}}"#,
            ),
        ] {
            let request =
                chat(&format!(r#"{{"model":"m","stream":true{options}}}"#)).expect("is valid");
            assert!(!request.wants_stream_usage());
            assert_eq!(request.upstream_body("m", true), expected);
        }
    }

    proptest! {
        #[test]
        fn splicing_gives_what_editing_the_tree_gives(
            before in prop::collection::vec(0..8_usize, 0..4), after in prop::collection::vec(0..8_usize, 0..4), pretty: bool,
        ) {
            let members = [
                ("temperature", json!(0.5)), ("num_retries", json!(2)), ("priority", json!(1)), ("stream", json!(true)),
                ("unknown", json!({"model": "not this"})), ("stream_options", json!({"a": 1})), ("fallbacks", json!(["x"])),
                ("messages", json!([{"role": "user", "content": "hé\"llo"}])),
            ];
            let mut seen = std::collections::HashSet::new();
            let mut parts = Vec::new();
            let mut model = serde_json::Map::new();
            for (i, name) in before.iter().map(|i| Some(*i)).chain([None]).chain(after.iter().map(|i| Some(*i))).enumerate() {
                let (key, value) = match name {
                    Some(index) if seen.insert(index) => members[index].clone(),
                    Some(_) => continue,
                    None => ("model", json!("gpt")),
                };
                let separator = if pretty { format!("\n  {}", " ".repeat(i)) } else { String::new() };
                parts.push(format!("{separator}\"{key}\": {value}"));
                if !["num_retries", "priority", "fallbacks"].contains(&key) {
                    model.insert(key.to_owned(), value);
                }
            }
            model.insert("model".to_owned(), json!("target"));
            let options = model.entry("stream_options").or_insert_with(|| json!({}));
            options["include_usage"] = json!(true);
            let request = chat(&format!("{{{}}}", parts.join(","))).expect("is valid");
            let spliced: Value = serde_json::from_slice(&request.upstream_body("target", true)).expect("stays JSON");
            prop_assert_eq!(spliced, Value::Object(model));
        }
    }
}
