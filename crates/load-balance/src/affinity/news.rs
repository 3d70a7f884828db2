//! A pin, as one instance tells it to the others.

use std::{borrow::Cow, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use ziggurat_core::{DeploymentId, Snapshot};

use super::map::{Key, PinMap, Place};

/// No pin that another instance tells of lasts longer.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3_600);

/// A pin of which others are to know.
#[derive(Clone, Debug)]
pub(crate) struct News {
    key: Key,
    deployment: DeploymentId,
    is_of_account: bool,
    end: Instant,
    if_free: bool,
}

impl News {
    pub(super) fn new(key: Key, place: &Place, end: Instant, if_free: bool) -> Self {
        let (Place::Deployment(deployment, _) | Place::Account(_, deployment)) = place;
        Self {
            key,
            deployment: deployment.clone(),
            is_of_account: matches!(place, Place::Account(..)),
            end,
            if_free,
        }
    }

    /// As they are written; `None` if the pin has ended meanwhile.
    pub(super) fn write(&self, now: Instant) -> Option<String> {
        let left = self.end.checked_duration_since(now)?;
        let entry = Entry {
            key: Cow::Owned(format!("{:032x}", self.key)),
            id: self.deployment.as_str().into(),
            left_us: u64::try_from(left.as_micros()).unwrap_or(u64::MAX),
            account: self.is_of_account,
            if_free: self.if_free,
        };
        serde_json::to_string(&entry).ok()
    }
}

/// A pin as it is written. What it is about is a hash, and the account is named by one of its
/// deployments.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry<'a> {
    key: Cow<'a, str>,
    id: Cow<'a, str>,
    /// How many microseconds it lasts from the moment at which it is told.
    left_us: u64,
    #[serde(default, skip_serializing_if = "is_not")]
    account: bool,
    #[serde(default, skip_serializing_if = "is_not")]
    if_free: bool,
}

impl Entry<'_> {
    /// Enters a pin that was told so long ago into a map, if it still holds and its deployment is
    /// listed here.
    pub(super) fn learn(&self, map: &PinMap, list: &Snapshot, age: Duration, now: Instant) {
        let left = Duration::from_micros(self.left_us).min(LONGEST);
        let left = left.checked_sub(age).filter(|left| !left.is_zero());
        let deployment = list.get(&DeploymentId::new(&*self.id));
        let key = Key::from_str_radix(&self.key, 16).ok();
        let (Some(left), Some(deployment), Some(key)) = (left, deployment, key) else {
            return;
        };
        let id = deployment.id().clone();
        let place = match self.account {
            true => Place::Account(map.account(deployment), id),
            // Where it is in its pool is found out when it is used.
            false => Place::Deployment(id, 0),
        };
        map.learn(key, place, now + left, self.if_free);
    }
}

const fn is_not(flag: &bool) -> bool {
    !*flag
}
