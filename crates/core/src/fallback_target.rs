//! Groups that stand in for others.

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;
use serde_json::Value;

use crate::{Error, ErrorKind, Overrides, ReadOptions};

/// A model group that stands in for another one, and what a request says differently there.
///
/// Two targets are the same if they have the same group and the same overrides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FallbackTarget {
    group: Arc<str>,
    overrides: Option<Arc<Overrides>>,
}

impl FallbackTarget {
    /// A group, for the request as it is.
    #[must_use]
    pub fn new(group: impl Into<Arc<str>>) -> Self {
        Self {
            group: group.into(),
            overrides: None,
        }
    }

    /// The same group, for a request with other values.
    #[must_use]
    pub fn with_overrides(mut self, overrides: impl Into<Arc<Overrides>>) -> Self {
        self.overrides = Some(overrides.into());
        self
    }

    /// A target as clients and configurations write it: a name, or an object with the name as
    /// `model` and the other values.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadRequest`] if it is neither, or if there is a credential or an endpoint in it
    /// that the options do not allow.
    pub fn from_json(value: Value, options: ReadOptions) -> Result<Self, Error> {
        match value {
            Value::String(group) if !group.is_empty() => Ok(Self::new(group)),
            Value::Object(mut fields) => match fields.remove("model") {
                Some(Value::String(group)) if !group.is_empty() => {
                    let target = Self::new(group);
                    if fields.is_empty() {
                        return Ok(target);
                    }
                    Ok(target.with_overrides(Overrides::new(fields, options)?))
                }
                _ => Err(wrong("a fallback that is an object needs a `model`")),
            },
            _ => Err(wrong(
                "a fallback is the name of a model, or an object with a `model`",
            )),
        }
    }

    /// The group.
    #[must_use]
    pub fn group(&self) -> &Arc<str> {
        &self.group
    }

    /// What the request says differently.
    #[must_use]
    pub fn overrides(&self) -> Option<&Overrides> {
        self.overrides.as_deref()
    }
}

impl From<&str> for FallbackTarget {
    fn from(group: &str) -> Self {
        Self::new(group)
    }
}

impl From<String> for FallbackTarget {
    fn from(group: String) -> Self {
        Self::new(group)
    }
}

impl From<Arc<str>> for FallbackTarget {
    fn from(group: Arc<str>) -> Self {
        Self::new(group)
    }
}

/// Fallbacks as a client may send them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fallbacks {
    /// For any group.
    List(Vec<FallbackTarget>),
    /// Group by group, as in a configuration: `[{"gpt": ["claude"]}]`.
    Map(Vec<BTreeMap<Arc<str>, Vec<FallbackTarget>>>),
}

impl Fallbacks {
    /// How many targets are listed; an empty list counts as one.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::List(targets) => targets.len(),
            Self::Map(maps) => {
                let lists = maps.iter().flatten();
                lists.map(|(_, targets)| targets.len().max(1)).sum()
            }
        }
    }

    /// Whether nothing is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads a list of targets, or a list of maps: one whose objects name a `model`, or a field with
    /// a value that is no list, is of the first kind.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadRequest`], saying what is wrong.
    pub fn from_json(value: Value, options: ReadOptions) -> Result<Self, Error> {
        let Value::Array(items) = value else {
            return Err(wrong("fallbacks are a list"));
        };
        let is_target = |item: &Value| match item {
            Value::Object(map) => map.values().any(|value| !value.is_array()),
            _ => true,
        };
        if items.iter().any(is_target) {
            let targets = items
                .into_iter()
                .map(|item| FallbackTarget::from_json(item, options));
            return targets.collect::<Result<_, _>>().map(Self::List);
        }
        type Lists = BTreeMap<Arc<str>, Vec<Value>>;
        let maps = items.into_iter().map(|item| {
            let lists = Lists::deserialize(item).map_err(|error| wrong(error.to_string()))?;
            let read = |(group, targets): (Arc<str>, Vec<Value>)| {
                let targets = targets.into_iter();
                let targets = targets.map(|target| FallbackTarget::from_json(target, options));
                Ok((group, targets.collect::<Result<_, _>>()?))
            };
            lists.into_iter().map(read).collect::<Result<_, _>>()
        });
        maps.collect::<Result<Vec<_>, Error>>().map(|maps| {
            if maps.is_empty() {
                Self::List(Vec::new())
            } else {
                Self::Map(maps)
            }
        })
    }
}

pub(crate) fn wrong(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::BadRequest, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::LlmRequest;

    fn target(value: Value) -> Result<FallbackTarget, Error> {
        FallbackTarget::from_json(value, ReadOptions::new())
    }

    #[test]
    fn a_credential_needs_leave_and_is_shown_to_nobody() {
        let value =
            json!({"model": "b", "api_key": "canary", "api_base": "http://canary:canary@x"});
        assert_eq!(
            target(value.clone()).expect_err("has no leave").param(),
            Some("api_key")
        );
        let options = ReadOptions::new().client_credentials(true);
        let allowed = FallbackTarget::from_json(value, options).expect("has leave");
        assert!(!format!("{allowed:?}").contains("canary"));
        let request = LlmRequest::chat("gpt", "hi");
        let sent = allowed.overrides().expect("has some").apply(&request);
        let client = sent.expect("applies").controls().client.clone();
        assert_eq!(
            client.and_then(|it| it.base_url).as_deref(),
            Some("http://canary:canary@x")
        );
    }

    #[test]
    fn what_cannot_be_a_target_says_so() {
        for value in [
            json!(7),
            json!(""),
            json!({"temperature": 1}),
            json!({"model": ["x"], "temperature": 1}),
            json!({"model": "b", "stream": true}),
            json!({"model": "b", "timeout": -1}),
            json!({"model": "b", "api_key": 7}),
        ] {
            let error = target(value.clone()).expect_err("is none");
            assert_eq!(error.kind(), ErrorKind::BadRequest, "{value}");
        }
    }

    #[test]
    fn a_list_of_targets_and_a_list_of_maps_are_told_apart() {
        let read = |value| Fallbacks::from_json(value, ReadOptions::new()).expect("is valid");
        let is_list = |value| matches!(read(value), Fallbacks::List(_));
        assert!(is_list(json!(["a", "b"])));
        assert!(is_list(json!([{"model": "a", "temperature": 0}, "b"])));
        assert!(is_list(json!([])));
        assert!(!is_list(
            json!([{"model": ["a"]}, {"gpt": ["b", {"model": "c"}]}])
        ));
        let maps = json!([{"gpt": ["b", {"model": "c"}], "x": []}]);
        assert_eq!(read(maps).len(), 3);
        for wrong in [
            json!({"gpt": ["a"]}),
            json!([["a"]]),
            json!([{"gpt": [["a"]]}]),
        ] {
            assert!(Fallbacks::from_json(wrong, ReadOptions::new()).is_err());
        }
    }
}
