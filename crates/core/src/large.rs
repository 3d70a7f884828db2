//! Work that takes long because there is so much of it.

use std::{future::pending, panic::resume_unwind, sync::LazyLock, thread::available_parallelism};

use tokio::{
    runtime::Handle,
    sync::Semaphore,
    task::{JoinHandle, spawn_blocking},
};

/// From so many bytes on, a body is read and written anew [off the reactor](off_reactor): less than
/// that takes less than a millisecond, in which other requests wait for nothing.
pub const LARGE: usize = 128 * 1024;

/// Does work on so many bytes: at once if they are few, else on a thread that may block, so that
/// other requests are served meanwhile.
///
/// Of large work as much is done at a time as there are processors, and the rest waits in line. So a
/// flood of long prompts waits for itself, and takes no more threads than that. That a thread is asked
/// for such a request costs some microseconds, of milliseconds; others cost nothing.
///
/// Without a runtime of Tokio's all is done at once.
///
/// # Panics
///
/// If `work` does.
///
/// # Cancel safety
///
/// Dropped, work that waits is not done, and work that has begun ends for nobody.
pub async fn off_reactor<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    static ROOM: LazyLock<Semaphore> =
        LazyLock::new(|| Semaphore::new(available_parallelism().map_or(1, usize::from)));
    if bytes < LARGE || Handle::try_current().is_err() {
        return work();
    }
    let room = ROOM.acquire().await;
    let working: JoinHandle<T> = spawn_blocking(move || {
        let done = work();
        drop(room);
        done
    });
    match working.await {
        Ok(done) => done,
        Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
        // The runtime ends, and this with it.
        Err(_) => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering::Relaxed},
        },
        thread::current,
    };

    use futures_util::{FutureExt as _, future::join_all};

    use super::*;

    #[tokio::test]
    async fn little_is_done_at_once_and_much_on_another_thread() {
        let here = current().id();
        let little = off_reactor(LARGE - 1, || current().id()).now_or_never();
        assert_eq!(little, Some(here));
        assert_ne!(off_reactor(LARGE, || current().id()).await, here);
    }

    #[test]
    fn without_a_runtime_it_is_done_at_once() {
        assert_eq!(off_reactor(LARGE, || 7).now_or_never(), Some(7));
    }

    #[tokio::test]
    async fn no_more_is_done_at_a_time_than_there_are_processors() {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = || {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            off_reactor(LARGE, move || {
                most.fetch_max(now.fetch_add(1, Relaxed) + 1, Relaxed);
                std::thread::yield_now();
                now.fetch_sub(1, Relaxed);
            })
        };
        join_all((0..100).map(|_| work())).await;
        let processors = available_parallelism().map_or(1, usize::from);
        assert!((1..=processors).contains(&most.load(Relaxed)), "{most:?}");
    }

    #[tokio::test]
    #[should_panic(expected = "by design")]
    async fn a_panic_is_passed_on() {
        off_reactor(LARGE, || panic!("by design")).await;
    }
}
