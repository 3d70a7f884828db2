//! What stores call.

use std::{fmt::Write, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use redis::{FromRedisValue, Value};
use tokio::{
    sync::{Notify, oneshot, watch},
    time::Instant,
};

use crate::{
    Arg, Health, RedisConfig, RedisDriver, Script, StoreError,
    config::Nodes,
    health::Board,
    node::{Call, Failed, Node},
    slots::Slots,
};

/// Runs scripts on Redis or Valkey. A clone is the same client.
///
/// It never connects by itself: the [driver](RedisDriver) does, in the background.
#[derive(Clone)]
pub struct RedisClient(Arc<Client>);

struct Client {
    shared: Arc<Shared>,
    /// Its end tells the driver that nobody calls any more.
    _alive: oneshot::Sender<()>,
}

/// What clients and the driver have in common.
pub(crate) struct Shared {
    pub(crate) config: RedisConfig,
    pub(crate) board: Arc<Board>,
    pub(crate) slots: ArcSwap<Slots>,
    /// Told when a server says that a key is elsewhere, or is lost.
    pub(crate) moved: Notify,
}

impl RedisClient {
    /// A client, and the driver that the application spawns. Until the driver has connected, every
    /// call fails at once.
    pub fn new(config: RedisConfig) -> (Self, RedisDriver) {
        let name: Arc<str> = match &config.nodes {
            Nodes::Single(address) => address.to_string().into(),
            Nodes::Sentinel { service, .. } => Arc::from(&**service),
            Nodes::Cluster(_) => Arc::from("cluster"),
        };
        let board = Arc::new(Board::new(&name));
        let slots = match &config.nodes {
            Nodes::Single(_) | Nodes::Sentinel { .. } => {
                Slots::all_on(Arc::new(Node::new(name, &config, Arc::clone(&board))))
            }
            Nodes::Cluster(_) => Slots::none(),
        };
        let shared = Arc::new(Shared {
            config,
            board,
            slots: ArcSwap::from_pointee(slots),
            moved: Notify::new(),
        });
        let (alive, gone) = oneshot::channel();
        let driver = RedisDriver::new(Arc::clone(&shared), gone);
        let client = Client {
            shared,
            _alive: alive,
        };
        (Self(Arc::new(client)), driver)
    }

    /// Runs a script within the [deadline](RedisConfig::with_deadline) of requests, in one round trip.
    ///
    /// All keys have the same [tag](Self::key). A script that a server has forgotten is sent again,
    /// which makes a second round trip within the same deadline.
    ///
    /// # Errors
    ///
    /// [`Down`](StoreError::Down) at once, and nothing is sent, while the server does not serve. After
    /// any other error it is not known whether the script ran, except after
    /// [`Refused`](StoreError::Refused).
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any time. What was sent may still run.
    pub async fn run<K: AsRef<[u8]>>(
        &self,
        script: &Script,
        keys: &[K],
        args: &[Arg<'_>],
    ) -> Result<Value, StoreError> {
        self.run_within(self.0.shared.config.deadline, script, keys, args)
            .await
    }

    /// The same with a deadline of its own, for work that no request waits for.
    ///
    /// # Errors
    ///
    /// As of [`run`](Self::run).
    pub async fn run_within<K: AsRef<[u8]>>(
        &self,
        deadline: Duration,
        script: &Script,
        keys: &[K],
        args: &[Arg<'_>],
    ) -> Result<Value, StoreError> {
        let shared = &*self.0.shared;
        let first = keys.first().map_or(&b""[..], AsRef::as_ref);
        let node = shared.slots.load().of_key(first).map(Arc::clone);
        let node = node.ok_or(StoreError::Down)?;
        let call = Call {
            script,
            keys,
            args,
            until: Instant::now() + deadline,
        };
        let (address, asking) = match node.call(&call, false).await {
            Ok(value) => return Ok(value),
            Err(Failed::Store(error)) => return Err(error),
            Err(Failed::Elsewhere { address, asking }) => (address, asking),
        };
        // The servers have changed. Those that are known already are asked at once.
        shared.moved.notify_one();
        let node = shared.slots.load().by_address(&address).map(Arc::clone);
        match node.ok_or(StoreError::Down)?.call(&call, asking).await {
            Ok(value) => Ok(value),
            Err(Failed::Store(error)) => Err(error),
            Err(Failed::Elsewhere { .. }) => Err(StoreError::Unfit {
                code: "MOVED".into(),
            }),
        }
    }

    /// A key of this namespace: `namespace:kind:{tag}`. Keys with the same tag, whatever stands
    /// before and after it, are on one server of a cluster, so one script may use them together.
    ///
    /// ```
    /// # use ziggurat_redis::{Address, RedisClient, RedisConfig};
    /// # let (client, _driver) = RedisClient::new(RedisConfig::single(Address::new("redis", 6379)));
    /// assert_eq!(client.key("limit", "team-a"), "ziggurat:limit:{team-a}");
    /// ```
    #[must_use]
    pub fn key(&self, kind: &str, tag: &str) -> String {
        key(self.namespace(), kind, tag)
    }

    /// What all keys begin with.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.0.shared.config.namespace
    }

    /// How long a request waits for an answer.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.0.shared.config.deadline
    }

    /// Whether all servers serve.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.0.shared.board.is_up()
    }

    /// How the servers are, now and after each change.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Health> {
        self.0.shared.board.watch()
    }
}

/// A key whose tag is what it says it is, whatever is in it.
pub(crate) fn key(namespace: &str, kind: &str, tag: &str) -> String {
    let mut key = String::with_capacity(namespace.len() + kind.len() + tag.len() + 4);
    let _ = write!(key, "{namespace}:{kind}:{{");
    for it in tag.chars() {
        match it {
            '}' => key.push_str("%7D"),
            '%' => key.push_str("%25"),
            it => key.push(it),
        }
    }
    if tag.is_empty() {
        key.push('%');
    }
    key.push('}');
    key
}

/// Reads an answer as what it should be.
///
/// ```
/// use ziggurat_redis::{Value, read};
///
/// let answer = Value::Array(vec![Value::Int(1), Value::BulkString(b"x".to_vec())]);
/// let (left, who): (i64, String) = read(answer)?;
/// # assert_eq!((left, &*who), (1, "x"));
/// # Ok::<_, ziggurat_redis::StoreError>(())
/// ```
///
/// # Errors
///
/// If it is something else.
pub fn read<T: FromRedisValue>(answer: Value) -> Result<T, StoreError> {
    redis::from_redis_value(answer).map_err(|_| StoreError::Garbled)
}

impl std::fmt::Debug for RedisClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisClient")
            .field("config", &self.0.shared.config)
            .field("is_up", &self.is_up())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::slot;

    #[test]
    fn a_tag_is_one_whatever_is_in_it() {
        for tag in ["", "}", "a}b{c", "{", "%", "%7D", "}{"] {
            let one = key("z", "a", tag);
            let other = key("z", "b", tag);
            assert_ne!(one, other);
            assert_eq!(slot(one.as_bytes()), slot(other.as_bytes()), "{tag}");
        }
        let all = ["", "}", "%", "%7D", "%25"].map(|tag| key("z", "a", tag));
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
