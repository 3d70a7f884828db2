//! Who may use a deployment, and when.

use std::{fmt, sync::Arc};

use jiff::{Timestamp, tz::TimeZone};
use ziggurat_core::{AccessWindow, Asked, Caller, ModelAccess, ModelGroup, Param, Traits, Whose};

use super::{Filter, Members};

pub(crate) const BLOCKED: &str = "blocked";
pub(crate) const TEAM: &str = "team";
pub(crate) const ACCESS_GROUP: &str = "access group";
pub(crate) const ACCESS_WINDOW: &str = "access window";

/// What refuses those who may not use a model is called.
const fn models_of(whose: Whose) -> &'static str {
    match whose {
        Whose::Team => "models of the team",
        Whose::User => "models of the user",
        _ => "models of the key",
    }
}

/// Whose list of models it is that a filter of this name looks into, if it is one.
pub(crate) fn whose_models(filter: &str) -> Option<Whose> {
    let all = [Whose::Key, Whose::Team, Whose::User];
    all.into_iter().find(|whose| models_of(*whose) == filter)
}

/// Leaves to a caller what it may use.
///
/// - Where a caller has [lists of models](ModelAccess), a group serves it if each of them has the name
///   that is asked for or that of the group; else its deployments serve that carry a label in the
///   list. For a fallback its own name counts, not that of the group it stands in for. Where this
///   leaves nobody, the error is a 403.
/// - The deployment of a team serves callers of that team, and admins.
/// - Where a caller is let in by labels, only deployments that carry one of them serve.
/// - In its [access windows](AccessWindow) a deployment serves the teams it is kept for, and admins.
///   The time of the day is that of the window's time zone; one in a zone that nobody knows is
///   always open, so the deployment is kept for its teams.
/// - A deployment that is blocked serves nobody.
///
/// A request that names its deployment by id is held to this too. One without a
/// [`Caller`] is of no team and has no labels.
#[derive(Clone)]
pub struct AccessFilter {
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl AccessFilter {
    /// By the time of the system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self {
            now: Arc::new(Timestamp::now),
        }
    }

    /// By another clock. It is asked only where a deployment has a window.
    #[must_use]
    pub fn clock(mut self, now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.now = Arc::new(now);
        self
    }
}

impl Default for AccessFilter {
    fn default() -> Self {
        Self::new()
    }
}

impl<R> Filter<R> for AccessFilter
where
    R: Param<Option<Arc<Caller>>> + Param<ModelGroup> + Param<Asked>,
{
    fn filter(&self, request: &R, members: &mut Members<'_>) {
        let caller: Option<Arc<Caller>> = request.param();
        let caller = caller.as_deref();
        let is_admin = caller.is_some_and(|caller| caller.is_admin);
        let team = caller.and_then(|caller| caller.team.as_deref());
        let labels = caller.and_then(|caller| caller.access_groups.as_deref());
        if let Some(caller) = caller.filter(|it| !it.models.is_empty() && !is_admin) {
            let group: ModelGroup = request.param();
            let Asked(asked) = request.param();
            for models in &caller.models {
                leave(models, &group, asked.as_ref(), members);
            }
        }
        members.retain_traits(
            TEAM,
            |member| member.team.is_none() || is_admin || member.team == team,
            |_| "is another team's".into(),
        );
        if let Some(labels) = labels {
            members.retain_traits(
                ACCESS_GROUP,
                |member| labels.iter().any(|it| member.access_groups.contains(it)),
                |_| "carries none of the caller's labels".into(),
            );
        }
        if !is_admin {
            self.windows(team, members);
        }
        members.retain_traits(
            BLOCKED,
            |member| !member.blocked,
            |_| "gets no requests for now".into(),
        );
    }
}

/// Leaves what a list of models lets a caller use.
fn leave(
    models: &ModelAccess,
    group: &ModelGroup,
    asked: Option<&ModelGroup>,
    members: &mut Members<'_>,
) {
    let name = group.as_str();
    let is_id = members.is_by_id() && members.iter().any(|member| member.id().as_str() == name);
    let is_named = match is_id {
        true => models.has(name),
        false => models.allows(name),
    };
    let was_asked = asked.is_some_and(|asked| models.allows(asked.as_str()));
    if is_named || was_asked || models.allows(members.group()) {
        return;
    }
    members.retain_traits(
        models_of(models.whose()),
        |member| models.has_label(member.access_groups),
        |_| models.why_not(asked.unwrap_or(group).as_str()),
    );
}

