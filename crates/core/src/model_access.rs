//! Which models somebody may use.

use std::{fmt, sync::Arc};

use foldhash::HashSet;

use crate::{Error, Reason, Rejection, Route, Scope, pattern::Pattern};

/// How many names a refusal lists, and how long those in it may be in bytes.
const LISTED: usize = 20;
const LONGEST: usize = 100;

/// Who has a list of models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Whose {
    /// A key.
    #[default]
    Key,
    /// The team of a key.
    Team,
    /// The user of a key.
    User,
}

impl Whose {
    /// Its word, as refusals show it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Team => "team",
            Self::User => "user",
        }
    }

    /// `error.code` of a refusal because of its list.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Key => "key_model_access_denied",
            Self::Team => "team_model_access_denied",
            Self::User => "user_model_access_denied",
        }
    }
}

/// A list of the models that a key or a team may use.
///
/// It holds names that clients ask for (model groups, aliases, names of teams and of auto-routing),
/// wildcards for these (`openai/*`; a star stands for any text), ids of deployments, and labels of
/// deployments ([`Deployment::access_groups`](crate::Deployment::access_groups)). Who has only a
/// label of a group in the list may use those of its deployments that carry it.
///
/// ```
/// use ziggurat_core::{Deployment, ModelAccess, Snapshot};
///
/// let snapshot = Snapshot::new([
///     Deployment::new("a", "openai/*", "*"),
///     Deployment::new("b", "claude", "claude-sonnet").with_access_groups(["beta"]),
/// ]);
/// let models = ModelAccess::new(["openai/gpt*", "beta"]);
/// let opens = |name| models.opens(name, snapshot.route(name).expect("leads somewhere"));
/// assert!(opens("openai/gpt-4o") && opens("claude") && !opens("openai/o3"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ModelAccess {
    whose: Whose,
    listed: Vec<Arc<str>>,
    exact: HashSet<Arc<str>>,
    patterns: Vec<Pattern>,
}

impl ModelAccess {
    /// The list of a key. One without names opens nothing.
    #[must_use]
    pub fn new<T: Into<Arc<str>>>(names: impl IntoIterator<Item = T>) -> Self {
        let listed: Vec<Arc<str>> = names.into_iter().map(Into::into).collect();
        Self {
            whose: Whose::Key,
            patterns: listed.iter().filter_map(Pattern::new).collect(),
            exact: listed.iter().cloned().collect(),
            listed,
        }
    }

    /// The same list of somebody else.
    #[must_use]
    pub fn of(mut self, whose: Whose) -> Self {
        self.whose = whose;
        self
    }

    /// Who has it.
    #[must_use]
    pub const fn whose(&self) -> Whose {
        self.whose
    }

    /// What is in it, in the order that was given.
    #[must_use]
    pub fn names(&self) -> &[Arc<str>] {
        &self.listed
    }

    /// Whether it has a name, or a wildcard for it.
    #[must_use]
    pub fn allows(&self, name: &str) -> bool {
        let matches = |pattern: &Pattern| pattern.captures(name).is_some();
        self.has(name) || self.patterns.iter().any(matches)
    }

    /// Whether it has just this name, which may be the id of a deployment.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.exact.contains(name)
    }

    /// Whether it has one of these labels.
    #[must_use]
    pub fn has_label(&self, labels: &[Arc<str>]) -> bool {
        labels.iter().any(|label| self.has(label))
    }

    /// Whether it lets somebody use what a name leads to: because of the name, because of that of the
    /// group behind it, or because a deployment there carries a label. No wildcard stands for the id
    /// of a deployment.
    #[must_use]
    pub fn opens(&self, name: &str, route: Route<'_>) -> bool {
        let members = match route.only {
            Some(only) => std::slice::from_ref(only),
            None => route.group.members(),
        };
        let is_id = route.only.is_some_and(|only| only.id().as_str() == name);
        let is_named = match is_id {
            true => self.has(name),
            false => self.allows(name),
        };
        is_named
            || self.allows(route.group.name())
            || (members.iter()).any(|member| self.has_label(member.access_groups()))
    }

    /// What to say to who asks for something else.
    #[must_use]
    pub fn why_not(&self, name: &str) -> String {
        let whose = self.whose.as_str();
        let shown = self.listed.iter().take(LISTED).map(|name| short(name));
        let mut shown = shown.collect::<Vec<_>>().join(", ");
        if self.listed.len() > LISTED {
            shown.push_str(&format!(" and {} more", self.listed.len() - LISTED));
        }
        format!(
            "{whose} not allowed to access model. This {whose} can only access models=[{shown}]. Tried to access {}",
            short(name)
        )
    }

    /// The refusal for who asks for something else, whatever deployment would serve it. Its status is
    /// 403.
    #[must_use]
    pub fn refusal(&self, name: &str) -> Error {
        let rejection = Rejection::new(Reason::Forbidden, Scope::Request);
        Error::rejected(rejection, self.why_not(name))
            .with_code(self.whose.code())
            .with_param("model")
    }
}

