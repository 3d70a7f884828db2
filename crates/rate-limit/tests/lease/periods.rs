//! What an instance knows of its own use when one period follows the other.

use tokio::time::{Instant, sleep, sleep_until};
use ziggurat_core::Usage;
use ziggurat_rate_limit::{Actual, Leasing, Limit, Limits, Measure, Period, Settle, Window};

use crate::support::{Instance, MILLI, SECOND, Store, Way, instance, key};

fn a_thousand_a_minute() -> Limits {
    let window = Window::Fixed(Period::Rolling(60 * SECOND));
    Limits::none().with(Limit::new(Measure::Tokens, 1_000, window))
}

fn used(tokens: u64) -> Actual {
    Actual::Complete {
        usage: Usage::new(0, tokens),
        money: None,
    }
}

impl Instance {
    async fn use_up(&self, limits: &Limits, tokens: u64) {
        let mut permit = self.ask(limits, tokens).await.expect("there is room");
        permit.settle(used(tokens));
    }

    fn own(&self) -> u64 {
        self.limiter.used(&key(), Measure::Tokens, Instant::now())
    }
}

#[tokio::test(start_paused = true)]
async fn what_settles_after_the_next_period_began_takes_nothing_from_it() {
    let store = Store::new();
    let [other, instance] = [(); 2].map(|()| instance(&store, Leasing::new()));
    let limits = a_thousand_a_minute();
    // The period begins with another instance, so by its own clock this one is in the midst of it.
    other.use_up(&limits, 1).await;
    sleep(30 * SECOND).await;
    let mut long = instance.ask(&limits, 300).await.expect("there is room");
    let mut longer = instance.ask(&limits, 300).await.expect("there is room");
    sleep(31 * SECOND).await;
    instance.use_up(&limits, 200).await;
    sleep(SECOND).await;
    assert_eq!((instance.own(), store.counts(&limits)[0].0), (200, 200));

    // One needed less than it took, and the other more: that is used now.
    long.settle(used(10));
    assert_eq!(instance.own(), 200);
    longer.settle(used(350));
    assert_eq!(instance.own(), 250);
    sleep(SECOND).await;
    assert_eq!(store.counts(&limits)[0].0, 250);

    // So a store that has lost everything is told what was used.
    store.inner.forget();
    instance.use_up(&limits, 1).await;
    sleep(SECOND).await;
    assert_eq!(store.counts(&limits)[0].0, 251);
}

#[tokio::test(start_paused = true)]
async fn what_was_told_after_the_period_ended_is_of_the_next_one() {
    let store = Store::new();
    let instance = instance(&store, Leasing::new());
    let limits = a_thousand_a_minute();
    let start = Instant::now();
    // So that the last use of the period is told after its end.
    for _ in 0..59 {
        instance.use_up(&limits, 1).await;
        sleep(SECOND).await;
    }
    store.set(Way::Fails);
    sleep_until(start + 59 * SECOND + 900 * MILLI).await;
    instance.use_up(&limits, 5).await;
    let mut long = instance.ask(&limits, 7).await.expect("there is room");
    sleep_until(start + 60 * SECOND + 200 * MILLI).await;
    store.set(Way::Serves(MILLI));
    sleep(SECOND).await;
    let counted = store.counts(&limits)[0].0;
    assert_eq!((counted, instance.own()), (12, 12));
    long.settle(Actual::Unsent);
    sleep(SECOND).await;
    assert_eq!(store.counts(&limits)[0].0, 5);
}
