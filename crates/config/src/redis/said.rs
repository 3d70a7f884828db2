//! What one section says.

use std::sync::Arc;

use ziggurat_core::Secret;

use super::{RedisAddress, RedisNodes, address::SENTINEL, url::Url};
use crate::{
    environment::Environment,
    json,
    problem::Report,
    read::{self, Found, Range, Section},
    yaml::{Node, Value},
};

/// Who is called, and how: what a section says as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) nodes: RedisNodes,
    pub(super) username: Option<Arc<str>>,
    pub(super) password: Option<Secret>,
    pub(super) db: u32,
    pub(super) tls: bool,
}

/// What a section says, key by key.
#[derive(Debug, Default)]
pub(super) struct Said {
    cluster: Option<Found<Vec<RedisAddress>>>,
    sentinels: Option<Found<Vec<RedisAddress>>>,
    service: Option<Found<Arc<str>>>,
    sentinel_password: Option<Found<Secret>>,
    url: Option<Found<Url>>,
    single: Option<Found<RedisAddress>>,
    host: Option<Found<Arc<str>>>,
    port: Option<Found<u16>>,
    username: Option<Found<Arc<str>>>,
    password: Option<Found<Secret>>,
    db: Option<Found<u32>>,
    tls: Option<Found<bool>>,
}

impl Said {
    /// `ziggurat_settings.redis`.
    pub(super) fn of_own(own: &Section<'_>, report: &mut Report) -> Self {
        let is_cluster = own.flag("cluster", report).is_some_and(|it| it.value);
        let nodes = nodes(own, "nodes", 6379, report);
        let (cluster, single) = match nodes {
            Some(nodes) if !is_cluster => {
                if nodes.value.len() > 1 {
                    report.error(nodes.at, "several `nodes` need `cluster: true`");
                }
                (None, Some(nodes.map(|mut it| it.swap_remove(0))))
            }
            nodes => (nodes, None),
        };
        Self {
            cluster,
            sentinels: nodes_of_sentinel(own, "sentinels", report),
            service: own.text("service_name", report),
            sentinel_password: own.secret("sentinel_password", report),
            url: url(own, "url", report),
            single,
            username: own.text("username", report),
            password: own.secret("password", report),
            db: own.whole("db", Range::NotNegative, report),
            tls: own.flag("tls", report),
            ..Self::default()
        }
    }

    /// `router_settings`.
    pub(super) fn of_router(router: &Section<'_>, report: &mut Report) -> Self {
        Self {
            url: url(router, "redis_url", report),
            host: router.text("redis_host", report),
            port: router.whole("redis_port", Range::OverZero, report),
            password: router.secret("redis_password", report),
            db: router.whole("redis_db", Range::NotNegative, report),
            ..Self::default()
        }
    }

    /// `cache_params`.
    pub(super) fn of_params(params: &Section<'_>, report: &mut Report) -> Self {
        let mut cluster = nodes(params, "redis_startup_nodes", 6379, report);
        if cluster.is_none() {
            cluster = nodes(params, "startup_nodes", 6379, report);
        }
        Self {
            cluster,
            sentinels: nodes_of_sentinel(params, "sentinel_nodes", report),
            service: params.text("service_name", report),
            sentinel_password: params.secret("sentinel_password", report),
            url: url(params, "url", report),
            host: params.text("host", report),
            port: params.whole("port", Range::OverZero, report),
            username: params.text("username", report),
            password: params.secret("password", report),
            db: params.whole("db", Range::NotNegative, report),
            tls: params.flag("ssl", report),
            ..Self::default()
        }
    }

    /// The variables that LiteLLM reads. The logins among them are added to every endpoint.
    pub(super) fn of_environment(environment: &Environment<'_>, report: &mut Report) -> Self {
        let mut list = |variable, port| {
            let found = environment.found(&[variable])?;
            let parsed = serde_json::from_str(&found.value).ok();
            let node = parsed.and_then(|it| json::tree(&it, report));
            let Some(
                node @ Node {
                    value: Value::List(_),
                    ..
                },
            ) = node
            else {
                report.error(None, format!("`{variable}` must be a list in JSON"));
                return None;
            };
            let addresses = addresses(&node, variable, port, report)?;
            Some(found.map(|_| addresses))
        };
        let (cluster, sentinels) = (
            list("REDIS_CLUSTER_NODES", 6379),
            list("REDIS_SENTINEL_NODES", SENTINEL),
        );
        let url = environment.found(&["REDIS_URL"]).and_then(|found| {
            let url = Url::parse(&found.value);
            if url.is_none() {
                report.error(None, "`REDIS_URL` is not the URL of a Redis server");
            }
            url.map(|url| found.map(|_| url))
        });
        Self {
            cluster,
            sentinels,
            url,
            host: environment.found(&["REDIS_HOST"]),
            ..Self::default()
        }
    }

    /// Whether it names a server.
    pub(super) const fn names_servers(&self) -> bool {
        self.cluster.is_some()
            || self.sentinels.is_some()
            || self.url.is_some()
            || self.single.is_some()
            || self.host.is_some()
    }

