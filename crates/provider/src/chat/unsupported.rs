//! What a provider has no place for: refused by name, or left out where the deployment says so.
//!
//! Nothing was sent then, and another deployment may have a place for it: such an error is a
//! [`Rejection`], which costs nothing. What is wrong wherever it is sent is none.

use std::borrow::Cow;

use serde_json::{Map, Number, Value};
use ziggurat_core::{Deployment, Error, Operation, Reason, Rejection, Scope};

use super::ChatRequest;

/// Fields that clients send by habit, or that only hint at something: without them the answer is as
/// good.
const HARMLESS: &[&str] = &[
    "metadata",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    // Where there is nothing to stream.
    "stream",
    "stream_options",
    "user",
    "verbosity",
];

/// Whether a deployment leaves out what its provider has no place for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fit {
    drops: bool,
}

impl Fit {
    pub(crate) fn of(deployment: &Deployment) -> Self {
        let drops = deployment.drops_params();
        Self { drops }
    }

    /// Leaves something out.
    ///
    /// # Errors
    ///
    /// The refusal, if it may not be left out.
    pub(crate) fn without(self, refusal: impl FnOnce() -> Error) -> Result<(), Error> {
        match self.drops {
            true => Ok(()),
            false => Err(refusal()),
        }
    }
}

/// That a provider has no place for what stands at `at`.
pub(crate) fn refusal(at: &str, message: impl Into<Cow<'static, str>>) -> Error {
    let rejection = Rejection::new(Reason::Unsupported, Scope::Attempt);
    Error::rejected(rejection, message).with_param(at)
}

/// A value that the provider does not know.
pub(crate) fn value(at: &str, expected: &str) -> Error {
    let error = refusal(at, format!("`{at}` must be {expected}"));
    error.with_code("unsupported_value")
}

/// A part of a message that the provider does not read.
pub(crate) fn content(at: &str, message: impl Into<Cow<'static, str>>) -> Error {
    refusal(at, message).with_code("unsupported_content")
}

/// The same refusal, with the name of the provider for whom it speaks.
pub(crate) fn told(error: Error, deployment: &Deployment) -> Error {
    let Some(rejection) = error.rejection().cloned() else {
        return error;
    };
    let message = format!("{} (provider `{}`)", error.message(), deployment.provider());
    let told = Error::rejected(rejection, message).with_code(error.code());
    match error.param() {
        Some(at) => told.with_param(at),
        None => told,
    }
}

/// Refuses a field, if it asks for something that the provider does not do.
///
/// # Errors
///
/// A [`refusal`], naming the field, unless the deployment leaves such fields out.
pub(crate) fn refuse(deployment: &Deployment, field: &str, asks: bool) -> Result<(), Error> {
    if !asks {
        return Ok(());
    }
    Fit::of(deployment).without(|| {
        let message = format!("`{field}` is not supported by the model's provider");
        refusal(field, message)
    })
}

/// That a provider does not serve an operation.
pub(crate) fn operation(operation: Operation) -> Error {
    let message = format!("the operation `{operation}` is not supported by the model's provider");
    let rejection = Rejection::new(Reason::Unsupported, Scope::Attempt);
    Error::rejected(rejection, message).with_code("unsupported_operation")
}

/// Whether a number is there that is not zero.
pub(crate) fn is_not_zero(number: Option<&Number>) -> bool {
    number.is_some_and(|number| number.as_f64() != Some(0.0))
}

/// Of the fields that no dialect reads, those that the provider knows. The others are refused, but
/// for those that would change nothing.
///
/// # Errors
///
/// As [`refuse`].
pub(crate) fn known(
    deployment: &Deployment,
    other: Map<String, Value>,
    names: &[&str],
) -> Result<Map<String, Value>, Error> {
    let mut known = Map::new();
    for (name, value) in other {
        if names.contains(&name.as_str()) {
            known.insert(name, value);
        } else {
            refuse(deployment, &name, asks(&name, &value))?;
        }
    }
    Ok(known)
}

fn asks(name: &str, value: &Value) -> bool {
    match value {
        _ if HARMLESS.contains(&name) => false,
        Value::Null | Value::Bool(false) => false,
        Value::Object(members) => !members.is_empty(),
        Value::Array(list) if name == "modalities" => list.iter().any(|kind| kind != "text"),
        Value::Array(list) => !list.is_empty(),
        _ => true,
    }
}

impl ChatRequest {
    /// Whether more than one answer is asked for.
    pub(crate) fn asks_choices(&self) -> bool {
        self.n.is_some_and(|n| n > 1)
    }

    /// Whether the probabilities of tokens are asked for.
    pub(crate) fn asks_logprobs(&self) -> bool {
        self.logprobs == Some(true) || self.top_logprobs.is_some_and(|top| top > 0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn other(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(fields) => fields,
            _ => panic!("an object"),
        }
    }

    #[test]
    fn what_is_unknown_is_refused_by_name_or_dropped() {
        let fields = || other(json!({"mine": 1, "logit_bias": {"7": 1}}));
        let deployment = Deployment::new("a", "gpt", "m");
        let error = known(&deployment, fields(), &["mine"]).expect_err("is refused");
        assert_eq!(
            (error.status().as_u16(), error.param(), error.code()),
            (400, Some("logit_bias"), "unsupported_parameter")
        );
        let drops = deployment.with_drop_params(true);
        let kept = known(&drops, fields(), &["mine"]).expect("the other is dropped");
        assert_eq!(Value::Object(kept), json!({"mine": 1}));
    }

    #[test]
    fn what_changes_nothing_is_left_out_in_silence() {
        let fields = json!({
            "store": true, "metadata": {"a": "b"}, "service_tier": "auto", "logit_bias": {},
            "modalities": ["text"], "audio": null, "functions": [],
        });
        let deployment = Deployment::new("a", "gpt", "m");
        let kept = known(&deployment, other(fields), &[]).expect("is harmless");
        assert!(kept.is_empty());
        let audio = other(json!({"modalities": ["text", "audio"]}));
        assert!(known(&deployment, audio, &[]).is_err());
    }

    #[test]
    fn a_default_asks_for_nothing() {
        let zero = [json!(0), json!(0.0), json!(0.5)];
        let number = |value: &Value| value.as_number().cloned();
        let asks = zero.map(|value| is_not_zero(number(&value).as_ref()));
        assert_eq!(asks, [false, false, true]);
        assert!(!is_not_zero(None));
        let request = |n, logprobs| ChatRequest {
            n: Some(n),
            logprobs: Some(logprobs),
            ..ChatRequest::default()
        };
        assert!(!request(1, false).asks_choices() && !request(1, false).asks_logprobs());
        assert!(request(2, true).asks_choices() && request(2, true).asks_logprobs());
    }
}
