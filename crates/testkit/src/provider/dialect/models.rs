//! The lists of models: each provider has one, of its own name.

use http::HeaderMap;
use serde_json::{Value, json};

use crate::provider::render::CREATED;

/// The list that a path asks for, or one model of it; `None` if it asks for something else.
pub(crate) fn models(name: &str, path: &str, headers: &HeaderMap) -> Option<Value> {
    let path = path.split('?').next().unwrap_or_default();
    if path.ends_with("/api/tags") {
        return Some(json!({"models": [{"name": name, "model": name}]}));
    }
    let (before, rest) = path.rsplit_once("/models")?;
    let is_google = before.ends_with("/v1beta");
    let model = if is_google {
        let methods = ["generateContent", "embedContent", "countTokens"];
        let full = format!("models/{name}");
        json!({"name": full, "displayName": name, "supportedGenerationMethods": methods})
    } else if headers.contains_key("anthropic-version") {
        json!({
            "type": "model",
            "id": name,
            "display_name": name,
            "created_at": "2023-11-14T22:13:20Z",
        })
    } else {
        json!({"id": name, "object": "model", "created": CREATED, "owned_by": "simulator"})
    };
    match rest {
        "" if is_google => Some(json!({ "models": [model] })),
        "" => Some(json!({
            "object": "list",
            "data": [model],
            "has_more": false,
            "first_id": name,
            "last_id": name,
        })),
        one if one.strip_prefix('/') == Some(name) => Some(model),
        _ => None,
    }
}
