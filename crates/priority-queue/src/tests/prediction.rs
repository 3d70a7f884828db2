//! Predicted waits and real ones.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::Instant;

use super::crowd::{Crowd, claim, weighing};
use crate::{Claim, Rules};

/// Uniform between 0 and 1, the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// What is short four times of five, and long the fifth.
    fn mixed(&mut self) -> Duration {
        let mean = if self.next() < 0.8 { 1.0 } else { 8.0 };
        Duration::from_secs_f64(mean * (0.5 + self.next()))
    }
}

/// Of those who waited for ten seconds or more, the mean of the predicted and of the real waits in
/// seconds, and how far the first are from the second on average.
fn simulate(capacity: usize, every: Duration, next: impl Fn(usize) -> Claim) -> (f64, f64, f64) {
    const COME: usize = 6_000;
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut crowd = Crowd::new(capacity, Rules::new().max_waiting(usize::MAX));
    let mut ends: BTreeSet<(Instant, usize)> = BTreeSet::new();
    let mut predicted = vec![None; COME];
    let mut came = Vec::new();
    let mut waits = Vec::new();
    let (mut seen, mut arrival) = (0, crowd.now);
    loop {
        // What happens next: somebody's end, or the next one comes.
        let end = ends.first().map(|(at, _)| *at);
        if came.len() < COME && end.is_none_or(|end| arrival <= end) {
            crowd.now = arrival;
            // Now a burst, now a lull: the queue grows and shrinks.
            let pace = if came.len() / 500 % 2 == 0 { 0.6 } else { 1.5 };
            arrival += every.mul_f64(pace * 2.0 * random.next());
            let number = crowd.comes(&next(came.len())).expect("has room");
            came.push(crowd.now);
            predicted[number] = crowd.turn_at(number);
        } else if let Some((at, number)) = ends.pop_first() {
            crowd.now = at;
            crowd.ends(number);
        } else {
            break;
        }
        for number in &crowd.went[seen..] {
            ends.insert((crowd.now + random.mixed(), *number));
            if let Some(predicted) = predicted[*number] {
                let waits_for = crowd.now - came[*number];
                waits.push((predicted - came[*number], waits_for));
            }
        }
        seen = crowd.went.len();
    }
    // The first turns teach how long turns are.
    let waits = waits
        .iter()
        .skip(200)
        .filter(|(_, real)| real.as_secs() >= 10);
    let waits: Vec<_> = waits
        .map(|(it, real)| (it.as_secs_f64(), real.as_secs_f64()))
        .collect();
    assert!(waits.len() > 1_000, "{} waited", waits.len());
    let count = waits.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| waits.iter().map(of).sum::<f64>() / count;
    (
        mean(|it| it.0),
        mean(|it| it.1),
        mean(|(predicted, real)| (predicted - real).abs() / real),
    )
}

fn assert_close((predicted, real, off): (f64, f64, f64)) {
    assert!(
        (predicted / real - 1.0).abs() < 0.2 && off < 0.2,
        "predicted {predicted:.1} s, were {real:.1} s, off by {:.0} %",
        off * 100.0
    );
}

const TENTH: Duration = Duration::from_millis(100);

#[test]
fn predicted_waits_are_within_a_fifth_of_the_real_ones_over_mixed_times_of_service() {
    // Ten turns of 2.4 seconds each end every quarter of a second.
    assert_close(simulate(10, TENTH * 24 / 10, |_| claim(0)));
    assert_close(simulate(30, TENTH * 8 / 10, |_| claim(0)));
}

#[test]
fn they_are_so_for_tenants_that_share() {
    assert_close(simulate(10, TENTH * 24 / 10, |number| match number % 3 {
        0 => weighing("b", 1),
        _ => weighing("a", 2),
    }));
}

#[test]
fn they_are_so_for_requests_of_different_cost() {
    assert_close(simulate(40, TENTH * 24 / 10, |number| {
        claim(0).with_cost([2, 4, 6][number % 3])
    }));
}
