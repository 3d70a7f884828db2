//! What several instances share over Redis.

use std::{fs, num::NonZeroU32, pin::Pin, time::Duration};

use futures_util::{
    future::OptionFuture,
    stream::{FuturesUnordered, StreamExt as _},
};
use tokio::time::timeout;
use ziggurat_config::{
    CacheSettings, CacheStoreName, Plan, RedisAddress, RedisNodes, RedisOutage, RedisSettings,
};
use ziggurat_core::{Error, ErrorKind, UniqueId};
use ziggurat_priority_queue::Parts;
use ziggurat_rate_limit::{LeasedLimiter, Leasing, MemoryLimiter, Outage};
use ziggurat_redis::{
    Address, InvalidConfig, RedisCache, RedisChecks, RedisClient, RedisConfig, RedisLeases,
    RedisLog, RedisParts, RedisSemantic, RedisUsage,
};
use ziggurat_usage::{UsageBook, UsageSync};

use crate::{
    Router, alerts,
    ending::{Ending, Step},
    limits::{Heard, LimitSinks, Limiter},
    stack::State,
};

type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How often what was used is told to the other instances.
const USAGE: Duration = Duration::from_secs(2);

/// The servers of a plan, and what drives the state that is kept there.
pub(crate) struct Together {
    pub(crate) client: RedisClient,
    pub(crate) cache: RedisCache,
    pub(crate) semantic: RedisSemantic,
    drivers: Vec<Driver>,
    parts: Parts,
    ending: Ending,
    outage: Outage,
}

impl Together {
    /// The servers of a plan, if it has some. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// If a file of certificates cannot be read, or what the plan says cannot be.
    pub(crate) fn new(plan: &Plan, ending: &Ending) -> Result<Option<Self>, Error> {
        let Some(settings) = &plan.redis else {
            return Ok(None);
        };
        let (client, connecting) = RedisClient::new(config(settings)?);
        let mut drivers: Vec<Driver> = vec![Box::pin(connecting.run())];
        let keeps_answers = |cache: &CacheSettings| cache.store == CacheStoreName::Redis;
        let answers = match plan.cache.as_ref().is_some_and(keeps_answers) {
            false => client.clone(),
            // Long answers keep nobody waiting who asks for a few bytes.
            true => {
                let (client, connecting) = RedisClient::new(config(settings)?);
                drivers.push(Box::pin(connecting.run()));
                client
            }
        };
        let (cache, writes) = RedisCache::new(answers.clone());
        let (semantic, near_writes) = RedisSemantic::new(answers);
        drivers.extend([
            Box::pin(writes.run()) as Driver,
            Box::pin(near_writes.run()),
        ]);
        Ok(Some(Self {
            client,
            cache,
            semantic,
            drivers,
            parts: Parts::new(),
            ending: ending.clone(),
            outage: match settings.outage {
                RedisOutage::Open => Outage::Open,
                RedisOutage::Closed => Outage::Closed,
                _ => Outage::Share,
            },
        }))
    }

    /// The limiter whose counts all instances share.
    pub(crate) fn limiter(&mut self) -> LeasedLimiter {
        let leasing = Leasing::new()
            .deadline(self.client.deadline())
            .outage(self.outage);
        let (limiter, driver) = leasing.build();
        let store = RedisLeases::new(self.client.clone());
        self.drivers.push(self.to_its_end(driver.run(store)));
        limiter
    }

    /// Something that shares, for whose end the end waits.
    fn to_its_end(&self, sharing: impl Future<Output = ()> + Send + 'static) -> Driver {
        let held = self.ending.shares();
        Box::pin(async move {
            sharing.await;
            drop(held);
        })
    }

    /// What this instance has of capacities that are those of all.
    pub(crate) fn parts(&self) -> Parts {
        self.parts.clone()
    }

    /// Which instance makes a health check.
    pub(crate) fn checks(&self) -> RedisChecks {
        RedisChecks::new(self.client.clone())
    }

    /// Shares what the layers have learned, and what they did.
    pub(crate) fn share(&mut self, state: &State, usage: &UsageBook) {
        let log = |name: fn(RedisClient) -> RedisLog| name(self.client.clone());
        let instance = UniqueId::next().to_string();
        let usage = UsageSync::new(
            usage.clone(),
            RedisUsage::new(self.client.clone()),
            instance.clone(),
        );
        let used = usage.run_until(USAGE, self.ending.reached(Step::Sharing));
        let parts = self.parts.share_until(
            RedisParts::new(self.client.clone()),
            instance,
            self.ending.reached(Step::Sharing),
        );
        let watching = alerts::of_store(state.alerts.clone(), self.client.watch());
        let sharing: [Driver; 6] = [
            Box::pin(watching),
            Box::pin(state.cooldown.share(log(RedisLog::cooldowns))),
            Box::pin(state.health.share(log(RedisLog::health))),
            Box::pin(
                state
                    .pins
                    .share(state.deployments.clone(), log(RedisLog::pins)),
            ),
            self.to_its_end(used),
            self.to_its_end(parts),
        ];
        self.drivers.extend(sharing);
    }

