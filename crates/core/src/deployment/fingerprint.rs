//! What tells a deployment from another that has its id.

use crate::{Deployment, Secret};

use super::fnv1a;

impl Deployment {
    /// Sixteen bits that say whether another instance presents the same credential, as far as
    /// sixteen bits can. Nothing can be got back from them. The same in every process and version.
    #[must_use]
    pub fn credential_fingerprint(&self) -> u16 {
        fingerprint(&[self.credential().map_or("", Secret::expose)])
    }

    /// The same of provider, address, model and credential together: what a check can tell apart.
    #[must_use]
    pub fn target_fingerprint(&self) -> u16 {
        fingerprint(&[
            self.provider(),
            self.base_url().unwrap_or_default(),
            self.model(),
            self.credential().map_or("", Secret::expose),
        ])
    }
}

fn fingerprint(parts: &[&str]) -> u16 {
    let hash = parts.iter().fold(0, |hash: u64, part| {
        fnv1a(&hash.rotate_left(5).to_le_bytes()) ^ fnv1a(part.as_bytes())
    });
    (hash ^ hash >> 16 ^ hash >> 32 ^ hash >> 48) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(key: &str) -> Deployment {
        Deployment::new("a", "gpt", "m").with_credential(Secret::new(key.to_owned()))
    }

    #[test]
    fn another_credential_has_another_fingerprint_whatever_else_is_the_same() {
        let (one, other) = (deployment("sk-1"), deployment("sk-2"));
        assert_ne!(one.credential_fingerprint(), other.credential_fingerprint());
        assert_ne!(one.target_fingerprint(), other.target_fingerprint());
        let moved = deployment("sk-1").with_base_url("http://elsewhere");
        assert_eq!(one.credential_fingerprint(), moved.credential_fingerprint());
        assert_ne!(one.target_fingerprint(), moved.target_fingerprint());
    }

    #[test]
    fn it_is_the_same_in_every_process_and_version() {
        let one = deployment("sk-1");
        let known = (24_379, 62_627);
        let found = (one.credential_fingerprint(), one.target_fingerprint());
        assert_eq!(found, known);
    }
}
