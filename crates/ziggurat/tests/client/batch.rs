use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use ziggurat::{
    ChatRequest, Client, Error, ErrorKind, HasLedger as _, Item, LlmRequest, LlmResponse,
    client::{Chat, NoneAnswered},
};

use crate::{Stack, chat, client, piece};

const TWO: NonZeroUsize = NonZeroUsize::new(2).expect("is not zero");

/// What runs now, and what ran.
#[derive(Clone, Default)]
struct Seen {
    running: Arc<AtomicUsize>,
    peak: Arc<AtomicUsize>,
    groups: Arc<Mutex<Vec<String>>>,
}

/// Runs until it is dropped.
struct Running(Seen);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
    }
}

impl Seen {
    fn begin(&self, group: &str) -> Running {
        let running = self.running.fetch_add(1, SeqCst) + 1;
        self.peak.fetch_max(running, SeqCst);
        self.groups.lock().push(group.to_owned());
        Running(self.clone())
    }

    fn running(&self) -> usize {
        self.running.load(SeqCst)
    }
}

/// A leaf that takes as many seconds as the number in the group says; with `!` it fails then.
fn timed(seen: &Seen) -> Client<Stack> {
    let seen = seen.clone();
    client(move |request: LlmRequest| {
        let group = request.group().as_str().to_owned();
        let running = seen.begin(&group);
        async move {
            let _running = running;
            let seconds = group.trim_end_matches('!').parse().expect("is a number");
            sleep(Duration::from_secs(seconds)).await;
            match group.ends_with('!') {
                true => Err(Error::new(
                    ErrorKind::Unavailable,
                    format!("{group} is down"),
                )),
                false => Ok(chat(&group)),
            }
        }
    })
}

fn request(model: &str) -> ChatRequest {
    ChatRequest::new(model).user("hi")
}

