//! Pins, as instances share them.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use ziggurat_core::Deployments;
use ziggurat_shared_log::{Outbox, SharedLog, Shares, share};

use super::{
    Pins,
    map::{Key, PinMap},
    news::{Entry, News},
};

impl Pins {
    /// Shares pins with other instances over a log, for ever: to be spawned once. A request waits
    /// for nothing of it, and goes by what this instance knows.
    ///
    /// Where one instance has sent a session, or a conversation whose content only one account can
    /// read, the others send it too, within a second. Where two have pinned the same to different
    /// deployments, the pin that was told last holds in both; among prefixes of prompts, what each
    /// pinned first. A pin on a deployment that is not listed here is passed over.
    ///
    /// What is told are hashes, with a seed that all who share a log agree on: the one of the first
    /// of them. The others forget what they have pinned before their first look into the log. One
    /// that is renewed by each answer is told when half of its time is over.
    ///
    /// While the log is slow or gone, each instance goes on alone; when it is back, they tell each
    /// other what is new. If it comes back empty, each tells again what it has pinned itself. Of
    /// more than 16,384 pins that could not be told, the later ones are not told.
    pub fn share<L: SharedLog>(
        &self,
        deployments: Deployments,
        log: L,
    ) -> impl Future<Output = ()> + Send + use<L> {
        let map = Arc::clone(&self.map);
        share(Sharing { map, deployments }, log)
    }
}

/// The pins, as the driver sees them.
struct Sharing {
    map: Arc<PinMap>,
    deployments: Deployments,
}

impl Shares for Sharing {
    type Key = Key;
    type News = News;

    fn outbox(&self) -> &Outbox<Key, News> {
        &self.map.outbox
    }

    fn write(&self, news: &News) -> Option<String> {
        news.write(Instant::now())
    }

    fn read(&self, entry: &str, age: Duration) {
        // Of a later version, or not ours.
        if let Ok(entry) = serde_json::from_str::<Entry<'_>>(entry) {
            let list = self.deployments.load();
            entry.learn(&self.map, &list, age, Instant::now());
        }
    }

    fn tell_again(&self) {
        self.map.tell_again();
    }

    fn salt(&self) -> u64 {
        self.map.seed()
    }

    fn agree_on(&self, salt: u64) {
        self.map.agree_on(salt);
    }
}
