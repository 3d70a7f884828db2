//! How much of a capacity each instance should have.

use std::collections::BTreeMap;

use super::Demand;
use crate::Order;

/// By how much one may stand behind another elsewhere and still go first, in milliseconds: what
/// differs by less is not worth a unit that stands idle until it has moved.
const NEAR: i64 = 250;

/// Rounding, so that one unit is a thousand.
const UNIT: u64 = 1_000;

/// An instance, as all see it.
#[derive(Clone, Debug, Default)]
pub(super) struct Seat {
    /// The units that run there.
    pub(super) in_use: u64,
    /// How many of them end soon, in thousandths.
    pub(super) ends: u64,
    /// What waits there.
    pub(super) demands: Vec<Demand>,
}

/// How much of `whole` each instance should have, in the order of the instances.
///
/// What is decided is where those units go that are free and those that *come* free until the
/// instances hear of each other again: they go to the best of all who wait, wherever that is.
/// Nothing that runs is taken away.
///
/// - By [`Order::Strict`] so many units come free as are expected to end, and at least one, since that
///   is the next. Each instance gives up its part of them, and has what those need that wait there and
///   are among the best. But what ends while somebody clearly better waits elsewhere stays free for
///   that one, wherever it ends: if in doubt a unit stands idle for a moment, and nobody goes before a
///   better one. Whoever is [`NEAR`] the best goes on at once.
/// - By [`Order::Weighted`] each level has its part of all units, and those that wait at a level get
///   them by rank, as if everything that runs had ended. A part of a unit is a unit for a part of the
///   time: `turn`, from 0 to 1, says whose time it is.
///
/// What nobody waits for is left where it runs, and what is free then is split evenly, so that an
/// instance at which nobody was can let somebody through at once.
///
/// All who see the same get the same.
pub(super) fn split(whole: u64, order: Order, turn: f64, seats: &[Seat]) -> Vec<u64> {
    let in_use: u64 = seats.iter().map(|it| it.in_use).sum();
    let free = whole.saturating_sub(in_use);
    // Where more runs than may, each should have its part of what may.
    let base = |seat: &Seat| match in_use > whole {
        true => part(seat.in_use * UNIT, whole, in_use),
        false => seat.in_use * UNIT,
    };
    let ends = |seat: &Seat| match order {
        Order::Strict => seat.ends.min(base(seat)),
        Order::Weighted => base(seat),
    };
    let all_ends: u64 = seats.iter().map(ends).sum();
    let better: Vec<_> = match order {
        // What is free is theirs first.
        Order::Strict => (0..seats.len())
            .map(|at| better(seats, at).saturating_sub(free))
            .collect(),
        Order::Weighted => vec![0; seats.len()],
    };
    let clearly = seats
        .iter()
        .zip(&better)
        .filter(|(seat, _)| seat.in_use > 0);
    let clearly = clearly.map(|(_, better)| *better).max().unwrap_or_default();
    let most = in_use.min(whole);
    let ending = all_ends
        .max(clearly.clamp(1, most.max(1)) * UNIT)
        .min(most * UNIT);
    let units = free + ending.div_ceil(UNIT);
    let (asked, near) = match order {
        Order::Strict => first(units, seats, |_| true),
        Order::Weighted => (by_weight(units, turn, seats), vec![0; seats.len()]),
    };
    // What nobody waits for stays where it runs, and else is everybody's.
    let asked_for: u64 = asked.iter().sum();
    let left = (free * UNIT + ending).saturating_sub(asked_for * UNIT);
    let kept = left.min(ending);
    let spare = (left - kept) / UNIT;
    let count = seats.len() as u64;
    let each = |(at, seat): (usize, &Seat)| {
        let base = base(seat);
        let gives = match ending > all_ends {
            true => part(base, ending - kept, most * UNIT),
            false => part(ends(seat), ending - kept, all_ends),
        };
        let net = base - gives + asked[at] * UNIT;
        // Whoever has one who is among the best, or near them, does not give up a part of a unit.
        let net = match asked[at] + near[at] {
            0 => net / UNIT,
            _ => net.div_ceil(UNIT),
        };
        let strict = (base / UNIT).saturating_sub(better[at]) + asked[at];
        let spare = spare / count + u64::from((at as u64) < spare % count);
        (net.min(strict) + spare).min(whole)
    };
    seats.iter().enumerate().map(each).collect()
}