#[tokio::test(start_paused = true)]
async fn many_are_answered_in_their_order_and_a_failure_hurts_no_other() {
    let seen = Seen::default();
    let requests = ["3", "1!", "2", "1"].map(request);
    let answers = timed(&seen).many::<Chat, _>(requests, TWO);
    assert!(
        seen.groups.lock().is_empty(),
        "nothing is sent before it is read"
    );
    let answers: Vec<_> = answers.collect().await;
    let told = answers.iter().map(|answer| match answer {
        Ok(answer) => answer.text().to_owned(),
        Err(error) => error.message().to_owned(),
    });
    assert_eq!(told.collect::<Vec<_>>(), ["3", "1! is down", "2", "1"]);
    assert_eq!((seen.peak.load(SeqCst), seen.running()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_sent_is_a_failure_among_many() {
    let requests = [
        serde_json::json!({"messages": []}),
        serde_json::json!({"model": "1"}),
    ];
    let client = timed(&Seen::default());
    let answers: Vec<_> = client.many::<Chat, _>(&requests, TWO).collect().await;
    assert_eq!(
        answers[0].as_ref().expect_err("has no model").kind(),
        ErrorKind::BadRequest
    );
    assert_eq!(answers[1].as_ref().expect("is fine").text(), "1");
}

#[tokio::test(start_paused = true)]
async fn dropping_many_hangs_up_on_those_that_run() {
    let seen = Seen::default();
    let mut answers =
        Box::pin(timed(&seen).many::<Chat, _>(["1", "9", "9", "9"].map(request), TWO));
    assert!(answers.next().await.expect("is one").is_ok());
    assert_eq!(seen.running(), 1);
    drop(answers);
    assert_eq!((seen.running(), seen.groups.lock().len()), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn each_group_is_asked_at_once_and_answers_for_itself() {
    let seen = Seen::default();
    let begun = Instant::now();
    let answers = timed(&seen)
        .each_group::<Chat, _>(&request("x"), ["3", "2!", "1", "1"])
        .await;
    assert_eq!(begun.elapsed().as_secs(), 3);
    let told: Vec<_> = answers
        .iter()
        .map(|(group, answer)| (*group, answer.as_ref().ok().map(|answer| answer.text())))
        .collect();
    assert_eq!(
        told,
        [
            ("3", Some("3")),
            ("2!", None),
            ("1", Some("1")),
            ("1", Some("1"))
        ]
    );
    assert_eq!(seen.peak.load(SeqCst), 4);

    let bad = serde_json::json!({"messages": []});
    let answers = timed(&seen).each_group::<Chat, _>(&bad, ["1", "2"]).await;
    assert!(
        answers
            .iter()
            .all(|(_, answer)| answer.as_ref().is_err_and(|e| e.param() == Some("model")))
    );
}

#[tokio::test(start_paused = true)]
async fn each_group_has_attempts_of_its_own() {
    let client = client(async |request: LlmRequest| {
        let ledger = request.ledger().expect("has one");
        let left = ledger.attempts_left();
        ledger.set_attempts(0);
        Ok(chat(&left.to_string()))
    });
    let answers = client
        .each_group::<Chat, _>(&request("x"), ["a", "b", "c"])
        .await;
    let default = ziggurat::DEFAULT_ATTEMPTS.to_string();
    assert!(
        answers
            .iter()
            .all(|(_, answer)| answer.as_ref().is_ok_and(|it| it.text() == default))
    );
}

#[tokio::test(start_paused = true)]
async fn the_fastest_answer_wins_and_the_others_are_hung_up_on_at_once() {
    let seen = Seen::default();
    let begun = Instant::now();
    let answer = timed(&seen)
        .fastest::<Chat>(&request("x"), ["9", "1!", "2", "5"])
        .await;
    assert_eq!(answer.expect("one answers").text(), "2");
    assert_eq!(begun.elapsed().as_secs(), 2);
    assert_eq!((seen.peak.load(SeqCst), seen.running()), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn if_none_answers_each_failure_is_told() {
    let client = timed(&Seen::default());
    let error = client
        .fastest::<Chat>(&request("x"), ["3!", "1!", "2!"])
        .await;
    let error = error.expect_err("none answers");
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Unavailable, "3! is down")
    );
    let failures = NoneAnswered::of(&error).expect("is its source").failures();
    let told: Vec<_> = failures
        .iter()
        .map(|(group, error)| (group.as_str(), error.message()))
        .collect();
    assert_eq!(
        told,
        [
            ("3!", "3! is down"),
            ("1!", "1! is down"),
            ("2!", "2! is down")
        ]
    );

    let error = client
        .fastest::<Chat>(&request("x"), [""; 0])
        .await
        .expect_err("there is none");
    assert_eq!(error.kind(), ErrorKind::BadRequest);
}

#[tokio::test(start_paused = true)]
async fn the_first_stream_to_begin_wins() {
    let seen = Seen::default();
    let client = {
        let seen = seen.clone();
        client(move |request: LlmRequest| {
            let group = request.group().as_str().to_owned();
            let running = seen.begin(&group);
            async move {
                assert!(request.is_stream());
                sleep(Duration::from_secs(group.parse().expect("is a number"))).await;
                let items = stream::once(async move {
                    let _running = running;
                    let bytes = piece(&serde_json::json!({"content": group}), Some("stop")).into();
                    Ok(Item {
                        bytes,
                        events: 1,
                        ..Item::default()
                    })
                });
                Ok(LlmResponse::stream(Box::pin(items)))
            }
        })
    };
    let stream = client
        .fastest_stream(&request("x"), ["3", "1", "2"])
        .await
        .expect("begins");
    assert_eq!(seen.running(), 1);
    assert_eq!(stream.into_answer().await.expect("is whole").text(), "1");
    assert_eq!(seen.running(), 0);
}

#[test]
fn what_runs_can_go_to_another_thread() {
    fn sent<T: Send>(_: T) {}
    let client = client(async |_| Ok(chat("hi")));
    let chat = request("x");
    sent(client.chat(&chat));
    sent(client.chat_stream(&chat));
    sent(client.many::<Chat, _>([chat.clone()], TWO));
    sent(client.each_group::<Chat, _>(&chat, ["a"]));
    sent(client.fastest::<Chat>(&chat, ["a"]));
    sent(client.fastest_stream(&chat, ["a"]));
}
