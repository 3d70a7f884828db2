use tower::{ServiceBuilder, service_fn, util::BoxCloneSyncService};
use ziggurat::{Deployments, Error, LlmRequest, LlmResponse, Routed, Snapshot};
use ziggurat::cooldown::{CooldownLayer, CooldownPolicy};
use ziggurat::retry::RetryLayer;
use ziggurat::load_balance::{LoadBalanceLayer, SimpleShuffle};

async fn leaf(_: Routed<LlmRequest>) -> Result<LlmResponse, Error> {
    Ok(LlmResponse::complete("{}", None))
}

fn main() {
    let deployments = Deployments::new(Snapshot::default());
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new())
        .layer(CooldownLayer::new(CooldownPolicy::new()))
        .layer(LoadBalanceLayer::new(deployments, SimpleShuffle))
        .service(service_fn(leaf));
    let _: BoxCloneSyncService<LlmRequest, LlmResponse, Error> = BoxCloneSyncService::new(stack);
}
