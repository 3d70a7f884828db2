use std::{collections::VecDeque, convert::Infallible};

use futures_util::FutureExt as _;
use http::HeaderValue;
use http_body::{Frame, SizeHint};
use http_body_util::Full;

use super::*;

/// A body that comes piece by piece: with a pause before each piece, or without.
struct Slow {
    pieces: VecDeque<Bytes>,
    every: Duration,
    pause: Pin<Box<Sleep>>,
    announced: u64,
    taken: usize,
}

impl Slow {
    fn new(pieces: usize, length: usize, every: Duration) -> Self {
        Self {
            pieces: (0..pieces)
                .map(|_| Bytes::from(vec![b'x'; length]))
                .collect(),
            every,
            pause: Box::pin(tokio::time::sleep(every)),
            announced: 0,
            taken: 0,
        }
    }

    fn announcing(mut self, bytes: u64) -> Self {
        self.announced = bytes;
        self
    }
}

impl Body for Slow {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !self.every.is_zero() {
            ready!(self.pause.as_mut().poll(cx));
            let next = Instant::now() + self.every;
            self.pause.as_mut().reset(next);
        }
        self.taken += 1;
        Poll::Ready(self.pieces.pop_front().map(|it| Ok(Frame::data(it))))
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::default();
        hint.set_lower(self.announced);
        hint
    }
}

fn bounds(budget: &ByteBudget) -> Bounds {
    Bounds {
        longest: 1 << 20,
        budget: Some(budget.clone()),
        time: Some(Duration::from_secs(30)),
        rank: Rank::default(),
    }
}

fn reading<B: Body>(body: B, bounds: Bounds) -> Reading<B> {
    Reading::new(body, &HeaderMap::new(), bounds)
}

fn code(error: &Error) -> (u16, &str) {
    (error.status().as_u16(), error.code())
}

#[tokio::test]
async fn a_body_counts_from_its_announcement_to_its_last_clone() {
    let budget = ByteBudget::new(100);
    let never = Duration::from_secs(1_000_000);
    let mut waits = Box::pin(reading(
        Slow::new(1, 60, never).announcing(60),
        bounds(&budget),
    ));
    assert!(waits.as_mut().now_or_never().is_none());
    assert_eq!(budget.used(), 60, "nothing of it has come");
    drop(waits);
    assert_eq!(budget.used(), 0, "its client hung up");

    let body = reading(Full::from("x".repeat(60)), bounds(&budget)).await;
    let body = body.expect("there is room");
    let clone = body.clone();
    drop(body);
    assert_eq!(budget.used(), 60);
    drop(clone);
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn what_announces_nothing_counts_as_it_comes() {
    let budget = ByteBudget::new(100);
    let other = budget.reserve(50).expect("there is room");
    let pieces = |count| Slow::new(count, 10, Duration::ZERO);
    let body = reading(pieces(5), bounds(&budget))
        .await
        .expect("there is room");
    assert_eq!((body.len(), budget.used()), (50, 100));
    drop(body);
    let error = reading(pieces(6), bounds(&budget)).await;
    assert_eq!(
        code(&error.expect_err("is refused")),
        (503, "no_room_for_body")
    );
    drop(other);
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn one_without_room_is_thrown_away_unless_its_client_waits_for_leave() {
    let budget = ByteBudget::new(100);
    let other = budget.reserve(95).expect("there is room");
    let mut whole = Slow::new(3, 10, Duration::ZERO).announcing(30);
    let refused = reading(&mut whole, bounds(&budget)).await;
    let refused = refused.expect_err("is refused");
    assert!(
        refused.retry_after().is_some(),
        "it says when to come again"
    );
    assert_eq!((whole.taken, budget.used()), (4, 95), "read to its end");

    let mut asks = HeaderMap::new();
    asks.insert(EXPECT, HeaderValue::from_static("100-continue"));
    let mut unsent = Slow::new(3, 10, Duration::ZERO).announcing(30);
    let refused = Reading::new(&mut unsent, &asks, bounds(&budget)).await;
    assert_eq!(
        code(&refused.expect_err("is refused")),
        (503, "no_room_for_body")
    );
    assert_eq!(unsent.taken, 0);
    drop(other);
}

#[tokio::test]
async fn one_that_could_never_fit_is_too_large() {
    let budget = ByteBudget::new(100);
    for body in [
        Slow::new(0, 0, Duration::ZERO).announcing(101),
        Slow::new(11, 10, Duration::ZERO),
    ] {
        let error = reading(body, bounds(&budget))
            .await
            .expect_err("is refused");
        assert_eq!(code(&error), (413, "body_too_large"));
    }
    assert_eq!(budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_trickles_ends_and_one_that_flows_does_not() {
    let budget = ByteBudget::new(2 << 20);
    let began = Instant::now();
    let trickles = Slow::new(1_000, 1, Duration::from_secs(1));
    let error = reading(trickles, bounds(&budget))
        .await
        .expect_err("is too slow");
    assert_eq!(code(&error), (408, "body_timeout"));
    assert_eq!(began.elapsed().as_secs(), 30);
    assert_eq!(budget.used(), 0);

    let silent = Slow::new(1, 1, Duration::from_secs(1_000));
    let error = reading(silent, bounds(&budget))
        .await
        .expect_err("is too slow");
    assert_eq!(error.status(), StatusCode::REQUEST_TIMEOUT);

    // Each piece earns two seconds, and takes one and a half.
    let (began, pieces) = (Instant::now(), 1 << 5);
    let flows = Slow::new(pieces, 32 * 1024, Duration::from_millis(1_500));
    let flowed = reading(flows, bounds(&budget))
        .await
        .expect("is fast enough");
    assert_eq!(flowed.len(), 1 << 20);
    assert!(
        began.elapsed() > Duration::from_secs(45),
        "longer than one that is still"
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_is_refused_keeps_nobody_for_longer() {
    let budget = ByteBudget::new(10);
    let held = budget.reserve(10).expect("there is room");
    let began = Instant::now();
    let trickles = Slow::new(9, 1, Duration::from_secs(10));
    let error = reading(trickles, bounds(&budget))
        .await
        .expect_err("is refused");
    assert_eq!(code(&error), (503, "no_room_for_body"));
    assert_eq!(began.elapsed().as_secs(), 30);
    drop(held);
}
