//! Who may use a deployment, when and where.

use std::sync::Arc;

use jiff::tz::TimeZone;
use ziggurat_core::{AccessWindow, Deployment, TagPattern};

use crate::{
    deployments::Reader,
    keys,
    problem::Report,
    read::{self, Found, Section},
    source::{Facts, Source},
    tables::ACCESS_WINDOW,
    yaml::{Node, Value},
};

/// The environments that `supported_environments` may name.
const ENVIRONMENTS: [&str; 3] = ["development", "staging", "production"];

/// The variable that says which of them this is.
const ENVIRONMENT: &str = "LITELLM_ENVIRONMENT";

/// How many patterns of user agents a deployment may have, and how long they may be in bytes.
const MAX_PATTERNS: (usize, usize) = (32, 256);

impl Reader<'_> {
    /// Adds what filters look at, besides what the model can do.
    pub(crate) fn access(
        &self,
        mut deployment: Deployment,
        facts: &mut Facts,
        report: &mut Report,
    ) -> Deployment {
        let Self { params, info, .. } = self;
        if let Some(tags) = facts.take("tags", params.texts("tags", report)) {
            deployment = deployment.with_tags(tags);
        }
        for pattern in self.patterns(facts, report) {
            deployment = deployment.with_tag_pattern(pattern);
        }
        if let Some(labels) = facts.take("access_groups", info.texts("access_groups", report)) {
            deployment = deployment.with_access_groups(labels);
        }
        for window in self.windows(facts, report) {
            deployment = deployment.with_access_window(window);
        }
        let team = facts.take("team_id", info.text("team_id", report));
        let model = info.text("team_public_model_name", report);
        match team {
            Some(team) => {
                let model = facts.take("team_public_model_name", model);
                deployment = deployment.with_team(team, model);
            }
            None => {
                if let Some(found) = model {
                    let message = "`team_public_model_name` has no effect without `team_id`";
                    report.warning(found.at, message);
                }
            }
        }
        let any_path = self.params.flag("use_in_pass_through", report);
        let any_path = facts.take("use_in_pass_through", any_path);
        deployment
            .with_any_path(any_path.unwrap_or(false))
            .with_client_credentials(self.client_credentials(facts, report))
    }

    fn patterns(&self, facts: &mut Facts, report: &mut Report) -> Vec<TagPattern> {
        let key = "tag_regex";
        let found = self.params.one_or_more(key, report);
        let (many, long) = MAX_PATTERNS;
        if found.len() > many {
            report.error(self.node.at, format!("`{key}` may be at most {many}"));
            return Vec::new();
        }
        let mut patterns = Vec::new();
        for found in found {
            if found.value.len() > long {
                let message = format!("`{key}` must be at most {long} bytes");
                report.error(found.at, message);
                continue;
            }
            match TagPattern::new(&found.value) {
                Ok(pattern) => {
                    facts.note(key, &found.value, found.source);
                    patterns.push(pattern);
                }
                Err(_) => {
                    let told = read::name(&found.value);
                    report.error(
                        found.at,
                        format!("`{key}`: {told} is no regular expression"),
                    );
                }
            }
        }
        patterns
    }

    fn windows(&self, facts: &mut Facts, report: &mut Report) -> Vec<AccessWindow> {
        let mut windows = Vec::new();
        for (node, section) in self.info.each("access_windows", &ACCESS_WINDOW, report) {
            if let Some((window, told)) = window(node, &section, report) {
                facts.note("access_window", &told, Source::of(node, None));
                windows.push(window);
            }
        }
        windows
    }

    /// Whether the deployment is for other environments than this one.
    pub(crate) fn is_elsewhere(&self, report: &mut Report) -> bool {
        let key = "supported_environments";
        let Some(field) = self.info.field(key) else {
            return false;
        };
        let names = ENVIRONMENTS.map(|name| (name, name));
        let found = self.info.one_or_more(key, report);
        let supported: Vec<_> = found
            .into_iter()
            .filter_map(|found| read::choose(found, key, &names, report))
            .collect();
        let at = field.node.at;
        let Some(here) = self.environment.found(&[ENVIRONMENT]) else {
            let message = format!(
                "the environment variable `{ENVIRONMENT}` is not set: the deployment is kept in every environment"
            );
            report.warning(at, message);
            return false;
        };
        let here = &*here.value;
        if !ENVIRONMENTS.contains(&here) {
            let all = ENVIRONMENTS.join(", ");
            let message = match keys::near(here, ENVIRONMENTS) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("use one of {all}"),
            };
            let told = read::name(here);
            let message = format!("the environment variable `{ENVIRONMENT}` is {told}; {message}");
            report.error(at, message);
            return false;
        }
        let elsewhere = !supported.is_empty() && supported.iter().all(|found| found.value != here);
        if elsewhere {
            report.warning(
                at,
                format!("a deployment is left out: it is not for `{here}`"),
            );
        }
        elsewhere
    }

    /// Whether requests may bring their own credential and endpoint.
    fn client_credentials(&self, facts: &mut Facts, report: &mut Report) -> bool {
        let key = "configurable_clientside_auth_params";
        let nodes = self
            .params
            .field(key)
            .and_then(|field| read::list(field.node, key, report));
        let nodes = nodes.unwrap_or_default();
        let (mut endpoint, mut alone) = (false, None);
        for node in nodes {
            if let Value::Map(_) = node.value {
                let message = format!(
                    "`{key}`: a pattern for what clients may send is not supported; write `api_base` to let them choose any endpoint, or leave it out"
                );
                report.error(node.at, message);
                continue;
            }
            let Some(found) = read::text(node, key, report) else {
                continue;
            };
            match &*found.value {
                "api_base" | "base_url" => endpoint = true,
                "api_key" => alone = Some(found.at),
                other => {
                    let told = read::name(other);
                    let message = format!(
                        "`{key}`: {told} is not supported; it takes `api_key` and `api_base`"
                    );
                    report.warning(found.at, message);
                }
            }
        }
        if let Some(at) = alone.filter(|_| !endpoint) {
            let message = format!(
                "`{key}`: who may bring a key may choose the endpoint as well; write `api_base` beside it, or leave it out"
            );
            report.error(at, message);
        }
        let field = self.params.field(key).filter(|_| endpoint);
        facts
            .take(key, field.map(|field| field.found(true, None)))
            .unwrap_or_default()
    }

    /// The groups that get copies of its requests. They can be checked when all names are known.
    pub(crate) fn mirrors(&self, report: &mut Report) -> Vec<Found<Arc<str>>> {
        self.params.one_or_more("silent_model", report)
    }
}

