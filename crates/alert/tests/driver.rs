//! The driver over a webhook that is played, with paused time.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};
use ziggurat_alert::{AlertPolicy, Alerts, Event, Format, Kind, Seen, Webhook};
use ziggurat_core::{Deployment, Error, ErrorKind, LlmRequest, LlmResponse, Routed, Secret};
use ziggurat_settle::SettleLayer;

/// A webhook that notes what it is sent, and answers as it is told.
#[derive(Clone, Default)]
struct Receiver(Arc<State>);

#[derive(Default)]
struct State {
    messages: Mutex<Vec<(Duration, Value)>>,
    status: AtomicU16,
    hangs: AtomicBool,
    began: Mutex<Option<Instant>>,
}

impl Receiver {
    fn client(
        &self,
    ) -> impl Service<Request<Bytes>, Response = Response<()>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static {
        let state = Arc::clone(&self.0);
        let began = Instant::now();
        *state.began.lock() = Some(began);
        service_fn(move |request: Request<Bytes>| {
            let state = Arc::clone(&state);
            async move {
                let body = serde_json::from_slice(request.body()).expect("is JSON");
                state.messages.lock().push((began.elapsed(), body));
                if state.hangs.load(Relaxed) {
                    std::future::pending::<()>().await;
                }
                let mut response = Response::new(());
                let status = StatusCode::from_u16(state.status.load(Relaxed));
                *response.status_mut() = status.unwrap_or_default();
                Ok(response)
            }
        })
    }

    fn messages(&self) -> Vec<Value> {
        let messages = self.0.messages.lock();
        messages
            .iter()
            .map(|(_, message)| message.clone())
            .collect()
    }

    fn events(&self) -> Vec<String> {
        let name = |message: &Value| message["event"].as_str().expect("has one").to_owned();
        self.messages().iter().map(name).collect()
    }

    fn times(&self) -> Vec<u64> {
        let messages = self.0.messages.lock();
        messages.iter().map(|(at, _)| at.as_secs()).collect()
    }
}

fn webhook() -> Webhook {
    let url = Secret::new("https://hooks.example.com/secret");
    Webhook::new(url, Format::Json).expect("is an address")
}

fn start(policy: AlertPolicy, receiver: &Receiver) -> Alerts {
    start_looking(policy, receiver, Vec::new)
}

#[expect(clippy::disallowed_methods, reason = "the driver runs beside the test")]
fn start_looking(
    policy: AlertPolicy,
    receiver: &Receiver,
    look: impl FnMut() -> Vec<Seen> + Send + 'static,
) -> Alerts {
    let (alerts, alerting) = Alerts::new(policy);
    drop(tokio::spawn(alerting.run(receiver.client(), look)));
    alerts
}

