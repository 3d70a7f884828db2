//! The stream of an answer: its observers, its clocks, and what is held back of it.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;
use smallvec::SmallVec;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{Blame, Clock, End, Error, Observer, Uplink, Usage};

/// A piece of a streamed answer, in the wire form of the client's dialect: one event, or several
/// that came together.
#[derive(Clone, Debug, Default)]
pub struct Item {
    /// The bytes for the client; empty if there is only usage to tell.
    pub bytes: Bytes,
    /// How many events they hold.
    pub events: u32,
    /// What the provider says the answer used so far.
    pub usage: Option<Usage>,
    /// Whether the bytes are no text: a message of a [connection](crate::LlmResponse::connection) says so.
    pub is_binary: bool,
}

/// Reads on what nobody waits for any more.
pub trait Drain: Send + Sync {
    /// Takes a stream whose reader has gone, to read it to its end or to drop it.
    fn drain(&self, items: Items);
}

/// The stream a leaf makes: verbatim events, then an end or one error.
pub type BoxItems = Pin<Box<dyn Stream<Item = Result<Item, Error>> + Send>>;

struct Once(Option<Item>);

impl Stream for Once {
    type Item = Result<Item, Error>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}

/// The one wrapper of a streamed answer.
///
/// It ends once: at `None`, at the first error, or when it is dropped; then every observer is told,
/// in the order they were attached, and dropped, and so is the provider's stream.
pub struct Items {
    inner: Option<BoxItems>,
    observers: SmallVec<[Box<dyn Observer>; 4]>,
    /// How many of the first observers want items: those that do are kept in front.
    watchers: usize,
    usage: Option<Usage>,
    idle: Option<Duration>,
    idle_is_callers: bool,
    deadline: Option<Instant>,
    waits_since: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
    held: Held,
    drain: Option<Arc<dyn Drain>>,
    is_connection: bool,
    uplink: Option<Box<dyn Uplink>>,
}

/// What was read before anybody asked for it.
#[derive(Default)]
struct Held {
    items: VecDeque<Item>,
    events: u32,
    bytes: usize,
    /// Whether the stream has come to its end, which is told when the last item is read.
    whole: bool,
}

impl Items {
    pub(super) fn new(inner: BoxItems) -> Self {
        Self {
            inner: Some(inner),
            observers: SmallVec::new(),
            watchers: 0,
            usage: None,
            idle: None,
            idle_is_callers: false,
            deadline: None,
            waits_since: None,
            alarm: None,
            held: Held::default(),
            drain: None,
            is_connection: false,
            uplink: None,
        }
    }

    /// A stream of one item, which is there already.
    pub(super) fn once(item: Item) -> Self {
        Self::new(Box::pin(Once(Some(item))))
    }

    /// Makes a connection of it, with the way back to the provider.
    pub(super) fn connect(&mut self, uplink: Box<dyn Uplink>) {
        self.is_connection = true;
        self.uplink = Some(uplink);
    }

    /// The way back to the provider, if the answer is a connection; given out once.
    #[must_use]
    pub fn take_uplink(&mut self) -> Option<Box<dyn Uplink>> {
        self.uplink.take()
    }

    pub(super) fn attach(&mut self, mut observer: Box<dyn Observer>) {
        if self.inner.is_none() {
            return observer.end(End::Complete {
                usage: self.usage.as_ref(),
            });
        }
        if observer.wants_items() {
            self.observers.insert(self.watchers, observer);
            self.watchers += 1;
        } else {
            self.observers.push(observer);
        }
    }

    pub(super) fn limit_idle(&mut self, idle: Duration, is_callers: bool) {
        if !self.is_connection && self.idle.is_none_or(|set| idle < set) {
            self.idle = Some(idle);
            self.idle_is_callers = is_callers;
        }
    }

    pub(super) fn limit_total(&mut self, at: Instant) {
        if !self.is_connection {
            self.deadline = Some(self.deadline.map_or(at, |set| set.min(at)));
        }
    }

    pub(super) fn drained_by(&mut self, drain: Arc<dyn Drain>) {
        if !self.is_connection {
            self.drain = Some(drain);
        }
    }

