//! `ziggurat demo`: the gateway over simulated providers, some of them bad.

mod board;
mod cast;
mod traffic;

use std::{io::IsTerminal as _, net::SocketAddr, sync::Arc, time::Duration};

use ziggurat::config::Plan;
use ziggurat_gateway::Server;
use ziggurat_testkit::provider::Simulator;

use self::{board::Board, traffic::Traffic};
use crate::{
    cli::Demo,
    stack::{build, listen, print_warnings},
};

/// How often the picture is drawn anew.
const FRAME: Duration = Duration::from_millis(150);

pub(crate) async fn run(args: Demo) -> Result<(), String> {
    let simulator = Arc::new(
        Simulator::start()
            .await
            .map_err(|error| error.to_string())?,
    );
    cast::script(&simulator);
    let config = cast::config(&simulator);
    let plan =
        Plan::parse(&config, "demo.yaml", |_| None).map_err(|problems| problems.to_string())?;
    print_warnings(&plan);
    let server = Server::new().drain(Duration::ZERO);
    let max_body = ziggurat_gateway::DEFAULT_MAX_BODY;
    let (gateway, router) = build(&plan, max_body, server.counts())?;
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], args.port)))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let service = gateway.service(&router);
    #[expect(
        clippy::disallowed_methods,
        reason = "the gateway runs beside the traffic"
    )]
    let server = tokio::spawn(server.serve(listener, service, std::future::pending()));

    println!("The configuration:\n\n{}", cast::indent(&config));
    let traffic = Arc::new(Traffic::new(address));
    let board = Board::new(
        Arc::clone(&simulator),
        Arc::clone(&traffic),
        std::io::stdout().is_terminal(),
    );
    let sent = traffic.send(args.requests, args.width.max(1));
    tokio::pin!(sent);
    let mut frames = tokio::time::interval(FRAME);
    loop {
        tokio::select! {
            () = &mut sent => break,
            _ = frames.tick() => board.draw(),
        }
    }
    board.finish();
    if args.exit {
        let answered = traffic.tally().answered;
        return if answered == args.requests {
            Ok(())
        } else {
            Err(format!(
                "only {answered} of {} requests were answered",
                args.requests
            ))
        };
    }
    println!(
        "\nThe gateway stays up. Try it, and look at the headers:\n\n  curl -si http://{address}/v1/chat/completions \
         -H 'content-type: application/json' \\\n    -d '{{\"model\": \"chat\", \"messages\": [{{\"role\": \"user\", \
         \"content\": \"hello\"}}]}}'\n\nOther groups: fragile, thinking. Metrics: http://{address}/metrics. Ctrl-C ends it."
    );
    tokio::select! {
        ended = server => ended.map_err(|error| error.to_string())?.map_err(|error| error.to_string()),
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}
