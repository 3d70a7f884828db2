//! Every attempt has one line on the bill, and the bill is the providers'.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::sleep;
use tower::ServiceExt as _;
use ziggurat::{
    ErrorKind, LlmRequest, Money, Usage,
    settle::{JsonLines, Outcome, Recent, Settlement},
};
use ziggurat_testkit::provider::{Script, Step};
use ziggurat_tests::VirtualWorld;

use crate::{
    reliability::support::streamed,
    support::{CHAT, Groups, millis, secs, settled, world},
};

/// A picodollar for a token in, ten for one out.
const PRICE: &str = "input_cost_per_token: 1.0e-12, output_cost_per_token: 1.0e-11";

/// What a request is estimated at: `hello`, and the role.
const INPUT: u64 = 3;

fn priced(groups: Groups<'_>, sections: &str) -> (VirtualWorld, Arc<Recent>) {
    crate::support::priced(groups, PRICE, sections)
}

/// Rows in short: who, how it ended, tokens in and out, whether by estimate.
fn rows(recent: &Recent) -> Vec<(String, Outcome, u64, u64, bool)> {
    recent.take().iter().map(row).collect()
}

fn row(row: &Settlement) -> (String, Outcome, u64, u64, bool) {
    let usage = row.usage();
    let cost = usage.input + 10 * usage.output;
    let charged = row.cost().map(Money::picodollars);
    let expected = match row.outcome() {
        Outcome::Mocked => 0,
        _ => u128::from(cost),
    };
    assert_eq!(charged, Some(expected), "{row:?}");
    let id = row.deployment().id().to_string();
    (
        id,
        row.outcome(),
        usage.input,
        usage.output,
        usage.estimated,
    )
}

fn told(id: &str, input: u64, output: u64) -> (String, Outcome, u64, u64, bool) {
    (id.to_owned(), Outcome::Served, input, output, false)
}

fn failed(id: &str, kind: ErrorKind) -> (String, Outcome, u64, u64, bool) {
    (id.to_owned(), Outcome::Failed(kind), 0, 0, false)
}

