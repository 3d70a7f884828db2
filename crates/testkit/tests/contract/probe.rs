//! The probe and the watched future by themselves.

use std::{
    future::{pending, poll_fn},
    task::Poll,
    time::Duration,
};

use tower::{Service, ServiceExt};
use ziggurat_core::ErrorKind;
use ziggurat_testkit::contract::{Answer, Ended, Probe, Readiness, Stuck, Watched};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
#[should_panic(expected = "broken law `receiver`")]
async fn a_clone_of_a_ready_probe_is_not_ready() {
    let mut probe = Probe::new();
    ServiceExt::<&str>::ready(&mut probe)
        .await
        .expect("is ready");
    drop(probe.clone().call("hi"));
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "broken law `receiver`")]
async fn readiness_serves_one_call() {
    let mut probe = Probe::new();
    ServiceExt::<&str>::ready(&mut probe)
        .await
        .expect("is ready");
    drop(probe.call("hi"));
    drop(probe.call("hi"));
}

#[tokio::test(start_paused = true)]
async fn a_held_answer_comes_when_it_is_released() {
    let probe = Probe::new().with_answer(Answer::complete().held());
    let mut future = Watched::new(probe.clone().oneshot("hi"));
    assert_eq!(future.within(SECOND).await.err(), Some(Stuck::Silent));
    assert_eq!(probe.live(), 1);
    probe.release();
    assert!(future.is_woken());
    assert!(
        future
            .within(SECOND)
            .await
            .is_ok_and(|answer| answer.is_ok())
    );
    assert_eq!(probe.ends(), [Ended::Complete]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_stream_is_abandoned() {
    let probe = Probe::new().with_answer(Answer::stream(2));
    let response = probe.clone().oneshot("hi").await.expect("answers");
    assert_eq!((probe.live(), probe.ends()), (1, vec![]));
    drop(response);
    assert_eq!((probe.live(), probe.ends()), (0, vec![Ended::Abandoned]));
}

#[tokio::test(start_paused = true)]
async fn readiness_is_what_was_told() {
    let failed = Probe::new().with_readiness(Readiness::Failed(ErrorKind::Connect));
    let error = failed.oneshot("hi").await.expect_err("is not ready");
    assert_eq!(error.kind(), ErrorKind::Connect);

    let mut late = Probe::new().with_readiness(Readiness::Yielding(2));
    let mut ready = Watched::new(poll_fn(|cx| Service::<&str>::poll_ready(&mut late, cx)));
    assert!(ready.within(SECOND).await.is_ok());
    assert_eq!(ready.polls(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_watched_future_is_polled_when_it_is_woken() {
    let mut silent = Watched::new(pending::<()>());
    assert_eq!(silent.within(SECOND).await, Err(Stuck::Silent));
    assert_eq!(silent.within(SECOND).await, Err(Stuck::Silent));
    assert_eq!(silent.polls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_future_that_wakes_itself_for_ever_is_spinning() {
    let mut spinning = Watched::new(poll_fn(|cx| {
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    }));
    assert_eq!(spinning.poll_n(3, SECOND).await, None);
    assert_eq!(spinning.polls(), 3);
    assert_eq!(spinning.within(SECOND).await, Err(Stuck::Spinning));
}
