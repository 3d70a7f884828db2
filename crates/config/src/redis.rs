//! Where several instances share what they know.

mod address;
mod said;
mod url;

use std::{fmt, sync::Arc, time::Duration};

use ziggurat_core::Secret;

pub use self::address::RedisAddress;
use self::said::{Endpoint, Said};
use crate::{
    environment::Environment,
    problem::Report,
    read::{Found, Range, Section, first},
    source::{Facts, Show, Source, show_by_name},
    tables::{CACHE_PARAMS, REDIS},
};

/// The longest namespace.
const MAX_NAMESPACE: usize = 128;

/// Redis or Valkey: `ziggurat_settings.redis`, after what `router_settings`, `cache_params` and the
/// environment add. `None` leaves the store's own default.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisSettings {
    /// Who is called.
    pub nodes: RedisNodes,
    /// The name of the user.
    pub username: Option<Arc<str>>,
    /// The password of the servers.
    pub password: Option<Secret>,
    /// The number of the database; always 0 of a cluster.
    pub db: u32,
    /// Whether connections are encrypted.
    pub tls: bool,
    /// The file with the certificates that are trusted, in the place of those of the system.
    pub ca_file: Option<Arc<str>>,
    /// The files with the certificate and the key that servers are shown.
    pub identity: Option<(Arc<str>, Arc<str>)>,
    /// What all keys begin with. No braces, at most 128 bytes.
    pub namespace: Option<Arc<str>>,
    /// How long a request waits.
    pub deadline: Option<Duration>,
    /// How long a connection may take to be made.
    pub connect_timeout: Option<Duration>,
    /// How many calls fail one after the other before a server is left alone. At least 1.
    pub failures: Option<u32>,
    /// What becomes of requests whose limits nobody can look at.
    pub outage: RedisOutage,
}

/// What becomes of a request while Redis does not answer, beyond what is leased of its limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedisOutage {
    /// Each instance lets its share of the limit pass.
    #[default]
    Share,
    /// All pass.
    Open,
    /// None passes.
    Closed,
}

const OUTAGE: &[(&str, RedisOutage)] = &[
    ("share", RedisOutage::Share),
    ("open", RedisOutage::Open),
    ("closed", RedisOutage::Closed),
];

show_by_name!(RedisOutage: OUTAGE);

/// Who is called.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedisNodes {
    /// One server.
    Single(RedisAddress),
    /// The master of a service.
    #[non_exhaustive]
    Sentinel {
        /// The sentinels; at least one.
        sentinels: Vec<RedisAddress>,
        /// The service.
        service: Arc<str>,
        /// The password of the sentinels.
        password: Option<Secret>,
    },
    /// Some servers of a cluster; at least one.
    Cluster(Vec<RedisAddress>),
}

impl fmt::Display for RedisNodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, nodes) = match self {
            Self::Single(node) => return fmt::Display::fmt(node, f),
            Self::Sentinel {
                sentinels, service, ..
            } => (format!("{} of ", service.escape_debug()), sentinels),
            Self::Cluster(nodes) => ("a cluster with ".to_owned(), nodes),
        };
        f.write_str(&what)?;
        for (i, node) in nodes.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            write!(f, "{comma}{node}")?;
        }
        Ok(())
    }
}

