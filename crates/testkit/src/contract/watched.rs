//! A future that is polled only when it was woken, and counts.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use parking_lot::Mutex;

/// How many polls [`Watched::within`] grants before it calls a future spinning.
const MOST_POLLS: usize = 1_000;

/// A future on a task of its own: polled only after a wake-up, so one that forgets to register its
/// waker stays silent, and one that wakes itself in a loop is counted.
///
/// Time is that of the runtime it is used in; with paused time a wait of an hour takes no time.
///
/// ```
/// use std::time::Duration;
/// use ziggurat_testkit::contract::{Stuck, Watched};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let mut nap = Watched::new(tokio::time::sleep(Duration::from_secs(5)));
/// assert_eq!(nap.within(Duration::from_secs(1)).await, Err(Stuck::Silent));
/// assert_eq!(nap.within(Duration::from_secs(5)).await, Ok(()));
/// assert_eq!(nap.polls(), 2);
/// # }
/// ```
pub struct Watched<F> {
    future: Pin<Box<F>>,
    alarm: Arc<Alarm>,
    polls: usize,
}

/// Why a [`Watched`] future did not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stuck {
    /// The time went by and nobody woke it.
    Silent,
    /// It was polled over and over.
    Spinning,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "nothing woke it in time",
            Self::Spinning => "it wakes itself over and over",
        })
    }
}

struct Alarm {
    woken: AtomicBool,
    /// The task that drives the future at the moment.
    driver: Mutex<Option<Waker>>,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, SeqCst);
        let driver = self.driver.lock().take();
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}

impl<F: Future> Watched<F> {
    /// A future that has not been polled yet; its first poll is due.
    #[must_use]
    pub fn new(future: F) -> Self {
        Self {
            future: Box::pin(future),
            alarm: Arc::new(Alarm {
                woken: AtomicBool::new(true),
                driver: Mutex::new(None),
            }),
            polls: 0,
        }
    }

    /// Polls it once, woken or not.
    ///
    /// # Panics
    ///
    /// As the future does, for one when it has completed before.
    pub fn poll(&mut self) -> Poll<F::Output> {
        self.polls += 1;
        self.alarm.woken.store(false, SeqCst);
        let waker = Waker::from(Arc::clone(&self.alarm));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    /// Whether it was woken since the last poll.
    #[must_use]
    pub fn is_woken(&self) -> bool {
        self.alarm.woken.load(SeqCst)
    }

    /// How often it was polled.
    #[must_use]
    pub fn polls(&self) -> usize {
        self.polls
    }

    /// Drives it until it completes, polling it only when it is woken.
    ///
    /// Cancel safe: it can be driven on.
    ///
    /// # Errors
    ///
    /// If it does not complete in `limit`, or takes a thousand polls.
    pub async fn within(&mut self, limit: Duration) -> Result<F::Output, Stuck> {
        self.drive(MOST_POLLS, limit).await
    }

    /// Drives it until it has been polled `polls` more times, polling it only when it is woken.
    /// Gives its output if it completes before, and `None` also if `limit` passes.
    pub async fn poll_n(&mut self, polls: usize, limit: Duration) -> Option<F::Output> {
        if polls == 0 {
            return None;
        }
        self.drive(polls, limit).await.ok()
    }

    async fn drive(&mut self, polls: usize, limit: Duration) -> Result<F::Output, Stuck> {
        let last = self.polls + polls;
        let mut limit = pin!(tokio::time::sleep(limit));
        poll_fn(|cx| {
            *self.alarm.driver.lock() = Some(cx.waker().clone());
            if self.is_woken() {
                if let Poll::Ready(output) = self.poll() {
                    return Poll::Ready(Ok(output));
                }
                if self.polls == last {
                    return Poll::Ready(Err(Stuck::Spinning));
                }
            }
            limit.as_mut().poll(cx).map(|()| Err(Stuck::Silent))
        })
        .await
    }
}

impl<F> fmt::Debug for Watched<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched")
            .field("polls", &self.polls)
            .finish_non_exhaustive()
    }
}
