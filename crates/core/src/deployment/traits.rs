//! What filters look at.

use std::sync::Arc;

use crate::{AccessWindow, Capabilities, Deployment, FieldSet, Mode, TagPattern};

/// What filters look at, all of it. Deployments that are equal in it pass the same filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Traits<'a> {
    /// Whether it is to get no requests.
    pub blocked: bool,
    /// The team it belongs to.
    pub team: Option<&'a str>,
    /// Labels by which callers may be let in.
    pub access_groups: &'a [Arc<str>],
    /// Times of the day at which it is kept for some teams.
    pub access_windows: &'a [AccessWindow],
    /// Tags that requests may ask for.
    pub tags: &'a [Arc<str>],
    /// Patterns of user agents that have the same effect.
    pub tag_patterns: &'a [TagPattern],
    /// Where it is.
    pub region: Option<&'a str>,
    /// The size of its context window.
    pub max_input_tokens: Option<u64>,
    /// What its model can do.
    pub capabilities: Capabilities,
    /// The fields of requests that it understands, if that is known.
    pub fields: Option<FieldSet>,
    /// What its model is for.
    pub mode: Option<Mode>,
}

impl Deployment {
    /// What filters look at.
    #[must_use]
    pub fn traits(&self) -> Traits<'_> {
        Traits {
            blocked: self.blocked,
            team: self.team.as_deref(),
            access_groups: &self.access_groups,
            access_windows: &self.access_windows,
            tags: &self.tags,
            tag_patterns: &self.tag_patterns,
            region: self.region.as_deref(),
            max_input_tokens: self.max_input_tokens,
            capabilities: self.capabilities,
            fields: self.fields,
            mode: self.mode,
        }
    }
}
