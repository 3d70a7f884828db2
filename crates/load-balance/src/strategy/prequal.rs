use std::time::Duration;

use smallvec::SmallVec;
use ziggurat_core::Param;

use crate::{Awaits, Candidates, Strategy, Track, candidates::FEW, least::Least};

/// Up to how many members all are looked at: as many as the paper keeps probes.
const POOL: usize = 16;

const QUANTILE: f64 = 0.84;
const LIST: usize = 16;
const TTL: Duration = Duration::from_secs(10);

/// Picks, among those that are not busier than most, the one that answers soonest: `prequal`.
///
/// Of the deployments of a group of up to 16, else of 12 drawn at random, those with more attempts
/// in flight than the 0.84 quantile are *hot* and left out. Of the others the one of the lowest latency is picked,
/// by the median of the latest answers in what the caller waits for ([`Awaits`]); of several the one
/// with the fewest in flight. One that has just failed is picked only where no other is left. One of
/// which nothing is known of the last ten seconds is tried while nothing is in flight there.
///
/// What is in flight tells at once that a deployment slows down, and latency tells the quick from
/// the slow; so it keeps the tail short where load is high and deployments differ. It keeps a list
/// of latencies for each deployment, and takes a constant time, whatever their number.
///
/// Source: Wydrowski, Kleinberg, Rumble, Archer, *Load is not what you should balance: Introducing
/// Prequal* (NSDI 2024). The paper probes servers for what is in flight there and their latency; a
/// provider cannot be probed, so this looks at what this process has sent and seen. The quantile
/// counts whole members and is rounded down, so that in a group of two or three the busiest is hot.
///
/// LiteLLM has no such strategy.
#[derive(Clone, Copy, Debug)]
pub struct Prequal {
    quantile: f64,
    ttl: Duration,
}

impl Prequal {
    /// With the quantile of the paper, and what was seen in the last ten seconds.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            quantile: QUANTILE,
            ttl: TTL,
        }
    }

    /// Takes those for hot that have more in flight than this part of the deployments. With 0 it is
    /// what is in flight alone that decides; with 1, latency alone.
    #[must_use]
    pub const fn quantile(mut self, part: f64) -> Self {
        self.quantile = part;
        self
    }

    /// Forgets latencies after that time.
    #[must_use]
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// The most that one may have in flight without being hot.
    fn limit(&self, some: &[Known]) -> u32 {
        let mut in_flight: SmallVec<[u32; FEW]> =
            some.iter().map(|member| member.in_flight).collect();
        let last = in_flight.len().saturating_sub(1);
        let rank = (self.quantile * last as f64) as usize;
        if in_flight.is_empty() {
            return 0;
        }
        *in_flight.select_nth_unstable(rank.min(last)).1
    }
}

/// What is known of a member.
#[derive(Clone, Copy, Debug)]
struct Known {
    index: usize,
    in_flight: u32,
    seconds: f32,
}

impl Default for Prequal {
    fn default() -> Self {
        Self::new()
    }
}

impl<R: Param<Awaits>> Strategy<R> for Prequal {
    fn pick(&self, request: &R, candidates: &Candidates<'_>) -> Option<usize> {
        let unit: Awaits = request.param();
        let mut some: SmallVec<[Known; FEW]> = SmallVec::new();
        candidates.each_of_some(POOL, |candidate| {
            let in_flight = candidate.in_flight();
            let seconds = match candidate.latency(unit) {
                Some(seconds) => seconds,
                None if in_flight == 0 => 0.0,
                None => f32::MAX,
            };
            some.push(Known {
                index: candidate.index(),
                in_flight,
                seconds,
            });
        });
        let limit = self.limit(&some);
        let mut best = Least::default();
        for member in some.iter().filter(|member| member.in_flight <= limit) {
            let seconds = u64::from(member.seconds.to_bits());
            best.offer(member.index, seconds << 32 | u64::from(member.in_flight));
        }
        best.index()
    }

    fn track(&self, _: &str) -> Track {
        [Awaits::FirstToken, Awaits::Tokens, Awaits::Answer]
            .into_iter()
            .fold(Track::default().latencies(LIST, self.ttl), |track, unit| {
                track.quantile(unit, 0.5)
            })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Strategy, bits::Bits, strategy::testing::Members};

    struct Asks;

    impl Param<Awaits> for Asks {
        fn param(&self) -> Awaits {
            Awaits::FirstToken
        }
    }

    fn members(given: &[(u32, Option<f32>)]) -> Members {
        let members = Members::new(given.len());
        let track = Strategy::<Asks>::track(&Prequal::new(), "g");
        for (index, (in_flight, seconds)) in given.iter().enumerate() {
            members.load(index, *in_flight);
            if let Some(seconds) = seconds {
                let cell = members.cell(index);
                let latencies = &cell.gauges().latencies;
                latencies.add(&track, Awaits::FirstToken, *seconds, 0);
            }
        }
        members
    }

    fn pick(strategy: Prequal, members: &Members) -> Option<usize> {
        let closed = Bits::default();
        strategy.pick(&Asks, &members.candidates(&closed))
    }

    #[test]
    fn the_quickest_that_is_not_hot_wins() {
        let members = members(&[
            (9, Some(0.1)),
            (5, Some(0.5)),
            (5, Some(0.7)),
            (1, Some(0.9)),
        ]);
        assert_eq!(pick(Prequal::new(), &members), Some(1));
    }

    #[test]
    fn of_two_the_busier_one_is_hot() {
        let busier = members(&[(2, Some(0.1)), (1, Some(0.9))]);
        assert_eq!(pick(Prequal::new(), &busier), Some(1));
        let even = members(&[(2, Some(0.1)), (2, Some(0.9))]);
        assert_eq!(pick(Prequal::new(), &even), Some(0));
    }

    #[test]
    fn who_is_not_known_is_tried_while_idle() {
        let idle = members(&[(0, Some(0.1)), (0, None)]);
        assert_eq!(pick(Prequal::new(), &idle), Some(1));
        let busy = members(&[(1, Some(0.1)), (1, None)]);
        assert_eq!(pick(Prequal::new(), &busy), Some(0));
    }

    #[test]
    fn the_quantile_says_whether_load_or_latency_decides() {
        let members = members(&[(9, Some(0.1)), (1, Some(0.5)), (0, Some(0.9))]);
        assert_eq!(pick(Prequal::new().quantile(0.0), &members), Some(2));
        assert_eq!(pick(Prequal::new().quantile(1.0), &members), Some(0));
    }

    proptest! {
        #[test]
        fn the_pick_is_what_the_rule_says(
            given in prop::collection::vec((0..6_u32, 0.01..5.0_f32), 1..=16),
            quantile in 0.0..=1.0_f64,
        ) {
            let all: Vec<_> = given.iter().map(|(n, s)| (*n, Some(*s))).collect();
            let picked = pick(Prequal::new().quantile(quantile), &members(&all));
            let mut sorted: Vec<_> = given.iter().map(|(n, _)| *n).collect();
            sorted.sort_unstable();
            let limit = sorted[(quantile * (given.len() - 1) as f64).floor() as usize];
            let cold = given.iter().filter(|(n, _)| *n <= limit).map(|(_, s)| *s);
            let quickest = cold.reduce(f32::min);
            let picked = picked.map(|index| given[index]);
            prop_assert!(picked.is_some_and(|(n, _)| n <= limit));
            prop_assert_eq!(picked.map(|(_, s)| s), quickest);
        }
    }
}
