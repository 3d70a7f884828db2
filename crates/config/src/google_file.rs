//! Google's credential files.

use std::{fs, io::Read};

use serde_json::{Map, Value as Json};
use ziggurat_core::Secret;

use crate::{
    json,
    problem::Report,
    read::{Field, Found},
    source::Source,
    yaml::{Pos, Value},
};

/// The longest that is read, in bytes.
const MAX: usize = 64 << 10;

/// A file as a key gives it: a mapping, its text, or the path of a file.
pub(crate) fn given(field: Field<'_>, report: &mut Report) -> Option<Found<Secret>> {
    let key = "vertex_credentials";
    if let Value::Map(_) = field.node.value {
        let text = json::of(field.node, key, report)?.to_string();
        let found = field.found(Secret::new(text), None);
        return read(found, field.node.at, report);
    }
    let found = field.read("a text", report, |text| Some(Secret::new(text)))?;
    match found.value.expose().trim() {
        "" => None,
        _ => read(found, field.node.at, report),
    }
}

/// The text of a file that is given as its text or as its path. Problems are told of `at`, and
/// repeat neither.
pub(crate) fn read(found: Found<Secret>, at: Pos, report: &mut Report) -> Option<Found<Secret>> {
    let text = found.value.expose().trim();
    let text = if text.starts_with('{') {
        Ok(text.to_owned())
    } else if found.source == Source::Runtime {
        Err("must be the text of a credential file, not its path".to_owned())
    } else {
        load(text)
    };
    match text.and_then(|text| check(&text).map(|()| text)) {
        Ok(text) => Some(found.map(|_| Secret::new(text))),
        Err(why) => {
            report.error(at, format!("`{}` {why}", found.path));
            None
        }
    }
}

/// Nothing but a plain file is opened: what is behind other names may never end.
fn load(path: &str) -> Result<String, String> {
    let unreadable = |error| format!("names a file that cannot be read: {error}");
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("names no file".to_owned());
    }
    let mut text = String::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    let read = file.take(MAX as u64 + 1).read_to_string(&mut text);
    read.map_err(unreadable)?;
    Ok(text)
}

fn check(text: &str) -> Result<(), String> {
    if text.len() > MAX {
        return Err(format!("is longer than {MAX} bytes"));
    }
    let file: Map<String, Json> = serde_json::from_str(text)
        .map_err(|_| "is no credential file, which is JSON".to_owned())?;
    let needs: &[&str] = match file.get("type").and_then(Json::as_str) {
        Some("service_account") => &["client_email", "private_key"],
        Some("authorized_user") => &["client_id", "client_secret", "refresh_token"],
        _ => {
            return Err(
                "is of another type than `service_account` and `authorized_user`".to_owned(),
            );
        }
    };
    let has = |name: &str| matches!(&file.get(name), Some(Json::String(it)) if !it.is_empty());
    match needs.iter().find(|name| !has(name)) {
        Some(name) => Err(format!("is a credential file without `{name}`")),
        None => Ok(()),
    }
}

/// Whose project the credentials are of.
pub(crate) fn project(text: &str) -> Option<String> {
    let file: Map<String, Json> = serde_json::from_str(text).ok()?;
    let names = ["project_id", "quota_project_id"];
    let mut projects = names
        .into_iter()
        .filter_map(|name| file.get(name)?.as_str());
    projects.next().map(str::to_owned)
}
