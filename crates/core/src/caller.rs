//! Who asks.

use std::sync::Arc;

use crate::{ModelAccess, Route};

/// Who makes a request, as far as routing cares: what the application that knows its callers says.
///
/// A request without a caller may use whatever is open to all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caller {
    /// The name of the key that was presented, which may be shown; never the key itself.
    pub key: Option<Arc<str>>,
    /// The team.
    pub team: Option<Arc<str>>,
    /// Whose key it is. The `user` of a request is something else: what the client says.
    pub user: Option<Arc<str>>,
    /// Whether everything is open to it: deployments of every team, and every model.
    pub is_admin: bool,
    /// Labels of deployments; if given, only those that carry one of them may serve.
    pub access_groups: Option<Vec<Arc<str>>>,
    /// The models it may use: what its key may, what its team may. Each list must let it.
    pub models: Vec<ModelAccess>,
    /// Tags that are added to each of its requests.
    pub tags: Vec<Arc<str>>,
    /// The priority of requests that name none; lower is sooner.
    pub priority: Option<i64>,
}

impl Caller {
    /// Somebody of whom nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the key.
    #[must_use]
    pub fn with_key(mut self, name: impl Into<Arc<str>>) -> Self {
        self.key = Some(name.into());
        self
    }

    /// Names the team.
    #[must_use]
    pub fn with_team(mut self, team: impl Into<Arc<str>>) -> Self {
        self.team = Some(team.into());
        self
    }

    /// Names the user.
    #[must_use]
    pub fn with_user(mut self, user: impl Into<Arc<str>>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Opens everything.
    #[must_use]
    pub fn with_admin(mut self) -> Self {
        self.is_admin = true;
        self
    }

    /// Leaves only deployments that carry one of these labels.
    #[must_use]
    pub fn with_access_groups<T: Into<Arc<str>>>(
        mut self,
        labels: impl IntoIterator<Item = T>,
    ) -> Self {
        self.access_groups = Some(labels.into_iter().map(Into::into).collect());
        self
    }

    /// Leaves only these models, of those that it might use so far.
    #[must_use]
    pub fn with_models(mut self, models: ModelAccess) -> Self {
        self.models.push(models);
        self
    }

    /// Adds tags to each of its requests.
    #[must_use]
    pub fn with_tags<T: Into<Arc<str>>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// Sets the priority of requests that name none.
    #[must_use]
    pub fn with_priority(mut self, priority: i64) -> Self {
        self.priority = Some(priority);
        self
    }

    /// The first of its lists that does not let it use what a name leads to.
    ///
    /// This is about the group as a whole: where a list has labels in it, not every deployment of
    /// the group need be open.
    #[must_use]
    pub fn refused_by(&self, name: &str, route: Route<'_>) -> Option<&ModelAccess> {
        let mut lists = self.models.iter().filter(|_| !self.is_admin);
        lists.find(|models| !models.opens(name, route))
    }

    /// Whether it may use a name, and at least one deployment of the group that it leads to.
    #[must_use]
    pub fn may_use(&self, name: &str, route: Route<'_>) -> bool {
        self.refused_by(name, route).is_none()
    }
}
