//! An axum app that says itself who asks, and what each may use.
//!
//! Run with `cargo run -p ziggurat-examples --bin own_identity`.

use axum::{
    Router,
    body::Body,
    http::{Request, request::Parts},
};
use serde_json::json;
use tower::{BoxError, ServiceExt as _};
use ziggurat::{Caller, Error, ErrorKind, ModelAccess, Operation, config::Plan};
use ziggurat_gateway::{Endpoint, IdentifyLayer, Identity};
use ziggurat_testkit::provider::Simulator;

/// Whose session it is: a look-up in a store of your own, which may be down.
async fn session(cookie: Option<String>) -> Result<Identity, Error> {
    match cookie.as_deref() {
        Some("session=ada") => {
            let models = ModelAccess::new(["gpt*"]);
            let caller = Caller::new().with_key("web").with_user("ada");
            Ok(Identity::of(caller.with_models(models)))
        }
        Some("session=down") => Err(Error::new(ErrorKind::Unavailable, "no session store")),
        _ => Err(Error::new(ErrorKind::Authentication, "log in first")),
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let providers = Simulator::start().await?;
    let base = providers.base_url("a");
    let config = format!(
        "
model_list:
  - {{model_name: gpt-mini, litellm_params: {{model: openai/m, api_base: \"{base}\", api_key: none}}}}
  - {{model_name: claude, litellm_params: {{model: openai/m, api_base: \"{base}\", api_key: none}}}}
"
    );
    let plan = Plan::parse(&config, "config.yaml", |_| None)?;
    let stack = ziggurat::Router::from_plan(&plan)?;

    let identify = IdentifyLayer::new(|parts: &Parts| {
        let cookie = parts.headers.get("cookie").and_then(|it| it.to_str().ok());
        session(cookie.map(str::to_owned))
    });
    let app: Router = Router::new()
        .route_service("/chat", Endpoint::new(stack, Operation::ChatCompletions))
        .layer(identify);

    for (cookie, model) in [
        ("session=ada", "gpt-mini"),
        ("session=ada", "claude"),
        ("session=eve", "gpt-mini"),
        ("session=down", "gpt-mini"),
    ] {
        let chat = json!({"model": model, "messages": [{"role": "user", "content": "hello"}]});
        let request = Request::post("/chat").header("cookie", cookie);
        let answer = app
            .clone()
            .oneshot(request.body(Body::from(chat.to_string()))?);
        println!("{cookie} asks {model}: {}", answer.await?.status());
    }
    Ok(())
}
