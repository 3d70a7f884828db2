//! Who asks.

use std::sync::Arc;

/// Who makes a request, as far as routing cares: what the application that knows its callers says.
///
/// A request without a caller may use whatever is open to all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caller {
    /// The name of the key that was presented; never the key itself.
    pub key: Option<Arc<str>>,
    /// The team.
    pub team: Option<Arc<str>>,
    /// Whether deployments of every team are open to it.
    pub is_admin: bool,
    /// Labels of deployments; if given, only those that carry one of them may serve.
    pub access_groups: Option<Vec<Arc<str>>>,
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

    /// Opens the deployments of every team.
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
}
