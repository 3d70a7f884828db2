//! How often a request allocates on its way through the whole stack, over a leaf that answers at once.

use std::{
    convert::Infallible,
    fmt::Write as _,
    future::{Ready, ready},
};

use allocation_counter::measure;
use bytes::Bytes;
use tower::{ServiceExt as _, service_fn};
use ziggurat::{LlmRequest, LlmResponse, Operation, Routed, Router, Usage, config::Plan};

/// What a request may cost from the client's bytes to the answer.
const MOST: u64 = 20;
/// The box of the stack's future: nothing within allocates.
const BOXES: u64 = 1;

#[test]
fn the_stack_allocates_one_box_and_nothing_else() {
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
