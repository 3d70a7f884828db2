//! The router's client, through the whole stack and over simulated providers.

use std::{num::NonZeroUsize, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};
use ziggurat::{
    ChatRequest, ErrorKind, Money, Operation,
    client::{Chat, Event, Form, NoneAnswered},
};
use ziggurat_testkit::provider::Step;
use ziggurat_tests::VirtualWorld;

const CONFIG: &str = r#"
model_list:
  - {model_name: m, litellm_params: {model: openai/real, api_base: "{a}", api_key: key-a}, model_info: {id: a}}
  - model_name: spare
    litellm_params:
      {model: openai/other, api_base: "{b}", api_key: key-b, input_cost_per_token: 1.0e-6, output_cost_per_token: 2.0e-6}
    model_info: {id: b}
router_settings: {num_retries: 0, fallbacks: [{m: [spare]}]}
"#;

const TWO: NonZeroUsize = NonZeroUsize::new(2).expect("is not zero");

fn request() -> ChatRequest {
    ChatRequest::new("m").user("hi")
}

#[tokio::test(start_paused = true)]
async fn an_answer_tells_who_served_it_what_was_tried_and_what_it_cost() {
    let world = VirtualWorld::new(CONFIG);
    world.providers.script("a", Step::status(500));
    world
        .providers
        .script("b", Step::ok().text("hello").usage(10, 5));
    let answer = world.router.chat(&request()).await.expect("b answers");
    assert_eq!(
        (answer.text(), answer.finish_reason()),
        ("hello", Some("stop"))
    );
    let deployment = answer.deployment().expect("is known");
    assert_eq!(
        (deployment.id().as_str(), deployment.group()),
        ("b", "spare")
    );
    let trail = answer.trail().to_string();
    assert!(
        trail.starts_with("a=internal/") && trail.contains(", b=ok/"),
        "{trail}"
    );
    assert_eq!(
        answer.usage().map(|usage| (usage.input, usage.output)),
        Some((10, 5))
    );
    assert_eq!(answer.cost(), Money::from_dollars(2e-5));
}

