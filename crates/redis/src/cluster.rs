//! The servers of a cluster, and who of them has what.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use redis::Value;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use crate::{
    Address, Trouble,
    client::{Shared, key},
    connect::{Connector, Target},
    driver::{Waits, keep},
    node::Node,
    slots::{Range, Slots},
};

/// How often the cluster is asked who has what, though nobody says that it changed.
const EACH: Duration = Duration::from_secs(10);
/// The least time between two questions.
const LEAST: Duration = Duration::from_millis(100);
/// How many keys are tried to find one that a server has. One in 16,384 is expected where a server
/// has one slot only.
const TRIES: u32 = 200_000;

/// Keeps all servers connected, and knows who has what.
pub(crate) async fn drive(shared: &Shared, connector: &Connector, seeds: &[Address]) {
    let (sender, mut receiver) = mpsc::channel::<(Address, Arc<Node>)>(16);
    let keeping = async {
        let mut nodes = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some((address, node)) = receiver.recv() => nodes.push(async move {
                    let target = Target::To(address);
                    tokio::select! {
                        () = node.retired.notified() => {}
                        () = keep(shared, connector, &target, &node) => {}
                    }
                    shared.board.is_well(node.name());
                }),
                Some(()) = nodes.next() => {}
            }
        }
    };
    let following = async {
        let mut waits = Waits::new();
        let mut is_known = false;
        let mut is_told = false;
        loop {
            let Some(ranges) = look(shared, connector, seeds).await else {
                if !is_known && !is_told {
                    is_told = true;
                    tracing::warn!(
                        server = "cluster",
                        reason = %Trouble::NoCluster,
                        "the shared store does not serve; this instance goes on by itself"
                    );
                }
                if !is_known {
                    shared
                        .board
                        .is_down(&Arc::from("cluster"), Trouble::NoCluster);
                }
                waits.next().await;
                continue;
            };
            waits.start_again();
            for node in install(shared, &ranges) {
                if sender.send(node).await.is_err() {
                    return;
                }
            }
            if !is_known {
                is_known = true;
                shared.board.is_well("cluster");
            }
            sleep(LEAST).await;
            tokio::select! {
                () = sleep(EACH) => {}
                () = shared.moved.notified() => {}
            }
        }
    };
    tokio::join!(keeping, following);
}

/// Who has what, as the first server says that answers.
async fn look(shared: &Shared, connector: &Connector, seeds: &[Address]) -> Option<Vec<Range>> {
    let mut cmd = redis::cmd("CLUSTER");
    cmd.arg("SLOTS");
    let known = shared.slots.load_full();
    for node in known.nodes() {
        let (Some(mut link), Some(address)) = (node.link(), Address::parse(node.name())) else {
            continue;
        };
        let answer = timeout(
            shared.config.connect_timeout,
            link.send_packed_command(&cmd),
        );
        if let Ok(Ok(answer)) = answer.await
            && let Some(ranges) = Range::read(&answer, &address)
        {
            return Some(ranges);
        }
    }
    for seed in seeds {
        let Ok(link) = connector.to(seed).await else {
            continue;
        };
        let answer = timeout(shared.config.connect_timeout, link.ask(&cmd)).await;
        let answer = answer.ok().and_then(Result::ok).unwrap_or(Value::Nil);
        if let Some(ranges) = Range::read(&answer, seed) {
            return Some(ranges);
        }
    }
    None
}

/// Has calls go where the keys are now. Returns the servers that are new.
fn install(shared: &Shared, ranges: &[Range]) -> Vec<(Address, Arc<Node>)> {
    let before = shared.slots.load_full();
    let mut new = Vec::new();
    let slots = Slots::of(ranges, |address| {
        if let Some(node) = before.by_address(address) {
            return Arc::clone(node);
        }
        let name = address.to_string().into();
        let node = Node::new(name, &shared.config, Arc::clone(&shared.board));
        let node = Arc::new(node);
        shared.board.is_down(node.name(), Trouble::Starting);
        new.push((address.clone(), Arc::clone(&node)));
        node
    });
    for node in slots.nodes() {
        let has = |key: &String| {
            let owner = slots.of_key(key.as_bytes());
            owner.is_some_and(|it| Arc::ptr_eq(it, node))
        };
        if !has(&node.probe_key()) {
            let keys = (0..TRIES).map(|it| key(&shared.config.namespace, "up", &it.to_string()));
            if let Some(key) = { keys }.find(has) {
                node.set_probe_key(key);
            }
        }
    }
    let slots = Arc::new(slots);
    shared.slots.store(Arc::clone(&slots));
    for node in before.nodes() {
        if slots.nodes().iter().all(|it| !Arc::ptr_eq(it, node)) {
            node.retired.notify_one();
        }
    }
    new
}
