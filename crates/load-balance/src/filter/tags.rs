//! The filter by tags.

use std::{collections::HashMap, fmt, sync::Arc};

use smallvec::SmallVec;
use ziggurat_core::{LlmRequest, Traits};

use super::{Filter, Members};

const TAGS: &str = "tags";

/// The tag of the deployments that serve requests which ask for none.
const DEFAULT: &str = "default";

/// How many tags a message lists, and how much of each.
const LISTED: usize = 8;
const LONGEST: usize = 64;

/// How much of a user agent is searched, in bytes.
const USER_AGENT: usize = 512;

/// Leaves to a request the deployments that carry its tags.
///
/// - A request without tags goes to the deployments tagged `default`, or to all of its group if none
///   is.
/// - A request with tags goes to the deployments that carry [any](Self::match_any) or
///   [all](Self::match_all) of them. If none does, and the group knows none of the tags, it goes to
///   those tagged `default`; otherwise it is refused.
/// - `!tag` leaves out the deployments that carry it, `&tag` those that do not, whatever else is
///   asked for. A request with nothing but `!tag` goes to those tagged `default` that are left,
///   or to all that are left if no deployment of the group is tagged so.
/// - A deployment with [patterns](ziggurat_core::TagPattern) also matches if one of them is found in
///   `User-Agent: ` followed by the user agent that the request's
///   [controls](ziggurat_core::Controls::user_agent) name, as if it carried the tags asked for. Where
///   all tags must match, patterns count only for deployments without tags.
///
/// Resting or full deployments do not matter here: if those that match all rest, the request is told
/// so, with the time, and not that its tags are wrong. A request that names its deployment by id is
/// left alone.
#[derive(Clone, Debug)]
pub struct TagFilter {
    all: bool,
    prefix: Option<Arc<str>>,
    enabled: bool,
    groups: HashMap<Arc<str>, bool>,
}

impl TagFilter {
    /// One tag of a request is enough.
    #[must_use]
    pub fn match_any() -> Self {
        Self {
            all: false,
            prefix: None,
            enabled: true,
            groups: HashMap::new(),
        }
    }

    /// A deployment must carry all tags of a request.
    #[must_use]
    pub fn match_all() -> Self {
        Self {
            all: true,
            ..Self::match_any()
        }
    }

    /// Strips this from the tags of requests that begin with it. A tag that did is meant for
    /// routing, so if nobody carries it the request is refused, even if the group does not know it.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<Arc<str>>) -> Self {
        let prefix = prefix.into();
        self.prefix = (!prefix.is_empty()).then_some(prefix);
        self
    }

    /// Turns it on or off for all groups of which nothing else is said; on if not set.
    #[must_use]
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// Turns it on or off for one group.
    #[must_use]
    pub fn group(mut self, group: impl Into<Arc<str>>, enabled: bool) -> Self {
        self.groups.insert(group.into(), enabled);
        self
    }

    fn is_enabled(&self, group: &str) -> bool {
        match self.groups.get(group) {
            Some(enabled) => *enabled,
            None => self.enabled,
        }
    }

    /// The tag without the prefix, and whether it had it.
    fn strip<'a>(&self, tag: &'a str) -> (&'a str, bool) {
        let stripped = self.prefix.as_deref().and_then(|it| tag.strip_prefix(it));
        stripped.map_or((tag, false), |tag| (tag, true))
    }

    /// Leaves the deployments that match, of those asked for `tags` by `agent`.
    pub(crate) fn choose(&self, tags: &[Arc<str>], agent: Option<&str>, members: &mut Members<'_>) {
        let mut asked = Asked::default();
        for tag in tags {
            let (tag, is_routing) = self.strip(tag);
            if let Some(tag) = tag.strip_prefix('!') {
                asked.refused.push(tag);
            } else if let Some(tag) = tag.strip_prefix('&') {
                asked.required.push(tag);
            } else {
                asked.wanted.push(tag);
                asked.is_routing |= is_routing;
            }
        }
        for tag in &asked.refused {
            members.retain_traits(
                TAGS,
                |member| !carries(member, tag),
                |_| format!("has `{}`, which is not to be used", short(tag)),
            );
        }
        for tag in &asked.required {
            members.retain_traits(
                TAGS,
                |member| carries(member, tag),
                |member| has_not(member, std::slice::from_ref(tag)),
            );
        }
        let agent = agent.filter(|_| members.traits().any(|it| !it.tag_patterns.is_empty()));
        let agent = agent.map(Agent::new);
        let matches = |member: &Traits<'_>| {
            self.carries_wanted(member, &asked.wanted)
                || agent.as_ref().is_some_and(|agent| {
                    let counts = !self.all || member.tags.is_empty();
                    counts && agent.is_known_to(member)
                })
        };
        if members.traits().any(|member| matches(&member)) {
            members.retain_traits(TAGS, matches, |member| has_not(member, &asked.wanted));
        } else if !asked.wanted.is_empty() {
            let knows = |tag: &&str| members.all_traits().any(|member| carries(&member, tag));
            let is_known = asked.is_routing || asked.wanted.iter().any(knows);
            members.retain_traits(
                TAGS,
                |member| !is_known && carries(member, DEFAULT),
                |member| has_not(member, &asked.wanted),
            );
        } else if asked.required.is_empty()
            && members.all_traits().any(|member| carries(&member, DEFAULT))
        {
            members.retain_traits(
                TAGS,
                |member| carries(member, DEFAULT),
                |member| has_not(member, &[DEFAULT]),
            );
        }
    }

    fn carries_wanted(&self, member: &Traits<'_>, wanted: &[&str]) -> bool {
        let mut tags = wanted.iter();
        if self.all {
            !wanted.is_empty() && tags.all(|tag| carries(member, tag))
        } else {
            tags.any(|tag| carries(member, tag))
        }
    }
}

