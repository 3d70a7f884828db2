//! Reading a stream item by item, and what a stream that breaks looks like.
//!
//! Run with `cargo run -p ziggurat-examples --bin streaming`.

use futures_util::StreamExt as _;
use serde_json::json;
use tower::{BoxError, ServiceExt as _};
use ziggurat::{LlmRequest, Operation, Router, config::Plan};
use ziggurat_testkit::provider::{Simulator, Step};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let providers = Simulator::start().await?;
    providers.script("whole", Step::ok().words(6));
    providers.script("cut", Step::ok().words(6).cut_after(3));
    let mut config = String::from("model_list:\n");
    for name in ["whole", "cut"] {
        let base = providers.base_url(name);
        config += &format!(
            "  - model_name: {name}\n    litellm_params: {{model: openai/m, api_base: \"{base}\", api_key: none}}\n"
        );
    }
    let router = Router::from_plan(&Plan::parse(&config, "config.yaml", |_| None)?)?;

    for group in ["whole", "cut"] {
        let body = json!({"model": group, "stream": true, "messages": [{"role": "user", "content": "hi"}]});
        let request = LlmRequest::from_value(Operation::ChatCompletions, &body)?;
        // This resolves with the first token: until then another deployment could still have answered.
        let (_, mut items) = router.clone().oneshot(request).await?.into_parts();
        println!("--- {group}");
        while let Some(item) = items.next().await {
            match item {
                Ok(item) => print!("{}", String::from_utf8_lossy(&item.bytes)),
                Err(error) => println!("the stream broke: {error}"),
            }
        }
        println!(
            "usage: {:?}",
            items.usage().map(|usage| (usage.input, usage.output))
        );
    }
    Ok(())
}
