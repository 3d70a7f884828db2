//! Embeddings in Google's shape, over those in OpenAI's.

use axum::{
    body::{Body, Bytes},
    http::{Request, header::CONTENT_LENGTH, request::Parts},
    response::Response,
};
use http_body_util::BodyExt as _;
use serde_json::{Map, Value, json};
use tower_service::Service;
use ziggurat::{Error, ErrorKind, LlmRequest, LlmResponse, off_reactor};

use super::bad;
use crate::{Endpoint, Gateway, ResponseBody, app::shaped, shape::ErrorShape};

/// `:embedContent`, and `:batchEmbedContents` unless there `is_one`.
pub(super) async fn embed<S>(
    gateway: &Gateway,
    endpoint: &mut Endpoint<S>,
    model: &str,
    is_one: bool,
    request: Request<Body>,
) -> Response
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone,
    S::Error: Into<Error>,
    S::Future: Send + 'static,
{
    let (mut parts, sent) = request.into_parts();
    let asked = match asking(gateway, &parts, sent, model, is_one).await {
        Ok(asked) => asked,
        Err(error) => return shaped(&error, ErrorShape::Google),
    };
    parts.headers.remove(CONTENT_LENGTH);
    let request = Request::from_parts(parts, Body::from(asked));
    let Ok(answer) = endpoint.call(request).await;
    if !answer.status().is_success() {
        return answer.map(Body::new);
    }
    let (mut parts, body) = answer.into_parts();
    match answering(body, is_one).await {
        Ok(answer) => {
            parts.headers.remove(CONTENT_LENGTH);
            Response::from_parts(parts, Body::from(answer))
        }
        Err(error) => shaped(&error, ErrorShape::Google),
    }
}

/// The body of the request in OpenAI's shape.
async fn asking(
    gateway: &Gateway,
    parts: &Parts,
    body: Body,
    model: &str,
    is_one: bool,
) -> Result<String, Error> {
    let body = gateway.read_body(parts, body).await?;
    let (model, tasks) = (model.to_owned(), tasks(gateway, model));
    let length = body.len();
    let asking = move || asked_for(&body, &model, is_one, tasks).map(|asked| asked.to_string());
    off_reactor(length, asking).await
}

/// The body of the answer in Google's shape.
async fn answering(body: ResponseBody, is_one: bool) -> Result<String, Error> {
    let body = body.collect().await?.to_bytes();
    let length = body.len();
    let answering = move || answered(&body, is_one).map(|answer| answer.to_string());
    off_reactor(length, answering).await
}

/// Whether all who serve a model know what a vector may be for. To others it is not said: theirs are
/// for everything.
fn tasks(gateway: &Gateway, model: &str) -> bool {
    let deployments = gateway.deployments().load();
    let group = deployments.resolve(model);
    let is_google_s =
        |provider: &str| matches!(provider, "gemini" | "vertex_ai" | "vertex_ai_beta");
    group.is_some_and(|group| {
        let mut members = group.members().iter();
        members.all(|member| is_google_s(member.provider()))
    })
}

/// The request as OpenAI's. What is the router's passes as it is.
fn asked_for(body: &[u8], model: &str, is_one: bool, tasks: bool) -> Result<Value, Error> {
    let body: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| bad(format!("the body cannot be read: {error}")))?;
    let mut body = Fields(body);
    let mut requests = match is_one {
        true => Vec::new(),
        false => match body.take("requests", "requests") {
            Some(Value::Array(list)) if !list.is_empty() => list,
            _ => return Err(wrong("requests", "a list that is not empty")),
        },
    };
    let mut inputs = Vec::new();
    let mut how = None;
    if is_one {
        inputs.push(text(body.take("content", "content"), "content")?);
        how = Some(How::take(&mut body));
    }
    for (index, request) in requests.iter_mut().enumerate() {
        let at = format!("requests[{index}]");
        let Value::Object(request) = request.take() else {
            return Err(wrong(&at, "an object"));
        };
        let mut request = Fields(request);
        let content = request.take("content", "content");
        inputs.push(text(content, &format!("{at}.content"))?);
        let asked = How::take(&mut request);
        if *how.get_or_insert_with(|| asked.clone()) != asked {
            return Err(wrong(
                &at,
                "for the same task and in the same size as the first",
            ));
        }
    }
    let how = how.unwrap_or_default();
    let mut asked = body.0;
    asked.insert("model".to_owned(), model.into());
    asked.insert("input".to_owned(), inputs.into());
    asked.insert("encoding_format".to_owned(), "float".into());
    if let Some(size) = how.size {
        asked.insert("dimensions".to_owned(), size);
    }
    for (name, value) in [("task_type", how.task), ("title", how.title)] {
        if let Some(value) = value.filter(|_| tasks) {
            asked.insert(name.to_owned(), value);
        }
    }
    Ok(asked.into())
}

