use std::time::Duration;

use smallvec::SmallVec;
use ziggurat_core::Param;

use crate::{Awaits, Candidates, Strategy, Track, candidates::FEW, least::Least, measure::STALE};

const TTL: Duration = Duration::from_secs(3_600);
const LIST: usize = 10;

/// The share of the requests that go to deployments of which nothing new is known.
const EXPLORE: f32 = 0.1;

/// And how many attempts may be in flight at one such deployment, if that is not below the mean.
const EXPLORERS: f32 = 2.0;

/// How many answers it takes until a deployment is known: one may be slow by chance.
const ENOUGH: u32 = 4;

/// How many times the mean of what is in flight a deployment may have before its latency counts
/// for more.
const CROWDED: f32 = 1.25;

/// Picks the deployment that has been the quickest of late: `latency-based-routing`.
///
/// What counts is what the caller waits for ([`Awaits`]): the seconds to the first token of a
/// stream, the seconds for each output token of a text in one piece, else the seconds of the whole.
/// It is the mean of the latest answers, and is divided by the share of the attempts that succeeded.
/// Any deployment that is within the [buffer](Self::lowest_latency_buffer) of the quickest is
/// picked with equal probability, and one that has just failed only where no other is left.
///
/// A deployment of which fewer than four answers are known, or none of the last minute, is
/// [explored](Self::explore): a tenth of the requests may go to such ones, and to each only while it
/// has less in flight than two, or than the mean. So a slow one does little harm and one that has
/// recovered is found: its first new answer takes the place of all that is older than a minute.
///
/// That the quickest gets all requests is what it is for, and lets a burst overrun it. So one that
/// has more than 1.25 times the mean of the attempts in flight counts as slower in proportion.
/// Without a buffer, chance decides which of several that are alike is the quickest for a while;
/// allow one as large as what their latencies vary by.
///
/// It keeps a list of latencies for each deployment, whose summary is made when an answer ends. It
/// looks at all deployments of a group of up to 64, and is the best of a sample of 12 in a larger
/// one. Use it where deployments differ in speed for long; where speed changes with load,
/// [`P2c`](crate::P2c) and [`Prequal`](crate::Prequal) react sooner.
///
/// # Differences from LiteLLM
///
/// A failure of any kind counts, not only a timeout. The units are never compared with each other.
/// A new deployment has no latency of zero that would attract all requests.
#[derive(Clone, Copy, Debug)]
pub struct LatencyBased {
    ttl: Duration,
    buffer: f32,
    list: usize,
    ttft_percentile: Option<f64>,
    explore: f32,
}

impl LatencyBased {
    /// With the mean of the latest ten latencies, each for an hour, and no buffer.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            ttl: TTL,
            buffer: 0.0,
            list: LIST,
            ttft_percentile: None,
            explore: EXPLORE,
        }
    }

    /// Forgets latencies after that time.
    #[must_use]
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Treats those alike that are slower than the quickest by no more than this part of its
    /// latency. One below zero counts as zero.
    #[must_use]
    pub const fn lowest_latency_buffer(mut self, part: f64) -> Self {
        self.buffer = if part > 0.0 { part as f32 } else { 0.0 };
        self
    }

    /// Keeps so many latencies of each deployment, at least one and at most 1,000.
    #[must_use]
    pub const fn max_latency_list_size(mut self, latencies: usize) -> Self {
        self.list = if latencies > 0 { latencies } else { 1 };
        self
    }

    /// Takes, instead of the mean, the time to the first token that this part of the streams does
    /// not exceed. One that is not over 0 and at most 1 is ignored.
    #[must_use]
    pub const fn ttft_percentile(mut self, part: f64) -> Self {
        self.ttft_percentile = Some(part);
        self
    }

    /// Lets that part of the requests, at most, go to deployments of which nothing new is known.
    #[must_use]
    pub const fn explore(mut self, part: f64) -> Self {
        self.explore = part as f32;
        self
    }

    /// Of those of which little or nothing new is known, the one with the fewest attempts in flight.
    fn explored(&self, some: &[Known], mean: f32) -> Option<usize> {
        let (ttl, most) = (self.ttl.as_secs(), EXPLORERS.max(mean));
        let mut least = Least::default();
        for member in some {
            let age = ttl.saturating_sub(member.holds);
            let is_new = member.samples < self.list.min(ENOUGH as usize) as u32 || age > STALE;
            if is_new && (member.in_flight as f32) < most {
                least.offer(member.index, member.in_flight.into());
            }
        }
        least.index()
    }
}