/// Reads where Redis is, if the file asks for it: by `ziggurat_settings.redis`, by `redis_host` or
/// `redis_url` of `router_settings`, or by a cache in it. The first of these that names servers wins as
/// a whole, so that no password goes to a server that it is not for. What the file leaves open, the
/// environment says.
pub(crate) fn read(
    [router, litellm, own]: [&Section<'_>; 3],
    environment: &Environment<'_>,
    facts: &mut Facts,
    report: &mut Report,
) -> Option<RedisSettings> {
    let asked = own.field("redis");
    let own = own.child("redis", &REDIS, report);
    let params = params(router, litellm);
    let mut said = vec![Said::of_own(&own, report), Said::of_router(router, report)];
    said.extend(params.iter().map(|it| Said::of_params(it, report)));
    let is_asked =
        asked.is_some() || !params.is_empty() || said.iter().any(|it| it.names_servers());
    if !is_asked {
        facts.note("redis", &"off", Source::Default);
        return None;
    }
    let endpoints = said.into_iter().map(|it| it.endpoint(environment, report));
    let endpoints: Vec<_> = endpoints.collect();
    let endpoint = match first(endpoints, report) {
        Some(found) => found,
        None => match Said::of_environment(environment, report).endpoint(environment, report) {
            Some(found) => found,
            None => {
                let at = asked.map(|field| field.node.at);
                let message = "Redis is asked for, and nothing says where it is";
                if !report.has_failed() {
                    report.error(at, message);
                }
                return None;
            }
        },
    };
    let namespaces = [&own].into_iter().chain(&params);
    let namespaces = namespaces.map(|it| it.text("namespace", report));
    let namespaces: Vec<_> = namespaces.collect();
    let namespace = first(namespaces, report);
    if let Some(found) = &namespace {
        let is_wrong = |it: char| matches!(it, '{' | '}') || it.is_control();
        if found.value.len() > MAX_NAMESPACE || found.value.contains(is_wrong) {
            let message = "`namespace` of Redis must be at most 128 bytes without braces";
            report.error(found.at, message);
        }
    }
    let milliseconds = own.number("deadline_ms", Range::OverZero, report);
    let deadline =
        milliseconds.map(|found| found.map(|ms| Duration::from_secs_f64(ms.min(1e6) / 1e3)));
    let mut files = |name, keys: [&'static str; 2], report: &mut Report| {
        let of_own = own.text(keys[0], report);
        let found = std::iter::once(of_own).chain(params.iter().map(|it| it.text(keys[1], report)));
        let found: Vec<_> = found.collect();
        facts.take(name, first(found, report))
    };
    let ca_file = files("redis.ca_file", ["ca_file", "ssl_ca_certs"], report);
    let cert_file = files("redis.cert_file", ["cert_file", "ssl_certfile"], report);
    let key_file = files("redis.key_file", ["key_file", "ssl_keyfile"], report);
    if cert_file.is_some() != key_file.is_some() {
        let message = "a certificate for Redis needs `cert_file` and `key_file`";
        report.error(asked.map(|field| field.node.at), message);
    }
    let outage = own.choice("outage", OUTAGE, report);
    let Found { value, source, .. } = endpoint;
    let tls = value.tls || ca_file.is_some() || cert_file.is_some();
    for params in &params {
        require_certificates(params, tls, report);
    }
    tell(&value, tls, &source, facts);
    let Endpoint {
        nodes,
        username,
        password,
        db,
        ..
    } = value;
    Some(RedisSettings {
        nodes,
        username,
        password,
        db,
        tls,
        ca_file,
        identity: cert_file.zip(key_file),
        namespace: facts.maybe("redis.namespace", namespace),
        deadline: facts.maybe("redis.deadline", deadline),
        connect_timeout: facts.maybe(
            "redis.connect_timeout",
            own.seconds("connect_timeout", Range::OverZero, report),
        ),
        failures: facts.maybe(
            "redis.failures",
            own.whole("failures", Range::OverZero, report),
        ),
        outage: facts.settle("redis.outage", outage, RedisOutage::default()),
    })
}

/// Refuses an encrypted connection to whoever answers: it would protect nothing, the password least.
fn require_certificates(params: &Section<'_>, tls: bool, report: &mut Report) {
    let Some(asked) = params.text("ssl_cert_reqs", report) else {
        return;
    };
    let asked_for = asked.value.to_ascii_lowercase();
    match asked_for.trim_start_matches("cert_") {
        "required" | "optional" => {}
        "none" if tls => report.error(
            asked.at,
            "the certificates of Redis are always checked: instead of `ssl_cert_reqs: none`, name the one that is to be trusted in `ssl_ca_certs`, or turn `ssl` off",
        ),
        "none" => report.warning(asked.at, "`ssl_cert_reqs` does nothing without `ssl`"),
        _ => report.error(asked.at, "`ssl_cert_reqs` must be `required`"),
    }
}

fn tell(endpoint: &Endpoint, tls: bool, source: &Source, facts: &mut Facts) {
    facts.note("redis", &endpoint.nodes.to_string(), source.clone());
    if let Some(username) = &endpoint.username {
        facts.note("redis.username", username, source.clone());
    }
    if let Some(password) = &endpoint.password {
        facts.note("redis.password", password, source.clone());
    }
    facts.note("redis.db", &endpoint.db, source.clone());
    facts.note("redis.tls", &tls, source.clone());
}

/// `cache_params` and `cache_kwargs`, if there is a cache and it is in Redis. What is wrong with them is
/// told by whoever reads the cache.
fn params<'a>(router: &Section<'a>, litellm: &Section<'a>) -> Vec<Section<'a>> {
    let mut elsewhere = Report::new("");
    let is_on = |found: Option<Found<bool>>| found.is_some_and(|found| found.value);
    if !is_on(litellm.flag("cache", &mut elsewhere))
        && !is_on(router.flag("cache_responses", &mut elsewhere))
    {
        return Vec::new();
    }
    let both = [(litellm, "cache_params"), (router, "cache_kwargs")];
    let both = both.map(|(section, key)| section.peek(key, &CACHE_PARAMS));
    let kind = both.iter().find_map(|it| it.text("type", &mut elsewhere));
    let is_redis = match kind {
        Some(kind) => kind.value.starts_with("redis"),
        None => both
            .iter()
            .any(|it| Said::of_params(it, &mut elsewhere).names_servers()),
    };
    if is_redis { both.into() } else { Vec::new() }
}
