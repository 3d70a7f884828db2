//! Limits what callers may use and spend, tells who is near a budget, and waits for room.
//!
//! Run with `cargo run -p ziggurat-examples --bin limits`. Nothing is sent anywhere.

use tower::{Service as _, ServiceExt as _};
use ziggurat::{
    Caller, LlmRequest, Router,
    config::Plan,
    rate_limit::{Crossing, Refused},
};

const CONFIG: &str = "
model_list:
  - model_name: gpt
    litellm_params:
      model: openai/gpt-4o-mini
      mock_response: hello
ziggurat_settings:
  keys:
    - {name: batch, key: sk-of-batch-0123456789, rpm_limit: 2}
  limits:
    rules:
      # Each user: one request in half a second. Who comes sooner waits, two seconds at most.
      - {for: user, requests: 1, per: 0.5}
      # A tag: three requests a minute, and somebody is told after two.
      - {for: tag, name: nightly, rpm: 3, soft: 0.6}
    pacing: 2
";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let plan = Plan::parse(CONFIG, "limits.yaml", |_| None)?;
    let mut router = Router::from_plan(&plan)?;
    router.on_limit(|crossing: &Crossing| {
        println!(
            "  {}: {} {}",
            crossing.key,
            crossing.level.as_str(),
            crossing.limit
        );
    });

    println!("a key with two requests a minute");
    let batch = Caller::new().with_key("batch");
    for _ in 0..3 {
        let request = LlmRequest::chat("gpt", "hi").with_caller(batch.clone());
        match router.ready().await?.call(request).await {
            Ok(_) => println!("  answered"),
            Err(error) => {
                let refused = Refused::find(&error).ok_or("it is a limit")?;
                println!("  {error}; all is there again in {:?}", error.retry_after());
                assert_eq!(refused.key().name(), "batch");
            }
        }
    }
    for one in router.limits_of(&batch) {
        println!(
            "  {}: {} of {} left",
            one.key,
            one.left.remaining(),
            one.left.limit.amount()
        );
    }

    println!("a tag of which somebody wants to hear");
    for _ in 0..3 {
        let mut request = LlmRequest::chat("gpt", "hi");
        request.add_tags(["nightly"]);
        router.ready().await?.call(request).await?;
    }

    println!("a user who waits for room");
    let began = tokio::time::Instant::now();
    for _ in 0..3 {
        let user = Caller::new().with_user("alice");
        let request = LlmRequest::chat("gpt", "hi").with_caller(user);
        router.ready().await?.call(request).await?;
        println!("  answered after {:.1} s", began.elapsed().as_secs_f64());
    }
    Ok(())
}
