//! How often a request allocates on its way through the whole stack, over a leaf that answers at once; and
//! what is left of requests when they are over.

use std::{
    convert::Infallible,
    fmt::Write as _,
    future::{Ready, ready},
    time::Duration,
};

use allocation_counter::measure;
use bytes::Bytes;
use serde_json::json;
use tower::{ServiceExt as _, service_fn};
use ziggurat::{LlmRequest, LlmResponse, Operation, Routed, Router, Usage, config::Plan};
use ziggurat_testkit::provider::{Script, Step};
use ziggurat_tests::VirtualWorld;

/// What a request may cost from the client's bytes to the answer.
const MOST: u64 = 20;
/// The boxes of the futures of the whole stack, of what is beneath the fallbacks, and of what is beneath
/// the balancer: nothing within allocates.
const BOXES: u64 = 3;

#[test]
fn the_stack_allocates_three_boxes_and_nothing_else() {
    for strategy in STRATEGIES {
        let stack = Stack::new(strategy);
        for _ in 0..100 {
            let request = request();
            let counted = stack.count(|| request);
            assert_eq!(counted, BOXES, "{strategy}");
        }
    }
}

#[test]
fn a_request_stays_within_its_allocations() {
    for strategy in STRATEGIES {
        let stack = Stack::new(strategy);
        for _ in 0..100 {
            let counted = stack.count(request);
            assert!(counted <= MOST, "{strategy}: {counted}");
        }
    }
}

#[test]
fn requests_of_which_none_is_like_another_leave_nothing_behind() {
    const REQUESTS: i64 = 1_500;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime needs nothing");
    fastrand::seed(7);
    let world = runtime.block_on(async { VirtualWorld::new(MIXED) });
    world.providers.keep("a", 0, 0);
    let slow = |_: &_| Step::ok().words(9).chunk_delay(Duration::from_millis(3));
    world.providers.script("a", Script::from_fn(slow));
    let left = |numbers: std::ops::Range<i64>| {
        let asked = measure(|| {
            runtime.block_on(async {
                for number in numbers {
                    ask(&world, number).await;
                    tokio::time::advance(Duration::from_millis(7)).await;
                }
            });
        });
        asked.bytes_current
    };
    left(0..REQUESTS);
    // What is kept of minutes and windows is kept by now.
    let left = left(REQUESTS..2 * REQUESTS);
    assert!(left < REQUESTS, "{left} bytes of {REQUESTS} requests");
}

const MIXED: &str = "
model_list:
  - {model_name: gpt, litellm_params: {model: openai/m, api_base: '{a}', api_key: k, input_cost_per_token: 1.0e-6}, model_info: {id: a}}
router_settings: {num_retries: 0}
ziggurat_settings:
  keys: [{name: limited, key: sk-limited-0123456789}, {name: free, key: sk-free-0123456789}]
  limits:
    rules: [{for: key, name: limited, rpm: 60}, {for: key, tpm: 1000000000, max_budget: 1000}]
";

/// A user, a session, a tag and a prompt that never come again; some with a key or a model that nobody
/// knows, streams and answers in one piece, and one client in ten leaves.
async fn ask(world: &VirtualWorld, number: i64) {
    let model = match number % 19 {
        0 => format!("unknown-{number}"),
        _ => "gpt".to_owned(),
    };
    let key = match number % 20 {
        0 => format!("Bearer sk-nobody-{number}"),
        1 => "Bearer sk-limited-0123456789".to_owned(),
        _ => "Bearer sk-free-0123456789".to_owned(),
    };
    let body = json!({
        "model": model, "user": format!("user-{number}"), "stream": fastrand::bool(),
        "metadata": {"tags": [format!("tag-{number}")], "session_id": format!("session-{number}")},
        "messages": [{"role": "user", "content": format!("{number} ").repeat(fastrand::usize(1..300))}],
    });
    let headers = [("authorization", &*key)];
    let mut answer = world.begin("/v1/chat/completions", &body, &headers).await;
    if number % 10 == 0 {
        answer.next().await;
    } else {
        answer.read().await;
    }
}

const STRATEGIES: [&str; 3] = ["simple-shuffle", "least-busy", "usage-based-routing-v2"];

struct Stack {
    router: Router,
    runtime: tokio::runtime::Runtime,
}

impl Stack {
    /// Everything is on, and all ten deployments have been used.
    fn new(strategy: &str) -> Self {
        let plan = match Plan::parse(&config(strategy), "test.yaml", |_| None) {
            Ok(plan) => plan,
            Err(problems) => panic!("{problems}"),
        };
        let stack = Self {
            router: Router::with_leaf(&plan, service_fn(answer)).expect("the plan is whole"),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .expect("a runtime needs nothing"),
        };
        for _ in 0..1_000 {
            stack.count(request);
        }
        stack
    }

    /// Counts the allocations of a request, from the making of it to the drop of its answer.
    fn count(&self, request: impl FnOnce() -> LlmRequest) -> u64 {
        let counted = measure(|| {
            let answer = self.router.clone().oneshot(request());
            self.runtime.block_on(answer).expect("the leaf answers");
        });
        counted.count_total
    }
}

fn request() -> LlmRequest {
    let body = r#"{"model": "gpt", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9,
        "user": "u", "metadata": {"tags": ["x"]}, "num_retries": 1, "priority": 1}"#;
    LlmRequest::from_bytes(Operation::ChatCompletions, body).expect("the body is valid")
}

fn answer(_: Routed<LlmRequest>) -> Ready<Result<LlmResponse, Infallible>> {
    let bytes = Bytes::from_static(br#"{"choices": []}"#);
    ready(Ok(LlmResponse::complete(bytes, Some(Usage::new(10, 2)))))
}

fn config(strategy: &str) -> String {
    let mut config = "model_list:\n".to_owned();
    for i in 0..10 {
        writeln!(
            config,
            "  - model_name: gpt\n    \
             litellm_params: {{model: openai/m, api_key: k, rpm: 1000000, tpm: 1000000000, \
             max_parallel_requests: 100, tags: [x]}}\n    \
             model_info: {{id: d{i}}}"
        )
        .expect("a string takes everything");
    }
    write!(
        config,
        "router_settings: {{routing_strategy: {strategy}, num_retries: 2, enable_tag_filtering: true, \
         enable_pre_call_checks: true, default_fallbacks: [gpt]}}\n\
         ziggurat_settings: {{deadline: 600, queue: {{capacity: 100}}}}\n"
    )
    .expect("a string takes everything");
    config
}
