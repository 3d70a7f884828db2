//! What no request waits for.

use std::{
    fmt,
    sync::{Arc, LazyLock},
    time::Duration,
};

use redis::aio::MultiplexedConnection;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout},
};

use crate::{
    Script, StoreError, Trouble,
    client::{Shared, key},
    cluster,
    config::Nodes,
    connect::{Connector, Target},
    node::{Node, run},
};

/// How often a server that serves is probed.
const EACH: Duration = Duration::from_secs(1);
/// How long until the next probe while one after the other succeeds.
const AGAIN: Duration = Duration::from_millis(200);
/// The same at the start, which somebody may wait for.
const FIRST: Duration = Duration::from_millis(20);
/// How long a probe is waited for before its connection is given up.
const PATIENCE: Duration = Duration::from_millis(500);
/// The waits between attempts: the first, and the longest.
const WAITS: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];

/// A probe writes, so that a server without memory, or that is read-only, fails it.
static PROBE: LazyLock<Script> =
    LazyLock::new(|| Script::new("return redis.call('SET', KEYS[1], '1', 'PX', 60000)"));

/// Connects, and watches over the connections: the half of a [client](crate::RedisClient) that the
/// application spawns.
#[must_use = "nothing is connected but by `run`"]
pub struct RedisDriver {
    shared: Arc<Shared>,
    gone: oneshot::Receiver<()>,
}

impl RedisDriver {
    pub(crate) const fn new(shared: Arc<Shared>, gone: oneshot::Receiver<()>) -> Self {
        Self { shared, gone }
    }

    /// Keeps one connection to each server. To be spawned once.
    ///
    /// Each server is probed every second, and at once when calls fail: a probe is a small write.
    /// While a server is gone, it is tried again after 50 ms to 1 s, at random, so that not all
    /// instances come at once. It ends when the client and its clones are gone. Dropped, it drops the
    /// connections.
    pub async fn run(self) {
        let Self { shared, gone } = self;
        tokio::select! {
            _ = gone => {}
            () = drive(&shared) => {}
        }
    }
}

async fn drive(shared: &Shared) {
    let config = &shared.config;
    let connector = match Connector::new(config) {
        Ok(connector) => connector,
        Err(trouble) => {
            for node in shared.slots.load().nodes() {
                node.lost(trouble.clone());
            }
            return std::future::pending().await;
        }
    };
    let target = match &config.nodes {
        Nodes::Cluster(seeds) => return cluster::drive(shared, &connector, seeds).await,
        Nodes::Single(address) => Target::To(address.clone()),
        Nodes::Sentinel {
            sentinels, service, ..
        } => Target::Master(sentinels.clone(), service.clone()),
    };
    let node = shared.slots.load().nodes().first().map(Arc::clone);
    if let Some(node) = node {
        node.set_probe_key(key(&config.namespace, "up", "0"));
        keep(shared, &connector, &target, &node).await;
    }
}

/// Keeps a server connected.
pub(crate) async fn keep(shared: &Shared, connector: &Connector, target: &Target, node: &Node) {
    let mut waits = Waits::new();
    loop {
        let trouble = match connector.connect(target).await {
            Err(trouble) => trouble,
            Ok(link) => {
                node.set_link(Some(link.calls.clone()));
                let trouble = tokio::select! {
                    trouble = tend(shared, node, link.calls, &mut waits) => trouble,
                    () = link.work => Trouble::Unreachable,
                };
                node.set_link(None);
                trouble
            }
        };
        node.lost(trouble);
        shared.moved.notify_one();
        waits.next().await;
    }
}

/// Probes a server until its connection is to be given up.
async fn tend(
    shared: &Shared,
    node: &Node,
    mut link: MultiplexedConnection,
    waits: &mut Waits,
) -> Trouble {
    let mut name = redis::cmd("CLIENT");
    name.arg("SETNAME").arg("ziggurat");
    // A server that does not allow it is as good as another.
    let _ = timeout(PATIENCE, link.send_packed_command(&name)).await;
    loop {
        let key = [node.probe_key()];
        let started = Instant::now();
        let Ok(answer) = timeout(PATIENCE, run(&mut link, &PROBE, &key, &[], false)).await else {
            return Trouble::Slow;
        };
        let took = started.elapsed();
        let is_well = match answer.map_err(StoreError::from) {
            Ok(_) => node.probed(took),
            Err(StoreError::Unfit { code }) if matches!(&*code, "ASK" | "MOVED" | "TRYAGAIN") => {
                shared.moved.notify_one();
                node.probed(took)
            }
            Err(StoreError::Unfit { code }) if is_of_connection(&code) => {
                return StoreError::Unfit { code }.into();
            }
            Err(error @ (StoreError::Unfit { .. } | StoreError::Refused { .. })) => {
                node.lost(error.into());
                waits.next().await;
                continue;
            }
            Err(error) => return error.into(),
        };
        if is_well {
            waits.start_again();
            tokio::select! {
                () = sleep(EACH) => {}
                () = node.opened.notified() => {}
            }
        } else if took <= shared.config.deadline {
            sleep(if node.is_new() { FIRST } else { AGAIN }).await;
        } else {
            waits.next().await;
        }
    }
}

/// Whether another connection, to another server perhaps, may do better.
fn is_of_connection(code: &str) -> bool {
    matches!(code, "MASTERDOWN" | "NOAUTH" | "READONLY" | "WRONGPASS")
}

/// Waits that grow, and are of no length that two instances share.
pub(crate) struct Waits(Duration);

impl Waits {
    pub(crate) const fn new() -> Self {
        Self(WAITS[0])
    }

    pub(crate) const fn start_again(&mut self) {
        self.0 = WAITS[0];
    }

    pub(crate) async fn next(&mut self) {
        let wait = self.0.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.0 = (self.0 * 2).min(WAITS[1]);
        sleep(wait).await;
    }
}

impl fmt::Debug for RedisDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisDriver").finish_non_exhaustive()
    }
}