impl AccessFilter {
    fn windows(&self, team: Option<&str>, members: &mut Members<'_>) {
        let mut now = None;
        members.retain_traits(
            ACCESS_WINDOW,
            |member| {
                member.access_windows.is_empty() || {
                    let now = *now.get_or_insert_with(|| (self.now)());
                    shut(member, team, now).is_none()
                }
            },
            |member| shut(member, team, (self.now)()).map_or_else(String::new, until),
        );
    }
}

/// The window that keeps a deployment from a team now, if one does.
fn shut<'a>(member: &Traits<'a>, team: Option<&str>, now: Timestamp) -> Option<&'a AccessWindow> {
    let open = |window: &&AccessWindow| is_open(window, now);
    let mut windows = member.access_windows.iter().filter(open).peekable();
    let first = windows.peek().copied()?;
    let lets_in = |window: &AccessWindow| {
        team.is_some_and(|team| window.teams().iter().any(|it| **it == *team))
    };
    (!windows.any(lets_in)).then_some(first)
}

fn is_open(window: &AccessWindow, now: Timestamp) -> bool {
    let Ok(zone) = TimeZone::get(window.time_zone()) else {
        return true;
    };
    let time = zone.to_datetime(now).time();
    // Hours and minutes of a clock are never below zero.
    let minute =
        u16::from(time.hour().unsigned_abs()) * 60 + u16::from(time.minute().unsigned_abs());
    window.contains(minute)
}

fn until(window: &AccessWindow) -> String {
    let (hour, minute) = (window.end() / 60, window.end() % 60);
    let zone = window.time_zone();
    format!("is kept for other teams until {hour:02}:{minute:02} {zone}")
}