/// What is known of a member.
#[derive(Clone, Copy, Debug)]
struct Known {
    index: usize,
    in_flight: u32,
    /// Infinite if it is not known.
    seconds: f32,
    /// For how many more seconds that holds.
    holds: u64,
    samples: u32,
}

impl Default for LatencyBased {
    fn default() -> Self {
        Self::new()
    }
}

impl<R: Param<Awaits>> Strategy<R> for LatencyBased {
    fn pick(&self, request: &R, candidates: &Candidates<'_>) -> Option<usize> {
        let unit: Awaits = request.param();
        let mut some: SmallVec<[Known; FEW]> = SmallVec::new();
        let mut all_in_flight = 0;
        candidates.each_of_some(FEW, |candidate| {
            let summary = candidate.summary(unit);
            let in_flight = candidate.in_flight();
            all_in_flight += in_flight;
            some.push(Known {
                index: candidate.index(),
                in_flight,
                seconds: summary.map_or(f32::INFINITY, |summary| summary.seconds),
                holds: summary.map_or(0, |summary| summary.holds),
                samples: summary.map_or(0, |summary| summary.samples),
            });
        });
        let mean = all_in_flight as f32 / some.len() as f32;
        if fastrand::f32() < self.explore
            && let Some(index) = self.explored(&some, mean)
        {
            return Some(index);
        }
        let crowd = CROWDED * (mean + 1.0);
        let mut lowest = f32::INFINITY;
        for member in &mut some {
            let crowded = (member.in_flight as f32 + 1.0) / crowd;
            member.seconds *= crowded.max(1.0);
            lowest = lowest.min(member.seconds);
        }
        let bound = lowest * (1.0 + self.buffer);
        let mut best = Least::default();
        for member in &some {
            let score = if lowest.is_infinite() {
                member.in_flight.into()
            } else {
                u64::from(member.seconds > bound)
            };
            best.offer(member.index, score);
        }
        best.index()
    }

