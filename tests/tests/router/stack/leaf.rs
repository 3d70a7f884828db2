//! A leaf that does what each deployment was told, and remembers what it was asked.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tower::Service;
use ziggurat::{Error, ErrorKind, HasLedger as _, Item, LlmRequest, LlmResponse, Routed};

/// Stands for all providers; clones are the same leaf.
#[derive(Clone, Default)]
pub(crate) struct Leaf(Arc<Shared>);

type Script = Box<dyn FnMut() -> Step + Send>;
type Watch = Box<dyn Fn(&Routed<LlmRequest>) + Send>;

#[derive(Default)]
struct Shared {
    scripts: Mutex<HashMap<String, Script>>,
    calls: Mutex<Vec<Call>>,
    watch: Mutex<Option<Watch>>,
    live: AtomicUsize,
}

/// One call of the leaf.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) deployment: String,
    pub(crate) at: Instant,
    /// How long after the beginning of its request.
    pub(crate) into: Duration,
    /// What was asked.
    pub(crate) body: String,
}

/// What a deployment does with one call.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    after: Duration,
    then: Then,
}

#[derive(Clone, Debug)]
enum Then {
    Complete,
    Fail {
        kind: ErrorKind,
        retry_after: Option<Duration>,
    },
    Hang,
    Stream {
        items: u32,
        gap: Duration,
        end: StreamEnd,
    },
}

#[derive(Clone, Copy, Debug)]
enum StreamEnd {
    Whole,
    Broken,
    Silent,
}

impl Step {
    fn new(then: Then) -> Self {
        let after = Duration::ZERO;
        Self { after, then }
    }

    /// A complete answer.
    pub(crate) fn ok() -> Self {
        Self::new(Then::Complete)
    }

    /// A failure.
    pub(crate) fn fail(kind: ErrorKind) -> Self {
        let retry_after = None;
        Self::new(Then::Fail { kind, retry_after })
    }

    /// A 429 with a `Retry-After`.
    pub(crate) fn throttled(secs: u64) -> Self {
        Self::new(Then::Fail {
            kind: ErrorKind::RateLimited,
            retry_after: Some(Duration::from_secs(secs)),
        })
    }

    /// No answer, ever.
    pub(crate) fn hang() -> Self {
        Self::new(Then::Hang)
    }

    /// A stream of so many items, the first one at once and the others a second apart; a complete
    /// answer to a request that asks for no stream.
    pub(crate) fn stream(items: u32) -> Self {
        Self::new(Then::Stream {
            items,
            gap: Duration::from_secs(1),
            end: StreamEnd::Whole,
        })
    }

    /// A stream that breaks after its items.
    pub(crate) fn breaking(items: u32) -> Self {
        Self::stream(items).ending(StreamEnd::Broken)
    }

    /// A stream that falls silent after its items.
    pub(crate) fn silent(items: u32) -> Self {
        Self::stream(items).ending(StreamEnd::Silent)
    }

    fn ending(mut self, how: StreamEnd) -> Self {
        if let Then::Stream { end, .. } = &mut self.then {
            *end = how;
        }
        self
    }

    /// The same, so many milliseconds later.
    pub(crate) fn after(mut self, millis: u64) -> Self {
        self.after = Duration::from_millis(millis);
        self
    }
}

impl Leaf {
    /// Says what a deployment does with each call.
    pub(crate) fn behave(&self, id: &str, script: impl FnMut() -> Step + Send + 'static) {
        self.0
            .scripts
            .lock()
            .insert(id.to_owned(), Box::new(script));
    }

    /// Says what a deployment does with every call; without a word it answers.
    pub(crate) fn always(&self, id: &str, step: Step) {
        self.behave(id, move || step.clone());
    }

    /// Says what a deployment does with the next calls; then it answers.
    pub(crate) fn script(&self, id: &str, steps: impl IntoIterator<Item = Step>) {
        let mut steps: VecDeque<_> = steps.into_iter().collect();
        self.behave(id, move || steps.pop_front().unwrap_or_else(Step::ok));
    }