    /// Who is called by what it says. What a URL leaves open is open; what else is left open, the
    /// environment says.
    pub(super) fn endpoint(
        self,
        environment: &Environment<'_>,
        report: &mut Report,
    ) -> Option<Found<Endpoint>> {
        let said = self.with(environment, report);
        let db = said.db.map(|found| found.value);
        let mut endpoint = Endpoint {
            nodes: RedisNodes::Cluster(Vec::new()),
            username: said.username.map(|found| found.value),
            password: said.password.map(|found| found.value),
            db: db.unwrap_or(0),
            tls: said.tls.is_some_and(|found| found.value),
        };
        if let Some(found) = said.cluster {
            if endpoint.db != 0 {
                report.error(found.at, "a Redis cluster has one database, 0");
            }
            return Some(found.map(|nodes| {
                endpoint.nodes = RedisNodes::Cluster(nodes);
                endpoint
            }));
        }
        if let Some(found) = said.sentinels {
            let Some(service) = said.service else {
                report.error(found.at, "sentinels need a `service_name`");
                return None;
            };
            return Some(found.map(|sentinels| {
                endpoint.nodes = RedisNodes::Sentinel {
                    sentinels,
                    service: service.value,
                    password: said.sentinel_password.map(|found| found.value),
                };
                endpoint
            }));
        }
        if let Some(found) = said.url {
            return Some(found.map(|url| Endpoint {
                nodes: RedisNodes::Single(url.address),
                username: url.username.or(endpoint.username),
                password: url.password.or(endpoint.password),
                db: url.db.unwrap_or(endpoint.db),
                tls: url.tls || endpoint.tls,
            }));
        }
        let port = said.port.map(|found| found.value);
        let host = said
            .host
            .map(|found| found.map(|host| RedisAddress::new(&host, port)));
        Some(said.single.or(host)?.map(|address| {
            endpoint.nodes = RedisNodes::Single(address);
            endpoint
        }))
    }

    /// With what the environment adds.
    fn with(mut self, environment: &Environment<'_>, report: &mut Report) -> Self {
        if self.cluster.is_none() && self.sentinels.is_none() && self.url.is_some() {
            return self;
        }
        let text = |variable| environment.found(&[variable]);
        self.port = self.port.or_else(|| port(environment, report));
        let secret = |variable| text(variable).map(|found| found.map(Secret::new));
        self.service = self.service.or_else(|| text("REDIS_SERVICE_NAME"));
        let login = self.sentinel_password;
        self.sentinel_password = login.or_else(|| secret("REDIS_SENTINEL_PASSWORD"));
        // A password of the file belongs to the user of the file.
        if self.password.is_none() {
            self.password = secret("REDIS_PASSWORD");
            self.username = self.username.or_else(|| text("REDIS_USERNAME"));
        }
        self.tls = self.tls.or_else(|| {
            let is_true = |text: Arc<str>| text.eq_ignore_ascii_case("true") || &*text == "1";
            text("REDIS_SSL").map(|found| found.map(is_true))
        });
        self
    }
}

fn port(environment: &Environment<'_>, report: &mut Report) -> Option<Found<u16>> {
    let found = environment.found(&["REDIS_PORT"])?;
    let port = found.value.parse().ok().filter(|it| *it > 0);
    if port.is_none() {
        report.error(None, "`REDIS_PORT` is not a port");
    }
    port.map(|port| found.map(|_| port))
}

fn url(section: &Section<'_>, key: &'static str, report: &mut Report) -> Option<Found<Url>> {
    let found = section.text(key, report)?;
    let url = Url::parse(&found.value);
    if url.is_none() {
        // It may hold a password, so it is not told.
        let told = read::name(key);
        report.error(found.at, format!("{told} is not the URL of a Redis server"));
    }
    url.map(|url| found.map(|_| url))
}

fn nodes(
    section: &Section<'_>,
    key: &'static str,
    port: u16,
    report: &mut Report,
) -> Option<Found<Vec<RedisAddress>>> {
    let field = section.field(key)?;
    let addresses = addresses(field.node, key, port, report)?;
    Some(field.found(addresses, None))
}

fn nodes_of_sentinel(
    section: &Section<'_>,
    key: &'static str,
    report: &mut Report,
) -> Option<Found<Vec<RedisAddress>>> {
    nodes(section, key, SENTINEL, report)
}

/// One address or several.
fn addresses(
    node: &Node,
    key: &'static str,
    port: u16,
    report: &mut Report,
) -> Option<Vec<RedisAddress>> {
    let nodes = match &node.value {
        Value::List(nodes) => nodes.as_slice(),
        _ => std::slice::from_ref(node),
    };
    if nodes.is_empty() {
        report.error(node.at, format!("{} must not be empty", read::name(key)));
        return None;
    }
    let read = nodes
        .iter()
        .map(|node| RedisAddress::read(node, key, port, report));
    // All are read, so that all that is wrong is told.
    let read: Vec<_> = read.collect();
    read.into_iter().collect()
}