/// How many units wait elsewhere that go clearly before all that wait at an instance.
fn better(seats: &[Seat], at: usize) -> u64 {
    let own = seats[at].demands.iter().map(|it| it.head).min();
    let before = own.map_or(i64::MAX, |head| head.saturating_sub(NEAR));
    let others = seats.iter().enumerate().filter(|(other, _)| *other != at);
    let demands = others.flat_map(|(_, seat)| &seat.demands);
    demands.map(|it| it.up_to(before)).sum()
}

/// How many of the best so many units wait at each instance; and how many do or are [`NEAR`].
fn first(units: u64, seats: &[Seat], is_asked: impl Fn(&Demand) -> bool) -> (Vec<u64>, Vec<u64>) {
    let up_to = |seat: &Seat, rank: i64| -> u64 {
        let demands = seat.demands.iter().filter(|it| is_asked(it));
        demands.map(|it| it.up_to(rank)).sum()
    };
    let all_up_to = |rank| seats.iter().map(|seat| up_to(seat, rank)).sum::<u64>();
    let asked = || {
        seats
            .iter()
            .flat_map(|it| &it.demands)
            .filter(|it| is_asked(it))
    };
    let (Some(mut low), Some(mut high)) = (
        asked().map(|it| it.head).min(),
        asked().map(|it| it.fresh.max(it.head)).max(),
    ) else {
        return (vec![0; seats.len()], vec![0; seats.len()]);
    };
    // The least rank up to which there are enough, or all.
    while low < high {
        let middle = low + (high - low) / 2;
        if all_up_to(middle) >= units {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    let mut counts: Vec<_> = seats
        .iter()
        .map(|seat| up_to(seat, low.saturating_sub(1)))
        .collect();
    let mut rest = units.saturating_sub(counts.iter().sum());
    for (count, seat) in counts.iter_mut().zip(seats) {
        let more = (up_to(seat, low) - *count).min(rest);
        *count += more;
        rest -= more;
    }
    let near = seats
        .iter()
        .map(|seat| up_to(seat, low.saturating_add(NEAR)));
    (counts, near.collect())
}

/// Of so many units, how many each instance is to have for those who wait at it, where each level has
/// its part by weight.
fn by_weight(units: u64, turn: f64, seats: &[Seat]) -> Vec<u64> {
    let mut levels: BTreeMap<i64, (u32, u64)> = BTreeMap::new();
    for demand in seats.iter().flat_map(|it| &it.demands) {
        let (weight, wanted) = levels.entry(demand.level).or_default();
        *weight = (*weight).max(demand.weight.max(1));
        *wanted += demand.units;
    }
    let wanted: Vec<_> = levels.values().copied().collect();
    let mut counts = vec![0; seats.len()];
    for (level, units) in levels.keys().zip(shares(units, turn, &wanted)) {
        let (of_level, _) = first(units, seats, |it| it.level == *level);
        for (count, more) in counts.iter_mut().zip(of_level) {
            *count += more;
        }
    }
    counts
}

/// Splits units by weight, to each no more than it wants. What one does not want is the others'.
///
/// What is a fraction is a unit to one and none to another, by systematic sampling: over all turns
/// from 0 to 1 each gets its fraction.
fn shares(units: u64, turn: f64, wanted: &[(u32, u64)]) -> Vec<u64> {
    let mut shares = vec![None; wanted.len()];
    let mut rest = units;
    loop {
        let open = || wanted.iter().zip(&shares).filter(|(_, it)| it.is_none());
        let weights: f64 = open().map(|((weight, _), _)| f64::from(*weight)).sum();
        let each = rest as f64 / weights;
        let is_enough = |(weight, wants): (u32, u64)| wants as f64 <= each * f64::from(weight);
        let Some(at) = (0..wanted.len()).find(|at| shares[*at].is_none() && is_enough(wanted[*at]))
        else {
            break sample(rest, turn, each, wanted, &shares);
        };
        shares[at] = Some(wanted[at].1);
        rest = rest.saturating_sub(wanted[at].1);
    }
}

/// What is missing from a sum of fractions.
const ROUNDING: f64 = 1e-6;

fn sample(
    rest: u64,
    turn: f64,
    each: f64,
    wanted: &[(u32, u64)],
    shares: &[Option<u64>],
) -> Vec<u64> {
    let (mut sum, mut given) = (0.0, 0);
    let share = |((weight, wants), share): (&(u32, u64), &Option<u64>)| {
        share.unwrap_or_else(|| {
            sum += each * f64::from(*weight);
            let until = (sum + turn + ROUNDING).floor() as u64;
            let part = until.saturating_sub(given).min(rest - given).min(*wants);
            given += part;
            part
        })
    };
    wanted.iter().zip(shares).map(share).collect()
}

fn part(amount: u64, of: u64, all: u64) -> u64 {
    if all == 0 {
        return 0;
    }
    let part = u128::from(amount) * u128::from(of) / u128::from(all);
    u64::try_from(part).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn demand(head: i64, fresh: i64, units: u64) -> Demand {
        Demand {
            level: fresh,
            weight: 1,
            head,
            fresh,
            first: units.min(1),
            units,
        }
    }

    fn seat(in_use: u64, demands: &[Demand]) -> Seat {
        Seat {
            in_use,
            ends: in_use,
            demands: demands.to_vec(),
        }
    }

    fn strict(whole: u64, seats: &[Seat]) -> Vec<u64> {
        split(whole, Order::Strict, 0.0, seats)
    }

    #[test]
    fn what_is_free_is_everybodys() {
        assert_eq!(strict(7, &[seat(3, &[]), seat(0, &[])]), [5, 2]);
        assert_eq!(strict(6, &[seat(0, &[]), seat(0, &[])]), [3, 3]);
        assert_eq!(strict(6, &[seat(6, &[]), seat(0, &[])]), [6, 0]);
    }

    #[test]
    fn who_is_alone_in_waiting_has_all_that_nobody_uses() {
        let waits = demand(-100, 0, 50);
        assert_eq!(strict(6, &[seat(3, &[waits]), seat(0, &[])]), [6, 0]);
        assert_eq!(strict(6, &[seat(3, &[waits]), seat(2, &[])]), [6, 0]);
        assert_eq!(
            strict(6, &[seat(3, &[demand(-1, 0, 1)]), seat(0, &[])]),
            [5, 1]
        );
    }

    #[test]
    fn the_next_unit_that_comes_free_goes_to_the_best_wherever_it_does() {
        let low = demand(9_000, 10_000, 50);
        let high = demand(-5, 0, 1);
        let seats = [seat(3, &[low]), seat(2, &[high]), seat(1, &[low])];
        assert_eq!(strict(6, &seats), [2, 3, 0]);
    }

    #[test]
    fn who_is_not_much_behind_the_best_does_not_wait_for_it() {
        let seats = [
            seat(3, &[demand(-900, 0, 9)]),
            seat(3, &[demand(-1_000, 0, 9)]),
        ];
        assert_eq!(strict(6, &seats), [3, 4]);
    }

    #[test]
    fn where_much_ends_all_have_what_they_wait_for_by_rank() {
        let of = |in_use, demands: &[Demand]| Seat {
            ends: in_use * UNIT,
            ..seat(in_use, demands)
        };
        let waits = demand(-10_000, 0, 600);
        let seats = [of(50, &[waits]), of(10, &[waits]), of(0, &[])];
        assert_eq!(strict(60, &seats), [30, 30, 0]);
    }

    #[test]
    fn a_large_one_that_is_next_has_all_it_needs_before_others_have_anything() {
        let large = Demand {
            first: 80,
            ..demand(-10, -10, 80)
        };
        let small = demand(-5, 0, 1_000);
        assert_eq!(
            strict(100, &[seat(0, &[large]), seat(20, &[small])]),
            [80, 20]
        );
    }

    #[test]
    fn where_more_runs_than_may_each_has_its_part() {
        let waits = demand(-100, 0, 9);
        assert_eq!(strict(4, &[seat(6, &[]), seat(2, &[])]), [3, 1]);
        assert_eq!(strict(0, &[seat(6, &[waits]), seat(2, &[])]), [0, 0]);
    }

    #[test]
    fn by_weight_each_level_has_its_part_and_what_it_does_not_use_is_the_others() {
        let of = |level, weight, units| Demand {
            level,
            weight,
            ..demand(-100, 0, units)
        };
        let weighted = |whole, turn, seats: &[Seat]| split(whole, Order::Weighted, turn, seats);
        let [much, less] = [of(0, 7, 99), of(1, 3, 99)];
        assert_eq!(
            weighted(10, 0.0, &[seat(5, &[less]), seat(5, &[much])]),
            [3, 7]
        );
        let little = of(0, 7, 2);
        assert_eq!(
            weighted(10, 0.0, &[seat(5, &[less]), seat(5, &[little])]),
            [8, 2]
        );
        // A part of the only unit is a part of the time.
        let turns = (0..100).map(|turn| {
            let seats = [seat(1, &[less]), seat(0, &[much])];
            weighted(1, f64::from(turn) / 100.0, &seats)[0]
        });
        assert!((29..=31).contains(&turns.sum::<u64>()));
    }

    fn demands() -> impl Strategy<Value = Vec<Demand>> {
        let one = (0..4_i64, 1..9_u32, 0..20_000_i64, 1..9_u64, 0..40_u64);
        let one = one.prop_map(|(level, weight, waited, first, more)| Demand {
            level,
            weight,
            head: level * 10_000 - waited,
            fresh: level * 10_000,
            first,
            units: first + more,
        });
        prop::collection::vec(one, 0..4)
    }

    fn seats() -> impl Strategy<Value = Vec<Seat>> {
        let one = (0..20_u64, 0..1_000_u64, demands());
        let one = one.prop_map(|(in_use, part, demands)| Seat {
            in_use,
            ends: (in_use * part).max(in_use.min(1)),
            demands,
        });
        prop::collection::vec(one, 1..7)
    }

    fn order() -> impl Strategy<Value = Order> {
        prop_oneof![Just(Order::Strict), Just(Order::Weighted)]
    }

    proptest! {
        /// Of what is asked for beyond that, the store gives no more than there is.
        #[test]
        fn all_together_have_about_the_whole(
            whole in 0..60_u64, order in order(), turn in 0.0..1.0_f64, seats in seats(),
        ) {
            let targets = split(whole, order, turn, &seats);
            let sum: u64 = targets.iter().sum();
            prop_assert!(targets.iter().all(|it| *it <= whole));
            prop_assert!(sum <= whole + seats.len() as u64, "{targets:?}");
        }

        #[test]
        fn who_waits_has_what_is_free_and_who_runs_goes_on_if_nobody_waits(
            whole in 0..200_u64, order in order(), turn in 0.0..1.0_f64, seats in seats(),
        ) {
            let in_use: u64 = seats.iter().map(|it| it.in_use).sum();
            let waits = |it: &Seat| it.demands.iter().map(|it| it.units).sum::<u64>();
            let waiting: u64 = seats.iter().map(waits).sum();
            prop_assume!(in_use + waiting <= whole);
            let targets = split(whole, order, turn, &seats);
            for (target, seat) in targets.iter().zip(&seats) {
                prop_assert!(*target >= seat.in_use + waits(seat), "{targets:?}");
            }
            prop_assert!(targets.iter().sum::<u64>() <= whole);
        }

        #[test]
        fn nothing_follows_while_enough_that_are_clearly_better_wait_elsewhere(
            whole in 0..60_u64, seats in seats(), at in 0..7_usize,
        ) {
            let at = at % seats.len();
            let in_use: u64 = seats.iter().map(|it| it.in_use).sum();
            let free = whole.saturating_sub(in_use);
            prop_assume!(better(&seats, at) >= free + seats[at].in_use);
            let units = free + in_use.min(whole);
            let (asked, _) = first(units, &seats, |_| true);
            prop_assert!(strict(whole, &seats)[at] <= asked[at]);
        }

        /// One by one, by a search through all units.
        #[test]
        fn the_first_units_are_those_of_the_best_ranks(units in 0..120_u64, seats in seats()) {
            let (counts, _) = first(units, &seats, |_| true);
            let mut ranks = Vec::new();
            for (at, seat) in seats.iter().enumerate() {
                for demand in &seat.demands {
                    for n in 1..=demand.units {
                        let (mut low, mut high) = (demand.head, demand.fresh);
                        while low < high {
                            let middle = low + (high - low) / 2;
                            if demand.up_to(middle) >= n {
                                high = middle;
                            } else {
                                low = middle + 1;
                            }
                        }
                        ranks.push((low, at));
                    }
                }
            }
            ranks.sort_unstable();
            let mut expected = vec![0; seats.len()];
            for (_, at) in ranks.into_iter().take(units as usize) {
                expected[at] += 1;
            }
            prop_assert_eq!(counts, expected);
        }
    }
}
