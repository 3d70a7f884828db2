//! Requests that belong together.

use std::{
    collections::{HashMap, HashSet},
    future::pending,
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::time::advance;
use tokio_test::{assert_pending, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use ziggurat_core::{
    Caller, Deployment, Deployments, Error, ErrorKind, Item, LlmRequest, LlmResponse, Operation,
    Rejection, Scope, Secret, Snapshot,
};
use ziggurat_load_balance::{AffinityKind, LoadBalanceLayer, Pins, SimpleShuffle};
use ziggurat_testkit::one_thread::OneThread;

use crate::support::{Sent, member, refusal};

type Balancer = LoadBalanceLayer<SimpleShuffle, (), Pins>;

fn balancer(pins: Pins, members: impl IntoIterator<Item = Deployment>) -> Balancer {
    LoadBalanceLayer::new(Deployments::from_iter(members), SimpleShuffle).affinity(pins)
}

fn sessions() -> Pins {
    Pins::new([AffinityKind::Session])
}

fn read(operation: Operation, body: &str) -> LlmRequest {
    LlmRequest::from_bytes(operation, body.to_owned()).expect("is valid")
}

fn turn(session: &str) -> LlmRequest {
    let body = format!(r#"{{"model":"gpt","metadata":{{"session_id":"{session}"}}}}"#);
    read(Operation::ChatCompletions, &body)
}

/// Deployments that are down, or refuse.
#[derive(Clone, Default)]
struct Down(Arc<Mutex<HashMap<&'static str, bool>>>);

impl Down {
    fn fails(&self, id: &'static str) {
        self.0.lock().insert(id, true);
    }

    fn refuses(&self, id: &'static str) {
        self.0.lock().insert(id, false);
    }

    fn is_back(&self, id: &str) {
        self.0.lock().remove(id);
    }
}

fn stack(
    balancer: &Balancer,
    down: &Down,
) -> impl Service<LlmRequest, Response = LlmResponse, Error = Error> + Clone + use<> {
    let down = down.clone();
    balancer.layer(service_fn(move |sent: Sent| {
        let id = sent.deployment().id().as_str();
        let answer = match down.0.lock().get(id) {
            None => Ok(LlmResponse::complete(id.to_owned(), None)),
            Some(true) => Err(Error::new(ErrorKind::Internal, "broken")),
            Some(false) => Err(refusal(Scope::Deployment)),
        };
        async { answer }
    }))
}

/// Who answers a request, that is sent again until somebody does.
async fn who<S>(stack: &S, request: LlmRequest) -> String
where
    S: Service<LlmRequest, Response = LlmResponse, Error = Error> + Clone,
{
    for _ in 0..3 {
        if let Ok(answer) = stack.clone().oneshot(request.clone()).await {
            let bytes = answer.bytes().expect("is complete");
            return String::from_utf8_lossy(bytes).into_owned();
        }
    }
    panic!("nobody answers")
}

#[tokio::test(start_paused = true)]
async fn a_session_of_fifty_turns_stays_where_it_began_and_sessions_are_spread() {
    fastrand::seed(11);
    let balancer = balancer(sessions(), [member("a"), member("b")]);
    let stack = stack(&balancer, &Down::default());
    let mut first = HashMap::new();
    let (mut stayed, mut turns) = (0_u32, 0_u32);
    for _ in 0..50 {
        for session in 0..400 {
            let id = who(&stack, turn(&session.to_string())).await;
            let began = first.entry(session).or_insert_with(|| id.clone());
            stayed += u32::from(*began == id);
            turns += 1;
        }
    }
    assert!(stayed * 100 >= turns * 95, "{stayed} of {turns}");
    let of_a = first.values().filter(|id| *id == "a").count();
    let most = of_a.max(400 - of_a);
    assert!(most as f64 / 200.0 <= 1.25, "{most} of 400 are on one");
}

#[tokio::test(start_paused = true)]
async fn where_the_target_fails_the_next_answer_is_the_new_pin_and_it_does_not_flap_back() {
    for seed in 0..20 {
        fastrand::seed(seed);
        let balancer = balancer(sessions(), ["a", "b", "c"].map(member));
        let down = Down::default();
        let stack = stack(&balancer, &down);
        let first = who(&stack, turn("s")).await;
        let target = ["a", "b", "c"]
            .into_iter()
            .find(|id| *id == first)
            .expect("it is one of them");
        if seed % 2 == 0 {
            down.fails(target);
        } else {
            down.refuses(target);
        }
        let second = who(&stack, turn("s")).await;
        assert_ne!(second, first);
        for _ in 0..10 {
            assert_eq!(who(&stack, turn("s")).await, second, "it is pinned anew");
        }
        down.is_back(target);
        advance(Duration::from_secs(1)).await;
        for _ in 0..10 {
            assert_eq!(
                who(&stack, turn("s")).await,
                second,
                "it does not flap back"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_chosen_and_does_not_answer_is_no_pin() {
    let balancer = balancer(sessions(), [member("a")]);
    let down = Down::default();
    down.fails("a");
    let stack = stack(&balancer, &down);
    stack.oneshot(turn("s")).await.expect_err("a fails");
    let explanation = balancer.explain(&turn("s")).expect("there is a group");
    assert!(!explanation.members()[0].is_pinned());
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_loaded_more_than_its_share_gives_way() {
    fastrand::seed(3);
    let pins = sessions().max_load(AffinityKind::Session, Some(1.25));
    let balancer = balancer(pins, ["a", "b", "c", "d"].map(member));
    let mut answers = balancer.layer(service_fn(async |sent: Sent| {
        if sent.request().is_stream() {
            return pending().await;
        }
        Ok::<_, Error>(LlmResponse::complete(
            sent.deployment().id().to_string(),
            None,
        ))
    }));
    let first = answers.call(turn("hot")).await.expect("one answers");
    let target = first.bytes().expect("is complete").clone();
    let target = std::str::from_utf8(&target).expect("is an id").to_owned();
    let body = r#"{"model":"gpt","stream":true,"metadata":{"session_id":"hot"}}"#;
    let mut held = Vec::new();
    for sent in 1..=200_u32 {
        let request = read(Operation::ChatCompletions, body);
        let mut answer = task::spawn(answers.call(request));
        assert_pending!(answer.poll());
        held.push(answer);
        let load = balancer.in_flight(&target.as_str().into());
        let bound = (f64::from(sent) / 4.0 * 1.25).ceil();
        // What the strategy itself sends there, once the pin has given way, is not bound by it.
        let slack = 3.0 * f64::from(sent).sqrt();
        assert!(f64::from(load) <= bound + slack, "{load} of {sent}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_bound_the_target_keeps_all() {
    let pins = sessions().max_load(AffinityKind::Session, None);
    let balancer = balancer(pins, ["a", "b", "c", "d"].map(member));
    let mut answers = balancer.layer(service_fn(async |sent: Sent| {
        if sent.request().is_stream() {
            return pending().await;
        }
        Ok::<_, Error>(LlmResponse::complete("fine", None))
    }));
    answers.call(turn("hot")).await.expect("one answers");
    let body = r#"{"model":"gpt","stream":true,"metadata":{"session_id":"hot"}}"#;
    let mut held = Vec::new();
    for _ in 0..20 {
        let mut answer = task::spawn(answers.call(read(Operation::ChatCompletions, body)));
        assert_pending!(answer.poll());
        held.push(answer);
    }
    let loads: HashSet<_> = ["a", "b", "c", "d"]
        .map(|id| balancer.in_flight(&id.into()))
        .into();
    assert_eq!(loads, HashSet::from([0, 20]));
}

#[tokio::test(start_paused = true)]
async fn a_pin_ends_when_it_is_not_used_and_with_its_deployment() {
    let deployments = Deployments::from_iter([member("a"), member("b")]);
    let layer = LoadBalanceLayer::new(deployments.clone(), SimpleShuffle).affinity(sessions());
    let stack = stack(&layer, &Down::default());
    let pinned = || {
        let explanation = layer.explain(&turn("s")).expect("there is a group");
        let pinned = explanation.members().iter().find(|it| it.is_pinned());
        pinned.map(|it| it.deployment().id().to_string())
    };
    let first = who(&stack, turn("s")).await;
    advance(Duration::from_secs(3_000)).await;
    assert_eq!(who(&stack, turn("s")).await, first);
    advance(Duration::from_secs(3_000)).await;
    assert_eq!(pinned(), Some(first.clone()), "use has renewed it");
    let other = if first == "a" { "b" } else { "a" };
    deployments.swap(Snapshot::new([member("x"), member(other)]));
    assert_eq!(pinned(), None);
    let second = who(&stack, turn("s")).await;
    assert_eq!(pinned(), Some(second));
    advance(Duration::from_secs(3_600)).await;
    assert_eq!(pinned(), None);
}

#[tokio::test(start_paused = true)]
async fn a_pin_does_not_lift_a_deployment_over_a_lower_order() {
    let members = [member("a").with_order(1), member("b").with_order(2)];
    let balancer = balancer(sessions(), members);
    let down = Down::default();
    down.refuses("a");
    let stack = stack(&balancer, &down);
    assert_eq!(who(&stack, turn("s")).await, "b");
    down.is_back("a");
    advance(Duration::from_secs(1)).await;
    assert_eq!(who(&stack, turn("s")).await, "a");
}

#[tokio::test(start_paused = true)]
async fn sessions_of_different_callers_are_different_and_callers_are_tied_too() {
    let kinds = [AffinityKind::Session, AffinityKind::Caller];
    let members: Vec<_> = (0..64).map(|i| member(&i.to_string())).collect();
    let balancer = balancer(Pins::new(kinds), members);
    let stack = stack(&balancer, &Down::default());
    let by = |key: &str| Caller::new().with_key(key);
    let first = who(&stack, turn("s").with_caller(by("alice"))).await;
    let plain = || read(Operation::ChatCompletions, r#"{"model":"gpt","user":"u"}"#);
    assert_eq!(who(&stack, plain().with_caller(by("alice"))).await, first);
    let mut others = HashSet::new();
    for key in ["bob", "carol", "dave"] {
        others.insert(who(&stack, turn("s").with_caller(by(key))).await);
    }
    others.insert(who(&stack, plain()).await);
    assert!(others.len() > 1, "each has a pin of its own");
    let of_user = who(&stack, plain()).await;
    assert_eq!(who(&stack, plain()).await, of_user);
}

#[tokio::test(start_paused = true)]
async fn a_group_may_have_its_own_kinds() {
    let members = (0..64).map(|i| member(&i.to_string()));
    let pins = sessions().group("gpt", []);
    let balancer = balancer(pins.clone(), members);
    let stack = stack(&balancer, &Down::default());
    who(&stack, turn("s")).await;
    assert!(pins.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_response_goes_on_where_it_began_whatever_the_order_and_the_session() {
    let kinds = [AffinityKind::PreviousResponse, AffinityKind::Session];
    let members = [member("a").with_order(1), member("b").with_order(2)];
    let balancer = balancer(Pins::new(kinds), members);
    let refuses = Arc::new(Mutex::new(true));
    let stack = balancer.layer(service_fn(|sent: Sent| {
        let id = sent.deployment().id().to_string();
        let refused = id == "a" && *refuses.lock();
        let streams = sent.request().is_stream();
        async move {
            if refused {
                return Err(refusal(Scope::Deployment));
            }
            if !streams {
                let body = format!(r#"{{"output":[{{"id":"m"}}],"id":"resp_{id}"}}"#);
                return Ok(LlmResponse::complete(body, None));
            }
            let event = format!(
                "data: {{\"type\":\"response.created\",\"response\":{{\"id\":\"resp_s{id}\"}}}}\n\n"
            );
            let item = Item {
                bytes: event.into(),
                events: 1,
                usage: None,
                ..Item::default()
            };
            Ok(LlmResponse::stream(Box::pin(stream::iter([Ok(item)]))))
        }
    }));
    let ask = |more: &str| {
        let body = format!(r#"{{"model":"gpt","input":"hi"{more}}}"#);
        stack.clone().oneshot(read(Operation::Responses, &body))
    };
    ask("").await.expect("b answers");
    let (_, mut items) = ask(r#","stream":true"#)
        .await
        .expect("b answers")
        .into_parts();
    while items.next().await.is_some() {}
    *refuses.lock() = false;
    advance(Duration::from_secs(1)).await;
    let served = |answer: &LlmResponse| {
        let text = String::from_utf8_lossy(answer.bytes().expect("is complete")).into_owned();
        text.contains("resp_b")
    };
    for previous in ["resp_b", "resp_sb"] {
        let more = format!(r#","previous_response_id":"{previous}""#);
        assert!(served(&ask(&more).await.expect("b answers")), "{previous}");
    }
    let unknown = ask(r#","previous_response_id":"resp_x""#).await;
    assert!(!served(&unknown.expect("a answers")));
}

#[tokio::test(start_paused = true)]
async fn a_long_prompt_goes_where_its_beginning_went() {
    let pins = Pins::new([AffinityKind::PromptPrefix]);
    let members = (0..64).map(|i| member(&i.to_string()));
    let balancer = balancer(pins.clone(), members);
    let stack = stack(&balancer, &Down::default());
    let prompt = |messages: &[String]| {
        let messages: Vec<_> = messages
            .iter()
            .map(|text| format!(r#"{{"role":"user","content":"{text}"}}"#))
            .collect();
        let body = format!(r#"{{"model":"gpt","messages":[{}]}}"#, messages.join(","));
        read(Operation::ChatCompletions, &body)
    };
    let system = "s".repeat(6_000);
    let mut talk = vec![system, "hi".into()];
    let first = who(&stack, prompt(&talk)).await;
    for turn in 0..30 {
        talk.push(format!("answer {turn}"));
        talk.push(format!("question {turn}"));
        assert_eq!(who(&stack, prompt(&talk)).await, first, "turn {turn}");
    }
    advance(Duration::from_secs(301)).await;
    let explanation = balancer.explain(&prompt(&talk)).expect("there is a group");
    assert!(
        explanation.members().iter().all(|it| !it.is_pinned()),
        "the cache is cold"
    );

    let before = pins.len();
    who(&stack, prompt(&["short".into()])).await;
    assert_eq!(pins.len(), before, "a short prompt is not cached");
    let keyed = r#"{"model":"gpt","prompt_cache_key":"k"}"#;
    let keyed = || read(Operation::ChatCompletions, keyed);
    let target = who(&stack, keyed()).await;
    assert_eq!(who(&stack, keyed()).await, target);
}

#[tokio::test(start_paused = true)]
async fn what_only_its_maker_can_read_goes_to_its_account_alone() {
    let of = |id: &str, key: &str| member(id).with_credential(Secret::new(key));
    let members = [
        of("a1", "ka"),
        of("a2", "ka"),
        of("b1", "kb"),
        of("b2", "kb"),
    ];
    let balancer = balancer(Pins::new([AffinityKind::ContentOwner]), members);
    let refuses = Arc::new(Mutex::new(""));
    let stack = balancer.layer(service_fn(|sent: Sent| {
        let id = sent.deployment().id().to_string();
        let refused = !refuses.lock().is_empty() && id.starts_with(*refuses.lock());
        async move {
            if refused {
                return Err(refusal(Scope::Deployment));
            }
            let body =
                format!(r#"{{"by":"{id}","x":[{{"signature":"sig/of/{id}/0123456789=="}}]}}"#);
            Ok(LlmResponse::complete(body, None))
        }
    }));
    let by = |answer: &LlmResponse| {
        let text = String::from_utf8_lossy(answer.bytes().expect("is complete")).into_owned();
        text[7..9].to_owned()
    };
    let first = by(&stack
        .clone()
        .oneshot(LlmRequest::chat("gpt", "hi"))
        .await
        .expect("one answers"));
    let signed = |signature: &str| {
        let body = format!(
            r#"{{"model":"gpt","messages":[{{"role":"assistant","content":[{{"type":"thinking","signature":"{signature}"}}]}}]}}"#
        );
        read(Operation::ChatCompletions, &body)
    };
    let known = format!("sig\\/of\\/{first}\\/0123456789\\u003d=");
    let mut served = HashSet::new();
    for _ in 0..60 {
        let answer = stack.clone().oneshot(signed(&known)).await;
        served.insert(by(&answer.expect("one answers")));
    }
    let account = &first[..1];
    let both: HashSet<_> = [format!("{account}1"), format!("{account}2")].into();
    assert_eq!(served, both, "any deployment of the account will do");

    *refuses.lock() = if account == "a" { "a" } else { "b" };
    let error = stack.clone().oneshot(signed(&known)).await;
    let error = error.expect_err("nobody else can read it");
    assert!(
        error
            .rejection()
            .is_some_and(|it: &Rejection| it.scope() == Scope::Attempt)
    );
    let unknown = signed("nobody/knows/0123456789");
    stack
        .clone()
        .oneshot(unknown)
        .await
        .expect("anyone may try");

    let client = read(Operation::ChatCompletions, r#"{"model":"gpt"}"#);
    assert!(!client.is_signed());
    let explanation = balancer.explain(&signed(&known)).expect("there is a group");
    let text = explanation.to_string();
    assert!(text.contains("left out by content owner"), "{text}");
    assert!(!text.contains("ka") && !text.contains("kb"), "{text}");
}

#[test]
fn the_beginnings_of_a_very_long_prompt_are_read_by_another_thread() {
    let threads = OneThread::new();
    let pins = Pins::new([AffinityKind::PromptPrefix, AffinityKind::Session]);
    let balancer = balancer(pins, (0..16).map(|i| member(&i.to_string())));
    let stack = stack(&balancer, &Down::default());
    let prompt = |length: usize, key: &str| {
        let text = "long ".repeat(length / 5);
        let message = format!(r#"{{"role":"user","content":"{text}"}}"#);
        let body = format!(r#"{{"model":"gpt",{key}"messages":[{message}]}}"#);
        read(Operation::ChatCompletions, &body)
    };
    for (length, key, at_once) in [
        (10_000, "", true),
        (1_000_000, "", false),
        (1_000_000, r#""prompt_cache_key":"k","#, true),
    ] {
        // The inner service is ready, so nothing else is waited for.
        let (was_at_once, answer) = threads.run_at_once(stack.clone().oneshot(prompt(length, key)));
        assert_eq!(was_at_once, at_once, "{length} {key}");
        let answer = answer.expect("one answers");
        let id = String::from_utf8_lossy(answer.bytes().expect("is complete"));
        for _ in 0..3 {
            let again = threads.run(who(&stack, prompt(length, key)));
            assert_eq!(again, id, "{length} {key}");
        }
    }
}
