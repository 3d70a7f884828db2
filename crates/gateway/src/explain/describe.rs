//! What applies to a request, layer by layer.

mod above;
mod below;
mod clocks;
mod request;

use std::{fmt, sync::Arc, time::Duration};

use serde_json::{Map, Value, json};
use ziggurat::{
    Deployment, Error, HasLedger as _, Ledger, LlmRequest, Router, Snapshot,
    config::{GroupSettings, Plan, Source, Subject},
    load_balance::Explanation,
};

/// What applies to a request.
pub(crate) struct Description {
    /// What the request is.
    request: Vec<(&'static str, String)>,
    /// What each layer has to do with it, from the client to the provider.
    layers: Vec<(&'static str, Vec<String>)>,
    /// Why it goes to another group than it names, if it does.
    route: Option<Arc<str>>,
    explanation: Explanation,
}

impl Description {
    /// What applies to a request in a router with this plan. Sends nothing and counts nothing.
    ///
    /// # Errors
    ///
    /// If the model leads nowhere.
    pub(crate) fn of(plan: &Plan, router: &Router, request: &LlmRequest) -> Result<Self, Error> {
        let explanation = router.explain(request)?;
        let about = About::new(plan, request, &explanation);
        let layers = [
            ("priority-queue", about.queue()),
            ("auto-route", about.auto_route()),
            ("fallback", about.fallbacks()),
            ("retry", about.retries()),
            ("hedge", about.hedge()),
            ("load-balance", about.balance()),
            ("hold-back", about.hold_back()),
            ("mirror", about.mirrors()),
            ("health", about.health()),
            ("cooldown", about.cooldown()),
            ("concurrency", about.concurrency()),
            ("rate-limit", about.limits()),
            ("timeout", about.clocks()),
        ];
        Ok(Self {
            request: about.request(router),
            layers: layers.into(),
            route: about.route,
            explanation,
        })
    }

    /// Who could serve it, and why the others could not.
    pub(crate) fn deployments(&self) -> String {
        let route = self.route.as_ref().map(|why| format!("{why}\n"));
        format!("{}{}", route.unwrap_or_default(), self.explanation)
    }

    pub(crate) fn to_json(&self) -> Map<String, Value> {
        let object = |list: &[(&'static str, String)]| -> Map<String, Value> {
            let members = list.iter();
            members
                .map(|(name, it)| ((*name).into(), json!(it)))
                .collect()
        };
        let layers = self.layers.iter();
        let layers = layers.map(|(layer, says)| json!({"layer": layer, "says": says}));
        let members = self.explanation.members().iter();
        let deployments = members.map(|member| {
            let left_out_by = member.left_out_by().map(|(filter, _)| filter);
            json!({
                "id": member.deployment().id().as_str(),
                "may_serve": member.may_serve(),
                "left_out_by": left_out_by,
                "says": member.to_string(),
            })
        });
        let mut told = Map::new();
        told.insert("request".into(), object(&self.request).into());
        told.insert("group".into(), json!(self.explanation.group()));
        told.insert("deployments".into(), deployments.collect());
        told.insert("layers".into(), layers.collect());
        told
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("request\n")?;
        for (name, what) in &self.request {
            writeln!(f, "  {name:<14}  {what}")?;
        }
        f.write_str("\nwhat applies to it, from the client to the provider\n")?;
        for (layer, says) in &self.layers {
            let mut name = *layer;
            for line in says {
                writeln!(f, "  {name:<14}  {line}")?;
                name = "";
            }
        }
        Ok(())
    }
}

/// A request and the settings around it.
struct About<'a> {
    plan: &'a Plan,
    request: &'a LlmRequest,
    explanation: &'a Explanation,
    /// Why the request goes to another group than it names.
    route: Option<Arc<str>>,
    /// The names by which settings of the group are found, the nearest first.
    names: Vec<&'a str>,
}

impl<'a> About<'a> {
    fn new(plan: &'a Plan, request: &'a LlmRequest, explanation: &'a Explanation) -> Self {
        let route = request.ledger().and_then(Ledger::route);
        let mut names = vec![explanation.group()];
        if route.is_none() {
            names.insert(0, request.group().as_str());
        }
        Self {
            plan,
            request,
            explanation,
            route,
            names,
        }
    }

    /// Where a value comes from, and as what it is told.
    fn entry(&self, subject: &Subject, name: &str) -> Option<String> {
        let mut entries = self.plan.explanation().entries().iter();
        let entry = entries.find(|entry| entry.name() == name && entry.subject() == subject)?;
        let source = match entry.source() {
            Source::Default => "default".to_owned(),
            Source::File { line, .. } => format!("line {line}"),
            Source::Env { variable, .. } => format!("env {variable}"),
            Source::Catalog => "catalog".to_owned(),
            _ => "set at run time".to_owned(),
        };
        Some(format!("{} ({source})", entry.value()))
    }

    /// A setting and where it comes from.
    fn setting(&self, name: &str) -> String {
        let told = self.entry(&Subject::Settings, name);
        told.unwrap_or_else(|| "none".into())
    }

    /// A setting as `name value (source)`, if somebody set it.
    fn set(&self, name: &str) -> Option<String> {
        let told = self.entry(&Subject::Settings, name)?;
        let is_set = !told.ends_with("(default)");
        is_set.then(|| format!("{name} {told}"))
    }

    /// What deployments say of themselves: a line for each that says something.
    fn own(&self, keys: &[&str]) -> Vec<String> {
        let members = self.explanation.members().iter();
        let told = members.filter_map(|member| {
            let id = member.deployment().id();
            let subject = Subject::Deployment(id.clone());
            let says = keys.iter().filter_map(|key| {
                let told = self.entry(&subject, key)?;
                Some(format!("{key} {told}"))
            });
            let says: Vec<_> = says.collect();
            (!says.is_empty()).then(|| format!("deployment `{id}`: {}", says.join(", ")))
        });
        told.collect()
    }

    /// What a setting of the group is, and the same with its source.
    fn of_group<T: Copy>(
        &self,
        key: &str,
        read: impl Fn(&GroupSettings) -> Option<T>,
    ) -> Option<(T, String)> {
        let groups = self.plan.own.groups.iter();
        let own: Vec<_> = groups
            .filter_map(|(name, group)| Some((Arc::clone(name), read(group)?)))
            .collect();
        let (name, value) = find(&own, &self.names)?;
        let name = format!("{key} of {}", name.escape_debug());
        Some((*value, format!("{name}: {}", self.setting(&name))))
    }
}

/// The entry of a group, by one of its names: exact, else by pattern, else `*`.
fn find<'a, T>(list: &'a [(Arc<str>, T)], names: &[&str]) -> Option<(&'a Arc<str>, &'a T)> {
    let named = list.iter().filter(|(key, _)| &**key != "*");
    let keys = Snapshot::new(named.map(|(key, _)| Deployment::new(&**key, Arc::clone(key), "*")));
    let found = names.iter().find_map(|name| keys.resolve(name));
    let key = found.map_or("*", |group| group.name());
    let entry = list.iter().find(|(listed, _)| **listed == *key);
    entry.map(|(key, value)| (key, value))
}

fn or_off(lines: Vec<String>) -> Vec<String> {
    match lines.is_empty() {
        true => vec!["off".into()],
        false => lines,
    }
}

fn secs(time: Duration) -> String {
    format!("{} s", (time.as_secs_f64() * 1_000.0).round() / 1_000.0)
}