/// How something is to be embedded.
#[derive(Clone, Debug, Default, PartialEq)]
struct How {
    size: Option<Value>,
    task: Option<Value>,
    title: Option<Value>,
}

impl How {
    fn take(fields: &mut Fields) -> Self {
        Self {
            size: fields.take("outputDimensionality", "output_dimensionality"),
            task: fields.take("taskType", "task_type"),
            title: fields.take("title", "title"),
        }
    }
}

/// The fields of an object. Null is as good as absent.
struct Fields(Map<String, Value>);

impl Fields {
    fn take(&mut self, name: &str, other: &str) -> Option<Value> {
        let value = self.0.remove(name).or_else(|| self.0.remove(other));
        value.filter(|value| !value.is_null())
    }
}

/// The text of a content.
fn text(content: Option<Value>, at: &str) -> Result<String, Error> {
    let parts = match content {
        Some(Value::Object(mut content)) => content.remove("parts"),
        _ => None,
    };
    let parts = match parts {
        Some(Value::Array(parts)) => parts,
        Some(part @ Value::Object(_)) => vec![part],
        _ => return Err(wrong(at, "an object with `parts`")),
    };
    let texts = parts.iter().map(|part| part["text"].as_str());
    let text: Option<String> = texts.collect();
    text.ok_or_else(|| wrong(&format!("{at}.parts"), "of text"))
}

fn wrong(at: &str, expected: &str) -> Error {
    bad(format!("`{at}` must be {expected}"))
        .with_param(at)
        .with_code("invalid_type")
}

/// The answer as Google's.
fn answered(body: &Bytes, is_one: bool) -> Result<Value, Error> {
    let none = || {
        Error::new(
            ErrorKind::BadAnswer,
            "the provider's answer holds no embeddings",
        )
    };
    let mut answer: Value = serde_json::from_slice(body).map_err(|_| none())?;
    let Some(Value::Array(data)) = answer.get_mut("data").map(Value::take) else {
        return Err(none());
    };
    let values = data.into_iter().map(|mut one| {
        let values = one.get_mut("embedding").map(Value::take);
        json!({ "values": values })
    });
    let mut values: Vec<_> = values.collect();
    match is_one {
        true => {
            let first = values.drain(..).next().ok_or_else(none)?;
            Ok(json!({ "embedding": first }))
        }
        false => Ok(json!({ "embeddings": values })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(body: &Value, is_one: bool, tasks: bool) -> Result<Value, Error> {
        asked_for(body.to_string().as_bytes(), "m", is_one, tasks)
    }

    fn one(text: &str) -> Value {
        json!({"model": "models/x", "content": {"parts": [{"text": text}]}, "taskType": "T", "output_dimensionality": 9})
    }

    #[test]
    fn contents_are_inputs() {
        let mut expected = json!({
            "model": "m", "input": ["a", "b"], "dimensions": 9, "encoding_format": "float", "num_retries": 1,
        });
        let all = json!({"requests": [one("a"), one("b")], "num_retries": 1});
        assert_eq!(asked(&all, false, false).expect("is valid"), expected);
        expected["task_type"] = "T".into();
        assert_eq!(asked(&all, false, true).expect("is valid"), expected);
        let single = asked(&json!({"content": {"parts": {"text": "a"}}}), true, true);
        assert_eq!(single.expect("is valid")["input"], json!(["a"]));
    }

    #[test]
    fn what_cannot_be_asked_is_named() {
        let other = json!({"content": {"parts": [{"text": "b"}]}, "taskType": "U"});
        for (body, is_one, at) in [
            (json!({}), false, "requests"),
            (json!({"requests": [7]}), false, "requests[0]"),
            (json!({"requests": [one("a"), other]}), false, "requests[1]"),
            (json!({"content": "a"}), true, "content"),
            (
                json!({"content": {"parts": [{"inlineData": {}}]}}),
                true,
                "content.parts",
            ),
        ] {
            let error = asked(&body, is_one, true).expect_err("is wrong");
            assert_eq!((error.status().as_u16(), error.param()), (400, Some(at)));
        }
    }

    #[test]
    fn vectors_come_back_as_values() {
        let body = json!({"data": [{"embedding": [1.0, 2.0]}, {"embedding": [3.0]}]});
        let told = |is_one| answered(&body.to_string().into(), is_one).expect("is one");
        let expected = json!({"embeddings": [{"values": [1.0, 2.0]}, {"values": [3.0]}]});
        assert_eq!(told(false), expected);
        assert_eq!(told(true), json!({"embedding": {"values": [1.0, 2.0]}}));
        assert!(answered(&Bytes::from_static(b"{}"), true).is_err());
    }
}
