//! What is known of the servers.

use std::{collections::BTreeMap, fmt, sync::Arc};

use tokio::{sync::watch, time::Instant};

/// Why a server does not serve.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// Nothing is connected yet.
    Starting,
    /// There is no connection to be had, or it broke.
    Unreachable,
    /// It is connected and does not answer in time.
    Slow,
    /// It does not take the name and the password.
    Login,
    /// No sentinel knows a master of the service.
    NoMaster,
    /// No server tells who has which part of the cluster.
    NoCluster,
    /// It answers that it cannot serve.
    Unfit {
        /// The first word of what it said, such as `OOM`.
        code: Box<str>,
    },
    /// Encryption cannot be set up, or the certificate of the server is not trusted.
    Tls,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("nothing is connected yet"),
            Self::Unreachable => f.write_str("it cannot be reached"),
            Self::Slow => f.write_str("it does not answer in time"),
            Self::Login => f.write_str("it does not take the password"),
            Self::NoMaster => f.write_str("no sentinel names a master"),
            Self::NoCluster => f.write_str("no server knows the cluster"),
            Self::Unfit { code } => write!(f, "it answers {code}"),
            Self::Tls => f.write_str("no encrypted connection can be made"),
        }
    }
}

/// Whether the store serves: all servers that hold a part of it.
///
/// While one server of a cluster does not serve, calls for the keys of the others are answered.
#[derive(Clone, Debug)]
pub struct Health {
    since: Instant,
    troubles: BTreeMap<Arc<str>, Trouble>,
}

impl Health {
    /// Whether all servers serve.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.troubles.is_empty()
    }

    /// Since when this has been so.
    #[must_use]
    pub const fn since(&self) -> Instant {
        self.since
    }

    /// The servers that do not serve, and why.
    pub fn troubles(&self) -> impl Iterator<Item = (&str, &Trouble)> {
        self.troubles
            .iter()
            .map(|(name, trouble)| (&**name, trouble))
    }
}

/// Where servers write how they are.
#[derive(Debug)]
pub(crate) struct Board {
    sender: watch::Sender<Health>,
}

impl Board {
    /// Nobody serves yet.
    pub(crate) fn new(first: &Arc<str>) -> Self {
        let health = Health {
            since: Instant::now(),
            troubles: BTreeMap::from([(Arc::clone(first), Trouble::Starting)]),
        };
        Self {
            sender: watch::Sender::new(health),
        }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Health> {
        self.sender.subscribe()
    }

    pub(crate) fn is_up(&self) -> bool {
        self.sender.borrow().is_up()
    }

    /// What is wrong with a server now.
    pub(crate) fn is_down(&self, node: &Arc<str>, trouble: Trouble) {
        self.change(|troubles| {
            let known = troubles.insert(Arc::clone(node), trouble.clone());
            known != Some(trouble)
        });
    }

    /// A server serves, or has no part in the store any more.
    pub(crate) fn is_well(&self, node: &str) {
        self.change(|troubles| troubles.remove(node).is_some());
    }

    fn change(&self, write: impl FnOnce(&mut BTreeMap<Arc<str>, Trouble>) -> bool) {
        self.sender.send_if_modified(|health| {
            let was_up = health.is_up();
            let is_changed = write(&mut health.troubles);
            if was_up != health.is_up() {
                health.since = Instant::now();
            }
            is_changed
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_store_is_up_when_no_server_is_down_and_says_since_when() {
        let [a, b] = ["a", "b"].map(Arc::<str>::from);
        let board = Board::new(&a);
        let mut watch = board.watch();
        let start = watch.borrow_and_update().since();
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        board.is_down(&b, Trouble::Unreachable);
        board.is_well("a");
        assert!(!board.is_up());
        assert_eq!(watch.borrow_and_update().since(), start);
        board.is_well("b");
        assert!(watch.has_changed().expect("is open"));
        assert!(watch.borrow_and_update().is_up());
        assert!(watch.borrow().since() > start);
        board.is_well("b");
        assert!(!watch.has_changed().expect("is open"));
    }
}
