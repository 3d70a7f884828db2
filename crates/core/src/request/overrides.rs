//! What a request says differently where it goes to another group.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde_json::{Map, Value, value::RawValue};

use crate::{
    ClientCredentials, Error, LlmRequest, ReadOptions, Secret,
    fallback_target::wrong,
    head::{Given, Head, ModelAs},
};

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
    /// [`BadRequest`](crate::ErrorKind::BadRequest) if a field cannot be overridden, or its value
    /// is of a wrong type.
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

impl LlmRequest {
    /// The same request with a body in which these fields are new. What did not come in the body
    /// stays, unless a field says it.
    fn with_body(&self, body: Vec<u8>, new: &Map<String, Value>) -> Result<Self, Error> {
        let options = ReadOptions::new().client_credentials(true);
        let old = self.head();
        // It stays what the path says.
        let given = (old.model_as == ModelAs::Beside).then(|| Given {
            model: Arc::clone(&old.model),
            stream: old.stream,
        });
        let mut head = match &old.form {
            None => Head::read(self.operation(), &body, given, options)?,
            Some(form) => form.head(self.operation(), &body, options)?,
        };
        let said = |names: &[&str]| names.iter().any(|name| new.contains_key(*name));
        if !said(&["tags", "metadata", "litellm_metadata"]) {
            head.tags.clone_from(&old.tags);
        } else if let Some(caller) = self.caller() {
            // Those of the caller are not the client's to take away.
            let lost = caller.tags.iter().filter(|tag| old.tags.contains(tag));
            head.tags.extend(lost.cloned());
        }
        if !said(&["litellm_session_id", "metadata", "litellm_metadata"]) {
            head.session.clone_from(&old.session);
        }
        let mut controls = self.controls().clone();
        if let Some(read) = &head.controls {
            if said(&["timeout", "request_timeout"]) {
                controls.timeout = read.timeout;
            }
            if said(&["stream_timeout"]) {
                controls.stream_timeout = read.stream_timeout;
            }
            if said(&["num_retries"]) {
                controls.num_retries = read.num_retries;
            }
        }
        head.controls = Some(Box::new(controls));
        head.needs = head.needs.union(self.inner.required);
        let body = self.hold(body.into());
        let mut other = self.clone();
        let inner = other.make_mut();
        inner.body = body;
        inner.head = head;
        Ok(other)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{FallbackTarget, Operation};

    fn overrides(value: Value) -> Overrides {
        let target = FallbackTarget::from_json(value, ReadOptions::new()).expect("is a target");
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
}