impl Filter<LlmRequest> for TagFilter {
    fn filter(&self, request: &LlmRequest, members: &mut Members<'_>) {
        if !members.is_by_id() && self.is_enabled(members.group()) {
            let agent = request.controls().user_agent.as_deref();
            self.choose(request.tags(), agent, members);
        }
    }
}

/// The tags of a request by what they ask for.
#[derive(Debug, Default)]
struct Asked<'a> {
    refused: SmallVec<[&'a str; 8]>,
    required: SmallVec<[&'a str; 8]>,
    wanted: SmallVec<[&'a str; 16]>,
    is_routing: bool,
}

/// The text in which patterns are searched.
struct Agent(SmallVec<[u8; USER_AGENT + 12]>);

impl Agent {
    fn new(value: &str) -> Self {
        let mut text = SmallVec::from_slice(b"User-Agent: ");
        text.extend_from_slice(&value.as_bytes()[..value.floor_char_boundary(USER_AGENT)]);
        Self(text)
    }

    fn is_known_to(&self, member: &Traits<'_>) -> bool {
        let text = std::str::from_utf8(&self.0).unwrap_or_default();
        member.tag_patterns.iter().any(|it| it.is_match(text))
    }
}

fn carries(member: &Traits<'_>, tag: &str) -> bool {
    member.tags.iter().any(|carried| &**carried == tag)
}

fn has_not(member: &Traits<'_>, asked: &[&str]) -> String {
    if member.tags.is_empty() {
        format!("has none, not {}", Quoted(asked))
    } else {
        format!("has {}, not {}", Quoted(member.tags), Quoted(asked))
    }
}

fn short(tag: &str) -> &str {
    &tag[..tag.floor_char_boundary(LONGEST)]
}

/// Some of the tags, for a message.
struct Quoted<'a, T>(&'a [T]);

impl<T: AsRef<str>> fmt::Display for Quoted<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, tag) in self.0.iter().take(LISTED).enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            write!(f, "{comma}`{}`", short(tag.as_ref()))?;
        }
        match self.0.len().saturating_sub(LISTED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use ziggurat_core::{Deployment, TagPattern};

    use super::*;
    use crate::filter::members;

    struct Asks {
        tags: Vec<Arc<str>>,
        agent: Option<&'static str>,
    }

    impl Filter<Asks> for TagFilter {
        fn filter(&self, request: &Asks, members: &mut Members<'_>) {
            self.choose(&request.tags, request.agent, members);
        }
    }

    fn asks(tags: &[&str], agent: Option<&'static str>) -> Asks {
        let tags = tags.iter().map(|tag| Arc::from(*tag)).collect();
        Asks { tags, agent }
    }

    /// Members named after their tags; a name after a `~` is a pattern.
    fn group(members: &[&str]) -> Vec<Deployment> {
        let member = |name: &&str| {
            let (tags, pattern) = name.split_once('~').unwrap_or((name, ""));
            let mut member = Deployment::new(*name, "g", "m").with_tags(tags.split_whitespace());
            if !pattern.is_empty() {
                member = member.with_tag_pattern(TagPattern::new(pattern).expect("is one"));
            }
            member
        };
        members.iter().map(member).collect()
    }

    fn left(filter: &TagFilter, members: &[&str], asked: &[&str]) -> Vec<String> {
        members::left(filter, &asks(asked, None), group(members)).0
    }

    const GROUP: [&str; 3] = ["free", "paid", "default"];

    #[test]
    fn tags_choose_the_deployments_that_carry_them() {
        for (asked, expected) in [
            (&["free"][..], &["free"][..]),
            (&[], &["default"]),
            (&["unknown"], &["default"]),
            (&["free", "paid"], &["free", "paid"]),
            (&["free", "unknown"], &["free"]),
            (&["&paid"], &["paid"]),
            (&["!free"], &["default"]),
            (&["free", "paid", "!free"], &["paid"]),
            (&["&paid", "!paid"], &[]),
            (&["free", "!free"], &[]),
            (&["unknown", "!default"], &[]),
        ] {
            let left = left(&TagFilter::match_any(), &GROUP, asked);
            assert_eq!(left, expected, "{asked:?}");
        }
        assert!(left(&TagFilter::match_any(), &["free"], &["unknown"]).is_empty());
    }

    #[test]
    fn to_match_all_a_deployment_carries_every_tag() {
        let group = ["eu", "eu fast", "default"];
        for (asked, expected) in [
            (&["eu", "fast"][..], &["eu fast"][..]),
            (&["eu"], &["eu", "eu fast"]),
            (&["eu", "unknown"], &[]),
            (&["unknown"], &["default"]),
        ] {
            let left = left(&TagFilter::match_all(), &group, asked);
            assert_eq!(left, expected, "{asked:?}");
        }
    }

    #[test]
    fn without_a_default_a_request_without_tags_goes_anywhere() {
        let left = |asked: &[&str]| left(&TagFilter::match_any(), &["free", "paid", ""], asked);
        assert_eq!(left(&[]), ["free", "paid", ""]);
        assert_eq!(left(&["!free"]), ["paid", ""]);
    }

    #[test]
    fn a_pattern_that_is_found_in_the_user_agent_matches() {
        let group = self::group(&["free~^User-Agent: bot", "~claude-cli/1\\.", "default"]);
        let any = TagFilter::match_any();
        for (filter, tags, agent, expected) in [
            (&any, &[][..], "claude-cli/1.2", &["~claude-cli/1\\."][..]),
            (&any, &[], "bot", &["free~^User-Agent: bot"]),
            (&any, &[], "a bot", &["default"]),
            (&any, &["free"], "curl", &["free~^User-Agent: bot"]),
            (
                &any,
                &["&free"],
                "claude-cli/1.2",
                &["free~^User-Agent: bot"],
            ),
            (&any, &["unknown"], "claude-cli/1.2", &["~claude-cli/1\\."]),
            (&TagFilter::match_all(), &[], "bot", &["default"]),
            (
                &TagFilter::match_all(),
                &[],
                "claude-cli/1.2",
                &["~claude-cli/1\\."],
            ),
        ] {
            let (left, _) = members::left(filter, &asks(tags, Some(agent)), group.clone());
            assert_eq!(left, expected, "{tags:?} {agent}");
        }
    }

    #[test]
    fn a_tag_with_the_prefix_is_meant_for_routing() {
        let filter = TagFilter::match_any().prefix("route:");
        assert_eq!(left(&filter, &GROUP, &["route:paid"]), ["paid"]);
        assert_eq!(left(&filter, &GROUP, &["route:!free"]), ["default"]);
        assert_eq!(left(&filter, &GROUP, &["other"]), ["default"]);
        assert!(left(&filter, &GROUP, &["route:other"]).is_empty());
    }

    #[test]
    fn it_may_be_on_for_some_groups_only() {
        let some = TagFilter::match_any().enabled(false).group("g", true);
        assert!(some.is_enabled("g") && !some.is_enabled("h"));
        let others = TagFilter::match_any().group("g", false);
        assert!(!others.is_enabled("g") && others.is_enabled("h"));
    }

    #[test]
    fn who_is_left_out_is_told_its_tags_and_those_asked_for() {
        let long = "x".repeat(1_000);
        let reasons = |asked: &[&str]| {
            let any = TagFilter::match_any();
            members::left(&any, &asks(asked, None), group(&["eu", "", "us"])).1
        };
        assert_eq!(
            reasons(&["us"]),
            [
                "eu (tags: has `eu`, not `us`)",
                " (tags: has none, not `us`)"
            ]
        );
        assert_eq!(
            reasons(&["!us", "us"])[2],
            "us (tags: has `us`, which is not to be used)"
        );
        assert!(
            reasons(&[&format!("&{long}")])
                .iter()
                .all(|why| why.len() < 120)
        );
    }
}
