//! Many requests over one group, one request over many groups, and the fastest answer of several.
//!
//! Run with `cargo run -p ziggurat-examples --bin batch`.

use std::{num::NonZeroUsize, pin::pin, time::Duration};

use futures_util::StreamExt as _;
use tower::BoxError;
use ziggurat::{
    ChatRequest, Router,
    client::{Chat, NoneAnswered},
    config::Plan,
};
use ziggurat_testkit::provider::{Simulator, Step};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let providers = Simulator::start().await?;
    providers.script(
        "slow",
        Step::ok().text("slow").delay(Duration::from_secs(60)),
    );
    providers.script("down", Step::status(503));
    let mut config = String::from("router_settings: {num_retries: 0}\nmodel_list:\n");
    for name in ["gpt", "slow", "down"] {
        let base = providers.base_url(name);
        config += &format!(
            "  - model_name: {name}\n    litellm_params: {{model: openai/m, api_base: \"{base}\", api_key: none}}\n"
        );
    }
    let router = Router::from_plan(&Plan::parse(&config, "config.yaml", |_| None)?)?;

    // Four at a time, answered in their order.
    const FOUR: NonZeroUsize = NonZeroUsize::new(4).expect("is not zero");
    let questions = (1..=10).map(|i| ChatRequest::new("gpt").user(&format!("question {i}")));
    let mut answers = pin!(router.many::<Chat, _>(questions, FOUR));
    while let Some(answer) = answers.next().await {
        println!("{}", answer?.text());
    }
    assert!(providers.peak("gpt") <= 4);

    // Each group answers or fails for itself.
    let request = ChatRequest::new("gpt").user("hi");
    for (group, answer) in router
        .each_group::<Chat, _>(&request, ["gpt", "down"])
        .await
    {
        match answer {
            Ok(answer) => println!("{group}: {}", answer.text()),
            Err(error) => println!("{group}: {error} ({})", error.kind()),
        }
    }

    // The first answer wins; the others are hung up on.
    let answer = router
        .fastest::<Chat>(&request, ["slow", "down", "gpt"])
        .await?;
    println!("the fastest: {}", answer.text());
    providers
        .wait_until(|providers| providers.hung_up("slow") == 1)
        .await;

    let error = router.fastest::<Chat>(&request, ["down", "nobody"]).await;
    let error = error.expect_err("none of them answers");
    for (group, error) in NoneAnswered::of(&error).map_or(&[][..], NoneAnswered::failures) {
        println!("{group}: {error}");
    }
    Ok(())
}
