//! What is sent to a provider that says what is left.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tower::{Layer as _, Service, ServiceExt as _, service_fn};
use ziggurat_core::{
    Deployment, Error, ErrorKind, LlmRequest, LlmResponse, ProviderLimits, Quota, Reason,
    Rejection, Routed, Scope, Secret,
};
use ziggurat_rate_limit::provider::ProviderLimitsLayer;
use ziggurat_testkit::contract::Contract;

const SECOND: Duration = Duration::from_secs(1);

/// A provider that takes sixty requests in each minute by its clock, and says what is left.
#[derive(Default)]
struct Minute {
    number: u64,
    used: u64,
}

#[derive(Clone)]
struct Provider {
    began: Instant,
    minute: Arc<Mutex<Minute>>,
    served: Arc<AtomicUsize>,
    throttled: Arc<AtomicUsize>,
}

const LIMIT: u64 = 60;

impl Provider {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            minute: Arc::default(),
            served: Arc::default(),
            throttled: Arc::default(),
        }
    }

    async fn answer(self, latency: Duration) -> Result<LlmResponse, Error> {
        // It counts a request when it comes, and says what it knew then.
        let (left, resets_at) = {
            let mut minute = self.minute.lock();
            let number = self.began.elapsed().as_secs() / 60;
            if minute.number != number {
                *minute = Minute { number, used: 0 };
            }
            minute.used += 1;
            let end = Duration::from_secs((number + 1) * 60);
            (LIMIT.checked_sub(minute.used), self.began + end)
        };
        sleep(latency).await;
        let Some(remaining) = left else {
            self.throttled.fetch_add(1, Relaxed);
            let after = resets_at.saturating_duration_since(Instant::now());
            return Err(Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(after));
        };
        self.served.fetch_add(1, Relaxed);
        let requests = Some(Quota {
            limit: LIMIT,
            remaining,
            resets_at: Some(resets_at),
        });
        let limits = ProviderLimits {
            requests,
            tokens: None,
        };
        Ok(LlmResponse::complete("{}", None).with_provider_limits(limits))
    }
}

fn deployment(id: &str) -> Arc<Deployment> {
    Arc::new(Deployment::new(id, "gpt", "m").with_credential(Secret::new("key")))
}

/// Field report RL9.
#[tokio::test(start_paused = true)]
async fn of_200_requests_a_minute_from_20_clients_a_provider_that_takes_60_throttles_1_percent_at_most()
 {
    let provider = Provider::new();
    let leaf = {
        let provider = provider.clone();
        let calls = Arc::new(AtomicUsize::new(0));
        service_fn(move |_: Routed<LlmRequest>| {
            let call = calls.fetch_add(1, Relaxed) as u64;
            // Answers overtake each other.
            let latency = Duration::from_millis(50 + call * 7_919 % 900);
            provider.clone().answer(latency)
        })
    };
    let service = ProviderLimitsLayer::new().layer(leaf);
    // Two deployments of one account share what is said of either.
    let members = [deployment("a"), deployment("b")];
    let clients = (0..20_u64).map(|client| {
        let (service, members) = (service.clone(), members.clone());
        async move {
            sleep(Duration::from_millis(client * 300)).await;
            for turn in 0..50 {
                let member = Arc::clone(&members[(client as usize + turn) % 2]);
                let request = Routed::new(LlmRequest::chat("gpt", "hi"), member);
                _ = service.clone().oneshot(request).await;
                sleep(6 * SECOND).await;
            }
        }
    });
    join_all(clients).await;
    let (served, throttled) = (
        provider.served.load(Relaxed),
        provider.throttled.load(Relaxed),
    );
    // Five minutes, of which the last one is not whole.
    assert!(served >= 4 * LIMIT as usize, "only {served} were served");
    assert!(
        throttled * 100 <= served + throttled,
        "{throttled} throttled, {served} served"
    );
}

