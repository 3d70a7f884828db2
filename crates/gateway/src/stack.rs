//! `ziggurat serve`, and what it shares with the other commands.

use std::{
    cell::Cell,
    io::{self, IsTerminal as _},
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    path::Path,
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpSocket},
    sync::oneshot,
    time::Instant,
};
use tracing_subscriber::EnvFilter;
use ziggurat::{ByteBudget, Router, config::Plan, settle::JsonLines};
use ziggurat_gateway::{Connections, DEFAULT_BODY_BUDGET, DEFAULT_CONNECTIONS, Gateway, Server};

use crate::{cli::Serve, machine};

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 4096;
/// How long Redis is waited for at the start.
const JOINING: Duration = Duration::from_secs(1);
/// How many files are open that are no connections.
const OTHER_FILES: u64 = 64;
/// How long requests may take to finish unless it is said otherwise.
const DRAIN: Duration = Duration::from_secs(30);

pub(crate) fn load(file: &Path) -> Result<Plan, String> {
    Plan::load(file).map_err(|problems| problems.to_string())
}

pub(crate) fn print_warnings(plan: &Plan) {
    for warning in plan.warnings() {
        eprintln!("{warning}");
    }
}

pub(crate) fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // A second call, as in a test, keeps the first.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .try_init();
}

pub(crate) async fn run(args: Serve) -> Result<(), String> {
    log_to_stderr();
    let plan = load(&args.config)?;
    print_warnings(&plan);
    let listener = listen(SocketAddr::new(args.host, args.port))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let ends = Ends::new(&plan, &args);
    let server = server(&plan).grace(ends.grace).drain(ends.drain);
    let (gateway, router) = build(&plan, args.max_body, server.counts())?;
    let log = settlement_log(&plan, &router)?;
    // Before it is told that it runs, or the first signal would end it.
    let mut signals = Signals::new()?;
    #[cfg(unix)]
    spawn(reload_on_hangup(gateway.clone(), args.config.clone())?);
    let is_open = plan.general.master_key.is_none() && plan.callers.keys.is_empty();
    if is_open && !args.host.is_loopback() {
        eprintln!(
            "warning: neither `general_settings.master_key` nor `ziggurat_settings.keys`: whoever reaches {address} can spend your keys"
        );
    }
    if let Some(background) = router.background() {
        spawn(background);
    }
    if !router.joined(JOINING).await {
        tracing::warn!(
            "Redis was not reached at the start; limits hold for this instance alone until it is"
        );
    }
    eprintln!(
        "ziggurat listens on http://{address}/v1 ({} deployments)",
        plan.deployments.len()
    );
    let service = gateway.service(&router);
    let (tell, told) = oneshot::channel();
    let serving = async {
        let end = Cell::new(None);
        let stop = async {
            _ = told.await;
            end.set(Instant::now().checked_add(ends.grace.saturating_add(ends.drain)));
        };
        let served = server.serve(listener, service, stop).await;
        let left = |end: Instant| end.saturating_duration_since(Instant::now());
        router
            .end_background(end.get().map_or(ends.drain, left))
            .await;
        served.map_err(|error| error.to_string())
    };
    let ending = async {
        signals.next().await;
        gateway.drain();
        tracing::info!(
            grace = ends.grace.as_secs(),
            "stops: it is not ready any more, requests that run may finish"
        );
        _ = tell.send(());
        signals.next().await;
    };
    let served = tokio::select! {
        served = serving => served,
        () = ending => Err("stopped by a second signal: what ran was cut off".to_owned()),
    };
    if let Some(log) = log {
        log.flush();
    }
    served
}

/// How long it takes to end.
#[derive(Clone, Copy)]
struct Ends {
    grace: Duration,
    drain: Duration,
}

impl Ends {
    fn new(plan: &Plan, args: &Serve) -> Self {
        let said = plan.own.shutdown;
        let seconds = |it: Option<u64>| it.map(Duration::from_secs);
        Self {
            grace: seconds(args.grace).or(said.grace).unwrap_or_default(),
            drain: seconds(args.drain).or(said.limit).unwrap_or(DRAIN),
        }
    }
}

/// The server of a plan, with as many connections as it says, or as there can be files for: each may
/// need another one, to a provider.
fn server(plan: &Plan) -> Server {
    let bears = plan.own.overload;
    #[cfg(unix)]
    let files = machine::raise_open_files();
    #[cfg(not(unix))]
    let files: Option<u64> = None;
    let room = files.map_or(usize::MAX, |files| {
        usize::try_from(files.saturating_sub(OTHER_FILES) / 2).unwrap_or(usize::MAX)
    });
    let room = NonZeroUsize::new(room).unwrap_or(NonZeroUsize::MIN);
    let said = bears
        .connections
        .and_then(|it| NonZeroUsize::new(it as usize));
    if let Some(said) = said.filter(|said| *said > room) {
        eprintln!(
            "warning: `ziggurat_settings.overload.connections` is {said}, and the limit on open files leaves room for {room} and as many to providers"
        );
    }
    Server::new()
        .connections(said.unwrap_or(DEFAULT_CONNECTIONS.min(room)))
        .connections_per_address(bears.connections_per_address.and_then(NonZeroU32::new))
}

