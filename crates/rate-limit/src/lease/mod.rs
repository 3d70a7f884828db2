//! Limits over several instances: exact, and with the store off the path of requests.
//!
//! [`LeasedLimiter`] decides here, at once, under one lock, by *leases*: amounts that the store has
//! set aside for this instance. What is set aside for one is granted to nobody else, so all
//! instances together let no more pass than the limit. [`LeaseDriver`], which the application
//! spawns, leases before more is needed and tells the store what was used. Only if too little is
//! leased does a request wait for the store, for 5 ms at most, and many requests for the same key
//! wait for one call.
//!
//! ```
//! use ziggurat_rate_limit::{Charges, LimitKey, Limiter, Limits, Leasing, MemoryLeases, Rate};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! // In place of it, a store that several processes share.
//! let store = MemoryLeases::new();
//! let (one, driver) = Leasing::new().build();
//! tokio::spawn(driver.run(store.clone()));
//! let (other, driver) = Leasing::new().build();
//! tokio::spawn(driver.run(store));
//!
//! let limits = Limits::none().with_requests(Rate::per_minute(2));
//! let charges = Charges::none().on(LimitKey::tenant("alice"), limits);
//! let _first = one.acquire(&charges).await.expect("two may pass");
//! let _second = other.acquire(&charges).await.expect("two may pass");
//! assert!(one.acquire(&charges).await.is_err());
//! assert!(other.acquire(&charges).await.is_err());
//! # }
//! ```
//!
//! # What it promises
//!
//! While the store answers and no instance dies:
//!
//! - In any window no more is admitted than the limit, by the definition of the [window](crate::Window):
//!   what was used counts from when the store hears of it, up to 0.1 s later, for a whole period and
//!   at most a sixtieth of it more.
//! - What is used beyond the estimate of a request is charged without asking. Others hear of it
//!   within 0.1 s; so long the limit may be overrun by that.
//! - Nobody is refused while there is room, but for what lies at another instance: that gives back
//!   what it does not use, after 0.2 s, and after 10 ms where little is left.
//! - Several limits and several keys of one request are taken here in one step, or none of them.
//! - In the end the store counts what was settled. Each report counts once, however often it is told.
//! - A client that comes alone and waits exactly as long as it was told passes.
//!
//! If an instance dies, its places in flight are free when its [lease](Leasing::lease) expires.
//! Of all else, what was leased to it counts as used: too much is charged by that at most, until
//! the end of the period. What it had admitted beyond its leases and not told is lost.
//!
//! While the store does not answer, what is leased is used up; it holds until the lease expires.
//! After that [`Outage`] decides. By its share of the limit, an instance lets pass in a window what
//! it had leased, or its share if that is more: all together twice the limit at most, and no more
//! than the limit, rounded up, where they are asked evenly. One that has not heard from the store
//! yet takes itself for the only one: [wait](LeasedLimiter::joined) for it at the start. The first request that gets no answer
//! waits for the [deadline](Leasing::deadline), those after it do not wait. When the store answers
//! again it is told what was used meanwhile.
//!
//! A store that comes back empty is told by each instance what it holds, and what it used in the
//! current window; that counts from then on for a whole period, or in a fixed period until that ends.
//! What instances used that are no more is lost, and so is what a replica had not heard when it took
//! over.
//!
//! # Where the algorithm is from
//!
//! Counters that are handed out in advance are the escrow method (O'Neil 1986). How much is leased
//! is guided self-scheduling (Polychronopoulos and Kuck 1987): as much as was used in the last 0.1 s,
//! and no more than what is left, divided by twice the number of instances, so that the last of a
//! limit, and all of a small one, is handed out one by one.

mod cell;
mod count;
mod driver;
mod future;
mod leasing;
mod ledger;
mod limiter;
mod memory;
mod pace;
mod permit;
mod shared;
mod store;

pub use self::{
    driver::LeaseDriver,
    future::Acquire,
    leasing::{Leasing, Outage},
    limiter::LeasedLimiter,
    memory::MemoryLeases,
    permit::LeasedPermit,
    store::{LeaseStore, MOST, Slot, SyncFailed, SyncLimit, SyncReply, SyncRequest, SyncedLimit},
};
