//! A cluster of three servers.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{RedisServer, process::free_port};

/// How long a cluster may take to become one.
const START: Duration = Duration::from_secs(30);
/// The slots of each server.
const SLOTS: [(u16, u16); 3] = [(0, 5460), (5461, 10922), (10923, 16383)];

/// Three servers on the loopback, each with a third of the slots, and perhaps with a replica.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: [RedisServer; 3],
    replicas: Vec<RedisServer>,
}

/// A server, and the port by which it speaks to the others.
struct Node(RedisServer, String);

impl RedisCluster {
    /// Starts a cluster without replicas. `None` if tests go without.
    ///
    /// # Panics
    ///
    /// If there is no `redis-server`, or they do not become a cluster.
    pub async fn start() -> Option<Self> {
        Self::of(three().await?, Vec::new()).await
    }

    /// Starts a cluster with a replica of each server, which takes over a few seconds after its server
    /// has died. `None` if tests go without.
    ///
    /// # Panics
    ///
    /// As of [`start`](Self::start).
    pub async fn start_with_replicas() -> Option<Self> {
        let cluster = Self::of(three().await?, three().await?).await?;
        for (master, replica) in cluster.nodes.iter().zip(&cluster.replicas) {
            let id = id(master).await;
            until("a replica", async || {
                // It has to have heard of its server before.
                let told = replica.command(&["CLUSTER", "REPLICATE", &id]).await;
                told.map(drop)
            })
            .await;
        }
        for replica in &cluster.replicas {
            until("a copy", async || {
                let info = replica.command(&["INFO", "replication"]).await;
                has(&info.unwrap_or_default(), &["master_link_status:up"])
            })
            .await;
        }
        Some(cluster)
    }

    async fn of(nodes: Vec<Node>, replicas: Vec<Node>) -> Option<Self> {
        for (at, Node(node, _)) in nodes.iter().enumerate() {
            let (first, last) = SLOTS[at];
            let (epoch, first, last) = (at + 1, first.to_string(), last.to_string());
            let all_well = [
                node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch.to_string()])
                    .await,
                node.command(&["CLUSTER", "ADDSLOTSRANGE", &first, &last])
                    .await,
            ];
            assert!(all_well.iter().all(Result::is_ok), "{all_well:?}");
        }
        for Node(node, bus) in nodes.iter().chain(&replicas).skip(1) {
            let port = node.port().to_string();
            let met = nodes[0]
                .0
                .command(&["CLUSTER", "MEET", "127.0.0.1", &port, bus])
                .await;
            assert!(met.is_ok(), "{met:?}");
        }
        let servers = |nodes: Vec<Node>| nodes.into_iter().map(|Node(server, _)| server);
        let nodes: Vec<_> = servers(nodes).collect();
        let cluster = Self {
            nodes: nodes.try_into().expect("there are three"),
            replicas: servers(replicas).collect(),
        };
        for node in cluster.nodes.iter().chain(&cluster.replicas) {
            until("a cluster", async || {
                let info = node.command(&["CLUSTER", "INFO"]).await;
                let whole = ["cluster_state:ok", "cluster_slots_ok:16384"];
                has(&info.unwrap_or_default(), &whole)
            })
            .await;
        }
        Some(cluster)
    }

    /// Its servers.
    #[must_use]
    pub const fn nodes(&self) -> &[RedisServer; 3] {
        &self.nodes
    }

    /// The replica of each server, in their order, if there are some.
    #[must_use]
    pub fn replicas(&self) -> &[RedisServer] {
        &self.replicas
    }

    /// The place of the server that has a key at the start.
    ///
    /// # Panics
    ///
    /// If no server answers.
    pub async fn place_of(&self, key: &str) -> usize {
        let slot = self.nodes[0].command(&["CLUSTER", "KEYSLOT", key]).await;
        let slot: u16 = slot.expect("is a command").parse().expect("is a number");
        let mut slots = SLOTS.iter();
        let place = slots.position(|(first, last)| (*first..=*last).contains(&slot));
        place.expect("every slot is somewhere")
    }

    /// Gives a slot, which must be empty, to another server.
    ///
    /// # Panics
    ///
    /// If there is no such server, or it does not take it.
    pub async fn move_slot(&self, slot: u16, to: usize) {
        let id = id(&self.nodes[to]).await;
        for node in &self.nodes {
            let told = node
                .command(&["CLUSTER", "SETSLOT", &slot.to_string(), "NODE", &id])
                .await;
            assert_eq!(told.as_deref(), Ok("OK"));
        }
    }
}

/// Three servers that know nothing of each other.
async fn three() -> Option<Vec<Node>> {
    let mut nodes = Vec::new();
    for _ in 0..SLOTS.len() {
        let bus = free_port().to_string();
        let settings = [
            ("cluster-enabled", "yes"),
            ("cluster-node-timeout", "2000"),
            ("cluster-require-full-coverage", "no"),
            ("cluster-port", &*bus),
            ("repl-diskless-sync-delay", "0"),
        ];
        nodes.push(Node(RedisServer::start_with(&settings).await?, bus));
    }
    Some(nodes)
}

async fn id(node: &RedisServer) -> String {
    let id = node.command(&["CLUSTER", "MYID"]).await;
    id.expect("every server has an id")
}

fn has(info: &str, words: &[&str]) -> Result<(), String> {
    match words.iter().all(|word| info.contains(word)) {
        true => Ok(()),
        false => Err(info.to_owned()),
    }
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> Result<(), String>) {
    let start = Instant::now();
    while let Err(why) = is_so().await {
        assert!(start.elapsed() < START, "no {what}: {why}");
        sleep(Duration::from_millis(20)).await;
    }
}
