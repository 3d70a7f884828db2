//! What a request costs on its way through the stack, over a leaf that answers at once.
//!
//! Run with `cargo bench -p ziggurat-tests`. In all but [`parse`] an iteration is [`CALLS`] requests,
//! so the times and allocations of one are a hundredth of what is printed.

use std::{
    fmt,
    fmt::Write as _,
    future::{Ready, ready},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use divan::{AllocProfiler, Bencher, black_box, counter::ItemsCount};
use tower::{Layer, Service, ServiceExt as _, service_fn};
use ziggurat::{
    Deployment, Deployments, Error, LlmRequest, LlmResponse, Operation, Routed, Router, Timeouts,
    Usage, config::Plan,
};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

/// How many requests an iteration is: enough that entering the runtime costs nothing, and few
/// enough that those which wait for their turn stay in the processor's cache.
const CALLS: usize = 100;

const ANSWER: &str = r#"{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":60,"completion_tokens":2,"total_tokens":62}}"#;

const SHORT: &str = r#"{"model":"gpt","messages":[{"role":"system","content":"You are a careful assistant. Answer in one short paragraph."},{"role":"user","content":"Explain in one sentence what a reverse proxy does, and when a service should have one."}],"temperature":0.7,"max_tokens":128,"user":"user-0001","metadata":{"x":1}}"#;

fn main() {
    divan::main();
}

fn deployment(id: impl fmt::Display) -> Deployment {
    Deployment::new(id.to_string().as_str(), "gpt", "gpt-4o-mini")
        .with_rpm(1_000_000_000)
        .with_tpm(1_000_000_000_000)
        .with_max_parallel(1_000)
}

fn deployments() -> Deployments {
    (0..10).map(deployment).collect()
}

fn read(body: Bytes) -> LlmRequest {
    LlmRequest::from_bytes(Operation::ChatCompletions, body).expect("the body is valid")
}

fn request() -> LlmRequest {
    read(Bytes::from_static(SHORT.as_bytes()))
}

fn routed() -> impl Fn() -> Routed<LlmRequest> {
    let deployment = Arc::new(deployment("a"));
    move || Routed::new(request(), Arc::clone(&deployment))
}

fn answer<R>(_: R) -> Ready<Result<LlmResponse, Error>> {
    let answer = Bytes::from_static(ANSWER.as_bytes());
    ready(Ok(LlmResponse::complete(answer, Some(Usage::new(60, 2)))))
}

/// Times a service on requests that are made beforehand.
fn serve<R, S>(bencher: Bencher<'_, '_>, service: &S, request: impl Fn() -> R)
where
    S: Service<R, Response = LlmResponse, Error = Error> + Clone,
{
    measure(bencher, request, async |request| {
        service.clone().oneshot(request).await
    });
}

fn measure<I>(
    bencher: Bencher<'_, '_>,
    input: impl Fn() -> I,
    call: impl AsyncFn(I) -> Result<LlmResponse, Error>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime needs nothing");
    let call_all = |inputs: Vec<I>| {
        runtime.block_on(async {
            for input in inputs {
                black_box(call(input).await).expect("the leaf always answers");
            }
        });
    };
    // All deployments have been used, and all that is made once is made.
    call_all((0..10 * CALLS).map(|_| input()).collect());
    bencher
        .counter(ItemsCount::new(CALLS))
        .with_inputs(|| (0..CALLS).map(|_| input()).collect())
        .bench_local_values(call_all);
}

#[divan::bench]
fn bare_leaf(bencher: Bencher<'_, '_>) {
    serve(bencher, &service_fn(answer), routed());
}

/// Each layer alone, over the bare leaf.
mod layer {
    use ziggurat::{
        cooldown::{CooldownLayer, CooldownPolicy},
        fallback::{FallbackLayer, FallbackLists},
        load_balance::{LoadBalanceLayer, SimpleShuffle, UsageBased},
        priority_queue::PriorityQueueLayer,
        rate_limit::{
            Charges, Cost, LimitKey, Limits, MemoryLimiter, Rate, RateLimitLayer, Subject,
        },
        retry::RetryLayer,
        telemetry::{AttemptLayer, RequestLayer},
        timeout::{DeadlineLayer, TimeoutLayer},
    };

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[divan::bench]
    fn request_telemetry(bencher: Bencher<'_, '_>) {
        let layer = RequestLayer::new(deployments());
        serve(bencher, &layer.layer(service_fn(answer)), request);
    }

    #[divan::bench]
    fn deadline(bencher: Bencher<'_, '_>) {
        let layer = DeadlineLayer::new(HOUR);
        serve(bencher, &layer.layer(service_fn(answer)), request);
    }

    #[divan::bench]
    fn priority_queue(bencher: Bencher<'_, '_>) {
        let layer = PriorityQueueLayer::new(NonZeroUsize::MIN);
        serve(bencher, &layer.layer(service_fn(answer)), request);
    }

    #[divan::bench]
    fn fallback(bencher: Bencher<'_, '_>) {
        let lists = FallbackLists::new().general([("gpt", ["other"])]);
        let layer = FallbackLayer::new(lists).resolve(deployments());
        serve(bencher, &layer.layer(service_fn(answer)), request);
    }

    #[divan::bench]
    fn retry(bencher: Bencher<'_, '_>) {
        let layer = RetryLayer::new();
        serve(bencher, &layer.layer(service_fn(answer)), request);
    }

    #[divan::bench]
    fn load_balance_simple_shuffle(bencher: Bencher<'_, '_>) {
        let layer = LoadBalanceLayer::new(deployments(), SimpleShuffle);
        serve(bencher, &layer.layer(service_fn(answer)), request);
    }

    #[divan::bench]
    fn load_balance_usage_based(bencher: Bencher<'_, '_>) {
        let layer = LoadBalanceLayer::new(deployments(), UsageBased);
        serve(bencher, &layer.layer(service_fn(answer)), request);
    }

    #[divan::bench]
    fn attempt_telemetry(bencher: Bencher<'_, '_>) {
        let layer = AttemptLayer::new();
        serve(bencher, &layer.layer(service_fn(answer)), routed());
    }

    #[divan::bench]
    fn cooldown(bencher: Bencher<'_, '_>) {
        let layer = CooldownLayer::new(CooldownPolicy::new()).deployments(deployments());
        serve(bencher, &layer.layer(service_fn(answer)), routed());
    }

    #[divan::bench]
    fn rate_limit(bencher: Bencher<'_, '_>) {
        let layer = RateLimitLayer::new(MemoryLimiter::new());
        serve(bencher, &layer.layer(service_fn(answer)), routed());
    }

    /// A caller's key with requests and tokens; and the same with its team and its user.
    #[divan::bench(args = [1, 3])]
    fn rate_limit_callers(bencher: Bencher<'_, '_>, keys: usize) {
        let limits = Limits::none()
            .with_requests(Rate::per_minute(1_000_000_000))
            .with_tokens(Rate::per_minute(1_000_000_000_000));
        let subjects = [Subject::Key, Subject::Team, Subject::User];
        let named: Vec<_> = subjects[..keys]
            .iter()
            .map(|subject| LimitKey::of(*subject, "name"))
            .collect();
        let charges = move |request: &LlmRequest| {
            let charges = named.iter().fold(Charges::none(), |charges, key| {
                charges.on(key.clone(), limits.clone())
            });
            charges.with_cost(Cost::of(request))
        };
        let layer = RateLimitLayer::new(MemoryLimiter::new()).with_charges(charges);
        serve(bencher, &layer.layer(service_fn(answer)), request);
    }

    #[divan::bench]
    fn timeout(bencher: Bencher<'_, '_>) {
        let clocks = Timeouts {
            attempt: Some(HOUR),
            ..Timeouts::default()
        };
        let layer = TimeoutLayer::new(clocks);
        serve(bencher, &layer.layer(service_fn(answer)), routed());
    }
}

/// The whole stack of a configuration, with ten deployments in the group.
mod full_stack {
    use super::*;

    const CASES: [Case; 6] = [
        Case("simple-shuffle", NO_QUEUE, NO_RECORDER),
        Case("simple-shuffle", QUEUE, NO_RECORDER),
        Case("simple-shuffle", QUEUE, RECORDER),
        Case("usage-based-routing-v2", NO_QUEUE, NO_RECORDER),
        Case("usage-based-routing-v2", QUEUE, NO_RECORDER),
        Case("usage-based-routing-v2", QUEUE, RECORDER),
    ];

    const NO_QUEUE: &str = "";
    const QUEUE: &str = ", queue";
    const NO_RECORDER: &str = "";
    const RECORDER: &str = ", recorder";

    /// The strategy, whether requests queue, and whether somebody records the metrics.
    #[derive(Clone, Copy)]
    struct Case(&'static str, &'static str, &'static str);

    impl fmt::Display for Case {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let Self(strategy, queue, recorder) = self;
            write!(f, "{strategy}{queue}{recorder}")
        }
    }

    #[divan::bench(args = CASES)]
    fn request_made_before(bencher: Bencher<'_, '_>, case: Case) {
        case.run(|router| serve(bencher, router, request));
    }

    /// From the bytes that a client sent.
    #[divan::bench(args = CASES)]
    fn with_reading_the_body(bencher: Bencher<'_, '_>, case: Case) {
        let body = || Bytes::from_static(SHORT.as_bytes());
        case.run(|router| {
            measure(bencher, body, async |body| {
                router.clone().oneshot(read(body)).await
            });
        });
    }

    impl Case {
        fn run(self, work: impl FnOnce(&Router)) {
            let plan = match Plan::parse(&self.config(), "bench.yaml", |_| None) {
                Ok(plan) => plan,
                Err(problems) => panic!("{problems}"),
            };
            let router =
                || Router::with_leaf(&plan, service_fn(answer)).expect("the plan is whole");
            let run = || work(&router());
            if self.2 == RECORDER {
                let recorder = metrics_exporter_prometheus::PrometheusBuilder::new()
                    .set_buckets(&ziggurat::telemetry::BUCKETS)
                    .expect("there are buckets")
                    .build_recorder();
                metrics::with_local_recorder(&recorder, run);
            } else {
                run();
            }
        }

        fn config(self) -> String {
            let mut config = "model_list:\n".to_owned();
            for (group, members) in [("gpt", 10), ("other", 1)] {
                for i in 0..members {
                    writeln!(
                        config,
                        "  - model_name: {group}\n    \
                         litellm_params: {{model: openai/gpt-4o-mini, api_key: k, rpm: 1000000000, \
                         tpm: 1000000000000, max_parallel_requests: 1000}}\n    \
                         model_info: {{id: {group}-{i}}}"
                    )
                    .expect("a string takes everything");
                }
            }
            let queue = if self.1 == QUEUE {
                "{capacity: 1000}"
            } else {
                "{}"
            };
            write!(
                config,
                "router_settings: {{routing_strategy: {}, num_retries: 2, fallbacks: [{{gpt: [other]}}]}}\n\
                 ziggurat_settings: {{deadline: 600, queue: {queue}}}\n",
                self.0
            )
            .expect("a string takes everything");
            config
        }
    }
}

/// Reading a body, and making that for the provider. An iteration is one body.
mod parse {
    use divan::counter::BytesCount;

    use super::*;

    const SIZES: [Size; 3] = [Size(300), Size(100_000), Size(1_000_000)];

    /// How many bytes a body has, about.
    #[derive(Clone, Copy)]
    struct Size(usize);

    impl fmt::Display for Size {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{} KB", self.0 as f64 / 1_000.0)
        }
    }

    impl Size {
        /// A conversation of that length, with the escapes that texts and code have.
        fn body(self) -> Bytes {
            const TURN: &str = r#",{"role":"user","content":"The quick brown \"fox\" jumps over the lazy dog,\nthen returns to its den before the rain begins again. "}"#;
            let (head, tail) = SHORT.split_once("}]").expect("it has messages");
            let turns = self.0.saturating_sub(SHORT.len()) / TURN.len();
            format!("{head}}}{}]{tail}", TURN.repeat(turns)).into()
        }
    }

    #[divan::bench(args = SIZES)]
    fn from_bytes(bencher: Bencher<'_, '_>, size: Size) {
        let body = size.body();
        bencher
            .counter(BytesCount::new(body.len()))
            .with_inputs(|| body.clone())
            .bench_local_values(read);
    }

    #[divan::bench(args = SIZES)]
    fn upstream_parts(bencher: Bencher<'_, '_>, size: Size) {
        let request = read(size.body());
        bencher.bench_local(|| black_box(&request).upstream_parts("gpt-4o-mini", false, &[]));
    }

    /// As for a stream whose client did not ask for usage.
    #[divan::bench(args = SIZES)]
    fn upstream_parts_with_usage(bencher: Bencher<'_, '_>, size: Size) {
        let request = read(size.body());
        bencher.bench_local(|| black_box(&request).upstream_parts("gpt-4o-mini", true, &[]));
    }
}
