//! `ziggurat serve`, and what it shares with the other commands.

use std::{
    io::{self, IsTerminal as _},
    net::SocketAddr,
    path::Path,
    time::Duration,
};

use tokio::net::{TcpListener, TcpSocket};
use tracing_subscriber::EnvFilter;
use ziggurat::{Router, config::Plan, settle::JsonLines};
use ziggurat_gateway::{Gateway, serve};

use crate::cli::Serve;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 4096;

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
    let (gateway, router) = build(&plan, args.max_body)?;
    let log = settlement_log(&plan, &router)?;
    // Before it is told that it runs, or the first signal would end it.
    #[cfg(unix)]
    spawn(reload_on_hangup(gateway.clone(), args.config.clone())?);
    if plan.general.master_key.is_none() && !args.host.is_loopback() {
        eprintln!(
            "warning: no `general_settings.master_key`: whoever reaches {address} can spend your keys"
        );
    }
    eprintln!(
        "ziggurat listens on http://{address}/v1 ({} deployments)",
        plan.deployments.len()
    );
    if let Some(background) = router.background() {
        spawn(background);
    }
    let stop = stop_signal(gateway.clone());
    let service = gateway.service(&router);
    let served = serve(listener, service, stop, Duration::from_secs(args.drain)).await;
    if let Some(log) = log {
        log.flush();
    }
    served.map_err(|error| error.to_string())
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
pub(crate) fn build(plan: &Plan, max_body: usize) -> Result<(Gateway, Router), String> {
    let metrics = install_metrics()?;
    let router = Router::from_plan(plan).map_err(|error| error.to_string())?;
    let gateway = Gateway::over(&router)
        .max_body(max_body)
        .metrics(move || metrics.render());
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

/// Resolves at SIGTERM or SIGINT, when readiness has been taken back.
async fn stop_signal(gateway: Gateway) {
    let interrupt = async { tokio::signal::ctrl_c().await.ok() };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            },
            Err(_) => drop(interrupt.await),
        }
    }
    #[cfg(not(unix))]
    interrupt.await;
    gateway.drain();
    tracing::info!("stops: no new connections, requests that run may finish");
}
