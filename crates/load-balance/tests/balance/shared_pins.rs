//! Pins over several instances.

use std::{collections::HashSet, time::Duration};

use futures_util::future::join_all;
use tokio::time::{sleep, timeout};
use tower::{Layer, ServiceExt, service_fn};
use ziggurat_core::{
    Deployment, Deployments, Error, LlmRequest, LlmResponse, Operation, Secret, Snapshot,
};
use ziggurat_load_balance::{AffinityKind, LoadBalanceLayer, Pins, SimpleShuffle};
use ziggurat_shared_log::{Cursor, MemoryLog, Offer, SharedLog};

use crate::support::{Sent, member};

const SECOND: Duration = Duration::from_secs(1);

/// Who may answer: two deployments each of two accounts.
const MEMBERS: [(&str, &str); 4] = [("a1", "ka"), ("a2", "ka"), ("b1", "kb"), ("b2", "kb")];

/// One instance, whose deployments say who they are, and answer with an id and a signature.
struct Instance {
    deployments: Deployments,
    pins: Pins,
    balancer: LoadBalanceLayer<SimpleShuffle, (), Pins>,
}

impl Instance {
    fn new() -> Self {
        let of = |(id, key): (&str, &'static str)| member(id).with_credential(Secret::new(key));
        Self::of(MEMBERS.map(of))
    }

    fn of(members: impl IntoIterator<Item = Deployment>) -> Self {
        let deployments = Deployments::new(Snapshot::new(members));
        let pins = Pins::new([
            AffinityKind::ContentOwner,
            AffinityKind::PreviousResponse,
            AffinityKind::Session,
        ]);
        let balancer =
            LoadBalanceLayer::new(deployments.clone(), SimpleShuffle).affinity(pins.clone());
        Self {
            deployments,
            pins,
            balancer,
        }
    }

    /// Who answers.
    async fn ask(&self, operation: Operation, rest: &str) -> String {
        let stack = self.balancer.layer(service_fn(async |sent: Sent| {
            let id = sent.deployment().id();
            let body = format!(
                r#"{{"by":"{id}","id":"resp_{id}","signature":"sig/of/{id}/0123456789=="}}"#
            );
            Ok::<_, Error>(LlmResponse::complete(body, None))
        }));
        let body = format!(r#"{{"model":"gpt",{rest}}}"#);
        let request = LlmRequest::from_bytes(operation, body).expect("is valid");
        let answer = stack.oneshot(request).await.expect("one answers");
        let body = answer.bytes().expect("is complete");
        String::from_utf8_lossy(&body[7..9]).into_owned()
    }

    async fn turn(&self, session: &str) -> String {
        let rest = format!(r#""metadata":{{"session_id":"{session}"}}"#);
        self.ask(Operation::ChatCompletions, &rest).await
    }

    async fn signed_by(&self, id: &str) -> String {
        let rest = format!(
            r#""messages":[{{"role":"assistant","content":[{{"type":"thinking","signature":"sig/of/{id}/0123456789=="}}]}}]"#
        );
        self.ask(Operation::ChatCompletions, &rest).await
    }

    async fn after(&self, id: &str) -> String {
        let rest = format!(r#""input":"hi","previous_response_id":"resp_{id}""#);
        self.ask(Operation::Responses, &rest).await
    }

    fn share(&self, log: &MemoryLog) -> impl Future<Output = ()> + use<> {
        self.pins.share(self.deployments.clone(), log.clone())
    }
}

/// Goes through a story while instances share.
async fn sharing(instances: &[&Instance], log: &MemoryLog, story: impl Future<Output = ()>) {
    let drivers = join_all(instances.iter().map(|it| it.share(log)));
    tokio::select! { biased; _ = drivers => {}, () = story => {} }
}

#[tokio::test(start_paused = true)]
async fn sessions_go_where_another_instance_has_sent_them_within_a_second() {
    let log = MemoryLog::new(10_000);
    let (one, other) = (Instance::new(), Instance::new());
    sharing(&[&one, &other], &log, async {
        sleep(SECOND).await;
        let mut went = Vec::new();
        for session in 0..50 {
            went.push(one.turn(&session.to_string()).await);
        }
        sleep(SECOND).await;
        for (session, went) in went.iter().enumerate() {
            assert_eq!(other.turn(&session.to_string()).await, *went);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_only_its_maker_can_read_and_what_goes_on_goes_there_from_every_instance() {
    let log = MemoryLog::new(10_000);
    let (one, other) = (Instance::new(), Instance::new());
    sharing(&[&one, &other], &log, async {
        sleep(SECOND).await;
        let by = one.ask(Operation::Responses, r#""input":"hi""#).await;
        sleep(SECOND).await;
        let mut served = HashSet::new();
        for _ in 0..50 {
            assert_eq!(other.after(&by).await, by);
            served.insert(other.signed_by(&by).await);
        }
        let account = &by[..1];
        let both = [format!("{account}1"), format!("{account}2")];
        assert_eq!(served, both.into(), "any deployment of the account will do");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_starts_later_learns_all_and_so_after_the_log_was_lost() {
    for is_lost in [false, true] {
        let log = MemoryLog::new(10_000);
        let (one, late) = (Instance::new(), Instance::new());
        let mut went = Vec::new();
        sharing(&[&one], &log, async {
            sleep(SECOND).await;
            for session in 0..1_500 {
                went.push(one.turn(&session.to_string()).await);
            }
            sleep(SECOND).await;
            if is_lost {
                log.lose();
                sleep(SECOND).await;
            }
        })
        .await;
        timeout(SECOND, late.share(&log)).await.unwrap_err();
        for (session, went) in went.iter().enumerate() {
            assert_eq!(late.turn(&session.to_string()).await, *went);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_two_have_pinned_the_same_elsewhere_all_go_by_the_last() {
    for seed in 0..10 {
        fastrand::seed(seed);
        let log = MemoryLog::new(10_000);
        let all = [Instance::new(), Instance::new(), Instance::new()];
        let [one, other, third] = &all;
        sharing(&[one, other, third], &log, async {
            sleep(SECOND).await;
            one.turn("s").await;
            other.turn("s").await;
            sleep(SECOND).await;
            let went = one.turn("s").await;
            assert_eq!(other.turn("s").await, went);
            assert_eq!(third.turn("s").await, went);
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_used_again_and_again_is_told_when_half_of_its_time_is_over() {
    let log = MemoryLog::new(10_000);
    let (one, late) = (Instance::new(), Instance::new());
    sharing(&[&one], &log, async {
        sleep(SECOND).await;
        let went = one.turn("s").await;
        sleep(SECOND).await;
        let told = log.len();
        for _ in 0..28 {
            sleep(60 * SECOND).await;
            one.turn("s").await;
        }
        sleep(SECOND).await;
        assert_eq!(log.len(), told, "the session and what was signed are known");
        for _ in 0..5 {
            sleep(60 * SECOND).await;
            one.turn("s").await;
        }
        sleep(SECOND).await;
        assert_eq!(log.len(), told + 1);
        sleep(29 * 60 * SECOND).await;
        sharing(&[&late], &log, sleep(SECOND)).await;
        assert_eq!(late.turn("s").await, went);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_pin_on_what_is_not_listed_here_is_passed_over_and_so_is_what_makes_no_sense() {
    let log = MemoryLog::new(100);
    let one = Instance::new();
    let key = "0".repeat(32);
    let said = [
        "?".to_owned(),
        format!(r#"{{"key":"{key}","id":"z9","left_us":9000000}}"#),
        r#"{"key":"zz","id":"a1","left_us":9000000}"#.to_owned(),
        format!(r#"{{"key":"{key}","id":"a1","left_us":0}}"#),
        format!(r#"{{"key":"{key}","id":"a1","left_us":-5}}"#),
    ];
    let offer = Offer::new(Cursor::default(), 9).entries(said.to_vec());
    log.exchange(offer).await;
    sharing(&[&one], &log, sleep(SECOND)).await;
    assert!(one.pins.is_empty());
    let late = format!(r#"{{"key":"{key}","id":"a1","left_us":18446744073709551615}}"#);
    let last = Offer::new(Cursor::default(), 9).entries(vec![late]);
    log.exchange(last).await;
    sharing(&[&one], &log, sleep(SECOND)).await;
    assert_eq!(one.pins.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_told_says_nothing_of_sessions_and_credentials() {
    let log = MemoryLog::new(100);
    let one = Instance::of([member("a1").with_credential(Secret::new("canary-key"))]);
    sharing(&[&one], &log, async {
        sleep(SECOND).await;
        one.turn("canary-session").await;
        sleep(SECOND).await;
    })
    .await;
    let exchanged = log.exchange(Offer::new(Cursor::default(), 9)).await;
    let said = exchanged.expect("is there").entries;
    assert!(!said.is_empty());
    for told in said {
        assert!(!told.entry.contains("canary"), "{}", told.entry);
    }
}
