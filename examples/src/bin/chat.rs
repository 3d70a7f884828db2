//! Asking a router: a chat, a stream, a tool, JSON.
//!
//! Run with `cargo run -p ziggurat-examples --bin chat`.

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tower::BoxError;
use ziggurat::{ChatRequest, Router, config::Plan};
use ziggurat_testkit::provider::{Simulator, Step};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let providers = Simulator::start().await?;
    providers.script(
        "p",
        [
            Step::status(429),
            Step::ok().text("A stepped tower.").usage(12, 4),
            Step::ok().text("Mud bricks, reeds and bitumen."),
            Step::ok().raw(
                r#"{"choices": [{"finish_reason": "tool_calls", "message": {"role": "assistant", "content": null,
                    "tool_calls": [{"id": "c1", "type": "function",
                        "function": {"name": "height", "arguments": "{\"town\": \"Ur\"}"}}]}}]}"#,
                "application/json",
            ),
            Step::ok().text(r#"{"town": "Ur", "meters": 30}"#),
        ],
    );
    let config = format!(
        "model_list:\n  - model_name: gpt\n    litellm_params: {{model: openai/m, api_base: \"{}\", api_key: none, \
         input_cost_per_token: 1.0e-6, output_cost_per_token: 2.0e-6}}\n\
         router_settings: {{num_retries: 1}}\n",
        providers.base_url("p")
    );
    let router = Router::from_plan(&Plan::parse(&config, "config.yaml", |_| None)?)?;

    let request = ChatRequest::new("gpt")
        .system("Be brief.")
        .user("What is a ziggurat?");
    let answer = router.chat(&request).await?;
    println!("{}", answer.text());
    println!("tried: {}", answer.trail());
    if let Some(cost) = answer.cost() {
        println!("cost: {} dollars", cost.dollars());
    }

    // The same request goes on. Anything that serialises to a chat request would do as well.
    let request = request
        .message(answer.message())
        .user("What is it made of?");
    let mut text = router.chat_stream(&request).await?.text();
    while let Some(piece) = text.next().await {
        print!("{}", piece?);
    }
    println!();
    // What came can be had as a whole, too.
    let answer = text.into_inner().into_answer().await?;

    let request = request
        .message(answer.message())
        .user("How tall is the one of Ur?")
        .tool(
            "height",
            "Tells how tall a building is.",
            json!({
                "type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"],
            }),
        );
    let answer = router.chat(&request).await?;
    let mut request = request.message(answer.message());
    for call in answer.tool_calls() {
        let arguments: Value = call.parse()?;
        println!("{} of {}", call.name, arguments["town"]);
        request = request.tool_result(&call.id, "30 m");
    }
    let request = request.json_schema(
        "height",
        json!({"type": "object", "properties": {"town": {"type": "string"}, "meters": {"type": "number"}}}),
    );
    let answer: Value = router.chat(&request).await?.parse()?;
    println!("{} is {} m tall", answer["town"], answer["meters"]);
    assert_eq!(answer["meters"], 30);
    Ok(())
}
