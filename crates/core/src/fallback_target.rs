//! Groups that stand in for others, and what a request says differently there.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use crate::{ClientCredentials, Error, ErrorKind, LlmRequest, ReadOptions, Secret};

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

/// Values that take the place of a request's own, or are added to them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    fields: Map<String, Value>,
    client: Option<ClientCredentials>,
}

impl Overrides {
    /// Fields of the body of a request. `api_key`, `api_base` and `base_url` say with what and where
    /// the request is sent.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadRequest`] if a field cannot be overridden, or its value is of a wrong type.
    pub fn new(mut fields: Map<String, Value>, options: ReadOptions) -> Result<Self, Error> {
        let mut client = ClientCredentials {
            is_owners: options.are_owners(),
            ..ClientCredentials::default()
        };
        for name in ["api_key", "api_base", "base_url"] {
            let Some(value) = fields.remove(name) else {
                continue;
            };
            if !options.allows_client_credentials() {
                let message = format!(
                    "`{name}` cannot be chosen by a request; configure it for a deployment"
                );
                return Err(wrong(message).with_param(name));
            }
            let Value::String(value) = value else {
                return Err(wrong(format!("`{name}` must be a string")).with_param(name));
            };
            match name {
                "api_key" => client.api_key = Some(Secret::new(value)),
                _ => client.base_url = Some(value.into()),
            }
        }
        for name in ["model", "stream", "stream_options", "n"] {
            if fields.contains_key(name) {
                let message = format!("a fallback cannot override `{name}`");
                return Err(wrong(message).with_param(name));
            }
        }
        let has_client = client.api_key.is_some() || client.base_url.is_some();
        let overrides = Self {
            fields,
            client: has_client.then_some(client),
        };
        // What is wrong with them is told where they are written, not when they are needed.
        overrides.apply(&LlmRequest::chat("model", ""))?;
        Ok(overrides)
    }

    /// The fields.
    #[must_use]
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// With what and where the request is sent.
    #[must_use]
    pub fn client(&self) -> Option<&ClientCredentials> {
        self.client.as_ref()
    }

    /// The request with these values. What it says in headers stays, unless it is overridden.
    pub(crate) fn apply(&self, request: &LlmRequest) -> Result<LlmRequest, Error> {
        let mut request = match self.fields.is_empty() {
            true => request.clone(),
            false => {
                let body = match request.form() {
                    Some(form) => form.merge(request.body(), &self.fields)?,
                    None => self.merge(request.body())?,
                };
                request.with_body(body, &self.fields)?
            }
        };
        if let Some(client) = &self.client {
            request.controls_mut().client = Some(client.clone());
        }
        Ok(request)
    }

    /// The body with these fields; what stays is not read, and stays as it was written.
    fn merge(&self, body: &[u8]) -> Result<Vec<u8>, Error> {
        let malformed =
            |error: serde_json::Error| wrong(format!("the body cannot be read: {error}"));
        let mut members: BTreeMap<String, Box<RawValue>> =
            serde_json::from_slice(body).map_err(malformed)?;
        for (name, value) in &self.fields {
            let value = serde_json::value::to_raw_value(value).map_err(malformed)?;
            members.insert(name.clone(), value);
        }
        serde_json::to_vec(&members).map_err(malformed)
    }
}

impl fmt::Debug for Overrides {
    /// Shows the names; what is said under them is the client's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overrides")
            .field("fields", &self.fields.keys())
            .field("client", &self.client)
            .finish()
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

fn wrong(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::BadRequest, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Operation;

    fn target(value: Value) -> Result<FallbackTarget, Error> {
        FallbackTarget::from_json(value, ReadOptions::new())
    }

    fn overrides(value: Value) -> Overrides {
        let target = target(value).expect("is a target");
        target.overrides().expect("has some").clone()
    }

    #[test]
    fn what_is_overridden_is_replaced_and_the_rest_stays_as_it_was_written() {
        let body = r#"{"model":"gpt","messages":[],"temperature":1.50,"big":12345678901234567890123,"timeout":9}"#;
        let request = LlmRequest::from_bytes(Operation::ChatCompletions, body).expect("is valid");
        let overrides =
            overrides(json!({"model": "b", "temperature": 0, "timeout": 3, "x": {"y": 1}}));
        let other = overrides.apply(&request).expect("applies");
        assert_eq!(
            other.upstream_body("m", false),
            r#"{"big":12345678901234567890123,"messages":[],"model":"m","temperature":0,"x":{"y":1}}"#
        );
        assert_eq!(other.controls().timeout.map(|time| time.as_secs()), Some(3));
        assert_eq!(
            request.controls().timeout.map(|time| time.as_secs()),
            Some(9)
        );
    }

    #[test]
    fn what_came_in_headers_stays_unless_it_is_overridden() {
        let mut request = LlmRequest::chat("gpt", "hi").with_session("s");
        request.add_tags(["eu"]);
        request.controls_mut().num_retries = Some(7);
        request.controls_mut().timeout = Some(std::time::Duration::from_secs(5));
        let other = overrides(json!({"model": "b", "num_retries": 1, "messages": []}));
        let other = other.apply(&request).expect("applies");
        assert_eq!(other.controls().num_retries, Some(1));
        assert_eq!(other.controls().timeout, request.controls().timeout);
        assert_eq!((other.session(), other.tags().len()), (Some("s"), 1));
        let tags = overrides(json!({"model": "b", "metadata": {"tags": ["us", "x"]}}));
        assert_eq!(tags.apply(&request).expect("applies").tags().len(), 2);
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
