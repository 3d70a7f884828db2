//! A stream breaks in the middle, and another deployment goes on with it.
//!
//! Run with `cargo run -p ziggurat-examples --bin broken_stream`.

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tower::{BoxError, ServiceExt as _};
use ziggurat::{HasLedger as _, Item, LlmRequest, Operation, Router, config::Plan};
use ziggurat_testkit::provider::{Simulator, Step};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let providers = Simulator::start().await?;
    // The first hangs up after three words, the second says what comes after them.
    providers.script(
        "a",
        [Step::ok().text("one two three four five").cut_after(3)],
    );
    providers.script("b", [Step::ok().text(" four five")]);
    // Nobody goes on with an answer who is not known to be able to: the catalog knows it of many
    // models, and a configuration may say it.
    let config = format!(
        "
model_list:
  - model_name: gpt
    litellm_params: {{model: openai/small, api_base: \"{}\", api_key: none}}
  - model_name: backup
    litellm_params: {{model: openai/other, api_base: \"{}\", api_key: none}}
    model_info: {{supports_assistant_prefill: true}}
router_settings:
  fallbacks: [{{gpt: [backup]}}]
",
        providers.base_url("a"),
        providers.base_url("b"),
    );
    let plan = Plan::parse(&config, "config.yaml", |_| None)?;
    let router = Router::from_plan(&plan)?;

    let body = json!({
        "model": "gpt",
        "stream": true,
        "messages": [{"role": "user", "content": "count to five"}],
    });
    let request = LlmRequest::from_value(Operation::ChatCompletions, &body)?;
    let ledger = request.ledger().cloned();
    let (_, mut items) = router.oneshot(request).await?.into_parts();
    while let Some(item) = items.next().await {
        print!("{}", words(&item?));
    }
    println!();
    if let Some(ledger) = ledger {
        println!("attempts: {}", ledger.trail());
    }

    // What the second was asked: the conversation, with what was said as the beginning of the answer.
    let calls = providers.calls("b");
    let asked = calls.first().ok_or("the second was not asked")?.json();
    println!("the second was asked with: {}", asked["messages"][1]);
    Ok(())
}

/// The text in the events of an item.
fn words(item: &Item) -> String {
    let text = String::from_utf8_lossy(&item.bytes);
    let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let chunks = events.filter_map(|event| serde_json::from_str::<Value>(event).ok());
    chunks
        .filter_map(|chunk| Some(chunk["choices"][0]["delta"]["content"].as_str()?.to_owned()))
        .collect()
}
