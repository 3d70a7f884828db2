//! How often is tried again after which failure: `retry_policy` and `model_group_retry_policy`.

use std::sync::Arc;

use serde_json::Value as Json;
use ziggurat_core::{Clock, ErrorKind};

use crate::{
    error_classes::{self, Fields},
    names::Names,
    problem::Report,
    read::{self, Range, Section},
    source::{Facts, Source},
    tables::RETRY_POLICY,
};

/// How many retries follow a failure, by its kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryCounts {
    /// For these kinds; none stands twice.
    pub by_kind: Vec<(ErrorKind, u32)>,
    /// For all others. `None` leaves them to `num_retries`.
    pub default: Option<u32>,
}

const FIELDS: &Fields = &[
    ("AuthenticationErrorRetries", ErrorKind::Authentication),
    ("BadRequestErrorRetries", ErrorKind::BadRequest),
    (
        "ContentPolicyViolationErrorRetries",
        ErrorKind::ContentPolicy,
    ),
    ("InternalServerErrorRetries", ErrorKind::Internal),
    ("NotFoundErrorRetries", ErrorKind::NotFound),
    ("RateLimitErrorRetries", ErrorKind::RateLimited),
    ("ServiceUnavailableErrorRetries", ErrorKind::Unavailable),
    ("TimeoutErrorRetries", ErrorKind::Timeout(Clock::Attempt)),
];

const DEFAULT: &str = "DefaultRetries";

impl RetryCounts {
    fn read(policy: &Section<'_>, report: &mut Report) -> Self {
        let default = policy.whole(DEFAULT, Range::NotNegative, report);
        Self {
            by_kind: error_classes::read(policy, FIELDS, report),
            default: default.map(|found| found.value),
        }
    }

    /// As a configuration writes it.
    pub(crate) fn to_json(&self) -> Json {
        let mut fields = error_classes::to_json(&self.by_kind, FIELDS);
        if let Some(default) = self.default {
            fields.insert(DEFAULT.to_owned(), default.into());
        }
        Json::Object(fields)
    }

    fn told(&self) -> String {
        let mut told = error_classes::told(&self.by_kind);
        if let Some(default) = self.default {
            let comma = if told.is_empty() { "" } else { ", " };
            told += &format!("{comma}others {default}");
        }
        told
    }
}

/// Reads both policies: that of all groups, and those that take its place in one.
pub(crate) fn read(
    router: &Section<'_>,
    names: &Names,
    facts: &mut Facts,
    report: &mut Report,
) -> (RetryCounts, Vec<(Arc<str>, RetryCounts)>) {
    let key = "retry_policy";
    let policy = RetryCounts::read(&router.child(key, &RETRY_POLICY, report), report);
    let found = router.field(key);
    facts.maybe(key, found.map(|field| field.found(policy.told(), None)));

    let key = "model_group_retry_policy";
    let groups = router
        .field(key)
        .and_then(|field| read::map(field.node, key, report));
    let mut by_group = Vec::new();
    for (group, node) in groups.unwrap_or_default() {
        if !names.has(&group.text) {
            report.error(group.at, names.unknown("", &group.text, report));
        }
        let Some(section) = Section::open(node, &RETRY_POLICY, report) else {
            continue;
        };
        let counts = RetryCounts::read(&section, report);
        let name = format!("retry_policy of {}", group.text.escape_debug());
        facts.note(&name, &counts.told(), Source::of(node, None));
        by_group.push((Arc::clone(&group.text), counts));
    }
    (policy, by_group)
}
