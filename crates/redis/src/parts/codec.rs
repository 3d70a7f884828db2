//! What an instance tells, as bytes.

use ziggurat_priority_queue::parts::{Demand, MOST, Report};

/// How many levels an instance tells of.
const LEVELS: usize = 32;
/// How far a rank is from 0 at most.
const FAR: i64 = 1 << 52;

/// The bytes: all numbers in 64 bits, the lowest first.
pub(super) fn encode(report: &Report) -> Vec<u8> {
    let demands = &report.demands[..report.demands.len().min(LEVELS)];
    let mut out = Vec::with_capacity(8 * (4 + 6 * demands.len()));
    let head = [report.in_use, report.ends, report.waiting, report.running];
    out.extend(head.into_iter().flat_map(u64::to_le_bytes));
    for it in demands {
        let ranks = [it.level, it.head, it.fresh];
        out.extend(ranks.into_iter().flat_map(i64::to_le_bytes));
        // More than that cannot be had, however much waits.
        let [first, units] = [it.first, it.units].map(|it| it.min(MOST));
        let units = [u64::from(it.weight), first, units];
        out.extend(units.into_iter().flat_map(u64::to_le_bytes));
    }
    out
}

/// What was written so; `None` if it was not.
pub(super) fn decode(mut bytes: &[u8]) -> Option<Report> {
    let [in_use, ends, waiting, running] = numbers(&mut bytes)?;
    let mut demands = Vec::new();
    while !bytes.is_empty() {
        let ranks: [i64; 3] = numbers(&mut bytes)?.map(u64::cast_signed);
        let [weight, first, units] = numbers(&mut bytes)?;
        let is_far = |it: i64| !(-FAR..=FAR).contains(&it);
        let [level, head, fresh] = ranks;
        let is_odd = head > fresh || first > units || units > MOST;
        if demands.len() == LEVELS || is_odd || [head, fresh].into_iter().any(is_far) {
            return None;
        }
        demands.push(Demand {
            level,
            weight: u32::try_from(weight).ok()?,
            head,
            fresh,
            first,
            units,
        });
    }
    let is_much = in_use > MOST || ends > in_use * 1_000 || waiting.max(running) > MOST;
    (!is_much).then_some(Report {
        in_use,
        ends,
        waiting,
        running,
        demands,
    })
}

fn numbers<const N: usize>(bytes: &mut &[u8]) -> Option<[u64; N]> {
    let mut numbers = [0; N];
    for number in &mut numbers {
        let (first, rest) = bytes.split_first_chunk()?;
        (*number, *bytes) = (u64::from_le_bytes(*first), rest);
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn demands() -> impl Strategy<Value = Vec<Demand>> {
        let ranks = (any::<i64>(), -FAR..=0, 0..=FAR);
        let one = (ranks, any::<u32>(), 0..=9_u64, 9..=MOST);
        let one = one.prop_map(|((level, head, fresh), weight, first, units)| Demand {
            level,
            weight,
            head,
            fresh,
            first,
            units,
        });
        prop::collection::vec(one, 0..LEVELS)
    }

    fn report() -> impl Strategy<Value = Report> {
        let all = (0..=MOST, 0..=MOST, 0..=MOST, demands());
        all.prop_map(|(in_use, waiting, running, demands)| Report {
            in_use,
            ends: in_use,
            waiting,
            running,
            demands,
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(report in report()) {
            prop_assert_eq!(decode(&encode(&report)), Some(report));
        }

        #[test]
        fn any_bytes_are_a_report_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(report) = decode(&bytes) {
                prop_assert_eq!(encode(&report), bytes);
            }
        }
    }

    #[test]
    fn who_waits_for_more_than_can_be_waits_for_the_most_that_can() {
        let demand = |first, units| Demand {
            level: 0,
            weight: 1,
            head: -5,
            fresh: 0,
            first,
            units,
        };
        let of = |demand| Report {
            waiting: 2,
            demands: vec![demand],
            ..Report::default()
        };
        for (first, units, read) in [
            (3, u64::MAX, demand(3, MOST)),
            (MOST + 1, MOST + 2, demand(MOST, MOST)),
        ] {
            let read_again = decode(&encode(&of(demand(first, units))));
            assert_eq!(read_again, Some(of(read)));
        }
    }

    #[test]
    fn what_is_out_of_bounds_is_not_believed() {
        let demand = Demand {
            level: 0,
            weight: 1,
            head: -5,
            fresh: 0,
            first: 1,
            units: 3,
        };
        let of = |demands: Vec<Demand>| {
            let report = Report {
                in_use: 3,
                demands,
                ..Report::default()
            };
            decode(&encode(&report))
        };
        assert!(of(vec![demand]).is_some());
        assert_eq!(
            of(vec![demand; 99]).map(|it| it.demands.len()),
            Some(LEVELS)
        );
        for odd in [
            Demand { head: 1, ..demand },
            Demand { first: 4, ..demand },
            Demand {
                head: i64::MIN,
                ..demand
            },
        ] {
            assert!(of(vec![odd]).is_none());
        }
        let mut bytes = encode(&Report {
            demands: vec![demand],
            ..Report::default()
        });
        assert!(decode(&bytes).is_some());
        let units = bytes.len() - 8;
        bytes[units..].copy_from_slice(&(MOST + 1).to_le_bytes());
        assert!(decode(&bytes).is_none());
        let mut bytes = encode(&Report::default());
        bytes[..8].copy_from_slice(&(MOST + 1).to_le_bytes());
        assert!(decode(&bytes).is_none() && decode(&bytes[..9]).is_none());
    }
}
