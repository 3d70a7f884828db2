//! The inner service of the suite.

use std::{
    collections::VecDeque,
    fmt,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use tower_service::Service;
use ziggurat_core::{Error, ErrorKind, LlmResponse};

use super::{Answer, Answering, Law, Readiness, answer::error};

/// An inner service that does what it is told and sees what is done to it.
///
/// It takes any request. It panics if it is called without having said that it is ready: *that*
/// instance, since its last call; a clone has said nothing. Its clones share the script and what
/// was seen. Readiness and answers use the runtime's clock, so tests pause it.
///
/// ```
/// use tower::ServiceExt;
/// use ziggurat_core::ErrorKind;
/// use ziggurat_testkit::contract::{Answer, Probe};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let probe = Probe::new().with_script([Answer::error(ErrorKind::Overloaded)]);
/// assert!(probe.clone().oneshot("first").await.is_err());
/// assert!(probe.clone().oneshot("second").await.is_ok());
/// assert_eq!((probe.calls(), probe.live()), (2, 0));
/// # }
/// ```
pub struct Probe {
    shared: Arc<Mutex<Shared>>,
    /// How often this instance was pending since its last call.
    yielded: u32,
    ready: bool,
}

pub(super) struct Shared {
    readiness: Readiness,
    script: VecDeque<Answer>,
    otherwise: Answer,
    pub(super) released: bool,
    /// Who waits for a release or for readiness.
    pub(super) waiting: Vec<Waker>,
    calls: usize,
    pub(super) polls: usize,
    pub(super) live: usize,
    pub(super) ends: Vec<Ended>,
}

/// How an answer of a probe ended, as an observer beneath every layer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// It came to its end.
    Complete,
    /// It broke.
    Failed(ErrorKind),
    /// Nobody waited for its end.
    Abandoned,
}

impl Probe {
    /// A probe that is ready and gives complete answers at once.
    #[must_use]
    pub fn new() -> Self {
        Self::sharing(Arc::new(Mutex::new(Shared {
            readiness: Readiness::Ready,
            script: VecDeque::new(),
            otherwise: Answer::complete(),
            released: false,
            waiting: Vec::new(),
            calls: 0,
            polls: 0,
            live: 0,
            ends: Vec::new(),
        })))
    }

    fn sharing(shared: Arc<Mutex<Shared>>) -> Self {
        Self {
            shared,
            yielded: 0,
            ready: false,
        }
    }

    /// Tells the answers to the next calls, in order.
    #[must_use]
    pub fn with_script(self, answers: impl IntoIterator<Item = Answer>) -> Self {
        self.shared.lock().script.extend(answers);
        self
    }

    /// Tells the answer to every call beyond the script.
    #[must_use]
    pub fn with_answer(self, answer: Answer) -> Self {
        self.set_answer(answer);
        self
    }

    /// Tells whether it is ready.
    #[must_use]
    pub fn with_readiness(self, readiness: Readiness) -> Self {
        self.set_readiness(readiness);
        self
    }

    /// Forgets the script, and answers every call from now on like this.
    pub fn set_answer(&self, answer: Answer) {
        let mut shared = self.shared.lock();
        shared.script.clear();
        shared.otherwise = answer;
    }

    /// Changes the readiness, and wakes who waits for it.
    pub fn set_readiness(&self, readiness: Readiness) {
        self.wake_after(|shared| shared.readiness = readiness);
    }

    /// Lets every held answer go, those of later calls too.
    pub fn release(&self) {
        self.wake_after(|shared| shared.released = true);
    }

    fn wake_after(&self, change: impl FnOnce(&mut Shared)) {
        let waiting = {
            let mut shared = self.shared.lock();
            change(&mut shared);
            std::mem::take(&mut shared.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// How many calls were made.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.shared.lock().calls
    }

    /// How often the futures of its answers were polled.
    #[must_use]
    pub fn polls(&self) -> usize {
        self.shared.lock().polls
    }

    /// How many of its futures and streams have not been dropped.
    #[must_use]
    pub fn live(&self) -> usize {
        self.shared.lock().live
    }

    /// How its answers ended, in order; failures and refusals are no answers.
    #[must_use]
    pub fn ends(&self) -> Vec<Ended> {
        self.shared.lock().ends.clone()
    }
}

impl Default for Probe {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Probe {
    /// A clone shares the script, and is not ready.
    fn clone(&self) -> Self {
        Self::sharing(Arc::clone(&self.shared))
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = self.shared.lock();
        f.debug_struct("Probe")
            .field("readiness", &shared.readiness)
            .field("calls", &shared.calls)
            .field("polls", &shared.polls)
            .field("live", &shared.live)
            .field("ends", &shared.ends)
            .finish_non_exhaustive()
    }
}

impl<R> Service<R> for Probe {
    type Response = LlmResponse;
    type Error = Error;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut shared = self.shared.lock();
        match shared.readiness {
            Readiness::Yielding(times) if self.yielded < times && !self.ready => {
                drop(shared);
                self.yielded += 1;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Readiness::Pending => {
                shared.waiting.push(cx.waker().clone());
                return Poll::Pending;
            }
            Readiness::Failed(kind) => return Poll::Ready(Err(error(kind))),
            Readiness::Ready | Readiness::Yielding(_) => {}
        }
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    /// # Panics
    ///
    /// If this instance did not say it is ready since its last call.
    fn call(&mut self, _: R) -> Answering {
        if !std::mem::take(&mut self.ready) {
            Law::Receiver.broken("`call` on an instance that did not say it is ready");
        }
        self.yielded = 0;
        let mut shared = self.shared.lock();
        shared.calls += 1;
        let answer = shared.script.pop_front();
        let answer = answer.unwrap_or_else(|| shared.otherwise.clone());
        drop(shared);
        Answering::new(answer, &self.shared)
    }
}
