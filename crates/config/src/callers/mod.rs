//! Who may ask for what: keys, teams and users.

mod hash;
mod limits;
mod read;

use std::{fmt, sync::Arc, time::SystemTime};

use jiff::Timestamp;
use ziggurat_core::{Caller, ModelAccess, Whose};

pub(crate) use self::read::{Models, read};
pub use self::{
    hash::KeyHash,
    limits::{CallerLimits, ModelLimits},
};

/// Who may ask for what: `keys`, `teams` and `users` of `ziggurat_settings`, and what holds for all.
///
/// Empty unless the file says something.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Callers {
    /// The keys. No name and no key stands twice.
    pub keys: Vec<KeySettings>,
    /// The teams. No name stands twice.
    pub teams: Vec<TeamSettings>,
    /// The users. No name stands twice.
    pub users: Vec<UserSettings>,
    /// What all requests together may use up: `max_budget` and `budget_duration` of `litellm_settings`
    /// and `global_max_parallel_requests` of `general_settings`.
    pub everybody: CallerLimits,
    /// What each user of keys may use up who has no entry: `max_internal_user_budget` and
    /// `internal_user_budget_duration` of `litellm_settings`.
    pub each_user: CallerLimits,
    /// What each `user` of requests may use up who has no entry: `max_end_user_budget` of
    /// `litellm_settings`.
    pub each_end_user: CallerLimits,
}

/// An entry of `ziggurat_settings.keys`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeySettings {
    /// How it is called. It may be shown; the key is not kept.
    pub name: Arc<str>,
    /// By what it is known.
    pub hash: KeyHash,
    /// The models it may use, as [`ModelAccess`] takes them; `None` for all.
    pub models: Option<Vec<Arc<str>>>,
    /// The team, which has an entry.
    pub team: Option<Arc<str>>,
    /// Whose it is.
    pub user: Option<Arc<str>>,
    /// Tags that are added to each of its requests.
    pub tags: Vec<Arc<str>>,
    /// The priority of requests that name none.
    pub priority: Option<i64>,
    /// What part of the capacity its requests get while others wait too, by weight. At least 1.
    pub share: Option<u32>,
    /// What it may use up.
    pub limits: CallerLimits,
    /// When it ends.
    pub expires: Option<Expiry>,
    /// Whether it is refused for now.
    pub is_blocked: bool,
}

/// An entry of `ziggurat_settings.teams`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TeamSettings {
    /// How it is called.
    pub name: Arc<str>,
    /// The models that its keys may use, as [`ModelAccess`] takes them; `None` for all.
    pub models: Option<Vec<Arc<str>>>,
    /// What part of the capacity the requests of each of its keys get while others wait too, by weight,
    /// where the key has none; or those of all together, where teams share. At least 1.
    pub share: Option<u32>,
    /// What its keys may use up together.
    pub limits: CallerLimits,
    /// Whether its keys are refused for now.
    pub is_blocked: bool,
}

/// An entry of `ziggurat_settings.users`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UserSettings {
    /// How it is called: as the `user` of a key, or that of a request.
    pub name: Arc<str>,
    /// The models that its keys may use, as [`ModelAccess`] takes them; `None` for all.
    pub models: Option<Vec<Arc<str>>>,
    /// What it may use up, by whatever key.
    pub limits: CallerLimits,
}

/// When a key ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry(Timestamp);

impl Expiry {
    /// Reads a time of RFC 3339. Without a zone it is that of UTC, and a date is its first moment.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let utc = |civil: jiff::civil::DateTime| {
            let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
            Some(zoned.timestamp())
        };
        let at = text.parse().ok().or_else(|| utc(text.parse().ok()?));
        at.map(Self)
    }

    /// Whether it was before `now`, or is.
    #[must_use]
    pub fn is_over(self, now: SystemTime) -> bool {
        SystemTime::from(self.0) <= now
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Callers {
    /// The key of that name.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&KeySettings> {
        self.keys.iter().find(|key| *key.name == *name)
    }

    /// The team of that name.
    #[must_use]
    pub fn team(&self, name: &str) -> Option<&TeamSettings> {
        self.teams.iter().find(|team| *team.name == *name)
    }

    /// The user of that name.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&UserSettings> {
        self.users.iter().find(|user| *user.name == *name)
    }

    /// The limits of all entries.
    pub fn limits(&self) -> impl Iterator<Item = &CallerLimits> {
        let keys = self.keys.iter().map(|it| &it.limits);
        let teams = self.teams.iter().map(|it| &it.limits);
        keys.chain(teams)
            .chain(self.users.iter().map(|it| &it.limits))
    }

    /// Whoever has a key, as layers see it.
    #[must_use]
    pub fn caller(&self, key: &KeySettings) -> Caller {
        let mut caller = Caller::new()
            .with_key(Arc::clone(&key.name))
            .with_tags(key.tags.iter().cloned());
        let team = key.team.as_deref().and_then(|name| self.team(name));
        let user = key.user.as_deref().and_then(|name| self.user(name));
        for (whose, models) in [
            (Whose::Key, &key.models),
            (Whose::Team, team.map_or(&None, |team| &team.models)),
            (Whose::User, user.map_or(&None, |user| &user.models)),
        ] {
            if let Some(models) = models {
                let models = ModelAccess::new(models.iter().cloned());
                caller = caller.with_models(models.of(whose));
            }
        }
        if let Some(team) = &key.team {
            caller = caller.with_team(Arc::clone(team));
        }
        if let Some(user) = &key.user {
            caller = caller.with_user(Arc::clone(user));
        }
        match key.priority {
            Some(priority) => caller.with_priority(priority),
            None => caller,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_ends_at_its_beginning_in_utc() {
        for (text, told) in [
            ("2027-01-01", "2027-01-01T00:00:00Z"),
            ("2027-01-01T12:00:00", "2027-01-01T12:00:00Z"),
            ("2027-01-01 12:00", "2027-01-01T12:00:00Z"),
            ("2027-01-01T12:00:00+02:00", "2027-01-01T10:00:00Z"),
        ] {
            let expiry = Expiry::parse(text).expect(text);
            assert_eq!(expiry.to_string(), told);
            let at = SystemTime::from(expiry.0);
            let before = at - std::time::Duration::from_secs(1);
            assert!(expiry.is_over(at) && !expiry.is_over(before));
        }
        for text in ["", "soon", "2027", "2027-13-01", "2027-02-30"] {
            assert_eq!(Expiry::parse(text), None, "{text}");
        }
    }
}