#[tokio::test(start_paused = true)]
async fn a_stream_begins_at_another_deployment_and_knows_its_usage_and_cost_at_its_end() {
    let world = VirtualWorld::new(CONFIG);
    world.providers.script("a", Step::status(500));
    world
        .providers
        .script("b", Step::ok().text("one two").usage(10, 5));
    let mut stream = world.router.chat_stream(&request()).await.expect("begins");
    assert_eq!(stream.deployment().expect("is known").id().as_str(), "b");
    let mut text = String::new();
    while let Some(delta) = stream.next().await {
        text += &delta.expect("is a piece").text;
    }
    assert_eq!(text, "one two");
    assert_eq!(stream.usage().map(|usage| usage.total()), Some(15));
    let answer = stream.into_answer().await.expect("is whole");
    assert_eq!(
        (answer.text(), answer.finish_reason()),
        ("one two", Some("stop"))
    );
    assert_eq!(answer.cost(), Money::from_dollars(2e-5));
    assert!(answer.trail().to_string().contains(", b=ok/"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_gives_an_error_and_no_answer() {
    let world = VirtualWorld::new(CONFIG);
    world
        .providers
        .script("a", Step::ok().words(9).cut_after(4));
    let stream = world.router.chat_stream(&request()).await.expect("begins");
    let error = stream.into_answer().await.expect_err("breaks");
    assert_eq!(error.kind(), ErrorKind::StreamBroken);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_stream_hangs_up_on_the_provider() {
    let world = VirtualWorld::new(CONFIG);
    let slow = Step::ok().words(60).chunk_delay(Duration::from_secs(1));
    world.providers.script("a", slow);
    let mut text = world
        .router
        .chat_stream(&request())
        .await
        .expect("begins")
        .text();
    assert!(text.next().await.expect("is one").is_ok());
    assert_eq!(world.providers.hung_up("a"), 0);
    drop(text);
    world
        .providers
        .wait_until(|providers| providers.hung_up("a") == 1)
        .await;
}

#[tokio::test(start_paused = true)]
async fn the_fastest_group_answers_and_the_provider_of_the_other_is_hung_up_on() {
    let world = VirtualWorld::new(CONFIG);
    world
        .providers
        .script("a", Step::ok().delay(Duration::from_secs(60)));
    world
        .providers
        .script("b", Step::ok().text("quick").delay(Duration::from_secs(1)));
    let answer = world
        .router
        .fastest::<Chat>(&request(), ["m", "spare"])
        .await;
    let answer = answer.expect("b answers");
    assert_eq!(
        (answer.text(), answer.trail().entries().len()),
        ("quick", 1)
    );
    world
        .providers
        .wait_until(|providers| providers.hung_up("a") == 1)
        .await;

    world.providers.script("b", Step::status(401));
    let error = world
        .router
        .fastest::<Chat>(&request(), ["spare", "unknown"])
        .await;
    let error = error.expect_err("none answers");
    let failures = NoneAnswered::of(&error).expect("is its source").failures();
    let kinds: Vec<_> = failures
        .iter()
        .map(|(group, error)| (group.as_str(), error.kind()))
        .collect();
    assert_eq!(kinds[0], ("spare", ErrorKind::Authentication));
    assert_eq!(kinds[1].0, "unknown");
}

#[tokio::test(start_paused = true)]
async fn many_requests_and_many_groups_go_through_the_stack() {
    let world = VirtualWorld::new(CONFIG);
    let takes_a_while = Step::ok().delay(Duration::from_secs(1));
    world.providers.script("a", takes_a_while);
    let requests = (0..6).map(|i| ChatRequest::new("m").user(&i.to_string()));
    let answers = world.router.many::<Chat, _>(requests, TWO);
    let answers: Vec<_> = answers.try_collect().await.expect("all are answered");
    assert_eq!((answers.len(), world.providers.peak("a")), (6, 2));
    let asked = world.providers.calls("a");
    let mut asked: Vec<_> = asked
        .iter()
        .map(|call| call.json()["messages"][0]["content"].to_string())
        .collect();
    asked.sort_unstable();
    assert_eq!(
        asked,
        (0..6).map(|i| format!("\"{i}\"")).collect::<Vec<_>>()
    );

    let answers = world
        .router
        .each_group::<Chat, _>(&request(), ["m", "spare"])
        .await;
    let by: Vec<_> = answers
        .into_iter()
        .map(|(group, answer)| {
            (
                group,
                answer
                    .expect("answers")
                    .deployment()
                    .expect("is known")
                    .id()
                    .to_string(),
            )
        })
        .collect();
    assert_eq!(by, [("m", "a".to_owned()), ("spare", "b".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn every_operation_is_asked_through_the_stack() {
    let world = VirtualWorld::new(CONFIG);
    let router = &world.router;
    let client = router.client();

    let answer = router.embed("m", ["one", "two"]).await.expect("answers");
    assert_eq!(answer.vectors().len(), 2);
    assert!(answer.deployment().is_some());
    let answer = router
        .images(&json!({"model": "m", "prompt": "a cat"}))
        .await
        .expect("answers");
    assert_eq!(
        answer.images()[0].url.as_deref(),
        Some("https://images.test/a/0")
    );
    let form = Form::new("m")
        .file("image", "cat.png", "PNG")
        .field("prompt", "a dog");
    assert_eq!(
        router
            .edit_image(&form)
            .await
            .expect("answers")
            .images()
            .len(),
        1
    );
    let request = json!({"model": "m", "input": "hi", "voice": "alloy"});
    let speech = router.speech(&request).await.expect("begins");
    assert!(
        speech
            .content_type()
            .is_some_and(|kind| kind.starts_with("audio/"))
    );
    assert_eq!(
        speech.bytes().await.expect("is whole"),
        "ID3 from a w1 w2 w3"
    );
    let form = Form::new("m").file("file", "talk.wav", &b"RIFF\0\r\n--\xff"[..]);
    assert!(
        router
            .transcribe(&form)
            .await
            .expect("answers")
            .text()
            .starts_with("from a")
    );
    assert!(
        router
            .translate(&form)
            .await
            .expect("answers")
            .text()
            .starts_with("from a")
    );
    assert!(
        !router
            .moderate("m", "x")
            .await
            .expect("answers")
            .is_flagged()
    );
    let answer = router
        .complete(&json!({"model": "m", "prompt": "x"}))
        .await
        .expect("answers");
    assert_eq!(
        answer.text(),
        client.chat(&self::request()).await.expect("answers").text()
    );

    // In the shape of the request, whatever the provider speaks.
    let body =
        json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    let answer = router.messages(&body).await.expect("answers");
    assert!(answer.text().starts_with("from a") && answer.stop_reason() == Some("end_turn"));
    let events = router
        .events(Operation::Messages, &body)
        .await
        .expect("begins");
    let events: Vec<Event> = events.try_collect().await.expect("is whole");
    assert_eq!(events[0].name.as_deref(), Some("message_start"));
    let last = events
        .last()
        .expect("is one")
        .json::<Value>()
        .expect("is JSON");
    assert_eq!(last["type"], "message_stop");
}
