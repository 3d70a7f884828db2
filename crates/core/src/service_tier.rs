//! Classes of service of a provider.

/// A class of service of the provider that has prices of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ServiceTier {
    /// Answered within hours.
    Batch,
    /// Slower, or refused when the provider is busy.
    Flex,
    /// Faster than usual.
    Priority,
}

impl ServiceTier {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::Batch, Self::Flex, Self::Priority];

    /// The class of that name in a request or an answer; `None` for the usual one.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.as_str() == name)
    }

    /// Its name in requests and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Flex => "flex",
            Self::Priority => "priority",
        }
    }
}
