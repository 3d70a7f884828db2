//! Ending what runs in the background, in order.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::timeout};

use crate::{Router, limits::Limiter};

/// How long each of what is shared and what webhooks are told may take at the end.
const PATIENCE: Duration = Duration::from_secs(2);

/// How far the end is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    #[default]
    Running,
    /// What was used is told to the others, and what was leased is given back.
    Sharing,
    /// Webhooks are told what they have not been told.
    Alerts,
}

/// Tells what runs in the background to end, step by step. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ending(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    step: watch::Sender<Step>,
    sharing: watch::Sender<()>,
    running: watch::Sender<()>,
}

/// What is waited for at the end, until it is dropped.
pub(crate) struct Hold {
    _held: watch::Receiver<()>,
}

impl Ending {
    pub(crate) fn reach(&self, step: Step) {
        self.0.step.send_replace(step);
    }

    /// Waits until the end is so far.
    pub(crate) fn reached(&self, step: Step) -> impl Future<Output = ()> + Send + use<> {
        let mut steps = self.0.step.subscribe();
        async move {
            if steps.wait_for(|now| *now >= step).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Something that shares to its end.
    pub(crate) fn shares(&self) -> Hold {
        Hold {
            _held: self.0.sharing.subscribe(),
        }
    }

    /// All that runs in the background.
    pub(crate) fn runs(&self) -> Hold {
        Hold {
            _held: self.0.running.subscribe(),
        }
    }

    /// Waits until everything has been shared.
    pub(crate) async fn shared(&self) {
        _ = timeout(PATIENCE, self.0.sharing.closed()).await;
    }
}

impl Router {
    /// Ends what [`background`](Self::background) does, in order: streams whose clients have gone are
    /// read on, for at most so long; what was used is told to other instances, and what was leased of
    /// shared limits is given back; then webhooks hear what they have not heard yet. These two may take
    /// two seconds each. Copies for mirrors are dropped.
    ///
    /// To be called when no requests come any more. It is over when the background is, at once if it
    /// does not run.
    pub async fn end_background(&self, streams: Duration) {
        let (state, ending) = (self.state(), &self.state().ending);
        let most = streams.saturating_add(2 * PATIENCE);
        let ended = async {
            let drained = state.drain.counts();
            tokio::select! {
                _ = timeout(streams, drained.idle()) => {}
                () = ending.0.running.closed() => return,
            }
            if let Limiter::Together(limiter, _) = &state.limiter {
                limiter.close();
            }
            ending.reach(Step::Sharing);
            ending.shared().await;
            ending.reach(Step::Alerts);
            ending.0.running.closed().await;
        };
        _ = timeout(most, ended).await;
    }
}