    /// What the provider says the answer used so far.
    #[must_use]
    pub fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }

    /// Whether the stream has ended and all is settled.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.inner.is_none()
    }

    fn end(&mut self, end: Result<(), Option<&Error>>) {
        if self.inner.take().is_none() {
            return;
        }
        let end = match end {
            Ok(()) => End::Complete {
                usage: self.usage.as_ref(),
            },
            Err(Some(error)) => End::Failed(error),
            Err(None) => End::Abandoned,
        };
        let held = std::mem::take(&mut self.held.items);
        for watcher in &mut self.observers[..self.watchers] {
            held.iter().for_each(|item| watcher.unread(item));
        }
        for mut observer in std::mem::take(&mut self.observers) {
            observer.end(end);
        }
    }

    fn fail(&mut self, error: Error) -> Poll<Option<Result<Item, Error>>> {
        self.end(Err(Some(&error)));
        Poll::Ready(Some(Err(error)))
    }

    /// Waits until a clock runs out. It runs only while somebody waits for the provider: a slow
    /// reader trips nothing.
    fn poll_clocks(&mut self, cx: &mut Context<'_>) -> Poll<Clock> {
        // The time is asked for once for each wait: a wait may be polled many times.
        let since = *self.waits_since.get_or_insert_with(Instant::now);
        let idle = self.idle.and_then(|idle| since.checked_add(idle));
        let idle = idle.map(|at| (at, Clock::Idle));
        let total = self.deadline.map(|at| (at, Clock::Total));
        let first = idle.into_iter().chain(total).min_by_key(|(at, _)| *at);
        let Some((at, clock)) = first else {
            return Poll::Pending;
        };
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if alarm.deadline() > at {
            alarm.as_mut().reset(at);
        }
        loop {
            ready!(alarm.as_mut().poll(cx));
            if alarm.deadline() >= at {
                return Poll::Ready(clock);
            }
            // It was set for an earlier item, and is only now set again: that is cheaper than
            // setting it for each item.
            alarm.as_mut().reset(at);
        }
    }
}

impl Items {
    /// What the provider sends next, or the clock that runs out.
    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Item, Error>>> {
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        match inner.as_mut().poll_next(cx) {
            Poll::Ready(next) => {
                self.waits_since = None;
                Poll::Ready(next)
            }
            Poll::Pending if self.idle.is_none() && self.deadline.is_none() => Poll::Pending,
            Poll::Pending => {
                let clock = ready!(self.poll_clocks(cx));
                let mut error = Error::timeout(clock);
                if clock == Clock::Idle && self.idle_is_callers {
                    error = error.with_blame(Blame::Request);
                }
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn pass(&mut self, item: Item) -> Poll<Option<Result<Item, Error>>> {
        if item.usage.is_some() {
            self.usage = item.usage;
        }
        for watcher in &mut self.observers[..self.watchers] {
            watcher.item(&item);
        }
        Poll::Ready(Some(Ok(item)))
    }

    pub(super) fn poll_hold(
        &mut self,
        cx: &mut Context<'_>,
        events: u32,
        bytes: usize,
    ) -> Poll<Result<(), Error>> {
        if self.is_connection {
            return Poll::Ready(Ok(()));
        }
        while !self.held.whole && self.held.events < events && self.held.bytes < bytes {
            match ready!(self.poll_inner(cx)) {
                Some(Ok(item)) => {
                    self.held.events = self.held.events.saturating_add(item.events);
                    self.held.bytes += item.bytes.len();
                    self.held.items.push_back(item);
                }
                Some(Err(error)) => {
                    self.end(Err(Some(&error)));
                    return Poll::Ready(Err(error));
                }
                None => self.held.whole = true,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Stream for Items {
    type Item = Result<Item, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(item) = this.held.items.pop_front() {
            return this.pass(item);
        }
        let next = match this.held.whole {
            true => None,
            false => ready!(this.poll_inner(cx)),
        };
        match next {
            Some(Ok(item)) => this.pass(item),
            Some(Err(error)) => this.fail(error),
            None => {
                this.end(Ok(()));
                Poll::Ready(None)
            }
        }
    }
}

impl Drop for Items {
    fn drop(&mut self) {
        if self.inner.is_some()
            && let Some(drain) = self.drain.take()
        {
            let mut ended = Self::new(Box::pin(Once(None)));
            ended.inner = None;
            return drain.drain(std::mem::replace(self, ended));
        }
        self.end(Err(None));
    }
}

impl fmt::Debug for Items {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items")
            .field("ended", &self.inner.is_none())
            .field("observers", &self.observers.len())
            .field("usage", &self.usage)
            .finish_non_exhaustive()
    }
}
