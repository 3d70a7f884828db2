//! One target of a fallback: a name, or an object with what a request says differently there.

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
};

use serde_json::{Map, Value as Json};
use ziggurat_core::{FallbackTarget, LlmRequest, ReadOptions, Redirect};

use crate::{
    FallbackMaps,
    describe::check_header,
    endpoint, json,
    problem::Report,
    read,
    told::{is_secret, looks_secret},
    yaml::{Key, Node, Value},
};

/// What stands for a credential where settings are shown.
const HIDDEN: &str = "***";

/// How deep a target stands: in a list, in an entry of a list.
const DEPTH: u8 = 4;

/// A target, and what is needed while a file is read.
pub(crate) struct Target {
    pub(crate) target: FallbackTarget,
    /// The same for two targets that are the same.
    pub(crate) identity: String,
    /// Its name and the names of what it overrides.
    pub(crate) told: String,
}

/// Reads a name, or `{model: name, …}`.
pub(crate) fn read(node: &Node, key: &'static str, report: &mut Report) -> Option<Target> {
    let Value::Map(entries) = &node.value else {
        let name = read::text(node, key, report)?.value;
        return Some(Target::new(FallbackTarget::new(name), &Json::Null));
    };
    let fields: Vec<_> = entries
        .iter()
        .map(|(key, value)| field(key, value, report))
        .collect();
    let fields = fields.into_iter().collect::<Option<Map<_, _>>>()?;
    let json = Json::Object(fields);
    if is_hidden(&json) {
        let message = format!(
            "`{HIDDEN}` stands for what settings do not show; write it, or send this fallback as it was shown"
        );
        report.error(node.at, message);
        return None;
    }
    match FallbackTarget::from_json(json.clone(), ReadOptions::owners()) {
        Ok(target) => Some(Target::new(target, &json)),
        Err(error) => {
            let wrong = error.param().and_then(|name| node.get(name));
            report.error(wrong.unwrap_or(node).at, error.message());
            None
        }
    }
}

/// One entry of an object. What says where requests go is checked as it is for a deployment.
fn field(key: &Key, node: &Node, report: &mut Report) -> Option<(String, Json)> {
    let text = |key, report: &mut Report| Some(read::text(node, key, report)?.value);
    let value = match &*key.text {
        "model" => Json::from(&*text("model", report)?),
        "api_key" => {
            let secret = text("api_key", report)?;
            check_header(&secret, "api_key", node.at, report);
            Json::from(&*secret)
        }
        "api_base" | "base_url" => {
            let url = text("api_base", report)?;
            if let Err(why) = endpoint::is_base(&url) {
                report.error(node.at, format!("{} {why}", read::name(&key.text)));
                return None;
            }
            Json::from(&*endpoint::trim(&url))
        }
        name => json::of(node, name, report)?,
    };
    Some((String::from(&*key.text), value))
}

impl Target {
    fn new(target: FallbackTarget, json: &Json) -> Self {
        let group = target.group();
        let fields = json.as_object().into_iter().flatten();
        let fields: Vec<_> = fields
            .map(|(name, _)| name.escape_debug().to_string())
            .filter(|name| name != "model")
            .collect();
        let (told, identity) = match fields.is_empty() {
            true => (group.escape_debug().to_string(), group.to_string()),
            false => (
                format!("{} with {}", group.escape_debug(), fields.join(" and ")),
                json.to_string(),
            ),
        };
        Self {
            target,
            identity,
            told,
        }
    }
}

/// A target as a configuration writes it, credentials included.
fn written(target: &FallbackTarget) -> Json {
    let group = Json::from(&**target.group());
    let Some(overrides) = target.overrides() else {
        return group;
    };
    let mut fields = overrides.fields().clone();
    fields.insert("model".to_owned(), group);
    let sent = LlmRequest::chat("model", "").with_overrides(overrides);
    let client = sent.ok().and_then(|sent| sent.controls().client.clone());
    if let Some(client) = client {
        let key = client.api_key.as_ref().map(|key| Json::from(key.expose()));
        let url = client.base_url.as_deref().map(Json::from);
        let set = [("api_key", key), ("api_base", url)].into_iter();
        fields.extend(set.filter_map(|(name, value)| Some((name.to_owned(), value?))));
    }
    Json::Object(fields)
}

/// A target as settings show it: without what is nobody's business.
pub(crate) fn shown(target: &FallbackTarget) -> Json {
    let mut json = written(target);
    hide(&mut json, false);
    json
}

/// Hides every text that is a credential by its looks or by a name above it.
fn hide(value: &mut Json, is_under_secret: bool) {
    match value {
        Json::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Json::String(url) if name == "api_base" => {
                        *url = endpoint::shown(url).into_owned();
                    }
                    value => hide(value, is_under_secret || is_secret(name)),
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(|it| hide(it, is_under_secret)),
        Json::String(text) if is_under_secret || looks_secret(text) => HIDDEN.clone_into(text),
        _ => {}
    }
}

fn is_hidden(value: &Json) -> bool {
    match value {
        Json::Object(fields) => fields.values().any(is_hidden),
        Json::Array(items) => items.iter().any(is_hidden),
        value => value == HIDDEN,
    }
}

/// A new value for a fallback map, with what is not shown of the targets that stand in the old one.
pub(crate) fn restore<'a>(key: &str, value: &'a Json, maps: &FallbackMaps) -> Cow<'a, Json> {
    let lists = match key {
        "fallbacks" | "default_fallbacks" => &maps.general,
        "context_window_fallbacks" => &maps.context_window,
        "content_policy_fallbacks" => &maps.content_policy,
        _ => return Cow::Borrowed(value),
    };
    let mut hidden: Hidden = HashMap::new();
    let all = lists.iter().flat_map(|(_, targets)| targets);
    for target in all.filter(|target| target.overrides().is_some()) {
        let (shown, written) = (shown(target), written(target));
        if shown != written {
            let of_same = hidden.entry(shown.to_string()).or_default();
            of_same.push_back(written);
        }
    }
    if hidden.is_empty() {
        return Cow::Borrowed(value);
    }
    let mut value = value.clone();
    put_back(&mut value, &mut hidden, DEPTH);
    Cow::Owned(value)
}

/// Targets by what is shown of them, in the order in which they stand.
type Hidden = HashMap<String, VecDeque<Json>>;

fn put_back(value: &mut Json, hidden: &mut Hidden, depth: u8) {
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    let found = match value {
        Json::Object(_) => hidden.get_mut(&value.to_string()),
        _ => None,
    };
    if let Some(written) = found.and_then(VecDeque::pop_front) {
        *value = written;
        return;
    }
    match value {
        Json::Object(fields) => fields
            .values_mut()
            .for_each(|it| put_back(it, hidden, depth)),
        Json::Array(items) => items.iter_mut().for_each(|it| put_back(it, hidden, depth)),
        _ => {}
    }
}
