//! The name under which state is kept.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

/// The stable name of a deployment: state of every layer is kept under it, so it survives a reload.
///
/// Comparing and hashing it costs a few nanoseconds: the hash is computed once.
#[derive(Clone)]
pub struct DeploymentId {
    name: Arc<str>,
    hash: u64,
}

impl DeploymentId {
    /// An id of that name.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        let hash = fnv1a(name.as_bytes());
        Self { name, hash }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

/// FNV-1a, 64 bit (Fowler, Noll, Vo): stable over processes and versions.
pub(crate) const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash
}

impl PartialEq for DeploymentId {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && (Arc::ptr_eq(&self.name, &other.name) || self.name == other.name)
    }
}

impl Eq for DeploymentId {}

impl Hash for DeploymentId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl PartialOrd for DeploymentId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for DeploymentId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.name.cmp(&other.name)
    }
}

impl fmt::Debug for DeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.name, f)
    }
}

impl fmt::Display for DeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl From<&str> for DeploymentId {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_the_same_name_are_the_same() {
        assert_eq!(DeploymentId::new("a"), DeploymentId::new(String::from("a")));
        assert_ne!(DeploymentId::new("a"), DeploymentId::new("b"));
    }
}
