//! Stable names for deployments.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use ziggurat_core::DeploymentId;

use crate::{
    problem::Report,
    read,
    yaml::{Node, Pos, Value},
};

/// An id goes into headers and metric labels.
const MAX_LENGTH: usize = 128;

/// Gives each deployment an id: the one it was given, else one derived from what it is.
///
/// A derived id depends on the values that say where requests go, not on the order of keys, and not
/// on credentials, weights or limits, so that edits of those keep counters and cooldowns. Equal
/// ones are numbered in the order of the file.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    taken: HashSet<Arc<str>>,
    /// The last number that an id was given, so that many equal ones cost no search.
    numbers: HashMap<Arc<str>, u32>,
}

impl Ids {
    /// Collects the ids that `model_info` gives, which no derived one may be.
    pub(crate) fn given(entries: &[Node], report: &mut Report) -> Self {
        let mut first: HashMap<Arc<str>, Pos> = HashMap::new();
        for entry in entries {
            let Some(node) = entry.get("model_info").and_then(|info| info.get("id")) else {
                continue;
            };
            let Value::Scalar(id) = &node.value else {
                continue;
            };
            let told = read::name(&id.text);
            if node.is_null() {
                continue;
            }
            if id.text.len() > MAX_LENGTH || !id.text.bytes().all(|byte| byte.is_ascii_graphic()) {
                let message = format!(
                    "the id {told} must be at most {MAX_LENGTH} ASCII letters, digits or signs, without spaces"
                );
                report.error(node.at, message);
            }
            if let Some(first) = first.get(&id.text) {
                let message = format!(
                    "the id {told} stands twice, the first is in line {}",
                    first.line
                );
                report.error(node.at, message);
            } else {
                first.insert(Arc::clone(&id.text), node.at);
            }
        }
        Self {
            taken: first.into_keys().collect(),
            numbers: HashMap::new(),
        }
    }

    /// Says that others have these.
    pub(crate) fn take<'a>(&mut self, ids: impl IntoIterator<Item = &'a DeploymentId>) {
        let ids = ids.into_iter().map(|id| Arc::from(id.as_str()));
        self.taken.extend(ids);
    }

    /// A free id like `base`: itself or numbered from 2. A given one is kept for who has it.
    pub(crate) fn next(&mut self, base: &Arc<str>, given: bool) -> DeploymentId {
        let number = self.numbers.entry(Arc::clone(base)).or_insert(0);
        if given && *number == 0 {
            *number = 1;
            return DeploymentId::new(Arc::clone(base));
        }
        loop {
            *number += 1;
            let id: Arc<str> = match *number {
                1 => Arc::clone(base),
                n => Arc::from(format!("{base}-{n}")),
            };
            if self.taken.insert(Arc::clone(&id)) {
                return DeploymentId::new(id);
            }
        }
    }
}

/// An id that can be read and goes into a header: a part of the group's name, and a hash of all
/// that identifies the deployment.
pub(crate) fn derived(group: &str, identity: &[&str]) -> Arc<str> {
    let mut slug: String = group
        .chars()
        .take(40)
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') {
                c
            } else {
                '-'
            }
        })
        .collect();
    slug.truncate(slug.trim_end_matches('-').len());
    if slug.is_empty() {
        slug.push_str("any");
    }
    // No text holds the byte 0xff, so the parts cannot run into each other.
    let parts = identity.iter().flat_map(|part| part.bytes().chain([0xff]));
    Arc::from(format!("{slug}-{:08x}", stable_hash(parts) >> 32))
}

/// FNV-1a, 64 bit (Fowler, Noll, Vo), and the last steps of MurmurHash3 (Appleby) so that the upper
/// half depends on every byte. The same in every process and version.
fn stable_hash(bytes: impl Iterator<Item = u8>) -> u64 {
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_id_never_changes() {
        let id = derived(
            "openai/*",
            &["openai/*", "openai", "*", "https://api.openai.com/v1", ""],
        );
        assert_eq!(&*id, "openai-6c2ff859");
    }

    #[test]
    fn a_derived_id_is_fit_for_a_header_whatever_the_group_is() {
        assert!(derived("gpt\n 4é", &[]).starts_with("gpt--4-"));
        assert!(derived("*", &[]).starts_with("any-"));
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(derived("g", &["ab", "c"]), derived("g", &["a", "bc"]));
    }

    #[test]
    fn equal_ids_are_numbered_past_those_that_are_taken() {
        let base = Arc::from("a");
        let mut ids = Ids {
            taken: [Arc::from("a-2")].into(),
            ..Ids::default()
        };
        let ids: Vec<_> = (0..3).map(|_| ids.next(&base, false).to_string()).collect();
        assert_eq!(ids, ["a", "a-3", "a-4"]);
    }
}
