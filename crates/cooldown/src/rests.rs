//! How often deployments began to rest.

use std::collections::HashMap;

use parking_lot::Mutex;
use ziggurat_core::{DeploymentId, ErrorKind};

/// How many are counted: more than a configuration has.
const CAPACITY: usize = 16_384;

/// The rests that began, by deployment and failure. They are rare, so one lock does.
#[derive(Debug, Default)]
pub(crate) struct Rests(Mutex<HashMap<(DeploymentId, ErrorKind), u64>>);

impl Rests {
    pub(crate) fn count(&self, id: &DeploymentId, because: ErrorKind) {
        let mut counts = self.0.lock();
        let key = (id.clone(), because);
        if counts.len() < CAPACITY || counts.contains_key(&key) {
            *counts.entry(key).or_default() += 1;
        }
    }

    pub(crate) fn for_each(&self, mut tell: impl FnMut(&DeploymentId, ErrorKind, u64)) {
        for ((id, because), count) in &*self.0.lock() {
            tell(id, *because, *count);
        }
    }
}
