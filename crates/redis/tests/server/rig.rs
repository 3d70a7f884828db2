//! A client, its driver, and what they wrote to the log.

use std::{
    fmt::Write as _,
    sync::{Arc, LazyLock},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{task::JoinHandle, time::Instant};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    instrument::WithSubscriber,
    span,
};
use ziggurat_redis::{Address, RedisClient, RedisConfig, Script, StoreError, read};

pub(crate) static COUNT: LazyLock<Script> =
    LazyLock::new(|| Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])"));

/// How long anything may take that has no time of its own.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client whose driver runs.
pub(crate) struct Rig {
    pub(crate) client: RedisClient,
    pub(crate) lines: Lines,
    driver: JoinHandle<()>,
}

impl Rig {
    pub(crate) fn new(config: RedisConfig) -> Self {
        // Machines that run tests are busy.
        Self::waiting(config, Duration::from_millis(100))
    }

    /// The same with another deadline.
    pub(crate) fn waiting(config: RedisConfig, deadline: Duration) -> Self {
        let config = config.with_deadline(deadline).expect("is over zero");
        let (client, driver) = RedisClient::new(config);
        let lines = Lines::default();
        #[expect(clippy::disallowed_methods, reason = "a driver is spawned")]
        let driver = tokio::spawn(driver.run().with_subscriber(lines.clone()));
        Self {
            client,
            lines,
            driver,
        }
    }

    pub(crate) fn to(port: u16) -> Self {
        Self::new(RedisConfig::single(Address::new("127.0.0.1", port)))
    }

    /// A client whose server serves.
    pub(crate) async fn up(config: RedisConfig) -> Self {
        let rig = Self::new(config);
        rig.is_up().await;
        rig
    }

    pub(crate) async fn is_up(&self) {
        until("the store serves", || self.client.is_up()).await;
    }

    /// Calls are answered, though it may not have been noticed that they were not.
    pub(crate) async fn is_well(&self) {
        until_some("calls are answered", async || self.count("well").await.ok()).await;
    }

    pub(crate) async fn is_down(&self) {
        until("the store is left alone", || !self.client.is_up()).await;
    }

    /// Calls a script, whose lines go with the driver's.
    pub(crate) async fn count(&self, tag: &str) -> Result<i64, StoreError> {
        let key = [self.client.key("count", tag)];
        let args = [1_i64.into()];
        let answer = self.client.run(&COUNT, &key, &args);
        read(answer.with_subscriber(self.lines.clone()).await?)
    }

    /// Why the only server does not serve.
    pub(crate) fn trouble(&self) -> Option<ziggurat_redis::Trouble> {
        let health = self.client.watch().borrow().clone();
        health.troubles().next().map(|(_, trouble)| trouble.clone())
    }

    /// The driver ends by itself when nobody calls any more.
    pub(crate) async fn end(self) {
        drop(self.client);
        let ended = tokio::time::timeout(PATIENCE, self.driver).await;
        ended.expect("ends").expect("does not panic");
    }
}

/// Waits for something that has no other sign.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The same, for something that is asked for.
pub(crate) async fn until_some<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(it) = ask().await {
            return it;
        }
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The lines of the log.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<(Level, String)>>>);

impl Lines {
    /// How many there are of each level: warnings, and what is worth knowing.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let lines = self.0.lock();
        let count = |level| lines.iter().filter(|it| it.0 == level).count();
        assert!(lines.iter().all(|it| it.0 != Level::ERROR));
        (count(Level::WARN), count(Level::INFO))
    }

    pub(crate) fn text(&self) -> String {
        let lines = self.0.lock();
        lines
            .iter()
            .map(|(level, text)| format!("{level} {text}\n"))
            .collect()
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= Level::INFO
    }

    fn event(&self, event: &Event<'_>) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                let _ = write!(self.0, "{field}={value:?} ");
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().push((*event.metadata().level(), text.0));
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}
