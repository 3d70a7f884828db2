//! Who is told when a limit is nearly used up, and when it is.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::advance;
use ziggurat_core::{Money, Usage};
use ziggurat_rate_limit::{
    Actual, Charges, Cost, Crossing, Level, Limit, LimitKey, Limiter, Limits, Measure,
    MemoryLimiter, Period, Rate, Settle, Window, nanodollars,
};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Crossing>>>);

impl Told {
    fn take(&self) -> Vec<(Level, u64)> {
        let told = std::mem::take(&mut *self.0.lock());
        told.iter().map(|it| (it.level, it.used)).collect()
    }
}

fn limiter() -> (MemoryLimiter, Told) {
    let told = Told::default();
    let sink = told.clone();
    let limiter = MemoryLimiter::new().with_sink(move |crossing: &Crossing| {
        assert_eq!(crossing.key, LimitKey::tenant("alice"));
        sink.0.lock().push(crossing.clone());
    });
    (limiter, told)
}

fn dollars(amount: f64) -> Money {
    Money::from_dollars(amount).expect("is an amount")
}

/// Sends a request that costs so much in the end; says whether it was let in.
fn spend(limiter: &MemoryLimiter, limit: Limit, amount: f64) -> bool {
    let charges = Charges::none()
        .on(LimitKey::tenant("alice"), Limits::none().with(limit))
        .with_cost(Cost::default().with_money(Money::ZERO));
    match limiter.acquire(&charges).into_inner() {
        Ok(mut permit) => {
            permit.settle(Actual::Complete {
                usage: Usage::new(1, 1),
                money: Some(dollars(amount)),
            });
            true
        }
        Err(_) => false,
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_is_told_to_be_near_and_spent_once_in_its_period() {
    let (limiter, told) = limiter();
    let cents = |n: u64| n * 10_000_000;
    let window = Window::Fixed(Period::Rolling(60 * SECOND));
    let limit = Limit::new(Measure::Money, nanodollars(dollars(1.0)), window);
    let limit = limit.with_soft(cents(80));
    for _ in 0..2 {
        assert!(spend(&limiter, limit, 0.7));
        assert_eq!(told.take(), []);
        assert!(spend(&limiter, limit, 0.2));
        assert_eq!(told.take(), [(Level::Near, cents(90))]);
        assert!(spend(&limiter, limit, 0.05));
        assert_eq!(told.take(), []);
        assert!(spend(&limiter, limit, 0.2));
        assert_eq!(told.take(), [(Level::Full, cents(115))]);
        for _ in 0..3 {
            assert!(!spend(&limiter, limit, 0.2));
        }
        assert_eq!(told.take(), []);
        advance(60 * SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_told_to_be_used_up_once_a_window_however_many_are_refused() {
    let (limiter, told) = limiter();
    let limit = Rate::per_minute(2).of(Measure::Requests);
    let refused = (0..100).filter(|_| !spend(&limiter, limit, 0.0)).count();
    assert_eq!(refused, 98);
    assert_eq!(told.take(), [(Level::Full, 2)]);
    advance(60 * SECOND).await;
    assert!(spend(&limiter, limit, 0.0) && spend(&limiter, limit, 0.0));
    assert_eq!(told.take(), [(Level::Full, 2)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_reserved_and_given_back_is_told_to_nobody() {
    let (limiter, told) = limiter();
    let charges = Charges::none().on(
        LimitKey::tenant("alice"),
        Limits::none().with_tokens(Rate::per_minute(10)),
    );
    let charges = charges.with_cost(Cost::new(10, Some(10)));
    drop(limiter.acquire(&charges).into_inner().expect("fits"));
    assert_eq!(told.take(), []);
}
