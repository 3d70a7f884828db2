use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Given, Place, Shelves, Wish, list};

/// A response in the background is done when somebody looks at it for the first time.
pub(super) fn answer(shelves: &mut Shelves, place: Place<'_>, wish: &Wish<'_>) -> Given {
    let responses = &mut shelves.responses;
    let unknown = |id: &str| {
        let message = format!("Response with id '{id}' not found.");
        Given::Refused(StatusCode::NOT_FOUND, message, None)
    };
    let Some(id) = place.id else {
        return Given::no("there is no list of responses");
    };
    match (wish.method, place.action) {
        (&Method::GET, None) => match responses.get_mut(id) {
            Some(response) => {
                if response["status"] == "queued" {
                    response["status"] = "completed".into();
                }
                Given::Json(response.clone())
            }
            None => unknown(id),
        },
        (&Method::GET, Some("input_items")) => match responses.get(id) {
            Some((_, items)) => {
                let items = items.as_array().cloned().unwrap_or_default();
                list(wish.path, items.into_iter())
            }
            None => unknown(id),
        },
        (&Method::DELETE, None) => match responses.remove(id) {
            Some(_) => Given::Json(json!({"id": id, "object": "response", "deleted": true})),
            None => unknown(id),
        },
        (&Method::POST, Some("cancel")) => match responses.get_mut(id) {
            Some(response) if response["background"] == true => {
                if response["status"] == "queued" {
                    response["status"] = "cancelled".into();
                }
                Given::Json(response.clone())
            }
            Some(_) => Given::no("Only responses in the background can be cancelled."),
            None => unknown(id),
        },
        _ => Given::no("there is no such method for responses"),
    }
}

/// The input of a request as items with ids.
pub(super) fn items(request: &Value) -> Value {
    let items = match &request["input"] {
        Value::Array(items) => items.clone(),
        Value::String(text) => vec![json!({"role": "user", "content": text})],
        _ => Vec::new(),
    };
    let items = items.into_iter().enumerate().map(|(at, mut item)| {
        if let Value::String(text) = &item["content"] {
            item["content"] = json!([{"type": "input_text", "text": text}]);
        }
        if let Value::Object(members) = &mut item {
            members
                .entry("id")
                .or_insert_with(|| json!(format!("msg_input_{at}")));
            members.entry("type").or_insert_with(|| json!("message"));
        }
        item
    });
    items.collect()
}
