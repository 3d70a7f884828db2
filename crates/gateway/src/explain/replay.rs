//! A request goes through the stack, in virtual time.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use http::request::Parts;
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::{
    runtime::Builder,
    time::{Instant, timeout},
};
use tower::{ServiceExt as _, service_fn};
use ziggurat::{HasLedger as _, Ledger, LlmRequest, Router, config::Plan};
use ziggurat_gateway::{Gateway, Identity};

use super::{
    client::Client,
    describe::Description,
    fault::Faults,
    leaf::{Leaf, health, since},
    story::{Ends, Story},
};
use crate::{check, cli::Explain};

/// How long a replay may take, in virtual time.
const PATIENCE: Duration = Duration::from_secs(7 * 86_400);

/// What a request brings into the stack.
#[derive(Clone)]
struct Entered {
    applies: Result<Arc<Description>, String>,
    ledger: Option<Ledger>,
}

/// Sends the request of a command through the stack of a plan.
pub(crate) fn replay(plan: &Plan, args: &Explain) -> Result<Story, String> {
    let faults = Faults::read(&args.faults, plan)?;
    let request = request(args)?;
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    runtime.block_on(async {
        let leaf = Leaf::new(faults);
        let router = Router::with_leaf(plan, leaf.clone()).map_err(|error| error.to_string())?;
        leaf.watch(&router);
        let told = send(plan, &router, request, args);
        let (entered, client) = timeout(PATIENCE, told)
            .await
            .map_err(|_| "the request has not ended within a week")??;
        let ends = Ends {
            health: health(&router),
            calls: leaf.finish(),
        };
        let applies = entered.applies?;
        let ledger = entered.ledger.unwrap_or_default();
        Ok(Story::new(applies, &ledger, ends, client))
    })
}

fn request(args: &Explain) -> Result<http::Request<Body>, String> {
    let body = check::body(&args.request)?;
    let operation = check::operation(&body);
    let mut request = http::Request::post(operation.path());
    for header in &args.headers {
        let Some((name, value)) = header.split_once(':') else {
            return Err(format!("--header {header}: it is NAME:VALUE"));
        };
        request = request.header(name.trim(), value.trim());
    }
    let request = request.body(Body::from(body));
    request.map_err(|error| format!("--header: {error}"))
}

/// Sends a request to the gateway over a router, and reads the answer as a client would.
async fn send(
    plan: &Plan,
    router: &Router,
    request: http::Request<Body>,
    args: &Explain,
) -> Result<(Entered, Client), String> {
    let entered = Arc::new(Mutex::new(None));
    let stack = {
        let (plan, router) = (Arc::new(plan.clone()), router.clone());
        let identity = check::identity(&plan, args.key.as_deref(), args.team.as_deref())?;
        let seed = args.seed;
        let entered = Arc::clone(&entered);
        service_fn(move |mut request: LlmRequest| {
            if let Some(identity) = &identity {
                request = identity.put_into(request);
            }
            let looked_at = request.clone().with_ledger(Ledger::new());
            // The layers draw from the generator of the thread: what is foretold is what comes.
            fastrand::seed(seed);
            let applies = Description::of(&plan, &router, &looked_at);
            fastrand::seed(seed);
            *entered.lock() = Some(Entered {
                applies: applies.map(Arc::new).map_err(|error| error.to_string()),
                ledger: request.ledger().cloned(),
            });
            router.clone().oneshot(request)
        })
    };
    // Who may ask is not what is explained.
    let anybody = |_: &Parts| std::future::ready(Ok(Identity::open()));
    let gateway = Gateway::over(router).identify(anybody);
    let origin = Instant::now();
    let Ok(response) = gateway.service(&stack).oneshot(request).await;
    let (head, mut body) = response.into_parts();
    let mut client = Client::new(origin, head.status, &head.headers);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => client.read(
                &frame.into_data().unwrap_or_default(),
                since(origin, Instant::now()),
            ),
            Err(_) => break,
        }
    }
    client.end(since(origin, Instant::now()));
    let entered = entered.lock().take();
    match entered {
        Some(entered) => Ok((entered, client)),
        None => Err(format!("--request: {}", refused(&client))),
    }
}

/// What the gateway says of a request that it does not let in.
fn refused(client: &Client) -> String {
    let body: Option<Value> = serde_json::from_slice(client.body()).ok();
    let message = body
        .as_ref()
        .and_then(|body| body["error"]["message"].as_str());
    message.unwrap_or("it is refused").to_owned()
}