/// Writes down each attempt when it has ended, if that is wanted.
fn settlement_log(plan: &Plan, router: &Router) -> Result<Option<JsonLines>, String> {
    let Some(path) = &plan.general.settlement_log else {
        return Ok(None);
    };
    let log = JsonLines::append(&**path)
        .map_err(|error| format!("`settlement_log`: cannot write to {path}: {error}"))?;
    router.on_settlement(log.clone());
    Ok(Some(log))
}

/// The gateway and the router of a plan, with metrics.
pub(crate) fn build(
    plan: &Plan,
    max_body: usize,
    connections: Connections,
) -> Result<(Gateway, Router), String> {
    let rendered = install_metrics()?;
    let router = Router::from_plan(plan).map_err(|error| error.to_string())?;
    let states = router.clone();
    // Bodies are not all there is: some are held twice, and so are answers.
    let usual = machine::memory().map_or(DEFAULT_BODY_BUDGET, |memory| memory / 4);
    let bodies = ByteBudget::new(usual);
    let gateway = Gateway::over(&router)
        .max_body(max_body)
        .body_budget(bodies.clone());
    let gateway = gateway.metrics(move || {
        states.record_states();
        let (open, refused) = (connections.open(), connections.refused());
        ziggurat::telemetry::state::gateway(bodies.used(), open, refused);
        rendered.render()
    });
    Ok((gateway, router))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a few tasks for the process, none for a request"
)]
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

/// Reads the configuration again at each SIGHUP. One that is wrong changes nothing.
#[cfg(unix)]
fn reload_on_hangup(
    gateway: Gateway,
    file: std::path::PathBuf,
) -> Result<impl Future<Output = ()> + Send, String> {
    use tokio::signal::unix::{SignalKind, signal};
    let hangup = signal(SignalKind::hangup());
    let mut hangup = hangup.map_err(|error| format!("cannot wait for SIGHUP: {error}"))?;
    Ok(async move {
        while hangup.recv().await.is_some() {
            match reload(&gateway, &file) {
                Ok(deployments) => {
                    tracing::info!(deployments, "the configuration was read again");
                }
                Err(problems) => {
                    tracing::error!("the configuration stays as it was: {problems}");
                }
            }
        }
    })
}

/// Reads the configuration and carries it out. Returns how many deployments it has.
#[cfg(unix)]
fn reload(gateway: &Gateway, file: &Path) -> Result<usize, String> {
    let plan = load(file)?;
    print_warnings(&plan);
    gateway.reload(&plan).map_err(|error| error.to_string())?;
    Ok(plan.deployments.len())
}

fn install_metrics() -> Result<metrics_exporter_prometheus::PrometheusHandle, String> {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new()
        .set_buckets(&ziggurat::telemetry::BUCKETS)
        .map_err(|error| error.to_string())?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|error| error.to_string())?;
    ziggurat::telemetry::describe();
    let upkeep = handle.clone();
    // Keeps histograms bounded.
    spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            upkeep.run_upkeep();
        }
    });
    Ok(handle)
}

pub(crate) fn listen(address: SocketAddr) -> Result<TcpListener, String> {
    let listen = || {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|error: io::Error| {
        format!("cannot listen on {address}: {error}; choose another --port or --host")
    })
}

/// SIGTERM and SIGINT, which are heard from the time it is made.
struct Signals {
    #[cfg(unix)]
    heard: [tokio::signal::unix::Signal; 2],
}

impl Signals {
    fn new() -> Result<Self, String> {
        #[cfg(unix)]
        let heard = {
            use tokio::signal::unix::{SignalKind, signal};
            let heard =
                |kind| signal(kind).map_err(|error| format!("cannot wait for signals: {error}"));
            [
                heard(SignalKind::interrupt())?,
                heard(SignalKind::terminate())?,
            ]
        };
        Ok(Self {
            #[cfg(unix)]
            heard,
        })
    }

    /// Waits for the next one of them.
    #[cfg(unix)]
    async fn next(&mut self) {
        let [interrupt, terminate] = &mut self.heard;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }

    #[cfg(not(unix))]
    #[expect(clippy::unused_self, reason = "as where there are more of them")]
    async fn next(&mut self) {
        drop(tokio::signal::ctrl_c().await);
    }
}
