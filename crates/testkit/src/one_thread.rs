//! Work that another thread does, in tests that do not ask how fast it is.

use std::{pin::pin, sync::mpsc};

use futures_util::FutureExt as _;
use tokio::{
    runtime::{Builder, Runtime},
    task::spawn_blocking,
};

/// A runtime of Tokio's with a single thread for work that blocks.
#[derive(Debug)]
pub struct OneThread(Runtime);

impl OneThread {
    /// Starts the runtime. Time goes by in it as it does outside.
    ///
    /// # Panics
    ///
    /// If the system refuses what a runtime needs.
    #[must_use]
    pub fn new() -> Self {
        let mut builder = Builder::new_current_thread();
        let runtime = builder.enable_all().max_blocking_threads(1).build();
        Self(runtime.expect("the system gives what a runtime needs"))
    }

    /// Runs a future to its end.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.0.block_on(future)
    }

    /// Runs a future to its end, and tells whether it had come there at its first poll, during which
    /// the thread for work that blocks is taken. So who needs that thread has not, at whatever speed.
    pub fn run_at_once<T>(&self, future: impl Future<Output = T>) -> (bool, T) {
        self.run(async {
            let mut future = pin!(future);
            let (end, ended) = mpsc::channel::<()>();
            // It fails when the other end is dropped, which ends it.
            let taken = spawn_blocking(move || ended.recv());
            let first = future.as_mut().now_or_never();
            drop((end, taken));
            match first {
                Some(output) => (true, output),
                None => (false, future.await),
            }
        })
    }
}

impl Default for OneThread {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_needs_the_thread_waits_for_it_and_who_does_not_is_there_at_once() {
        let threads = OneThread::new();
        for _ in 0..100 {
            let (at_once, output) = threads.run_at_once(async { spawn_blocking(|| 7).await });
            assert_eq!((at_once, output.expect("ends")), (false, 7));
            assert_eq!(threads.run_at_once(async { 7 }), (true, 7));
        }
    }
}
