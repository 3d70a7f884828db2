//! Which instance makes a health check.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use ziggurat_health::CheckLeases;

use crate::{RedisClient, Script, read};

/// How long a lease may take. No request waits for it.
const PATIENCE: Duration = Duration::from_secs(1);

static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new("return redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) and 1 or 0")
});

/// Gives each health check to one of all instances with the same namespace.
#[derive(Clone, Debug)]
pub struct RedisChecks {
    client: RedisClient,
}

impl RedisChecks {
    /// The leases of a namespace.
    #[must_use]
    pub const fn new(client: RedisClient) -> Self {
        Self { client }
    }
}

impl CheckLeases for RedisChecks {
    type Take = RedisTake;

    fn take(&self, check: &str, time: Duration) -> RedisTake {
        let client = self.client.clone();
        let key = [client.key("check", check)];
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        RedisTake(Box::pin(async move {
            let args = [millis.clamp(1, 1 << 40).into()];
            let answer = client.run_within(PATIENCE, &TAKE, &key, &args).await;
            read(answer.ok()?).ok()
        }))
    }
}

/// The answer of [`RedisChecks`].
pub struct RedisTake(BoxFuture<'static, Option<bool>>);

impl Future for RedisTake {
    type Output = Option<bool>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for RedisTake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTake").finish_non_exhaustive()
    }
}
