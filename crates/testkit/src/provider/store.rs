//! What a provider keeps for its clients: files, batches and responses, in OpenAI's shape.

mod batches;
mod files;
mod responses;
mod shelf;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use parking_lot::Mutex;
use serde_json::{Value, json};

use self::shelf::Shelf;
use super::{
    Step,
    answer::{self, JSON, Plan},
    refusal,
};

const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// What is kept. The oldest of a kind goes when there are too many.
#[derive(Debug, Default)]
pub(super) struct Store {
    shelves: Mutex<Shelves>,
}

#[derive(Debug, Default)]
struct Shelves {
    files: Shelf<Bytes>,
    batches: Shelf<()>,
    /// With the items that were their input.
    responses: Shelf<Value>,
}

/// A request about something that is kept.
#[derive(Debug)]
pub(super) struct Wish<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
    /// What new things are called.
    pub(super) name: String,
}

/// What comes back.
enum Given {
    Json(Value),
    Bytes(Bytes),
    /// A status, a message, and a code.
    Refused(StatusCode, String, Option<&'static str>),
}

impl Given {
    fn no(message: impl Into<String>) -> Self {
        Self::Refused(StatusCode::BAD_REQUEST, message.into(), None)
    }

    fn unknown(what: &str, id: &str) -> Self {
        let message = format!("No such {what}: {id}");
        Self::Refused(StatusCode::NOT_FOUND, message, None)
    }
}

/// Where a path leads: a kind of things, one of them, and what is to be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place<'a> {
    kind: &'a str,
    id: Option<&'a str>,
    action: Option<&'a str>,
}

impl<'a> Place<'a> {
    fn of(method: &Method, path: &'a str) -> Option<Self> {
        let path = path.split('?').next().unwrap_or_default();
        let mut parts = path
            .split('/')
            .skip_while(|part| ["", "v1", "openai"].contains(part));
        let place = Self {
            kind: parts.next()?,
            id: parts.next().filter(|id| !id.is_empty()),
            action: parts.next(),
        };
        let is_known = match place.kind {
            "files" | "batches" => true,
            // What asks for an answer is not about one that is kept.
            "responses" => method != Method::POST || place.action == Some("cancel"),
            _ => false,
        };
        (is_known && parts.next().is_none()).then_some(place)
    }
}

impl Store {
    /// Whether a path is that of something that is kept.
    pub(super) fn keeps(method: &Method, path: &str) -> bool {
        Place::of(method, path).is_some()
    }

    /// Decides the answer to a request; `None` if it is about nothing that is kept.
    pub(super) fn plan(&self, step: &Step, wish: &Wish<'_>) -> Option<Plan> {
        let place = Place::of(wish.method, wish.path)?;
        let mut shelves = self.shelves.lock();
        let given = match place.kind {
            "files" => files::answer(&mut shelves, place, wish),
            "batches" => batches::answer(&mut shelves, place, wish),
            _ => responses::answer(&mut shelves, place, wish),
        };
        Some(match given {
            Given::Json(json) => answer::buffered(step, json.to_string().into(), JSON),
            Given::Bytes(bytes) => answer::buffered(step, bytes, BYTES),
            Given::Refused(status, message, code) => {
                let error = refusal::error_value(status, code, None, &message);
                answer::refuse(status, error.to_string().into())
            }
        })
    }

    /// Keeps a response, if its client wants that.
    pub(super) fn keep_response(&self, mut response: Value, request: &Value) {
        if request["store"] != false {
            let items = responses::items(request);
            if request["background"] == true {
                response["background"] = true.into();
                response["status"] = "queued".into();
            }
            self.shelves.lock().responses.put(response, items);
        }
    }

    /// Whether a request goes on from a response that is not here.
    pub(super) fn misses(&self, request: &Value) -> Option<Plan> {
        let previous = request["previous_response_id"].as_str()?;
        if self.shelves.lock().responses.get(previous).is_some() {
            return None;
        }
        let message = format!("Previous response with id '{previous}' not found.");
        let code = Some("previous_response_not_found");
        let status = StatusCode::BAD_REQUEST;
        let mut error = refusal::error_value(status, code, None, &message);
        error["error"]["param"] = "previous_response_id".into();
        Some(answer::refuse(status, error.to_string().into()))
    }
}

/// A member of the query of a path.
fn query<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = path.split_once('?')?;
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(key, _)| *key == name);
    values.next().map(|(_, value)| value)
}

/// A page of objects.
fn list(path: &str, objects: impl Iterator<Item = Value>) -> Given {
    let limit = query(path, "limit").and_then(|limit| limit.parse().ok());
    let limit = limit.unwrap_or(20_usize).clamp(1, 10_000);
    let mut objects: Box<dyn Iterator<Item = Value> + '_> = Box::new(objects);
    if let Some(after) = query(path, "after") {
        objects = Box::new(objects.skip_while(move |it| it["id"] != after).skip(1));
    }
    let page: Vec<_> = objects.by_ref().take(limit).collect();
    let has_more = objects.next().is_some();
    let id = |object: Option<&Value>| object.map_or(Value::Null, |it| it["id"].clone());
    Given::Json(json!({
        "object": "list",
        "first_id": id(page.first()),
        "last_id": id(page.last()),
        "has_more": has_more,
        "data": page,
    }))
}

/// The boundary of the parts of a form.
fn boundary(headers: &HeaderMap) -> Option<&str> {
    let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let (_, rest) = kind.split_once("boundary=")?;
    let end = rest.split(';').next()?;
    Some(end.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_what_is_kept() {
        let place =
            |method: Method, path| Place::of(&method, path).map(|it| (it.kind, it.id, it.action));
        assert_eq!(
            place(Method::POST, "/v1/files"),
            Some(("files", None, None))
        );
        assert_eq!(
            place(Method::GET, "/openai/v1/files/file-1/content?x=y"),
            Some(("files", Some("file-1"), Some("content")))
        );
        assert_eq!(
            place(Method::GET, "/responses/resp_1"),
            Some(("responses", Some("resp_1"), None))
        );
        assert!(place(Method::POST, "/v1/responses/resp_1/cancel").is_some());
        for path in [
            "/v1/responses",
            "/v1/responses/input_tokens",
            "/v1/messages/batches",
        ] {
            assert_eq!(place(Method::POST, path), None, "{path}");
        }
        assert_eq!(place(Method::GET, "/v1/vector_stores/vs_1/files"), None);
        assert_eq!(place(Method::GET, "/v1/models"), None);
    }
}
