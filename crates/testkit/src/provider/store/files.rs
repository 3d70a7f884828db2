use bytes::Bytes;
use http::Method;
use serde_json::json;

use super::{Given, Place, Shelves, Wish, boundary, list, query};
use crate::provider::render::CREATED;

pub(super) fn answer(shelves: &mut Shelves, place: Place<'_>, wish: &Wish<'_>) -> Given {
    let files = &mut shelves.files;
    let unknown = |id| Given::unknown("File object", id);
    match (wish.method, place.id, place.action) {
        (&Method::POST, None, None) => upload(shelves, wish),
        (&Method::GET, None, None) => {
            let purpose = query(wish.path, "purpose");
            let is_meant = |purpose_of: &serde_json::Value| {
                purpose.is_none_or(|purpose| *purpose_of == purpose)
            };
            let all = files.all().filter(|file| is_meant(&file["purpose"]));
            list(wish.path, all)
        }
        (&Method::GET, Some(id), None) => match files.get(id) {
            Some((file, _)) => Given::Json(file.clone()),
            None => unknown(id),
        },
        (&Method::GET, Some(id), Some("content")) => match files.get(id) {
            Some((_, content)) => Given::Bytes(content.clone()),
            None => unknown(id),
        },
        (&Method::DELETE, Some(id), None) => match files.remove(id) {
            Some(_) => Given::Json(json!({"id": id, "object": "file", "deleted": true})),
            None => unknown(id),
        },
        _ => Given::no("there is no such method for files"),
    }
}

/// Keeps a file, and returns what is told of it.
pub(super) fn put(
    shelves: &mut Shelves,
    id: &str,
    name: &str,
    purpose: &str,
    content: Bytes,
) -> serde_json::Value {
    let file = json!({
        "id": id,
        "object": "file",
        "bytes": content.len(),
        "created_at": CREATED,
        "filename": name,
        "purpose": purpose,
        "status": "processed",
    });
    shelves.files.put(file.clone(), content);
    file
}

fn upload(shelves: &mut Shelves, wish: &Wish<'_>) -> Given {
    let Some(boundary) = boundary(wish.headers) else {
        return Given::no("a file comes in a form");
    };
    let (mut purpose, mut file) = (None, None);
    for (head, content) in parts(wish.body, boundary) {
        match quoted(&head, "name") {
            Some("purpose") => purpose = Some(String::from_utf8_lossy(content).into_owned()),
            Some("file") => {
                let name = quoted(&head, "filename").unwrap_or("file").to_owned();
                file = Some((name, Bytes::copy_from_slice(content)));
            }
            _ => {}
        }
    }
    match (purpose, file) {
        (None, _) => Given::no("'purpose' is a required property"),
        (_, None) => Given::no("'file' is a required property"),
        (Some(purpose), Some((name, content))) => {
            let id = format!("file-{}", wish.name);
            Given::Json(put(shelves, &id, &name, &purpose, content))
        }
    }
}

/// The parts of a form: their heads and contents.
fn parts<'a>(body: &'a [u8], boundary: &str) -> Vec<(String, &'a [u8])> {
    let mark = format!("--{boundary}");
    let mark = mark.as_bytes();
    let mut parts = Vec::new();
    let mut rest = body;
    while let Some(at) = find(rest, mark) {
        rest = &rest[at + mark.len()..];
        let end = find(rest, mark).unwrap_or(rest.len());
        let part = &rest[..end];
        if let Some(head) = find(part, b"\r\n\r\n") {
            let content = &part[head + 4..];
            let content = content.strip_suffix(b"\r\n").unwrap_or(content);
            let head = String::from_utf8_lossy(&part[..head]).into_owned();
            parts.push((head, content));
        }
        rest = &rest[end..];
    }
    parts
}

/// A parameter of the head of a part.
fn quoted<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = head.split_once(&format!("; {name}=\""))?;
    rest.split('"').next()
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|part| part == what)
}
