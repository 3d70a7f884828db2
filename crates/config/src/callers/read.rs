//! Reads who may ask for what.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use ziggurat_core::{Deployment, Secret};

use super::{
    CallerLimits, Callers, Expiry, KeyHash, KeySettings, TeamSettings, UserSettings,
    limits::{self, Noted},
};
use crate::{
    keys,
    names::Names,
    problem::Report,
    read::{self, Found, Range, Section, first},
    source::{Facts, Show},
    tables::{KEY, TEAM, USER},
    yaml::{Node, Pos, Value},
};

/// A key that is shorter can be guessed.
const SHORT: usize = 16;

/// The longest name, in bytes: it stands in metrics and logs.
const LONGEST_NAME: usize = 128;

/// Words of LiteLLM for lists of models: everything, what the team may use, and nothing.
const ALL: &str = "all-proxy-models";
const OF_TEAM: &str = "all-team-models";
const NONE: &str = "no-default-models";

/// What may stand in a list of models.
pub(crate) struct Models<'a> {
    names: &'a Names,
    /// Labels and ids.
    others: HashSet<&'a str>,
}

impl<'a> Models<'a> {
    pub(crate) fn new(names: &'a Names, deployments: &'a [Deployment]) -> Self {
        let labels = deployments.iter().flat_map(Deployment::access_groups);
        let ids = deployments.iter().map(|it| it.id().as_str());
        Self {
            names,
            others: labels.map(|label| &**label).chain(ids).collect(),
        }
    }

    fn leads(&self, name: &str) -> bool {
        let is_word = [ALL, OF_TEAM, NONE].contains(&name);
        is_word || name.contains('*') || self.others.contains(name) || self.names.has(name)
    }
}

/// Reads them all.
pub(crate) fn read(
    [own, litellm, general]: [&Section<'_>; 3],
    models: &Models<'_>,
    master_key: Option<&Secret>,
    facts: &mut Facts,
    report: &mut Report,
) -> Callers {
    let mut reader = Reader {
        models,
        facts,
        report,
    };
    let teams = reader.teams(own);
    let users = reader.users(own);
    let keys = reader.keys(own, &teams, master_key);
    if let Some(field) = own.field("keys").filter(|_| master_key.is_none()) {
        let message = "without `general_settings.master_key` nobody can ask for /health, /model/info and /router/settings";
        reader.report.warning(field.node.at, message);
    }
    let mut money = |key, report: &mut Report| {
        let found = litellm.money(key, report);
        reader.facts.take(key, found)
    };
    let report = reader.report;
    let budgets = [
        money("max_budget", report),
        money("max_internal_user_budget", report),
        money("max_end_user_budget", report),
    ];
    let mut time = |key, report: &mut Report| {
        let found = litellm.budget_duration(key, report);
        reader.facts.take(key, found)
    };
    let times = [
        time("budget_duration", report),
        time("internal_user_budget_duration", report),
        None,
    ];
    let [mut everybody, each_user, each_end_user] = [0, 1, 2].map(|at| CallerLimits {
        max_budget: budgets[at],
        budget_duration: times[at],
        ..CallerLimits::default()
    });
    let parallel = "global_max_parallel_requests";
    let found = general.whole(parallel, Range::OverZero, report);
    everybody.max_parallel = reader.facts.take(parallel, found);
    let callers = Callers {
        keys,
        teams,
        users,
        everybody,
        each_user,
        each_end_user,
    };
    if !callers.keys.is_empty() {
        check_fallbacks(own, &callers, report);
    }
    callers
}

struct Reader<'a> {
    models: &'a Models<'a>,
    facts: &'a mut Facts,
    report: &'a mut Report,
}

