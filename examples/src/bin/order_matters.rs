//! The same layers in two orders: a limit above the balancer and the same limit below it.
//!
//! Run with `cargo run -p ziggurat-examples --bin order_matters`.

use tower::{BoxError, ServiceBuilder, ServiceExt as _, service_fn};
use ziggurat::{
    Deployment, Deployments, Error, LlmRequest, LlmResponse, Routed,
    load_balance::{LeastBusy, LoadBalanceLayer},
    rate_limit::{Charges, LimitKey, Limits, MemoryLimiter, Rate, RateLimitLayer},
};

/// Stands for a provider.
async fn provider(routed: Routed<LlmRequest>) -> Result<LlmResponse, Error> {
    Ok(LlmResponse::complete(
        routed.deployment().id().to_string(),
        None,
    ))
}

fn two_a_minute() -> Limits {
    Limits::none().with_requests(Rate::per_minute(2))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let deployments: Deployments = [
        Deployment::new("eu", "gpt", "gpt-4o"),
        Deployment::new("us", "gpt", "gpt-4o"),
    ]
    .into_iter()
    .collect();

    // Above the balancer the limit is on who asks: the third request is refused.
    let by_tenant = RateLimitLayer::new(MemoryLimiter::new()).with_charges(|_: &LlmRequest| {
        Charges::none().on(LimitKey::tenant("alice"), two_a_minute())
    });
    let limit_above = ServiceBuilder::new()
        .layer(by_tenant)
        .layer(LoadBalanceLayer::new(deployments.clone(), LeastBusy))
        .service(service_fn(provider));

    // Below it the limit is on each deployment: the balancer goes on to the other one.
    let by_deployment =
        RateLimitLayer::new(MemoryLimiter::new()).with_charges(|routed: &Routed<LlmRequest>| {
            Charges::none().on(
                LimitKey::deployment(routed.deployment().id().clone()),
                two_a_minute(),
            )
        });
    let limit_below = ServiceBuilder::new()
        .layer(LoadBalanceLayer::new(deployments, LeastBusy))
        .layer(by_deployment)
        .service(service_fn(provider));

    let (mut above, mut below) = (0, 0);
    for _ in 0..6 {
        above += usize::from(
            limit_above
                .clone()
                .oneshot(LlmRequest::chat("gpt", "hi"))
                .await
                .is_ok(),
        );
        below += usize::from(
            limit_below
                .clone()
                .oneshot(LlmRequest::chat("gpt", "hi"))
                .await
                .is_ok(),
        );
    }
    println!("two a minute above the balancer: {above} of 6 served");
    println!("two a minute below the balancer: {below} of 6 served, two by each deployment");
    assert_eq!((above, below), (2, 4));
    Ok(())
}
