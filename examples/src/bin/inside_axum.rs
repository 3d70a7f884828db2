//! The stack inside an axum app that has routes of its own.
//!
//! Run with `cargo run -p ziggurat-examples --bin inside_axum`.

use axum::{Router, body::Body, http::Request, response::Response, routing::get};
use serde_json::json;
use tower::{BoxError, ServiceExt as _};
use ziggurat::{Operation, config::Plan};
use ziggurat_gateway::Endpoint;
use ziggurat_testkit::provider::Simulator;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let providers = Simulator::start().await?;
    let config = format!(
        "model_list:\n  - model_name: gpt\n    litellm_params: {{model: openai/m, api_base: \"{}\", api_key: none}}\n",
        providers.base_url("a"),
    );
    let plan = Plan::parse(&config, "config.yaml", |_| None)?;
    let stack = ziggurat::Router::from_plan(&plan)?;

    let app: Router = Router::new()
        .route("/", get(async || "an app of mine"))
        // Any stack is a service, and an endpoint makes it one that speaks HTTP.
        .route_service("/chat", Endpoint::new(stack, Operation::ChatCompletions));

    // `axum::serve` would put it on a socket; here two requests go straight in.
    let home = app
        .clone()
        .oneshot(Request::get("/").body(Body::empty())?)
        .await?;
    println!("{}", text(home).await?);

    let chat = json!({"model": "gpt", "messages": [{"role": "user", "content": "hello"}]});
    let answer = app
        .oneshot(Request::post("/chat").body(Body::from(chat.to_string()))?)
        .await?;
    println!("served by {:?}", answer.headers()["x-litellm-model-id"]);
    println!("{}", text(answer).await?);
    Ok(())
}

async fn text(response: Response) -> Result<String, BoxError> {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await?;
    Ok(String::from_utf8(bytes.to_vec())?)
}
