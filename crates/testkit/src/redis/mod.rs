//! Real Redis servers on the loopback, and a proxy that plays a bad one.
//!
//! They need the program `redis-server`, version 7 or later. Where there is none, starting one panics
//! and says how to get it, unless the environment has `ZIGGURAT_WITHOUT_REDIS=1`: then nothing is
//! started, a line says so, and the test is to end.
//!
//! ```no_run
//! use ziggurat_testkit::redis::RedisServer;
//!
//! # async fn test() {
//! let Some(server) = RedisServer::start().await else {
//!     return;
//! };
//! server.command(&["SET", "a", "1"]).await.expect("is a command");
//! server.kill();
//! server.restart().await;
//! # }
//! ```

mod cluster;
mod process;
mod proxy;
mod sentinel;
mod server;
mod talk;

pub use self::{
    cluster::RedisCluster,
    proxy::{RedisProxy, Weather},
    sentinel::RedisSentinel,
    server::RedisServer,
};
