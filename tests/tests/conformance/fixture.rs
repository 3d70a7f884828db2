//! Recorded traffic.

use std::{fs, path::Path};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE};
use serde_json::Value;

/// What a provider answered.
pub(crate) struct Fixture {
    pub(crate) provider: String,
    pub(crate) operation: String,
    pub(crate) case: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Where it was recorded: the path, if that is known.
    pub(crate) path: Option<String>,
    pub(crate) form: Form,
}

/// How the body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Events,
    Lines,
    Binary,
}

impl Fixture {
    pub(crate) fn name(&self) -> String {
        format!("{}/{}/{}", self.provider, self.operation, self.case)
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Whether it was recorded under a path that ends so.
    pub(crate) fn is_at(&self, end: &str) -> bool {
        self.path.as_ref().is_some_and(|path| path.ends_with(end))
    }
}

/// All that lie in the folder, by name.
pub(crate) fn all(root: &Path) -> Vec<Fixture> {
    let mut all = Vec::new();
    for provider in entries(root) {
        for operation in entries(&provider) {
            let metas = entries(&operation).into_iter();
            let metas = metas.filter(|file| file.to_string_lossy().ends_with(".meta.json"));
            all.extend(metas.map(|meta| read(&meta)));
        }
    }
    all
}

fn entries(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut entries: Vec<_> = entries.map(|entry| entry.path()).collect();
    entries.sort();
    entries
}

fn read(file: &Path) -> Fixture {
    let broken = |what: &str| -> ! { panic!("{}: {what}", file.display()) };
    let Ok(meta) = fs::read(file) else {
        broken("cannot be read")
    };
    let Ok(meta) = serde_json::from_slice::<Value>(&meta) else {
        broken("is no JSON")
    };
    let text = |name: &str| match meta[name].as_str() {
        Some(text) => text.to_owned(),
        None => broken(name),
    };
    let body_file = file.with_file_name(text("body_file"));
    let Ok(body) = fs::read(&body_file) else {
        broken("its body cannot be read")
    };
    let form = match body_file.extension().and_then(|end| end.to_str()) {
        Some("json") => Form::Json,
        Some("sse") => Form::Events,
        Some("ndjson") => Form::Lines,
        _ => Form::Binary,
    };
    let status = meta["status"].as_u64().unwrap_or(200);
    let status = u16::try_from(status).ok();
    let url = meta["request"]["url"].as_str();
    Fixture {
        provider: text("provider"),
        operation: text("operation"),
        case: text("case"),
        status: status
            .and_then(|status| StatusCode::from_u16(status).ok())
            .unwrap_or_else(|| broken("has no status")),
        headers: headers(&meta, form),
        body: body.into(),
        path: url.map(|url| url.split('?').next().unwrap_or_default().to_owned()),
        form,
    }
}

/// The headers of the answer, but those that tell how it was sent.
fn headers(meta: &Value, form: Form) -> HeaderMap {
    let sent = meta["response_headers"].as_object().into_iter().flatten();
    let mut headers = HeaderMap::new();
    for (name, value) in sent {
        let is_transport = ["content-encoding", "content-length", "transfer-encoding"];
        let name = name.to_ascii_lowercase();
        if is_transport.contains(&&*name) {
            continue;
        }
        let (Ok(name), Some(Ok(value))) = (
            name.parse::<HeaderName>(),
            value.as_str().map(str::parse::<HeaderValue>),
        ) else {
            continue;
        };
        headers.insert(name, value);
    }
    let usual = match form {
        Form::Json => "application/json",
        Form::Events => "text/event-stream",
        Form::Lines => "application/x-ndjson",
        Form::Binary => "application/octet-stream",
    };
    let kind = meta["content_type"]
        .as_str()
        .filter(|kind| !kind.is_empty());
    let kind = kind.and_then(|kind| kind.parse().ok());
    let kind = kind.unwrap_or_else(|| HeaderValue::from_static(usual));
    headers.insert(CONTENT_TYPE, kind);
    headers
}
