use tower::{ServiceBuilder, service_fn, util::BoxCloneSyncService};
use ziggurat::{Deployments, Error, LlmRequest, LlmResponse, Routed, Snapshot};
use ziggurat::load_balance::{LoadBalanceLayer, SimpleShuffle};

async fn leaf(_: Routed<LlmRequest>) -> Result<LlmResponse, Error> {
    Ok(LlmResponse::complete("{}", None))
}

fn main() {
    let deployments = Deployments::new(Snapshot::default());
    let stack = ServiceBuilder::new()
        .layer(LoadBalanceLayer::new(deployments.clone(), SimpleShuffle))
        .layer(LoadBalanceLayer::new(deployments, SimpleShuffle))
        .service(service_fn(leaf));
    let _: BoxCloneSyncService<LlmRequest, LlmResponse, Error> = BoxCloneSyncService::new(stack);
}