impl fmt::Debug for AccessFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessFilter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use ziggurat_core::Deployment;

    use super::*;
    use crate::filter::members::left;

    struct Asks(Option<Caller>);

    impl Param<ModelGroup> for Asks {
        fn param(&self) -> ModelGroup {
            ModelGroup::new("g")
        }
    }

    impl Param<Asked> for Asks {
        fn param(&self) -> Asked {
            Asked(Some(ModelGroup::new("asked")))
        }
    }

    impl Param<Option<Arc<Caller>>> for Asks {
        fn param(&self) -> Option<Arc<Caller>> {
            self.0.clone().map(Arc::new)
        }
    }

    fn member(id: &str) -> Deployment {
        Deployment::new(id, "g", "m")
    }

    /// What is left at a time, for example `2026-07-01T12:00:00Z`.
    fn left_at(
        at: &str,
        caller: Option<Caller>,
        members: &[Deployment],
    ) -> (Vec<String>, Vec<String>) {
        let at: Timestamp = at.parse().expect("is a time");
        let filter = AccessFilter::new().clock(move || at);
        left(&filter, &Asks(caller), members.iter().cloned())
    }

    const NOON: &str = "2026-07-01T12:00:00Z";

    #[test]
    fn a_teams_deployment_serves_the_team_and_admins() {
        let members = [member("open"), member("red").with_team("red", None)];
        for (caller, expected) in [
            (None, &["open"][..]),
            (Some(Caller::new()), &["open"]),
            (Some(Caller::new().with_team("blue")), &["open"]),
            (Some(Caller::new().with_team("red")), &["open", "red"]),
            (Some(Caller::new().with_admin()), &["open", "red"]),
        ] {
            let (left, refused) = left_at(NOON, caller, &members);
            assert_eq!(left, expected);
            if left.len() == 1 {
                assert_eq!(refused, ["red (team: is another team's)"]);
            }
        }
    }

    #[test]
    fn a_list_of_models_lets_in_by_either_name_or_by_a_label() {
        let members = [member("none"), member("beta").with_access_groups(["beta"])];
        let team = || ModelAccess::new(["beta"]).of(Whose::Team);
        let some = |names: &[&'static str]| {
            Caller::new().with_models(ModelAccess::new(names.iter().copied()))
        };
        for (caller, expected) in [
            (some(&["g"]), &["none", "beta"][..]),
            (some(&["ask*"]), &["none", "beta"]),
            (some(&["x", "beta"]), &["beta"]),
            (some(&["g"]).with_models(team()), &["beta"]),
            (some(&["x"]).with_models(team()), &[]),
            (some(&[]).with_admin(), &["none", "beta"]),
        ] {
            let (left, refused) = left_at(NOON, Some(caller), &members);
            assert_eq!(left, expected);
            let why = "(models of the key: key not allowed to access model. This key can only access models=[x]. Tried to access asked)";
            if left.is_empty() {
                assert_eq!(refused, [format!("none {why}"), format!("beta {why}")]);
            }
        }
    }

    #[test]
    fn labels_let_a_caller_in_where_it_has_some() {
        let members = [
            member("none"),
            member("beta").with_access_groups(["beta"]),
            member("both").with_access_groups(["alpha", "beta"]),
        ];
        for (labels, expected) in [
            (None, &["none", "beta", "both"][..]),
            (Some(&["beta"][..]), &["beta", "both"]),
            (Some(&["alpha", "gamma"]), &["both"]),
            (Some(&[]), &[]),
        ] {
            let mut caller = Caller::new();
            if let Some(labels) = labels {
                caller = caller.with_access_groups(labels.iter().copied());
            }
            assert_eq!(left_at(NOON, Some(caller), &members).0, expected);
        }
    }

    #[test]
    fn a_window_keeps_a_deployment_for_its_teams_by_the_clock_of_its_zone() {
        let window = |zone: &str| {
            let window = AccessWindow::new(9 * 60, 17 * 60, zone, vec![Arc::from("red")]);
            member(zone).with_access_window(window.expect("is a window"))
        };
        let members = [window("UTC"), window("Asia/Tokyo"), window("Mars/Olympus")];
        let blue = || Some(Caller::new().with_team("blue"));
        for (at, caller, expected) in [
            // Noon in London, evening in Tokyo.
            ("2026-07-01T12:00:00Z", blue(), &["Asia/Tokyo"][..]),
            ("2026-07-01T12:00:00Z", None, &["Asia/Tokyo"]),
            // Night in London, morning in Tokyo.
            ("2026-07-01T00:30:00Z", blue(), &["UTC"]),
            ("2026-07-01T22:00:00Z", blue(), &["UTC", "Asia/Tokyo"]),
            (
                "2026-07-01T12:00:00Z",
                Some(Caller::new().with_team("red")),
                &["UTC", "Asia/Tokyo", "Mars/Olympus"],
            ),
            (
                "2026-07-01T12:00:00Z",
                Some(Caller::new().with_admin()),
                &["UTC", "Asia/Tokyo", "Mars/Olympus"],
            ),
        ] {
            assert_eq!(left_at(at, caller, &members).0, expected, "{at}");
        }
        let (_, refused) = left_at(NOON, None, &members[..1]);
        assert_eq!(
            refused,
            ["UTC (access window: is kept for other teams until 17:00 UTC)"]
        );
    }

    #[test]
    fn a_window_follows_summer_time() {
        let window = AccessWindow::new(9 * 60, 10 * 60, "Europe/Berlin", Vec::new());
        let members = [member("a").with_access_window(window.expect("is a window"))];
        let is_open = |at: &str| left_at(at, None, &members).0.len() == 1;
        assert!(is_open("2026-01-15T07:30:00Z") && !is_open("2026-01-15T08:30:00Z"));
        assert!(!is_open("2026-07-15T07:30:00Z") && is_open("2026-07-15T08:30:00Z"));
    }

    #[test]
    fn a_blocked_deployment_serves_nobody() {
        let members = [member("a"), member("b").with_blocked(true)];
        let (left, refused) = left_at(NOON, Some(Caller::new().with_admin()), &members);
        assert_eq!(left, ["a"]);
        assert_eq!(refused, ["b (blocked: gets no requests for now)"]);
    }
}