fn short(name: &str) -> &str {
    match name.len() {
        ..=LONGEST => name,
        _ => "a name that is too long to tell",
    }
}

impl fmt::Debug for ModelAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelAccess")
            .field("whose", &self.whose)
            .field("names", &self.listed)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Caller, Deployment, Snapshot};

    fn snapshot() -> Snapshot {
        let labelled = Deployment::new("l", "mixed", "m").with_access_groups(["beta"]);
        Snapshot::new([
            Deployment::new("gpt-id", "secret", "m"),
            Deployment::new("g", "gpt", "m"),
            Deployment::new("w", "openai/*", "*"),
            labelled,
            Deployment::new("p", "mixed", "m"),
        ])
        .with_aliases([("smart".into(), "gpt".into(), false)])
        .expect("is no cycle")
    }

    fn opened(names: &[&str]) -> Vec<&'static str> {
        const ASKED: [&str; 9] = [
            "gpt",
            "smart",
            "g",
            "openai/o3",
            "openai/gpt",
            "mixed",
            "l",
            "p",
            "gpt-id",
        ];
        let snapshot = snapshot();
        let models = ModelAccess::new(names.iter().copied());
        let opens = |name: &&str| models.opens(name, snapshot.route(name).expect("is there"));
        ASKED.into_iter().filter(opens).collect()
    }

    #[test]
    fn a_list_opens_what_it_names_and_what_leads_there() {
        assert_eq!(opened(&["gpt"]), ["gpt", "smart", "g"]);
        assert_eq!(opened(&["smart"]), ["smart"]);
        assert_eq!(opened(&["openai/gpt"]), ["openai/gpt"]);
        assert_eq!(opened(&["openai/*"]), ["openai/o3", "openai/gpt"]);
        assert_eq!(opened(&["beta"]), ["mixed", "l"]);
        assert_eq!(opened(&["*"]).len(), 9);
        assert!(opened(&[]).is_empty() && opened(&["GPT", "gp"]).is_empty());
    }

    #[test]
    fn a_wildcard_stands_for_no_id_of_a_deployment() {
        assert_eq!(opened(&["gpt*"]), ["gpt", "smart", "g"]);
        assert_eq!(opened(&["gpt-id"]), ["gpt-id"]);
        assert_eq!(opened(&["secret"]), ["gpt-id"]);
    }

    #[test]
    fn each_list_must_let_it_and_an_admin_needs_none() {
        let snapshot = snapshot();
        let route = |name: &str| snapshot.route(name).expect("is there");
        let team = ModelAccess::new(["gpt", "mixed"]).of(Whose::Team);
        let caller = Caller::new()
            .with_models(ModelAccess::new(["gpt", "openai/*"]))
            .with_models(team);
        assert!(caller.may_use("gpt", route("gpt")));
        let by = |name: &str| {
            let refused = caller.refused_by(name, route(name));
            refused.map(|models| models.refusal(name))
        };
        let refusal = by("mixed").expect("is not in the key's list");
        assert_eq!(
            (refusal.status().as_u16(), refusal.code()),
            (403, "key_model_access_denied")
        );
        assert_eq!(
            refusal.message(),
            "key not allowed to access model. This key can only access models=[gpt, openai/*]. Tried to access mixed"
        );
        let refusal = by("openai/o3").expect("is not in the team's list");
        assert_eq!(refusal.code(), "team_model_access_denied");
        assert!(caller.with_admin().may_use("mixed", route("mixed")));
    }

    #[test]
    fn a_refusal_is_short_whatever_is_asked_for() {
        let models = ModelAccess::new((0..1000).map(|n| format!("{n}-{}", "x".repeat(500))));
        let told = models.why_not(&"y".repeat(1 << 20));
        assert!(told.len() < 4096 && told.contains("and 980 more"), "{told}");
    }
}
