//! The response that comes back through the stack.

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
use http::HeaderMap;
use smallvec::SmallVec;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{
    Attach, Blame, Clock, Clocked, End, Error, Money, Observer, ProviderLimits, Uplink, Usage,
};

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
    /// Whether the bytes are no text: a message of a [connection](LlmResponse::connection) says so.
    pub is_binary: bool,
}

/// Reads on what nobody waits for any more.
pub trait Drain: Send + Sync {
    /// Takes a stream whose reader has gone, to read it to its end or to drop it.
    fn drain(&self, items: Items);
}

/// The stream a leaf makes: verbatim events, then an end or one error.
pub type BoxItems = Pin<Box<dyn Stream<Item = Result<Item, Error>> + Send>>;

/// Who made an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Maker {
    /// The provider of the deployment.
    #[default]
    Provider,
    /// The router itself, in the place of the provider: nothing was sent, and nothing is billed.
    Mock,
    /// A cache, from an earlier answer: nothing was sent, and nothing is billed.
    Cache,
}

/// What a complete answer is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// What it costs, if the prices are known.
    pub cost: Option<Money>,
    /// Whether what it used is our estimate.
    pub estimated: bool,
}

/// An answer: headers, and a body that is complete or a stream.
///
/// A stream has one wrapper, whatever the number of layers: each attaches its [`Observer`] to it
/// instead of wrapping the stream again. An answer that is complete ends when it is attached to.
#[derive(Debug)]
pub struct LlmResponse {
    headers: HeaderMap,
    body: Body,
    limits: Option<Box<ProviderLimits>>,
    maker: Maker,
    charge: Option<Charge>,
}

#[derive(Debug)]
enum Body {
    Complete { bytes: Bytes, usage: Option<Usage> },
    // A response is moved at each layer on its way up.
    Stream(Box<Items>),
}

impl LlmResponse {
    /// A complete answer, in the client's dialect.
    #[must_use]
    pub fn complete(bytes: impl Into<Bytes>, usage: Option<Usage>) -> Self {
        Self {
            headers: HeaderMap::new(),
            body: Body::Complete {
                bytes: bytes.into(),
                usage,
            },
            limits: None,
            maker: Maker::Provider,
            charge: None,
        }
    }

    /// A streamed answer. The first item must be at hand: the response resolves with it.
    #[must_use]
    pub fn stream(items: BoxItems) -> Self {
        Self {
            headers: HeaderMap::new(),
            body: Body::Stream(Box::new(Items::new(items))),
            limits: None,
            maker: Maker::Provider,
            charge: None,
        }
    }

    /// An answer that is a connection: each item is a message of the provider, and what the client
    /// says goes back through the [`Uplink`], which [`Items::take_uplink`] gives out.
    ///
    /// Silence and length are its nature, so no clock ends it. It is neither held back nor drained:
    /// nobody would speak.
    #[must_use]
    pub fn connection(items: BoxItems, uplink: Box<dyn Uplink>) -> Self {
        let mut response = Self::stream(items);
        if let Body::Stream(items) = &mut response.body {
            items.is_connection = true;
            items.uplink = Some(uplink);
        }
        response
    }

    /// Says who made it.
    #[must_use]
    pub fn with_maker(mut self, maker: Maker) -> Self {
        self.maker = maker;
        self
    }

    /// Who made it.
    #[must_use]
    pub fn maker(&self) -> Maker {
        self.maker
    }

    /// Says what it is charged: the word of the one layer that charges.
    #[must_use]
    pub fn with_charge(mut self, charge: Charge) -> Self {
        self.charge = Some(charge);
        self
    }

    /// What it is charged, if it is complete and somebody charges.
    #[must_use]
    pub fn charge(&self) -> Option<&Charge> {
        self.charge.as_ref()
    }