impl Reader<'_> {
    fn teams(&mut self, own: &Section<'_>) -> Vec<TeamSettings> {
        let mut teams = Vec::new();
        let mut names = HashMap::new();
        for (node, section) in own.each("teams", &TEAM, self.report) {
            let words = ["name", "team_id"];
            let name = self.name(node, &section, words, "team", &mut names);
            let known = name.is_some();
            let name = name.unwrap_or_default();
            let share = section.whole("share", Range::OverZero, self.report);
            let mut noted = noted(&mut *self.facts, "team", &name);
            let share = noted.take("share", share);
            let limits = limits::read(&section, &mut noted, self.report);
            let team = TeamSettings {
                models: self.models(&section, true, "team", &name),
                share,
                limits,
                is_blocked: self.flag(&section, "team", &name),
                name,
            };
            teams.extend(Some(team).filter(|_| known));
        }
        teams
    }

    fn users(&mut self, own: &Section<'_>) -> Vec<UserSettings> {
        let mut users = Vec::new();
        let mut names = HashMap::new();
        for (node, section) in own.each("users", &USER, self.report) {
            let words = ["name", "user_id"];
            let name = self.name(node, &section, words, "user", &mut names);
            let known = name.is_some();
            let name = name.unwrap_or_default();
            let mut noted = noted(&mut *self.facts, "user", &name);
            let limits = limits::read(&section, &mut noted, self.report);
            let user = UserSettings {
                models: self.models(&section, false, "user", &name),
                limits,
                name,
            };
            users.extend(Some(user).filter(|_| known));
        }
        users
    }

    fn keys(
        &mut self,
        own: &Section<'_>,
        teams: &[TeamSettings],
        master_key: Option<&Secret>,
    ) -> Vec<KeySettings> {
        let mut keys = Vec::new();
        let mut names = HashMap::new();
        let mut hashes = HashMap::new();
        if let Some(master) = master_key {
            let hash = KeyHash::of(master.expose().as_bytes());
            hashes.insert(hash, "`general_settings.master_key`".to_owned());
        }
        for (node, section) in own.each("keys", &KEY, self.report) {
            let name = self.name(node, &section, ["name", "key_alias"], "key", &mut names);
            let hash = self.hash(node, &section, name.as_ref());
            let whose = name.clone().unwrap_or_default();
            let key = self.key(&section, whose, teams);
            let (Some(name), Some((hash, at))) = (name, hash) else {
                continue;
            };
            match hashes.entry(hash) {
                Entry::Vacant(free) => {
                    free.insert(read::name(&name));
                }
                Entry::Occupied(other) => {
                    let message = format!(
                        "the key {} is the same as {}",
                        read::name(&name),
                        other.get()
                    );
                    self.report.error(at, message);
                }
            }
            keys.push(KeySettings { hash, ..key });
        }
        keys
    }

    /// All but the key itself.
    fn key(
        &mut self,
        section: &Section<'_>,
        name: Arc<str>,
        teams: &[TeamSettings],
    ) -> KeySettings {
        let team = first(
            ["team", "team_id"].map(|key| section.text(key, self.report)),
            self.report,
        );
        if let Some(found) = &team
            && !teams.iter().any(|team| team.name == found.value)
        {
            let known = teams.iter().map(|team| &*team.name);
            let meant = keys::near(&found.value, known).map(read::name);
            let meant = meant.map_or_else(String::new, |near| format!("; did you mean {near}?"));
            let told = read::name(&found.value);
            self.report
                .error(found.at, format!("`teams` has no team {told}{meant}"));
        }
        let user = first(
            ["user", "user_id"].map(|key| section.text(key, self.report)),
            self.report,
        );
        let expires = section.field("expires").and_then(|field| {
            let what = "a date like 2027-01-01, or a time like 2027-01-01T12:00:00Z";
            field.read(what, self.report, Expiry::parse)
        });
        let tags = section.texts("tags", self.report);
        let priority = section.whole("priority", Range::Any, self.report);
        let share = section.whole("share", Range::OverZero, self.report);
        let mut noted = noted(&mut *self.facts, "key", &name);
        let has_team = team.is_some();
        let (team, user) = (noted.take("team", team), noted.take("user", user));
        let tags = noted.take("tags", tags).unwrap_or_default();
        let priority = noted.take("priority", priority);
        let share = noted.take("share", share);
        let expires = noted.take("expires", expires);
        let limits = limits::read(section, &mut noted, self.report);
        KeySettings {
            hash: KeyHash::of(b""),
            models: self.models(section, has_team, "key", &name),
            team,
            user,
            tags,
            priority,
            share,
            limits,
            expires,
            is_blocked: self.flag(section, "key", &name),
            name,
        }
    }

    /// The hash of a key, by either word, and where it stands.
    fn hash(
        &mut self,
        node: &Node,
        section: &Section<'_>,
        name: Option<&Arc<str>>,
    ) -> Option<(KeyHash, Pos)> {
        let report = &mut *self.report;
        let told = name.map_or_else(String::new, |name| format!(" {}", read::name(name)));
        match (section.field("key"), section.field("hash")) {
            (None, None) => {
                let message = format!("the key{told} needs `key`, or the `hash` of it");
                report.error(node.at, message);
                None
            }
            (Some(_), Some(hash)) => {
                let message = format!("the key{told} has both `key` and `hash`: write one of them");
                report.error(hash.node.at, message);
                None
            }
            (Some(_), None) => {
                let found = section.secret("key", report)?;
                let key = found.value.expose();
                if key.is_empty() || key.trim_ascii() != key {
                    let message = format!(
                        "the key{told} is empty, or begins or ends with white space: no client can send it"
                    );
                    report.error(found.at, message);
                    return None;
                }
                if key.len() < SHORT {
                    let message = format!(
                        "the key{told} is shorter than {SHORT} bytes and may be guessed; `ziggurat hash-key --generate` makes one"
                    );
                    report.warning(found.at, message);
                }
                let hash = KeyHash::of(key.as_bytes());
                let at = found.at;
                self.note_secret("key", found, name);
                Some((hash, at))
            }
            (None, Some(field)) => {
                let what =
                    "`sha256:` and 64 hexadecimal digits, as `ziggurat hash-key` prints them";
                let found = field.read(what, report, |text| Some(KeyHash::parse(text)))?;
                let Some(hash) = found.value else {
                    // What stands there may be the key.
                    report.error(found.at, format!("`hash` must be {what}"));
                    return None;
                };
                let at = found.at;
                self.note_secret("hash", found.map(|_| Secret::new("")), name);
                Some((hash, at))
            }
        }
    }

    fn note_secret(&mut self, key: &str, found: Found<Secret>, name: Option<&Arc<str>>) {
        if let Some(name) = name {
            noted(&mut *self.facts, "key", name).take(key, Some(found));
        }
    }

    /// The name of an entry, by either word.
    fn name(
        &mut self,
        node: &Node,
        section: &Section<'_>,
        words: [&'static str; 2],
        what: &str,
        names: &mut HashMap<Arc<str>, Pos>,
    ) -> Option<Arc<str>> {
        let report = &mut *self.report;
        if words.iter().all(|word| section.field(word).is_none()) {
            report.error(node.at, format!("a {what} needs a `name`"));
        }
        let found = first(words.map(|word| section.text(word, report)), report)?;
        if found.value.len() > LONGEST_NAME {
            let message = format!("the name of a {what} must be at most {LONGEST_NAME} bytes");
            report.error(found.at, message);
            return None;
        }
        match names.entry(Arc::clone(&found.value)) {
            Entry::Vacant(free) => {
                free.insert(found.at);
                Some(found.value)
            }
            Entry::Occupied(before) => {
                let told = read::name(&found.value);
                let message = format!(
                    "the {what} {told} stands twice, first {}",
                    before.get().told()
                );
                report.error(found.at, message);
                None
            }
        }
    }

    /// A list of models; `None` for all.
    fn models(
        &mut self,
        section: &Section<'_>,
        has_team: bool,
        what: &str,
        name: &Arc<str>,
    ) -> Option<Vec<Arc<str>>> {
        let field = section.field("models")?;
        let listed = section.one_or_more("models", self.report);
        if matches!(&field.node.value, Value::List(list) if list.is_empty()) {
            let message = format!(
                "`models: []` lets the {what} {} use all models; leave it out to say so, or write `{NONE}`",
                read::name(name)
            );
            self.report.warning(field.node.at, message);
            return None;
        }
        for found in listed.iter().filter(|it| !self.models.leads(&it.value)) {
            let whose = format!("{what} {}: ", read::name(name));
            let message = self.models.names.unknown(&whose, &found.value, self.report);
            self.report.warning(found.at, message);
        }
        let has = |word: &str| listed.iter().any(|found| *found.value == *word);
        if has(OF_TEAM) && !has_team {
            let message = format!(
                "`{OF_TEAM}` of the {what} {}, which has no team, is all models",
                read::name(name)
            );
            self.report.warning(field.node.at, message);
        }
        let is_all = has(ALL) || has(OF_TEAM);
        let listed = listed.into_iter().map(|found| found.value).collect();
        let found = Some(field.found(listed, None));
        let models = noted(&mut *self.facts, what, name).take("models", found);
        models.filter(|_| !is_all)
    }

    fn flag(&mut self, section: &Section<'_>, what: &str, name: &Arc<str>) -> bool {
        let found = section.flag("blocked", self.report);
        noted(&mut *self.facts, what, name).take("blocked", found) == Some(true)
    }
}

fn noted<'a>(facts: &'a mut Facts, what: &str, name: &str) -> Noted<'a> {
    let whose = format!("{what} {}", name.escape_debug());
    Noted { facts, whose }
}

impl Show for Expiry {
    fn show(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// Says which callers of `fallbacks_for` there are not.
fn check_fallbacks(own: &Section<'_>, callers: &Callers, report: &mut Report) {
    let Some(field) = own.field("fallbacks_for") else {
        return;
    };
    let has_key = |name: &str| callers.key(name).is_some();
    let has_team = |name: &str| callers.team(name).is_some();
    let lists: [(_, &dyn Fn(&str) -> bool); 2] = [("keys", &has_key), ("teams", &has_team)];
    for (list, has) in lists {
        let Some(Value::Map(named)) = field.node.get(list).map(|node| &node.value) else {
            continue;
        };
        for (name, _) in named.iter().filter(|(name, _)| !has(&name.text)) {
            let told = read::name(&name.text);
            let message = format!("`fallbacks_for.{list}`: `{list}` has no {told}");
            report.warning(name.at, message);
        }
    }
}