    /// Is shown every call as it is made.
    pub(crate) fn watch(&self, watch: impl Fn(&Routed<LlmRequest>) + Send + 'static) {
        *self.0.watch.lock() = Some(Box::new(watch));
    }

    /// Every call so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.0.calls.lock().clone()
    }

    /// How many calls there were.
    pub(crate) fn count(&self) -> usize {
        self.0.calls.lock().len()
    }

    /// How many calls a deployment had.
    pub(crate) fn count_of(&self, id: &str) -> usize {
        let calls = self.0.calls.lock();
        calls.iter().filter(|call| call.deployment == id).count()
    }

    /// Whom the calls were for, in order.
    pub(crate) fn order(&self) -> Vec<String> {
        let calls = self.0.calls.lock();
        calls.iter().map(|call| call.deployment.clone()).collect()
    }

    /// Forgets the calls so far.
    pub(crate) fn forget(&self) {
        self.0.calls.lock().clear();
    }

    /// How many futures and streams have not been dropped.
    pub(crate) fn live(&self) -> usize {
        self.0.live.load(Relaxed)
    }
}

/// One future or stream.
struct Live(Arc<Shared>);

impl Live {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.live.fetch_add(1, Relaxed);
        Self(Arc::clone(shared))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Relaxed);
    }
}

impl Service<Routed<LlmRequest>> for Leaf {
    type Response = LlmResponse;
    type Error = Error;
    type Future = BoxFuture<'static, Result<LlmResponse, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, routed: Routed<LlmRequest>) -> Self::Future {
        if let Some(watch) = &*self.0.watch.lock() {
            watch(&routed);
        }
        let deployment = routed.deployment().public_id().to_string();
        let now = Instant::now();
        let ledger = routed.ledger().expect("a request has one");
        self.0.calls.lock().push(Call {
            deployment: deployment.clone(),
            at: now,
            into: now - ledger.started(),
            body: String::from_utf8_lossy(routed.request().body()).into_owned(),
        });
        let mut step = match self.0.scripts.lock().get_mut(&deployment) {
            Some(script) => script(),
            None => Step::ok(),
        };
        if matches!(step.then, Then::Stream { .. }) && !routed.request().is_stream() {
            step.then = Then::Complete;
        }
        Box::pin(answer(step, Live::new(&self.0), deployment))
    }
}

async fn answer(step: Step, live: Live, deployment: String) -> Result<LlmResponse, Error> {
    if !step.after.is_zero() {
        sleep(step.after).await;
    }
    match step.then {
        Then::Complete => Ok(LlmResponse::complete(deployment, None)),
        Then::Fail { kind, retry_after } => {
            let error = Error::new(kind, "the leaf was told to fail");
            Err(match retry_after {
                Some(after) => error.with_retry_after(after),
                None => error,
            })
        }
        Then::Hang => {
            std::future::pending::<()>().await;
            unreachable!("never goes on")
        }
        Then::Stream { items, gap, end } => {
            let steps =
                futures_util::stream::unfold((0, Some(live)), move |(at, live)| async move {
                    let live = live?;
                    if at > 0 {
                        sleep(gap).await;
                    }
                    if at < items {
                        let item = Item {
                            bytes: format!("data: {at}\n\n").into(),
                            events: 1,
                            usage: None,
                            ..Item::default()
                        };
                        return Some((Ok(item), (at + 1, Some(live))));
                    }
                    match end {
                        StreamEnd::Whole => None,
                        StreamEnd::Broken => {
                            let error = Error::new(ErrorKind::StreamBroken, "the stream broke");
                            Some((Err(error), (at, None)))
                        }
                        StreamEnd::Silent => std::future::pending().await,
                    }
                });
            Ok(LlmResponse::stream(Box::pin(steps)))
        }
    }
}