    /// Adds what the provider says is left of its own limits.
    #[must_use]
    pub fn with_provider_limits(mut self, limits: ProviderLimits) -> Self {
        self.limits = (!limits.is_empty()).then(|| Box::new(limits));
        self
    }

    /// What the provider says is left of its own limits.
    #[must_use]
    pub fn provider_limits(&self) -> Option<&ProviderLimits> {
        self.limits.as_deref()
    }

    /// Sets the headers for the client.
    #[must_use]
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// The headers for the client.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The same, to change them.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    /// Whether the body is a stream.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        matches!(self.body, Body::Stream(_))
    }

    /// The body, if it is complete.
    #[must_use]
    pub fn bytes(&self) -> Option<&Bytes> {
        match &self.body {
            Body::Complete { bytes, .. } => Some(bytes),
            Body::Stream(_) => None,
        }
    }

    /// What a complete answer used.
    #[must_use]
    pub fn usage(&self) -> Option<&Usage> {
        match &self.body {
            Body::Complete { usage, .. } => usage.as_ref(),
            Body::Stream(items) => items.usage.as_ref(),
        }
    }

    /// Waits until `events` of a stream are there, or `bytes`, or all of it; what is there is kept
    /// for the reader. A failure that comes before is one of the response: nothing of it has been
    /// passed on. A complete answer is there already.
    ///
    /// Watchers see what is kept when it is read.
    ///
    /// # Errors
    ///
    /// The stream's, which has ended then.
    pub fn poll_hold(
        &mut self,
        cx: &mut Context<'_>,
        events: u32,
        bytes: usize,
    ) -> Poll<Result<(), Error>> {
        match &mut self.body {
            Body::Complete { .. } => Poll::Ready(Ok(())),
            Body::Stream(items) => items.poll_hold(cx, events, bytes),
        }
    }

    /// If the stream is dropped before its end, `drain` gets it with all its observers.
    #[must_use]
    pub fn draining(mut self, drain: Arc<dyn Drain>) -> Self {
        if let Body::Stream(items) = &mut self.body
            && !items.is_connection
        {
            items.drain = Some(drain);
        }
        self
    }

    /// The headers and the body, if it is complete.
    ///
    /// # Errors
    ///
    /// The response itself, if its body is a stream.
    #[expect(
        clippy::result_large_err,
        reason = "it is the response itself, given back"
    )]
    pub fn into_complete(self) -> Result<(HeaderMap, Bytes), Self> {
        match self.body {
            Body::Complete { bytes, .. } => Ok((self.headers, bytes)),
            Body::Stream(_) => Err(self),
        }
    }

    /// The headers, and the body as a stream: a complete one has one item.
    #[must_use]
    pub fn into_parts(self) -> (HeaderMap, Items) {
        let items = match self.body {
            Body::Stream(items) => *items,
            Body::Complete { bytes, usage } => Items::new(Box::pin(Once(Some(Item {
                bytes,
                events: 1,
                usage,
                ..Item::default()
            })))),
        };
        (self.headers, items)
    }
}

impl<O: Observer + 'static> Attach<O> for LlmResponse {
    type Output = Self;

    fn attach(mut self, mut observer: O) -> Self {
        if let Some(limits) = &self.limits {
            observer.provider_limits(limits);
        }
        match &mut self.body {
            Body::Complete { bytes, usage } => {
                observer.body(bytes);
                observer.end(End::Complete {
                    usage: usage.as_ref(),
                });
            }
            Body::Stream(items) => items.attach(Box::new(observer)),
        }
        self
    }
}

impl Clocked for LlmResponse {
    fn limit_idle(&mut self, idle: Duration) {
        if let Body::Stream(items) = &mut self.body {
            items.limit_idle(idle, false);
        }
    }

    fn limit_idle_for_caller(&mut self, idle: Duration) {
        if let Body::Stream(items) = &mut self.body {
            items.limit_idle(idle, true);
        }
    }

