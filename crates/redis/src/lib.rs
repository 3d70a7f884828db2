//! State that several routers share, over Redis or Valkey.
//!
//! [`RedisClient`] is what all stores stand on. It runs [scripts](Script), each as one step and in one
//! round trip, on one server, on the master that Sentinel names, or on a cluster, by one connection to
//! each server, which all share.
//!
//! # That Redis is gone is no event
//!
//! Nothing that a request waits for connects, or waits longer than the
//! [deadline](RedisConfig::with_deadline), 5 ms if nothing else is said:
//!
//! - A server that fails or is late several times in a row, or fails a probe, is left alone: every call
//!   fails at once, and nothing is sent.
//! - [`RedisDriver`] probes each server by a small write, every second, and reconnects in the
//!   background. When probes succeed, calls go out again. Nothing else lets them.
//! - Each change is one line in the log, and is seen by [`watch`](RedisClient::watch).
//!
//! What is done without an answer is up to each store:
//!
//! - [`RedisCache`] keeps answers for the [cache](ziggurat_cache).
//! - [`RedisParts`] keeps who has how much of the [capacity](ziggurat_priority_queue::parts) of all.
//! - [`RedisLeases`] keeps [limits](ziggurat_rate_limit::lease) over several instances.
//!
//! # Example
//!
//! ```no_run
//! use std::sync::LazyLock;
//!
//! use ziggurat_redis::{RedisClient, RedisConfig, Script, StoreError, read};
//!
//! static COUNT: LazyLock<Script> = LazyLock::new(|| {
//!     Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])")
//! });
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = RedisConfig::from_url("redis://redis.internal")?;
//! let (client, driver) = RedisClient::new(config);
//! tokio::spawn(driver.run());
//!
//! let key = client.key("seen", "somebody");
//! match client.run(&COUNT, &[key], &[1_i64.into()]).await {
//!     Ok(answer) => println!("seen {} times", read::<i64>(answer)?),
//!     Err(StoreError::Down) => println!("nobody counts"),
//!     Err(error) => println!("{error}"),
//! }
//! # Ok(())
//! # }
//! ```

mod address;
mod breaker;
mod cache;
mod checks;
mod client;
mod cluster;
mod config;
mod connect;
mod driver;
mod error;
mod health;
mod leases;
mod log;
mod node;
mod parts;
mod script;
mod semantic;
mod slots;
mod usage;

pub use redis::Value;

pub use self::{
    address::Address,
    cache::{CacheWrites, RedisCache, RedisGet},
    checks::{RedisChecks, RedisTake},
    client::{RedisClient, read},
    config::{InvalidConfig, RedisConfig},
    driver::RedisDriver,
    error::StoreError,
    health::{Health, Trouble},
    leases::{RedisLeases, RedisSync},
    log::{RedisExchange, RedisLog},
    parts::{RedisPartExchange, RedisParts},
    script::{Arg, Script},
    semantic::{RedisNearest, RedisSemantic, SemanticWrites},
    usage::RedisUsage,
};
