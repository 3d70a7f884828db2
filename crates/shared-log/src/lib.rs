//! What one instance has learned, the others know within a second.
//!
//! Every instance decides with its own memory alone, at once. Beside the requests, a driver
//! ([`share`]) sends what is new to a [`SharedLog`] and takes from it what others have told, four
//! times a second, in one round trip. So a log that is slow or gone costs a request nothing: each
//! instance goes on with what it knows, and when the log is back, so is the exchange.
//!
//! What is shared is somebody else's: a layer implements [`Shares`] for its state and hands out the
//! driver. [`MemoryLog`] is the log of one process; one that is elsewhere keeps to the same
//! conditions, which are those of [`SharedLog`].
//!
//! ```
//! use std::time::Duration;
//!
//! use parking_lot::Mutex;
//! use ziggurat_shared_log::{MemoryLog, Outbox, Shares, share};
//!
//! /// Words that somebody has heard.
//! struct Heard {
//!     words: Mutex<Vec<String>>,
//!     outbox: Outbox<String, String>,
//! }
//!
//! impl Heard {
//!     fn new() -> Self {
//!         Self { words: Mutex::default(), outbox: Outbox::new(100) }
//!     }
//!
//!     fn hear(&self, word: &str) {
//!         self.words.lock().push(word.to_owned());
//!         self.outbox.put(word.to_owned(), word.to_owned());
//!     }
//! }
//!
//! impl Shares for &Heard {
//!     type Key = String;
//!     type News = String;
//!
//!     fn outbox(&self) -> &Outbox<String, String> {
//!         &self.outbox
//!     }
//!
//!     fn write(&self, word: &String) -> Option<String> {
//!         Some(word.clone())
//!     }
//!
//!     fn read(&self, entry: &str, _age: Duration) {
//!         self.words.lock().push(entry.to_owned());
//!     }
//!
//!     fn tell_again(&self) {
//!         for word in &*self.words.lock() {
//!             self.outbox.put(word.clone(), word.clone());
//!         }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let log = MemoryLog::new(1_000);
//! let (one, other) = (Heard::new(), Heard::new());
//! let drivers = async { tokio::join!(share(&one, log.clone()), share(&other, log)) };
//! one.hear("hello");
//! tokio::time::timeout(Duration::from_secs(1), drivers).await.unwrap_err();
//! assert_eq!(*other.words.lock(), ["hello"]);
//! # }
//! ```

mod log;
mod memory;
mod outbox;
mod share;

pub use self::{
    log::{Cursor, Exchanged, Offer, SharedLog, Told},
    memory::MemoryLog,
    outbox::Outbox,
    share::{Shares, share},
};