fn deployment() -> Arc<Deployment> {
    Arc::new(Deployment::new("a", "gpt", "m"))
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_dies_is_told_once_and_so_is_its_return() {
    let receiver = Receiver::default();
    let is_out = Arc::new(AtomicBool::new(false));
    let look = {
        let is_out = Arc::clone(&is_out);
        let healthy = Arc::new(Deployment::new("b", "gpt", "m"));
        move || {
            let first = match is_out.load(Relaxed) {
                true => Seen::out(deployment(), Some(ErrorKind::Overloaded)),
                false => Seen::serving(deployment()),
            };
            vec![first, Seen::serving(Arc::clone(&healthy))]
        }
    };
    let _alerts = start_looking(AlertPolicy::new().webhook(webhook()), &receiver, look);
    sleep(Duration::from_secs(10)).await;
    is_out.store(true, Relaxed);
    sleep(Duration::from_secs(1_000)).await;
    assert_eq!(receiver.events(), ["deployment_out"]);
    is_out.store(false, Relaxed);
    sleep(Duration::from_secs(1_000)).await;
    assert_eq!(receiver.events(), ["deployment_out", "deployment_back"]);
    let [out, back] = &receiver.messages()[..] else {
        panic!("there are two");
    };
    assert_eq!(out["deployment"], "a");
    assert_eq!(out["reason"], "overloaded");
    assert_eq!(back["seconds"], 1_000.0);
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_a_thousand_events_is_a_bounded_number_of_messages() {
    let receiver = Receiver::default();
    let alerts = start(AlertPolicy::new().webhook(webhook()), &receiver);
    for n in 0..1_000 {
        alerts.notify(Event::group_out(n.to_string()));
    }
    assert_eq!(alerts.dropped(), 0);
    sleep(Duration::from_secs(59)).await;
    assert_eq!(receiver.messages().len(), 20);
    sleep(Duration::from_secs(3_600)).await;
    let messages = receiver.messages();
    assert_eq!(messages.len(), 21);
    assert_eq!(messages[20]["event"], "summary");
    assert_eq!(messages[20]["severity"], "critical");
    assert_eq!(messages[20]["counts"]["group_out"], 980);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_hangs_holds_up_neither_events_nor_the_other_webhook() {
    let (slow, fast) = (Receiver::default(), Receiver::default());
    slow.0.hangs.store(true, Relaxed);
    let (to_slow, to_fast) = (slow.client(), fast.client());
    let client = service_fn(move |request: Request<Bytes>| {
        let is_slow = request.uri().host() == Some("slow.example.com");
        let (slow, fast) = (to_slow.clone(), to_fast.clone());
        async move {
            match is_slow {
                true => slow.oneshot(request).await,
                false => fast.oneshot(request).await,
            }
        }
    });
    let url = Secret::new("https://slow.example.com/secret");
    let hanging = Webhook::new(url, Format::Json).expect("is an address");
    let policy = AlertPolicy::new().webhook(hanging).webhook(webhook());
    let (alerts, alerting) = Alerts::new(policy);
    #[expect(clippy::disallowed_methods, reason = "the driver runs beside the test")]
    drop(tokio::spawn(alerting.run(client, Vec::new)));
    for n in 0..5_000 {
        alerts.notify(Event::store_lost(n.to_string()));
        if n % 100 == 0 {
            sleep(Duration::from_secs(10)).await;
        }
    }
    assert_eq!(alerts.dropped(), 0, "the queue is always taken out");
    assert!(fast.messages().len() > 100);
    sleep(Duration::from_secs(3_600)).await;
    assert!(alerts.undelivered() > 0);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_not_taken_is_sent_again_three_times() {
    let receiver = Receiver::default();
    receiver.0.status.store(503, Relaxed);
    let alerts = start(AlertPolicy::new().webhook(webhook()), &receiver);
    alerts.notify(Event::store_lost("redis"));
    sleep(Duration::from_secs(100)).await;
    assert_eq!(receiver.times(), [0, 1, 6, 26]);
    assert_eq!(alerts.undelivered(), 1);
    receiver.0.status.store(200, Relaxed);
    alerts.notify(Event::store_back("redis", Duration::from_secs(1)));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(receiver.events()[4..], ["store_back"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_the_message_or_the_address_is_not_sent_again() {
    for status in [400, 401, 404, 410, 302] {
        let receiver = Receiver::default();
        receiver.0.status.store(status, Relaxed);
        let alerts = start(AlertPolicy::new().webhook(webhook()), &receiver);
        alerts.notify(Event::store_lost("redis"));
        sleep(Duration::from_secs(100)).await;
        assert_eq!(receiver.times(), [0], "{status}");
        assert_eq!(alerts.undelivered(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_webhook_gets_what_it_wants_and_nothing_else() {
    let receiver = Receiver::default();
    let wants = webhook().only([Kind::StoreLost]);
    let alerts = start(AlertPolicy::new().webhook(wants), &receiver);
    alerts.notify(Event::group_out("gpt"));
    alerts.notify(Event::store_lost("redis"));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(receiver.events(), ["store_lost"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_webhook_nothing_is_taken_and_nobody_is_looked_at() {
    let receiver = Receiver::default();
    let looked = Arc::new(AtomicBool::new(false));
    let look = {
        let looked = Arc::clone(&looked);
        move || {
            looked.store(true, Relaxed);
            Vec::new()
        }
    };
    let alerts = start_looking(AlertPolicy::new(), &receiver, look);
    for _ in 0..10_000 {
        alerts.notify(Event::group_out("gpt"));
    }
    sleep(Duration::from_secs(100)).await;
    assert_eq!((alerts.dropped(), receiver.messages().len()), (0, 0));
    assert!(!looked.load(Relaxed));
    alerts.set_policy(AlertPolicy::new().webhook(webhook()));
    alerts.notify(Event::group_out("gpt"));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(receiver.events(), ["group_out"]);
    assert!(looked.load(Relaxed));
}

#[tokio::test(start_paused = true)]
async fn another_policy_keeps_what_a_webhook_was_told() {
    let receiver = Receiver::default();
    let alerts = start(AlertPolicy::new().webhook(webhook()), &receiver);
    alerts.notify(Event::group_out("gpt"));
    sleep(Duration::from_secs(1)).await;
    alerts.set_policy(AlertPolicy::new().webhook(webhook()).storm(3));
    alerts.notify(Event::group_out("gpt"));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(receiver.events(), ["group_out"]);
}

/// Asks a deployment through what settles attempts.
async fn ask(alerts: &Alerts, takes: Duration, fails: Option<ErrorKind>) {
    let leaf = service_fn(move |_: Routed<LlmRequest>| async move {
        sleep(takes).await;
        match fails {
            None => Ok(LlmResponse::complete("{}", None)),
            Some(kind) => Err(Error::new(kind, "secret")),
        }
    });
    let service = SettleLayer::new(alerts.clone()).layer(leaf);
    let request = Routed::new(LlmRequest::chat("gpt", "secret"), deployment());
    let answer = service.oneshot(request).await;
    assert_eq!(answer.is_ok(), fails.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_is_told() {
    let receiver = Receiver::default();
    let policy = AlertPolicy::new().webhook(webhook());
    let alerts = start(policy.threshold(Duration::from_secs(60)), &receiver);
    ask(&alerts, Duration::from_secs(59), None).await;
    ask(&alerts, Duration::from_secs(61), None).await;
    sleep(Duration::from_secs(1)).await;
    let [message] = &receiver.messages()[..] else {
        panic!("one message: {:?}", receiver.messages());
    };
    assert_eq!(message["event"], "slow_response");
    assert_eq!(message["seconds"], 61.0);
    assert!(!message.to_string().contains("secret"));
}

#[tokio::test(start_paused = true)]
async fn the_fifth_error_in_a_minute_is_a_minor_outage_and_the_tenth_a_major_one() {
    let receiver = Receiver::default();
    let alerts = start(AlertPolicy::new().webhook(webhook()), &receiver);
    // What the request is to blame for, and a 429, are none.
    for kind in [ErrorKind::BadRequest, ErrorKind::RateLimited] {
        for _ in 0..20 {
            ask(&alerts, Duration::ZERO, Some(kind)).await;
        }
    }
    for _ in 0..4 {
        ask(&alerts, Duration::from_secs(1), Some(ErrorKind::Internal)).await;
    }
    assert!(receiver.events().is_empty());
    ask(&alerts, Duration::from_secs(1), Some(ErrorKind::Internal)).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(receiver.events(), ["outage_minor"]);
    for _ in 0..20 {
        ask(
            &alerts,
            Duration::from_secs(1),
            Some(ErrorKind::StreamBroken),
        )
        .await;
    }
    assert_eq!(receiver.events(), ["outage_minor", "outage_major"]);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_is_told_while_it_hangs() {
    let receiver = Receiver::default();
    let policy = AlertPolicy::new().webhook(webhook());
    let alerts = start(policy.threshold(Duration::from_secs(60)), &receiver);
    let inner = service_fn(async |_: LlmRequest| {
        std::future::pending::<()>().await;
        Ok::<_, Error>(LlmResponse::complete("{}", None))
    });
    let service = alerts.watch_requests().layer(inner);
    let asked = service.oneshot(LlmRequest::chat("gpt", "secret"));
    let asked = tokio::time::timeout(Duration::from_secs(600), asked);
    assert!(asked.await.is_err());
    let [message] = &receiver.messages()[..] else {
        panic!("one message: {:?}", receiver.messages());
    };
    assert_eq!(message["event"], "hanging_request");
    assert!(
        (60..63).contains(&receiver.times()[0]),
        "{:?}",
        receiver.times()
    );
}

#[tokio::test(start_paused = true)]
async fn at_the_end_it_tells_what_has_happened_and_nothing_more() {
    let receiver = Receiver::default();
    let (alerts, alerting) = Alerts::new(AlertPolicy::new().webhook(webhook()));
    alerts.notify(Event::store_lost("redis"));
    let began = Instant::now();
    let end = sleep(Duration::from_secs(60));
    let looked = std::cell::Cell::new(0_u64);
    let look = || {
        looked.set(looked.get() + 1);
        Vec::new()
    };
    let ending = async {
        end.await;
        alerts.notify(Event::store_back("redis", Duration::from_secs(60)));
    };
    alerting.run_until(receiver.client(), look, ending).await;
    assert_eq!(receiver.events(), ["store_lost", "store_back"]);
    assert_eq!(began.elapsed(), Duration::from_secs(60));
    assert!(looked.get() <= 61, "{looked:?}");
}

#[tokio::test(start_paused = true)]
async fn at_the_end_it_sums_up_what_it_held_back() {
    let receiver = Receiver::default();
    let (alerts, alerting) = Alerts::new(AlertPolicy::new().webhook(webhook()).per_minute(3));
    // One is told and comes again, two are told, and of the others there were too many.
    for name in ["a", "a", "b", "c", "d", "d", "e"] {
        alerts.notify(Event::store_lost(name));
    }
    let began = Instant::now();
    let end = async {};
    alerting.run_until(receiver.client(), Vec::new, end).await;
    let told = ["store_lost", "store_lost", "store_lost", "summary"];
    assert_eq!(receiver.events(), told);
    assert_eq!(receiver.messages()[3]["counts"]["store_lost"], 4);
    assert_eq!((began.elapsed(), alerts.undelivered()), (Duration::ZERO, 0));
}

#[tokio::test(start_paused = true)]
async fn what_a_slow_webhook_has_no_room_for_is_undelivered_at_the_end_too() {
    let receiver = Receiver::default();
    let policy = AlertPolicy::new().webhook(webhook()).per_minute(200);
    let (alerts, alerting) = Alerts::new(policy);
    for n in 0..100 {
        alerts.notify(Event::store_lost(n.to_string()));
    }
    let slow = receiver.client();
    let slow = service_fn(move |request: Request<Bytes>| {
        let slow = slow.clone();
        async move {
            sleep(Duration::from_millis(100)).await;
            slow.oneshot(request).await
        }
    });
    alerting.run_until(slow, Vec::new, async {}).await;
    // One on its way and 64 that wait.
    let told = receiver.messages().len() as u64;
    assert_eq!((told, alerts.undelivered()), (65, 35));
}