    /// All of it, to be driven as long as the router is there.
    pub(crate) fn into_driver(self) -> impl Future<Output = ()> + Send {
        let mut drivers: FuturesUnordered<_> = self.drivers.into_iter().collect();
        async move { while drivers.next().await.is_some() {} }
    }
}

/// Other instances.
impl Router {
    /// Waits until Redis has told how many instances there are, but no longer than that. Tells
    /// whether it has; at once, and that it has, if no limits are shared.
    ///
    /// Before that an instance takes itself for the only one, so the limits hold for it alone. An
    /// application waits for it, for a second perhaps, after it has spawned
    /// [`background`](Self::background) and before it takes requests; it goes on in any case. Without
    /// the background nothing is reached.
    ///
    /// *Cancel safe*.
    ///
    /// ```no_run
    /// # async fn run(router: ziggurat::Router) {
    /// if let Some(background) = router.background() {
    ///     tokio::spawn(background);
    /// }
    /// if !router.joined(std::time::Duration::from_secs(1)).await {
    ///     eprintln!("Redis is not there yet");
    /// }
    /// # }
    /// ```
    pub async fn joined(&self, patience: Duration) -> bool {
        match &self.state().limiter {
            Limiter::Alone(_) => true,
            Limiter::Together(limiter, _) => {
                let parts = self.state().queues.parts();
                let parts = OptionFuture::from(parts.map(Parts::joined));
                let joined = async { tokio::join!(limiter.joined(), parts) };
                timeout(patience, joined).await.is_ok()
            }
        }
    }
}

/// What keeps the counts of limits.
pub(crate) fn limiter(together: Option<&mut Together>, sinks: &LimitSinks) -> Limiter {
    match together {
        Some(together) => Limiter::Together(together.limiter(), Heard::new(sinks.clone())),
        None => Limiter::Alone(MemoryLimiter::new().with_sink(sinks.clone())),
    }
}

fn config(settings: &RedisSettings) -> Result<RedisConfig, Error> {
    let wrong = |error: InvalidConfig| told(&error);
    let addresses = |nodes: &[RedisAddress]| nodes.iter().map(address).collect::<Vec<_>>();
    let mut config = match &settings.nodes {
        RedisNodes::Single(node) => RedisConfig::single(address(node)),
        RedisNodes::Cluster(nodes) => RedisConfig::cluster(addresses(nodes)).map_err(wrong)?,
        RedisNodes::Sentinel {
            sentinels,
            service,
            password,
            ..
        } => {
            let nodes = addresses(sentinels);
            let config = RedisConfig::sentinel(nodes, &**service).map_err(wrong)?;
            match password {
                Some(password) => config
                    .with_sentinel_login(None, password.clone())
                    .map_err(wrong)?,
                None => config,
            }
        }
        _ => return Err(told(&"servers of a kind that this version does not know")),
    };
    if let Some(name) = &settings.username {
        config = config.with_username(&**name);
    }
    if let Some(password) = &settings.password {
        config = config.with_password(password.clone());
    }
    config = config.with_db(settings.db).map_err(wrong)?;
    if settings.tls {
        config = config.with_tls();
    }
    if let Some(file) = &settings.ca_file {
        config = config.with_authorities(&read(file)?).map_err(wrong)?;
    }
    if let Some((chain, key)) = &settings.identity {
        config = config
            .with_identity(&read(chain)?, &read(key)?)
            .map_err(wrong)?;
    }
    if let Some(namespace) = &settings.namespace {
        config = config.with_namespace(&**namespace).map_err(wrong)?;
    }
    if let Some(deadline) = settings.deadline {
        config = config.with_deadline(deadline).map_err(wrong)?;
    }
    if let Some(timeout) = settings.connect_timeout {
        config = config.with_connect_timeout(timeout).map_err(wrong)?;
    }
    if let Some(failures) = settings.failures.and_then(NonZeroU32::new) {
        config = config.with_failures(failures);
    }
    Ok(config)
}

fn address(node: &RedisAddress) -> Address {
    Address::new(&*node.host, node.port)
}

fn read(file: &str) -> Result<Vec<u8>, Error> {
    fs::read(file).map_err(|error| told(&format_args!("{file} cannot be read: {error}")))
}

fn told(what: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::BadRequest, format!("Redis: {what}"))
}
