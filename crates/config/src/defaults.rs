//! `default_litellm_params`: what holds for deployments that say nothing else.

use std::borrow::Cow;

use ziggurat_core::FieldSet;

use crate::{
    keys::Support,
    problem::Report,
    read::{self, Section},
    tables::PARAMS,
    yaml::{self, Key, Node, Value},
};

const KEY: &str = "default_litellm_params";

/// Keys that mean the same, so that one of a deployment leaves no room for another of the defaults.
const SAME: [&[&str]; 5] = [
    &["api_base", "aws_bedrock_runtime_endpoint", "base_url"],
    &["aws_region_name", "region_name", "vertex_location"],
    &["extra_headers", "headers"],
    &["max_completion_tokens", "max_output_tokens", "max_tokens"],
    &["request_timeout", "timeout"],
];

/// What is filled in.
#[derive(Debug, Default)]
pub(crate) struct Defaults(Vec<(Key, Node)>);

impl Defaults {
    /// Reads what is to be filled into so many deployments.
    pub(crate) fn read(router: &Section<'_>, deployments: usize, report: &mut Report) -> Self {
        let entries = router
            .field(KEY)
            .and_then(|field| read::map(field.node, KEY, report));
        let entries = entries.unwrap_or_default();
        PARAMS.check(entries, report);
        let mut kept = Vec::new();
        for (key, node) in entries {
            if matches!(&*key.text, "model" | "custom_llm_provider") {
                let told = read::name(&key.text);
                report.error(
                    key.at,
                    format!("{told} cannot be the same for all: `{KEY}`"),
                );
            } else if PARAMS.support(&key.text) == Some(Support::Acted) && !node.is_null() {
                kept.push((key.clone(), node.clone()));
            }
        }
        let defaults = Self(kept);
        if !defaults.fit(deployments) {
            let message = format!("`{KEY}` in each deployment are {}", yaml::too_many());
            report.error(router.field(KEY).map(|field| field.node.at), message);
            return Self::default();
        }
        defaults
    }

    /// What these say that is acted on.
    pub(crate) fn of(entries: &[(Key, Node)], report: &mut Report) -> Self {
        PARAMS.check(entries, report);
        let section = Section::again(entries, &PARAMS);
        Self(
            section
                .acted()
                .map(|(key, node)| (key.clone(), node.clone()))
                .collect(),
        )
    }

    /// Whether so many deployments may have it.
    pub(crate) fn fit(&self, deployments: usize) -> bool {
        let size: usize = self.0.iter().map(|(_, node)| 1 + node.size()).sum();
        yaml::fits(size.saturating_mul(deployments))
    }

    /// An entry of `model_list` with what it does not say itself.
    pub(crate) fn fill<'a>(&self, entry: &'a Node) -> Cow<'a, Node> {
        let missing: Vec<_> = self
            .0
            .iter()
            .filter(|(key, _)| !says(entry, &key.text))
            .cloned()
            .collect();
        let mut entry = Cow::Borrowed(entry);
        if missing.is_empty() || entry.get("litellm_params").is_none() {
            return entry;
        }
        if let Value::Map(keys) = &mut entry.to_mut().value
            && let Some((_, params)) = keys.iter_mut().find(|(k, _)| &*k.text == "litellm_params")
            && let Value::Map(params) = &mut params.value
        {
            params.retain(|(key, _)| missing.iter().all(|(other, _)| other.text != key.text));
            params.extend(missing);
        }
        entry
    }
}

/// Whether an entry has a key, wherever it may stand, or another that means the same.
fn says(entry: &Node, key: &str) -> bool {
    let set = |section: Option<&Node>, key: &str| {
        let node = section.and_then(|section| section.get(key));
        node.is_some_and(|node| !node.is_null())
    };
    let same = SAME.iter().find(|same| same.contains(&key));
    let mut keys = same.map_or(&[][..], |same| same).iter().chain([&key]);
    let params = entry.get("litellm_params");
    // In `model_info` the fields of requests have other meanings.
    let is_field = FieldSet::of(key).is_some();
    keys.any(|key| set(params, key))
        || (!is_field && (set(Some(entry), key) || set(entry.get("model_info"), key)))
}
