//! A strategy of your own: the cheapest deployment that is not too busy.
//!
//! Run with `cargo run -p ziggurat-examples --bin own_strategy`.

use tower::{BoxError, ServiceBuilder, ServiceExt as _, service_fn};
use ziggurat::{
    Deployment, Deployments, Error, LlmRequest, LlmResponse, Prices, Routed,
    load_balance::{Candidates, LoadBalanceLayer, Strategy},
};

struct Cheapest {
    at_most: u32,
}

impl Strategy<LlmRequest> for Cheapest {
    fn pick(&self, _: &LlmRequest, candidates: &Candidates<'_>) -> Option<usize> {
        candidates.least(|candidate| {
            let price = candidate.deployment().prices().output.unwrap_or(1.0);
            let busy = candidate.in_flight() >= self.at_most;
            // Busy ones come after all others; among equals one is drawn.
            (u64::from(busy) << 60) + (price * 1e12) as u64
        })
    }
}

fn priced(id: &str, dollars_per_million: f64) -> Deployment {
    let prices = Prices {
        output: Some(dollars_per_million / 1e6),
        ..Prices::default()
    };
    Deployment::new(id, "gpt", "gpt-4o").with_prices(prices)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let deployments: Deployments = [
        priced("dear", 15.0),
        priced("cheap", 10.0),
        priced("dearest", 60.0),
    ]
    .into_iter()
    .collect();
    let stack = ServiceBuilder::new()
        .layer(LoadBalanceLayer::new(deployments, Cheapest { at_most: 8 }))
        .service(service_fn(async |routed: Routed<LlmRequest>| {
            Ok::<_, Error>(LlmResponse::complete(
                routed.deployment().id().to_string(),
                None,
            ))
        }));
    let answer = stack.oneshot(LlmRequest::chat("gpt", "hi")).await?;
    println!("served by {:?}", answer.bytes());
    assert_eq!(answer.bytes().map(|bytes| &bytes[..]), Some(&b"cheap"[..]));
    Ok(())
}