#[tokio::test(start_paused = true)]
async fn who_comes_before_the_reset_is_refused_by_the_deployment_and_told_when_it_is() {
    let leaf = service_fn(async |_: Routed<LlmRequest>| {
        let resets_at = Some(Instant::now() + 20 * SECOND);
        let requests = Some(Quota {
            limit: 9,
            remaining: 0,
            resets_at,
        });
        let limits = ProviderLimits {
            requests,
            tokens: None,
        };
        Ok::<_, Error>(LlmResponse::complete("{}", None).with_provider_limits(limits))
    });
    let service = ProviderLimitsLayer::new().layer(leaf);
    let send = |id| {
        let request = Routed::new(LlmRequest::chat("gpt", "hi"), deployment(id));
        service.clone().oneshot(request)
    };
    assert!(send("a").await.is_ok());
    let error = send("b").await.expect_err("nothing is left of their quota");
    let rejection = error.rejection().expect("was not sent");
    assert_eq!(
        (rejection.reason(), rejection.scope()),
        (Reason::RateLimited, Scope::Deployment)
    );
    assert_eq!(error.retry_after(), Some(20 * SECOND));
    sleep(20 * SECOND).await;
    assert!(send("b").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_a_layer_beneath_refuses_was_not_sent_and_a_provider_that_says_nothing_is_not_limited()
{
    let refuses = Arc::new(AtomicUsize::new(0));
    let leaf = {
        let refuses = Arc::clone(&refuses);
        service_fn(move |_: Routed<LlmRequest>| {
            let refuses = refuses.fetch_sub(usize::from(refuses.load(Relaxed) > 0), Relaxed) > 0;
            async move {
                if refuses {
                    let busy = Rejection::new(Reason::Busy, Scope::Attempt);
                    return Err(Error::rejected(busy, "busy"));
                }
                let requests = Some(Quota {
                    limit: 9,
                    remaining: 1,
                    resets_at: None,
                });
                let limits = ProviderLimits {
                    requests,
                    tokens: None,
                };
                Ok(LlmResponse::complete("{}", None).with_provider_limits(limits))
            }
        })
    };
    let mut service = ProviderLimitsLayer::new().layer(leaf);
    let mut send = async || {
        let request = Routed::new(LlmRequest::chat("gpt", "hi"), deployment("a"));
        let service = service.ready().await.expect("is ready");
        service.call(request).await
    };
    assert!(send().await.is_ok());
    refuses.store(5, Relaxed);
    for _ in 0..5 {
        assert!(send().await.is_err());
    }
    assert!(send().await.is_ok(), "one is left still");

    let leaf =
        service_fn(async |_: Routed<LlmRequest>| Ok::<_, Error>(LlmResponse::complete("{}", None)));
    let service = ProviderLimitsLayer::new().layer(leaf);
    for _ in 0..1_000 {
        let request = Routed::new(LlmRequest::chat("gpt", "hi"), deployment("a"));
        assert!(service.clone().oneshot(request).await.is_ok());
    }
}

#[test]
fn the_layer_keeps_the_contract() {
    Contract::pass_through(ProviderLimitsLayer::new, || {
        Routed::new(LlmRequest::chat("gpt", "hi"), deployment("a"))
    })
    .allocations(0, |work| allocation_counter::measure(work).count_total)
    .run();
}

/// A provider that throttles at once says in the refusal what is left, and until when.
#[tokio::test(start_paused = true)]
async fn what_a_throttled_answer_says_of_limits_is_heard_too() {
    for (requests, tokens) in [(Some(0), None), (None, Some(0)), (Some(9), Some(0))] {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let resets_at = Some(Instant::now() + 20 * SECOND);
        let quota = move |left: Option<u64>| {
            left.map(|remaining| Quota {
                limit: 10,
                remaining,
                resets_at,
            })
        };
        let leaf = service_fn(move |_: Routed<LlmRequest>| {
            count.fetch_add(1, Relaxed);
            let limits = ProviderLimits {
                requests: quota(requests),
                tokens: quota(tokens),
            };
            let error = Error::new(ErrorKind::RateLimited, "slow down");
            async move { Err::<LlmResponse, _>(error.with_provider_limits(limits)) }
        });
        let service = ProviderLimitsLayer::new().layer(leaf);
        let deployment = Arc::new(Deployment::new("a", "gpt", "m"));
        let request = Routed::new(LlmRequest::chat("gpt", "hi"), deployment);
        for _ in 0..3 {
            let error = service.clone().oneshot(request.clone()).await;
            error.expect_err("is throttled, or refused");
        }
        assert_eq!(asked.load(Relaxed), 1, "{requests:?} {tokens:?}");
        tokio::time::advance(20 * SECOND).await;
        let _ = service.oneshot(request).await;
        assert_eq!(asked.load(Relaxed), 2);
    }
}
