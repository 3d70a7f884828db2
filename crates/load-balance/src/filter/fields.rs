//! The filter by the fields of a request.

use std::sync::LazyLock;

use ziggurat_core::{FieldSet, LlmRequest};

use super::{Filter, Members};

/// Fields that change nothing about what is answered, or that every deployment is given in its own
/// way. A list of what a model understands may leave them out.
static NO_MATTER: LazyLock<FieldSet> = LazyLock::new(|| {
    FieldSet::from_iter([
        "metadata",
        "prompt_cache_key",
        "safety_identifier",
        "store",
        "stream",
        "stream_options",
        "user",
    ])
});

/// Different names of one thing: who understands one of them is asked by it.
static CAPS: LazyLock<FieldSet> = LazyLock::new(|| {
    FieldSet::from_iter(["max_completion_tokens", "max_output_tokens", "max_tokens"])
});

/// Leaves out the deployments that do not understand a field which the request has.
///
/// A deployment of which no [list of fields](ziggurat_core::Deployment::fields) is known
/// understands all. Fields that are not about the answer (`user`, `metadata`, …) do not count. Where
/// fields that are not understood are dropped instead (`drop_params`), leave this filter off. A
/// request that names its deployment by id is left alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct FieldFilter;

impl Filter<LlmRequest> for FieldFilter {
    fn filter(&self, request: &LlmRequest, members: &mut Members<'_>) {
        let asked = request.fields().without(*NO_MATTER);
        if asked.is_empty() || members.is_by_id() {
            return;
        }
        members.retain_traits(
            "fields",
            |member| {
                member
                    .fields
                    .is_none_or(|known| unknown(asked, known).is_empty())
            },
            |member| {
                let unknown = unknown(asked, member.fields.unwrap_or_default());
                let names: Vec<_> = unknown.names().collect();
                format!("does not understand `{}`", names.join("`, `"))
            },
        );
    }
}

fn unknown(asked: FieldSet, known: FieldSet) -> FieldSet {
    let unknown = asked.without(known);
    if known.and(*CAPS).is_empty() {
        unknown
    } else {
        unknown.without(*CAPS)
    }
}

#[cfg(test)]
mod tests {
    use ziggurat_core::{Deployment, Operation};

    use super::*;
    use crate::filter::members::left;

    #[test]
    fn who_does_not_understand_a_field_does_not_serve() {
        let members = || {
            let member = |id: &str| Deployment::new(id, "g", "m");
            let knows = |id: &str, fields: &[&str]| {
                member(id).with_fields(fields.iter().copied().collect())
            };
            [
                member("unknown"),
                knows("plain", &["max_tokens", "temperature"]),
                knows("more", &["temperature", "tools", "response_format"]),
            ]
        };
        for (fields, expected) in [
            ("", &["unknown", "plain", "more"][..]),
            (r#","temperature":1"#, &["unknown", "plain", "more"]),
            (r#","tools":[]"#, &["unknown", "more"]),
            (r#","max_completion_tokens":1"#, &["unknown", "plain"]),
            (
                r#","user":"u","stream":true"#,
                &["unknown", "plain", "more"],
            ),
            (r#","field_of_the_future":1"#, &["unknown", "plain", "more"]),
            (r#","seed":1,"tools":[]"#, &["unknown"]),
        ] {
            let body = format!(r#"{{"model":"g"{fields}}}"#);
            let request = LlmRequest::from_bytes(Operation::ChatCompletions, body);
            let (left, refused) = left(&FieldFilter, &request.expect("is valid"), members());
            assert_eq!(left, expected, "{fields}");
            if fields.contains("seed") {
                let why = [
                    "plain (fields: does not understand `seed`, `tools`)",
                    "more (fields: does not understand `seed`)",
                ];
                assert_eq!(refused, why);
            }
        }
    }
}