    fn limit_total(&mut self, at: Instant) {
        if let Body::Stream(items) = &mut self.body
            && !items.is_connection
        {
            items.deadline = Some(items.deadline.map_or(at, |set| set.min(at)));
        }
    }
}

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
    fn new(inner: BoxItems) -> Self {
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

    /// The way back to the provider, if the answer is a connection; given out once.
    #[must_use]
    pub fn take_uplink(&mut self) -> Option<Box<dyn Uplink>> {
        self.uplink.take()
    }

    fn attach(&mut self, mut observer: Box<dyn Observer>) {
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

    fn limit_idle(&mut self, idle: Duration, is_callers: bool) {
        if !self.is_connection && self.idle.is_none_or(|set| idle < set) {
            self.idle = Some(idle);
            self.idle_is_callers = is_callers;
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

    fn poll_hold(
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

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use parking_lot::Mutex;

    use super::*;
    use crate::ErrorKind;

    /// Items at given times after the last poll that found one; `None` never comes.
    struct Script(
        VecDeque<(Duration, Result<&'static str, ErrorKind>)>,
        Option<Pin<Box<Sleep>>>,
    );

    impl Script {
        fn response(
            steps: impl IntoIterator<Item = (u64, Result<&'static str, ErrorKind>)>,
        ) -> LlmResponse {
            let steps = steps
                .into_iter()
                .map(|(secs, step)| (Duration::from_secs(secs), step))
                .collect();
            LlmResponse::stream(Box::pin(Self(steps, None)))
        }
    }

    impl Stream for Script {
        type Item = Result<Item, Error>;

        fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            let Some((after, _)) = self.0.front().copied() else {
                return Poll::Ready(None);
            };
            let sleep = self
                .1
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(after)));
            ready!(sleep.as_mut().poll(cx));
            self.1 = None;
            let (_, step) = self.0.pop_front().expect("front was there");
            Poll::Ready(Some(match step {
                Ok(text) => Ok(Item {
                    bytes: Bytes::from(text),
                    events: 1,
                    usage: Some(Usage::new(1, 2)),
                    ..Item::default()
                }),
                Err(kind) => Err(Error::new(kind, "scripted")),
            }))
        }
    }

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<String>>>);

    impl Log {
        fn entries(&self) -> Vec<String> {
            self.0.lock().clone()
        }
    }

    impl Observer for Log {
        fn wants_items(&self) -> bool {
            true
        }

        fn item(&mut self, item: &Item) {
            self.0
                .lock()
                .push(String::from_utf8_lossy(&item.bytes).into_owned());
        }

        fn end(&mut self, end: End<'_>) {
            self.0.lock().push(match end {
                End::Complete { usage } => format!("complete {}", usage.map_or(0, Usage::total)),
                End::Failed(error) => format!("failed {}", error.kind()),
                End::Abandoned => "abandoned".to_owned(),
            });
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_observer_sees_items_and_exactly_one_end() {
        let log = Log::default();
        let (_, mut items) = Script::response([(0, Ok("a")), (0, Ok("b"))])
            .attach(log.clone())
            .into_parts();
        while items.next().await.is_some() {}
        assert!(items.next().await.is_none());
        drop(items);
        assert_eq!(log.entries(), ["a", "b", "complete 3"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_error_is_the_end_and_nothing_comes_after_it() {
        let log = Log::default();
        let script = [
            (0, Ok("a")),
            (0, Err(ErrorKind::StreamBroken)),
            (0, Ok("never")),
        ];
        let (_, mut items) = Script::response(script).attach(log.clone()).into_parts();
        assert!(items.next().await.expect("an item").is_ok());
        assert!(items.next().await.expect("an error").is_err());
        assert!(items.next().await.is_none());
        assert_eq!(log.entries(), ["a", "failed stream_broken"]);
    }

    #[tokio::test(start_paused = true)]
    async fn observers_go_when_the_stream_ends_not_when_it_is_dropped() {
        let guard = Arc::new(());
        struct Guard(#[expect(dead_code, reason = "held for its count")] Arc<()>);
        impl Observer for Guard {}
        let (_, mut items) = Script::response([(0, Ok("a"))])
            .attach(Guard(Arc::clone(&guard)))
            .into_parts();
        while items.next().await.is_some() {}
        assert_eq!(Arc::strong_count(&guard), 1);
        assert!(items.is_ended());
    }

    struct Nowhere;

    impl Uplink for Nowhere {
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }

        fn send(&mut self, _: crate::Message) {}

        fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }

        fn closed(&self) -> Option<crate::Close> {
            None
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_held_to_no_clock_and_neither_held_back_nor_drained() {
        struct Never;
        impl Drain for Never {
            fn drain(&self, _: Items) {
                panic!("nobody would speak");
            }
        }
        let log = Log::default();
        let day = Duration::from_secs(86_400);
        let silence = Script([(day, Ok("a"))].into(), None);
        let mut response = LlmResponse::connection(Box::pin(silence), Box::new(Nowhere));
        response.limit_idle(Duration::from_secs(1));
        response.limit_idle_for_caller(Duration::from_secs(1));
        response.limit_total(Instant::now() + Duration::from_secs(1));
        let held = std::future::poll_fn(|cx| response.poll_hold(cx, u32::MAX, usize::MAX));
        let begun = Instant::now();
        held.await.expect("does not fail");
        assert_eq!(begun.elapsed(), Duration::ZERO);
        let response = response.draining(Arc::new(Never)).attach(log.clone());
        let (_, mut items) = response.into_parts();
        assert!(items.take_uplink().is_some() && items.take_uplink().is_none());
        assert!(items.next().await.is_some_and(|item| item.is_ok()));
        assert_eq!(begun.elapsed(), day);
        drop(items);
        assert_eq!(log.entries(), ["a", "abandoned"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_response_is_abandoned() {
        let log = Log::default();
        drop(Script::response([(0, Ok("a"))]).attach(log.clone()));
        assert_eq!(log.entries(), ["abandoned"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_complete_answer_ends_as_it_is_attached_to() {
        let log = Log::default();
        let response = LlmResponse::complete("answer", Some(Usage::new(3, 4))).attach(log.clone());
        assert_eq!(log.entries(), ["complete 7"]);
        let (_, mut items) = response.into_parts();
        assert_eq!(
            items
                .next()
                .await
                .expect("one item")
                .expect("is fine")
                .bytes,
            "answer"
        );
        assert!(items.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_drip_survives_and_silence_does_not() {
        let mut drip = Script::response((0..360).map(|_| (5, Ok("x"))).chain([(7, Ok("late"))]));
        drip.limit_idle(Duration::from_secs(6));
        let (_, mut items) = drip.into_parts();
        for _ in 0..360 {
            assert!(items.next().await.expect("an item").is_ok());
        }
        let error = items
            .next()
            .await
            .expect("an end")
            .expect_err("fell silent");
        assert_eq!(error.kind(), ErrorKind::Timeout(Clock::Idle));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_does_not_trip_the_idle_clock() {
        let mut response = Script::response([(1, Ok("a")), (1, Ok("b"))]);
        response.limit_idle(Duration::from_secs(2));
        let (_, mut items) = response.into_parts();
        assert!(items.next().await.expect("an item").is_ok());
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(items.next().await.expect("an item").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn silence_that_only_the_caller_minds_speaks_against_no_deployment() {
        for (ours, callers, blamed) in [
            (9, 2, Blame::Request),
            (2, 2, Blame::Deployment),
            (2, 9, Blame::Deployment),
        ] {
            let mut response = Script::response([(60, Ok("late"))]);
            response.limit_idle(Duration::from_secs(ours));
            response.limit_idle_for_caller(Duration::from_secs(callers));
            let (_, mut items) = response.into_parts();
            let error = items.next().await.expect("an end").expect_err("is silent");
            assert_eq!(error.kind(), ErrorKind::Timeout(Clock::Idle));
            assert_eq!(error.scope(), blamed, "{ours} s and {callers} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_total_clock_cuts_a_stream() {
        let mut response = Script::response((0..100).map(|_| (1, Ok("x"))));
        response.limit_total(Instant::now() + Duration::from_millis(3500));
        let (_, items) = response.into_parts();
        let all: Vec<_> = items.collect().await;
        assert_eq!(all.len(), 4);
        let error = all.last().expect("four").as_ref().expect_err("is cut");
        assert_eq!(error.kind(), ErrorKind::Timeout(Clock::Total));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_back_reaches_the_reader_in_order_and_settles_when_it_is_read() {
        let log = Log::default();
        let script = [(0, Ok("a")), (1, Ok("b")), (1, Ok("c"))];
        let mut response = Script::response(script).attach(log.clone());
        std::future::poll_fn(|cx| response.poll_hold(cx, 2, usize::MAX))
            .await
            .expect("does not fail");
        assert!(log.entries().is_empty());
        let (_, items) = response.into_parts();
        let read: Vec<_> = items
            .map(|item| item.expect("is one").bytes)
            .collect()
            .await;
        assert_eq!(read, ["a", "b", "c"]);
        assert_eq!(log.entries(), ["a", "b", "c", "complete 3"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_in_what_is_held_back_is_one_of_the_response() {
        let log = Log::default();
        let script = [(0, Ok("a")), (0, Err(ErrorKind::StreamBroken))];
        let mut response = Script::response(script).attach(log.clone());
        let held = std::future::poll_fn(|cx| response.poll_hold(cx, u32::MAX, usize::MAX)).await;
        assert_eq!(held.expect_err("fails").kind(), ErrorKind::StreamBroken);
        drop(response);
        assert_eq!(log.entries(), ["failed stream_broken"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_back_and_never_read_is_told_before_the_end() {
        #[derive(Default)]
        struct Seen(Arc<Mutex<Vec<String>>>);
        impl Observer for Seen {
            fn wants_items(&self) -> bool {
                true
            }

            fn unread(&mut self, item: &Item) {
                let text = String::from_utf8_lossy(&item.bytes);
                self.0.lock().push(format!("unread {text}"));
            }

            fn end(&mut self, end: End<'_>) {
                self.0.lock().push(format!("{end:?}"));
            }
        }
        let seen = Seen::default();
        let log = Arc::clone(&seen.0);
        let mut response = Script::response([(0, Ok("a")), (0, Ok("b"))]).attach(seen);
        std::future::poll_fn(|cx| response.poll_hold(cx, 2, usize::MAX))
            .await
            .expect("does not fail");
        drop(response);
        assert_eq!(*log.lock(), ["unread a", "unread b", "Abandoned"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_nobody_reads_on_is_drained_if_somebody_wants_it() {
        #[derive(Default)]
        struct Rest(Mutex<Option<Items>>);
        impl Drain for Rest {
            fn drain(&self, items: Items) {
                *self.0.lock() = Some(items);
            }
        }
        let (log, rest) = (Log::default(), Arc::new(Rest::default()));
        let response = Script::response([(0, Ok("a")), (0, Ok("b"))]).attach(log.clone());
        let drain: Arc<dyn Drain> = Arc::clone(&rest) as _;
        let (_, mut items) = response.draining(drain).into_parts();
        assert!(items.next().await.is_some());
        drop(items);
        assert_eq!(log.entries(), ["a"]);
        let mut items = rest.0.lock().take().expect("was given");
        while items.next().await.is_some() {}
        assert_eq!(log.entries(), ["a", "b", "complete 3"]);
        drop(items);
        assert!(rest.0.lock().is_none(), "what has ended is not drained");
    }
}
