//! What a provider says is left of its own limits.

use tokio::time::Instant;

/// What a provider's answer says about its own rate limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProviderLimits {
    /// Requests.
    pub requests: Option<Quota>,
    /// Tokens.
    pub tokens: Option<Quota>,
}

/// One limit of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How much there is in a window.
    pub limit: u64,
    /// How much of it is left.
    pub remaining: u64,
    /// When it is whole again, if that is known.
    pub resets_at: Option<Instant>,
}

impl ProviderLimits {
    /// Whether nothing is known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.requests.is_none() && self.tokens.is_none()
    }
}
