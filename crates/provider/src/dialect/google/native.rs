//! A request in the client's own words.

use std::collections::BTreeMap;

use bytes::Bytes;
use memchr::memmem;
use serde_json::{Value, json, value::RawValue};

use super::{thinking::Model, tools::camel};
use crate::shape::generate;

/// The body as it is sent: as it is, but for what another name or another model's answer made of it.
pub(super) fn body(model: &str, body: Bytes) -> Bytes {
    let demands = Model::of(model).has_levels();
    placed(generate::for_google(body, demands))
}

/// The body with what is added to requests in OpenAI's words (by the deployment, or for a fallback) in
/// its place, `generationConfig`.
fn placed(body: Bytes) -> Bytes {
    let is_named = |name: &str| memmem::find(&body, name.as_bytes()).is_some();
    let names = || generate::CONFIG_NAMES.into_iter().chain([generate::STOP]);
    if !names().any(|(_, usual)| is_named(usual)) {
        return body;
    }
    let Ok(mut members) = serde_json::from_slice::<BTreeMap<String, Box<RawValue>>>(&body) else {
        return body;
    };
    let added: Vec<_> = names()
        .filter_map(|(own, usual)| Some((own, members.remove(usual)?)))
        .collect();
    if added.is_empty() {
        return body;
    }
    let known = ["generationConfig", "generation_config"];
    let place = known.into_iter().find(|name| members.contains_key(*name));
    let place = place.unwrap_or(known[0]);
    let config = members.get(place);
    let config = config.and_then(|config| serde_json::from_str(config.get()).ok());
    let mut config: Value = config.filter(Value::is_object).unwrap_or_else(|| json!({}));
    for (own, value) in added {
        if let Some(fields) = config.as_object_mut() {
            fields.retain(|name, _| camel(name) != own);
        }
        config[own] = match serde_json::from_str(value.get()).unwrap_or_default() {
            Value::String(stop) => vec![stop].into(),
            value => value,
        };
    }
    let Ok(config) = serde_json::value::to_raw_value(&config) else {
        return body;
    };
    members.insert(place.to_owned(), config);
    serde_json::to_vec(&members).map_or(body, Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(sent: &Value) -> Value {
        let body = body("gemini-2.5-pro", sent.to_string().into());
        serde_json::from_slice(&body).expect("is JSON")
    }

    #[test]
    fn what_a_client_says_passes_byte_for_byte() {
        let own = r#"{ "contents": [{"parts":[{"text":"top_p and temperature"}]}], "generationConfig": {"temperature": 1.0, "seed":7}, "future": {"n":1} }"#;
        let own = Bytes::from_static(own.as_bytes());
        assert_eq!(body("gemini-2.5-pro", own.clone()).as_ptr(), own.as_ptr());
    }

    #[test]
    fn what_is_added_comes_into_its_place() {
        let contents = json!([{"parts": [{"text": "x"}]}]);
        let added = json!({"contents": contents, "temperature": 0.5, "max_tokens": 9});
        let expected = json!({"contents": contents, "generationConfig": {"temperature": 0.5, "maxOutputTokens": 9}});
        assert_eq!(sent(&added), expected);
        let over = json!({"contents": contents, "generation_config": {"temperature": 1, "topP": 1, "max_output_tokens": 7}, "temperature": 0, "max_tokens": 5});
        let expected = json!({"contents": contents, "generation_config": {"temperature": 0, "topP": 1, "maxOutputTokens": 5}});
        assert_eq!(sent(&over), expected);
    }
}