/// A window, and how to tell it.
fn window(
    node: &Node,
    section: &Section<'_>,
    report: &mut Report,
) -> Option<(AccessWindow, String)> {
    let mut need = |key: &'static str| {
        if section.field(key).is_none() {
            report.error(node.at, format!("an access window needs `{key}`"));
        }
        let found = section.text(key, report)?;
        let minute = minute(&found.value);
        if minute.is_none() {
            let told = read::name(&found.value);
            report.error(found.at, format!("`{key}` must be like 08:30, got {told}"));
        }
        Some((minute?, found))
    };
    let (start, end) = (need("start"), need("end"));
    let time_zone = match section.field("timezone") {
        None => Some(Arc::from("UTC")),
        Some(_) => section.text("timezone", report).and_then(|found| {
            let zone = TimeZone::get(&found.value).ok();
            let name = zone.as_ref().and_then(TimeZone::iana_name).map(Arc::from);
            if name.is_none() {
                let told = read::name(&found.value);
                let message = format!("{told} is no time zone of the IANA database");
                report.error(found.at, message);
            }
            name
        }),
    };
    if section.field("team_ids").is_none() {
        report.error(node.at, "an access window needs `team_ids`");
    }
    let teams = section.texts("team_ids", report)?.value;
    let ((start, from), (end, to)) = (start?, end?);
    if start == end {
        let message = "an access window that ends as it starts is never open";
        report.warning(node.at, message);
    }
    let told = format!(
        "{} to {} {} for {}",
        from.value,
        to.value,
        time_zone.as_ref()?,
        teams.join(", ").escape_debug()
    );
    let window = AccessWindow::new(start, end, time_zone?, teams);
    if window.is_none() {
        report.error(from.at, "`start` must be before 24:00");
    }
    Some((window?, told))
}

/// The minute of the day of a text like `08:30`.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str, digits: std::ops::RangeInclusive<usize>| {
        let is_number = digits.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (hours, minutes) = (number(hours, 1..=2)?, number(minutes, 2..=2)?);
    let minute = hours * 60 + minutes;
    (minutes < 60 && minute <= 24 * 60).then_some(minute)
}

#[cfg(test)]
mod tests {
    use super::minute;

    #[test]
    fn times_of_the_day_are_read_as_minutes() {
        assert_eq!(minute("08:30"), Some(510));
        assert_eq!(minute("8:05"), Some(485));
        assert_eq!(minute("24:00"), Some(1440));
        for bad in ["", "8", "08:5", "08:60", "24:01", "+8:00", "08:+5", "a:00"] {
            assert_eq!(minute(bad), None, "{bad}");
        }
    }
}