    fn track(&self, _: &str) -> Track {
        let track = Track::default().latencies(self.list, self.ttl);
        match self.ttft_percentile {
            Some(part) => track.quantile(Awaits::FirstToken, part),
            None => track,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Strategy, bits::Bits, strategy::testing::Members};

    struct Asks(Awaits);

    impl Param<Awaits> for Asks {
        fn param(&self) -> Awaits {
            self.0
        }
    }

    fn answer(members: &Members, index: usize, unit: Awaits, seconds: f32) {
        let track = Strategy::<Asks>::track(&LatencyBased::new(), "g");
        let cell = members.cell(index);
        for _ in 0..ENOUGH {
            cell.gauges().latencies.add(&track, unit, seconds, 0);
        }
    }

    fn pick_at(strategy: LatencyBased, members: &Members, unit: Awaits, now: u64) -> Option<usize> {
        let closed = Bits::default();
        strategy.pick(&Asks(unit), &members.candidates_at(&closed, now))
    }

    fn pick(strategy: LatencyBased, members: &Members) -> Option<usize> {
        pick_at(strategy, members, Awaits::Tokens, 0)
    }

    #[test]
    fn the_quickest_in_the_unit_that_is_waited_for_wins() {
        let members = Members::new(2);
        for (index, first, token) in [(0, 0.2, 0.5), (1, 0.9, 0.1)] {
            answer(&members, index, Awaits::FirstToken, first);
            answer(&members, index, Awaits::Tokens, token);
        }
        let strategy = LatencyBased::new();
        for _ in 0..20 {
            assert_eq!(pick_at(strategy, &members, Awaits::FirstToken, 0), Some(0));
            assert_eq!(pick_at(strategy, &members, Awaits::Tokens, 0), Some(1));
        }
    }

    #[test]
    fn all_within_the_buffer_are_picked_as_often() {
        fastrand::seed(11);
        let members = Members::new(4);
        for (index, seconds) in [1.0, 1.2, 1.3, 1.1].into_iter().enumerate() {
            answer(&members, index, Awaits::Tokens, seconds);
        }
        let strategy = LatencyBased::new().lowest_latency_buffer(0.25);
        members.assert_shares(9_000, || pick(strategy, &members), &[1.0, 1.0, 0.0, 1.0]);
    }

    #[test]
    fn new_ones_get_a_tenth_of_the_requests_while_they_have_little_in_flight() {
        fastrand::seed(12);
        let members = Members::new(3);
        answer(&members, 0, Awaits::Tokens, 1.0);
        let strategy = LatencyBased::new();
        members.assert_shares(20_000, || pick(strategy, &members), &[0.9, 0.05, 0.05]);
        members.load(1, 2);
        members.load(2, 2);
        members.assert_shares(1_000, || pick(strategy, &members), &[1.0, 0.0, 0.0]);
        members.load(0, 5);
        members.assert_shares(10_000, || pick(strategy, &members), &[0.9, 0.05, 0.05]);
    }

    #[test]
    fn one_slow_answer_does_not_keep_a_new_one_out() {
        fastrand::seed(18);
        let members = Members::new(2);
        answer(&members, 0, Awaits::Tokens, 1.0);
        let track = Strategy::<Asks>::track(&LatencyBased::new(), "g");
        let cell = members.cell(1);
        cell.gauges().latencies.add(&track, Awaits::Tokens, 9.0, 0);
        let pick = || pick(LatencyBased::new(), &members);
        members.assert_shares(10_000, pick, &[0.9, 0.1]);
    }

    #[test]
    fn where_none_is_known_load_is_spread() {
        let members = Members::new(3);
        members.load(0, 2);
        members.load(2, 1);
        let strategy = LatencyBased::new().explore(0.0);
        assert_eq!(pick(strategy, &members), Some(1));
    }

    #[test]
    fn one_that_was_slow_long_ago_is_asked_again() {
        fastrand::seed(13);
        let members = Members::new(2);
        answer(&members, 0, Awaits::Tokens, 1.0);
        answer(&members, 1, Awaits::Tokens, 9.0);
        let strategy = LatencyBased::new();
        let pick = |now| pick_at(strategy, &members, Awaits::Tokens, now);
        members.assert_shares(1_000, || pick(59_000), &[1.0, 0.0]);
        members.assert_shares(10_000, || pick(61_000), &[0.95, 0.05]);
    }

    #[test]
    fn a_burst_does_not_all_go_to_the_quickest() {
        let members = Members::new(2);
        answer(&members, 0, Awaits::Tokens, 1.0);
        answer(&members, 1, Awaits::Tokens, 1.2);
        for _ in 0..100 {
            let picked = pick(LatencyBased::new(), &members).expect("one is picked");
            members.load(picked, 1);
        }
        let second = members.cell(1).load().see().in_flight();
        assert!((10..50).contains(&second), "{second}");
    }

    proptest! {
        #[test]
        fn the_pick_is_one_within_the_buffer_of_the_least(
            given in prop::collection::vec(prop::option::of(0.01..9.0_f32), 1..20),
            buffer in 0.0..1.0_f64,
        ) {
            let members = Members::new(given.len());
            for (index, seconds) in given.iter().enumerate() {
                if let Some(seconds) = seconds {
                    answer(&members, index, Awaits::Tokens, *seconds);
                }
            }
            let strategy = LatencyBased::new().lowest_latency_buffer(buffer).explore(0.0);
            let picked = given[pick(strategy, &members).expect("one is picked")];
            let lowest = given.iter().flatten().copied().reduce(f32::min);
            prop_assert_eq!(picked.is_some(), lowest.is_some());
            if let (Some(picked), Some(lowest)) = (picked, lowest) {
                prop_assert!(picked <= lowest * (1.0 + buffer as f32) * 1.000_01);
            }
        }
    }
}
