//! A whole stack out of a `ServiceBuilder`.
//!
//! Run with `cargo run -p ziggurat-examples --bin tower_only`.

use std::time::Duration;

use tower::{BoxError, ServiceBuilder, ServiceExt as _};
use ziggurat::{
    Deployment, Deployments, HasLedger as _, LlmRequest, Timeouts,
    cooldown::{CooldownLayer, CooldownPolicy},
    fallback::{FallbackLayer, FallbackLists},
    load_balance::{LeastBusy, LoadBalanceLayer},
    provider::{LlmService, TransportConfig},
    retry::RetryLayer,
    timeout::{DeadlineLayer, TimeoutLayer},
};
use ziggurat_testkit::provider::{Simulator, Step};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let providers = Simulator::start().await?;
    providers.script("tired", Step::status(503));
    let deployments: Deployments = [
        Deployment::new("tired", "gpt", "gpt-4o").with_base_url(providers.base_url("tired")),
        Deployment::new("awake", "claude", "claude").with_base_url(providers.base_url("awake")),
    ]
    .into_iter()
    .collect();

    let stack = ServiceBuilder::new()
        // All attempts together may take a minute.
        .layer(DeadlineLayer::new(Duration::from_secs(60)))
        // When `gpt` fails, `claude` answers.
        .layer(FallbackLayer::new(
            FallbackLists::new().general([("gpt", ["claude"])]),
        ))
        // Before that, one more try in the group.
        .layer(RetryLayer::new().num_retries(1))
        .layer(LoadBalanceLayer::new(deployments.clone(), LeastBusy))
        // What follows happens once for each attempt.
        .layer(CooldownLayer::new(CooldownPolicy::new()).deployments(deployments))
        .layer(TimeoutLayer::new(Timeouts::default()))
        .service(LlmService::new(&TransportConfig::default())?);

    let request = LlmRequest::chat("gpt", "Who answers?");
    let ledger = request.ledger().cloned().unwrap_or_default();
    let answer = stack.oneshot(request).await?;

    println!(
        "{}",
        String::from_utf8_lossy(answer.bytes().ok_or("the answer is no stream")?)
    );
    println!("what happened: {}", ledger.trail());
    Ok(())
}
