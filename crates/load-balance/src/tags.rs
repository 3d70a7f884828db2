//! The filter by tags.

use std::{borrow::Cow, collections::BTreeSet, fmt, sync::Arc};

use smallvec::SmallVec;
use ziggurat_core::{Deployment, LlmRequest, Param};

use crate::{Filter, Members};

/// The tag of the deployments that serve requests which ask for none.
const DEFAULT: &str = "default";

/// How many tags a message lists.
const LISTED: usize = 8;

/// The tags by which a request chooses among deployments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(SmallVec<[Arc<str>; 2]>);

impl<T: Into<Arc<str>>> FromIterator<T> for Tags {
    fn from_iter<I: IntoIterator<Item = T>>(tags: I) -> Self {
        Self(tags.into_iter().map(Into::into).collect())
    }
}

impl Param<Tags> for LlmRequest {
    fn param(&self) -> Tags {
        self.tags().iter().cloned().collect()
    }
}

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
///
/// Resting or full deployments do not matter here: if those that match all rest, the request is told
/// so, with the time, and not that its tags are wrong.
#[derive(Clone, Copy, Debug)]
pub struct TagFilter {
    all: bool,
}

impl TagFilter {
    /// One tag of a request is enough.
    #[must_use]
    pub const fn match_any() -> Self {
        Self { all: false }
    }

    /// A deployment must carry all tags of a request.
    #[must_use]
    pub const fn match_all() -> Self {
        Self { all: true }
    }

    fn matches(self, member: &Deployment, wanted: &[&str]) -> bool {
        let mut wanted = wanted.iter();
        if self.all {
            wanted.all(|tag| carries(member, tag))
        } else {
            wanted.any(|tag| carries(member, tag))
        }
    }
}

fn carries(member: &Deployment, tag: &str) -> bool {
    member.tags().iter().any(|carried| &**carried == tag)
}

/// Leaves those tagged `default`.
fn retain_default(members: &mut Members<'_>) {
    members.retain(|member| carries(member, DEFAULT));
}

impl<R: Param<Tags>> Filter<R> for TagFilter {
    fn filter(&self, request: &R, members: &mut Members<'_>) -> Result<(), Cow<'static, str>> {
        let Tags(tags) = request.param();
        let all = members.all();
        let known = |tag: &str| all.iter().any(|member| carries(member, tag));
        let has_default = known(DEFAULT);

        let mut wanted: SmallVec<[&str; 4]> = SmallVec::new();
        let mut requires = false;
        for tag in &tags {
            if let Some(tag) = tag.strip_prefix('!') {
                members.retain(|member| !carries(member, tag));
            } else if let Some(tag) = tag.strip_prefix('&') {
                requires = true;
                members.retain(|member| carries(member, tag));
            } else {
                wanted.push(tag);
            }
        }
        if wanted.is_empty() {
            if has_default && !requires {
                retain_default(members);
            }
        } else if members.iter().any(|member| self.matches(member, &wanted)) {
            members.retain(|member| self.matches(member, &wanted));
        } else if wanted.iter().any(|tag| known(tag)) {
            members.retain(|_| false);
        } else {
            retain_default(members);
        }
        if members.is_empty() {
            return Err(refusal(&tags, all).into());
        }
        Ok(())
    }
}

fn refusal(asked: &[Arc<str>], members: &[Arc<Deployment>]) -> String {
    let offered: BTreeSet<_> = members.iter().flat_map(|member| member.tags()).collect();
    if offered.is_empty() {
        return format!("none has the tags {}, or any tag", Quoted(asked));
    }
    let offered: Vec<_> = offered.into_iter().collect();
    format!(
        "none has the tags {} as asked for; there are {}",
        Quoted(asked),
        Quoted(&offered)
    )
}

/// Some of the tags, for a message.
struct Quoted<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Quoted<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, tag) in self.0.iter().take(LISTED).enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            write!(f, "{comma}`{tag}`")?;
        }
        match self.0.len().saturating_sub(LISTED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bits::Bits;

    struct Asks(Tags);

    impl Param<Tags> for Asks {
        fn param(&self) -> Tags {
            self.0.clone()
        }
    }

    /// Members named after their tags; what is left of them, or why nothing is.
    fn left(filter: TagFilter, members: &[&str], asked: &[&str]) -> Result<Vec<String>, String> {
        let all: Vec<_> = members
            .iter()
            .map(|tags| {
                let member = Deployment::new(*tags, "g", "m");
                Arc::new(member.with_tags(tags.split_whitespace()))
            })
            .collect();
        let mut closed = Bits::default();
        let mut members = Members::new(&all, &mut closed);
        let request = Asks(asked.iter().copied().collect());
        filter.filter(&request, &mut members)?;
        Ok(members
            .iter()
            .map(|member| member.id().to_string())
            .collect())
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
        ] {
            let left = left(TagFilter::match_any(), &GROUP, asked);
            assert_eq!(left.expect("some are left"), expected, "{asked:?}");
        }
    }

    #[test]
    fn to_match_all_a_deployment_carries_every_tag() {
        let group = ["eu", "eu fast", "default"];
        let left = |asked: &[&str]| left(TagFilter::match_all(), &group, asked);
        assert_eq!(left(&["eu", "fast"]).expect("one is left"), ["eu fast"]);
        assert_eq!(left(&["eu"]).expect("two are left"), ["eu", "eu fast"]);
        left(&["eu", "unknown"]).expect_err("a tag is known and none carries both");
    }

    #[test]
    fn a_request_whose_known_tags_nobody_carries_is_refused_with_what_there_is() {
        let error = left(TagFilter::match_any(), &GROUP, &["&paid", "!paid"]);
        assert_eq!(
            error.expect_err("nobody does"),
            "none has the tags `&paid`, `!paid` as asked for; there are `default`, `free`, `paid`"
        );
        left(TagFilter::match_any(), &["free"], &["unknown"]).expect_err("there is no default");
    }

    #[test]
    fn without_a_default_a_request_without_tags_goes_anywhere() {
        let left = |asked: &[&str]| left(TagFilter::match_any(), &["free", "paid", ""], asked);
        assert_eq!(left(&[]).expect("all are left"), ["free", "paid", ""]);
        assert_eq!(left(&["!free"]).expect("two are left"), ["paid", ""]);
    }
}
