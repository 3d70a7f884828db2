//! Values that must not leave the process by accident.

use std::{fmt, sync::Arc};

use subtle::ConstantTimeEq;

/// A credential: it cannot be formatted or serialised, and compares in constant time.
///
/// ```
/// use ziggurat_core::Secret;
///
/// let key = Secret::new("sk-live");
/// assert_eq!(format!("{key:?}"), "Secret");
/// assert!(key.matches(b"sk-live"));
/// ```
///
/// ```compile_fail
/// # use ziggurat_core::Secret;
/// println!("{}", Secret::new("sk-live"));
/// ```
#[derive(Clone)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a credential.
    #[must_use]
    pub fn new(value: impl Into<Arc<str>>) -> Self {
        Self(value.into())
    }

    /// The credential itself, for the one place that sends or checks it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it equals what a caller presented, without telling by time where they differ.
    /// Only the length may be learned.
    #[must_use]
    pub fn matches(&self, presented: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(presented).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other.0.as_bytes())
    }
}

impl Eq for Secret {}