#[tokio::test(start_paused = true)]
async fn what_is_served_is_charged_as_the_provider_counts_it_and_told_in_a_header() {
    let (world, recent) = priced(&[("gpt", &["a"])], "");
    world.providers.script("a", Step::ok().usage(123, 45));
    let reply = world.chat("gpt", json!({})).await;
    // 123 + 45 × 10 picodollars.
    assert_eq!(reply.header("x-litellm-response-cost"), "0.000000000573");
    assert!(!reply.headers.contains_key("x-ziggurat-usage-estimated"));
    let settled = recent.take();
    assert_eq!(row(&settled[0]), told("a", 123, 45));
    assert_eq!(
        settled[0].request_id().to_string(),
        reply.header("x-litellm-call-id")
    );
    let reply = world.chat("gpt", json!({"stream": true})).await;
    assert!(!reply.headers.contains_key("x-litellm-response-cost"));
    assert_eq!(rows(&recent), [told("a", 123, 45)]);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_tried_again_has_a_row_of_its_own() {
    let retries = "router_settings: {num_retries: 2, disable_cooldowns: true}";
    let (world, recent) = priced(&[("gpt", &["a"])], retries);
    let once = [Step::status(500), Step::ok().usage(7, 2)];
    world.providers.script("a", Script::sequence(once));
    assert_eq!(world.chat("gpt", json!({})).await.status, 200);
    let expected = [failed("a", ErrorKind::Internal), told("a", 7, 2)];
    assert_eq!(rows(&recent), expected);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_failed_and_the_one_that_answers_have_rows_of_one_request() {
    let groups: [(&str, &[&str]); 2] = [("gpt", &["a"]), ("claude", &["b"])];
    let sections = "router_settings: {num_retries: 0, fallbacks: [{gpt: [claude]}]}";
    let (world, recent) = priced(&groups, sections);
    world.providers.script("a", Step::status(503));
    world.providers.script("b", Step::ok().usage(7, 2));
    assert_eq!(world.chat("gpt", json!({})).await.status, 200);
    let settled = recent.take();
    let groups: Vec<_> = settled.iter().map(|row| row.group().to_string()).collect();
    assert_eq!(groups, ["gpt", "claude"]);
    assert_eq!(settled[0].request_id(), settled[1].request_id());
    assert_ne!(settled[0].id(), settled[1].id());
    assert_eq!(row(&settled[1]), told("b", 7, 2));
    assert_eq!(settled[0].usage(), &Usage::new(0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_after_three_words_is_charged_for_them() {
    let (world, recent) = priced(&[("gpt", &["a"])], "");
    // Each word is an event.
    let step = Step::ok().text("one two three four five six");
    world.providers.script("a", step.cut_after(3));
    let reply = world.post(CHAT, &streamed("gpt")).await;
    assert!(reply.text.contains("three") && !reply.text.contains("four"));
    // `one two three` is 13 bytes.
    let outcome = Outcome::Failed(ErrorKind::StreamBroken);
    assert_eq!(rows(&recent), [("a".to_owned(), outcome, INPUT, 4, true)]);
}

#[tokio::test(start_paused = true)]
async fn who_hangs_up_after_three_words_is_charged_for_them() {
    let (world, recent) = priced(&[("gpt", &["a"])], "");
    let step = Step::ok().text("one two three four five six");
    world.providers.script("a", step.chunk_delay(secs(1)));
    let mut answer = world.begin(CHAT, &streamed("gpt"), &[]).await;
    let mut text = String::new();
    while !text.contains("three") {
        text += &answer.next().await.expect("goes on").1;
    }
    assert_eq!(rows(&recent), []);
    drop(answer);
    let gone = ("a".to_owned(), Outcome::Cancelled, INPUT, 4, true);
    assert_eq!(rows(&recent), [gone]);
}

#[tokio::test(start_paused = true)]
async fn what_is_read_on_for_who_has_gone_is_charged_by_the_providers_word() {
    let sections = "ziggurat_settings: {streams: {drain_on_cancel: true}}";
    let (world, recent) = priced(&[("gpt", &["a"])], sections);
    #[expect(
        clippy::disallowed_methods,
        reason = "the router reads on beside the test"
    )]
    tokio::spawn(world.router.background().expect("is there once"));
    tokio::task::yield_now().await;
    let step = Step::ok().text("one two three four").chunk_delay(secs(1));
    world.providers.script("a", step.usage(7, 4));
    let mut answer = world.begin(CHAT, &streamed("gpt"), &[]).await;
    assert!(answer.next().await.is_some());
    drop(answer);
    sleep(secs(60)).await;
    assert_eq!(rows(&recent), [told("a", 7, 4)]);
}

#[tokio::test(start_paused = true)]
async fn who_is_overtaken_is_charged_for_what_was_sent() {
    let hedge = "ziggurat_settings: {hedge: {percentile: 95, budget: 5}}";
    let (world, recent) = priced(&[("gpt", &["a", "b"])], hedge);
    world.providers.script("a", Step::ok().delay(millis(100)));
    world
        .providers
        .script("b", Step::ok().delay(millis(100)).usage(7, 2));
    for _ in 0..40 {
        world.chat("gpt", json!({})).await;
    }
    assert_eq!(rows(&recent).len(), 40);
    world.providers.script("a", Step::ok().hang());
    assert_eq!(world.chat("gpt", json!({})).await.status, 200);
    let mut settled = rows(&recent);
    settled.sort_by(|a, b| a.0.cmp(&b.0));
    let overtaken = ("a".to_owned(), Outcome::Cancelled, INPUT, 0, true);
    assert_eq!(settled, [overtaken, told("b", 7, 2)]);
}

#[tokio::test(start_paused = true)]
async fn each_half_of_a_stream_that_is_gone_on_with_is_charged_where_it_was_made() {
    let members = ["a", "b"].map(|id| format!("{id} ; supports_assistant_prefill: true"));
    let members = members.each_ref().map(String::as_str);
    let sections = "ziggurat_settings: {streams: {on_break: continue}}";
    let (world, recent) = priced(&[("gpt", &members)], sections);
    let step = Step::ok().text("one two three four five six");
    world.providers.script("a", step.cut_after(3));
    let rest = Step::ok().text(" four five six").usage(9, 3);
    world.providers.script("b", rest);
    let reply = world.post(CHAT, &streamed("gpt")).await;
    assert!(reply.text.contains("[DONE]"), "{}", reply.text);
    let broken = Outcome::Failed(ErrorKind::StreamBroken);
    let first = ("a".to_owned(), broken, INPUT, 4, true);
    assert_eq!(rows(&recent), [first, told("b", 9, 3)]);
}

#[tokio::test(start_paused = true)]
async fn a_mock_answer_has_a_row_and_costs_nothing() {
    let (world, recent) = priced(&[("gpt", &["a mock_response: hello"])], "");
    let reply = world.chat("gpt", json!({})).await;
    assert_eq!(reply.header("x-litellm-response-cost"), "0");
    world.post(CHAT, &streamed("gpt")).await;
    let mocked = ("a".to_owned(), Outcome::Mocked, INPUT, 2, true);
    assert_eq!(rows(&recent), [mocked.clone(), mocked]);
    assert_eq!(world.providers.count("a"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_before_it_is_sent_has_no_row() {
    let one = format!("a max_parallel_requests: 1, {PRICE}");
    let world = world(&[("gpt", &[&one])], "router_settings: {num_retries: 0}");
    let recent = settled(&world);
    let step = Step::ok().text("one two").chunk_delay(secs(1));
    world.providers.script("a", step.usage(7, 2));
    let first = world.begin(CHAT, &streamed("gpt"), &[]).await;
    assert_eq!(world.chat("gpt", json!({})).await.status, 429);
    assert_eq!(rows(&recent), []);
    first.read().await;
    assert_eq!(rows(&recent), [told("a", 7, 2)]);
}

#[tokio::test(start_paused = true)]
async fn the_sum_of_the_rows_is_the_bill_of_the_providers() {
    let retries = "router_settings: {num_retries: 3, disable_cooldowns: true}";
    let (world, recent) = priced(&[("gpt", &["a", "b"])], retries);
    let mut bill = 0;
    for sent in 0..200_u64 {
        let (input, output) = (sent + 1, 3 * sent + 1);
        if sent % 3 == 0 {
            world.providers.script("a", Step::status(500));
            world.providers.script("b", Step::ok().usage(input, output));
        } else {
            world.providers.script("a", Step::ok().usage(input, output));
        }
        let reply = world.chat("gpt", json!({"stream": sent % 2 == 0})).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        bill += u128::from(input + 10 * output);
    }
    let rows = recent.take();
    assert!(rows.len() > 250, "a third was tried again");
    let sum: Money = rows.iter().filter_map(Settlement::cost).sum();
    assert_eq!(sum, Money::from_picodollars(bill));
}

#[tokio::test(start_paused = true)]
async fn rows_are_written_as_lines_of_json() {
    #[derive(Clone, Default)]
    struct File(Arc<parking_lot::Mutex<Vec<u8>>>);
    impl std::io::Write for File {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (world, _) = priced(&[("gpt", &["a"])], "");
    world.providers.script("a", Step::ok().usage(7, 2));
    let file = File::default();
    let lines = JsonLines::new(file.clone(), 100).expect("starts");
    world.router.on_settlement(lines.clone());
    let more = json!({"user": "u", "metadata": {"tags": ["x"]}});
    for _ in 0..3 {
        world.chat("gpt", more.clone()).await;
    }
    lines.flush();
    assert_eq!(lines.dropped(), 0);
    let text = String::from_utf8(file.0.lock().clone()).expect("is text");
    let rows: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("is JSON"))
        .collect();
    assert_eq!(rows.len(), 3);
    for row in rows {
        assert_eq!((&row["user"], &row["tags"]), (&json!("u"), &json!(["x"])));
        assert_eq!(
            (&row["cost"], &row["usage"]["input"]),
            (&json!("0.000000000027"), &json!(7))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_of_a_wildcard_costs_what_the_catalog_says() {
    let config = "model_list: [{model_name: 'openai/*', litellm_params: {model: 'openai/*', api_base: '{a}', api_key: k}, model_info: {id: a}}]";
    let world = VirtualWorld::new(config);
    world.providers.script("a", Step::ok().usage(1_000, 100));
    let reply = world.chat("openai/gpt-4o", json!({})).await;
    // 1,000 × 2.5 + 100 × 10 millionths.
    assert_eq!(reply.header("x-litellm-response-cost"), "0.0035");
    let reply = world.chat("openai/nobody-knows-it", json!({})).await;
    assert_eq!(reply.status, 200);
    assert!(!reply.headers.contains_key("x-litellm-response-cost"));
}

#[tokio::test(start_paused = true)]
async fn settlements_go_on_when_the_settings_change() {
    let (world, recent) = priced(&[("gpt", &["a"])], "");
    world.providers.script("a", Step::ok().usage(7, 2));
    let settings = json!({"num_retries": 0});
    let settings = settings.as_object().expect("is an object");
    world.router.update_settings(settings).expect("is valid");
    let request = LlmRequest::chat("gpt", "hello");
    let answer = world.router.clone().oneshot(request).await;
    assert!(answer.is_ok());
    assert_eq!(rows(&recent), [told("a", 7, 2)]);
}
