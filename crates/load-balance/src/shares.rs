//! The share of the traffic that each member of a tier is to have.

use std::sync::Arc;

use ziggurat_core::Deployment;

/// The share of the heaviest member.
const FULL: f64 = (1_u64 << 32) as f64;

/// The shares of the members, added up from the first to each.
///
/// The first of these that is over zero for some member is what counts for all of them:
/// `weight`, where a member that names none has 1; requests a minute; tokens a minute. A member
/// without the limit that counts has the mean of those with it. Otherwise all shares are equal.
pub(crate) fn cumulative(members: &[Arc<Deployment>]) -> Box<[u64]> {
    let limits = |limit: fn(&Deployment) -> Option<u64>| {
        given(members, |member| limit(member).map(|limit| limit as f64))
    };
    let shares = given(members, Deployment::weight)
        .map(|weights| or_else(&weights, 1.0))
        .filter(|weights| any_over_zero(weights))
        .or_else(|| over_zero_or_mean(&limits(Deployment::rpm)?))
        .or_else(|| over_zero_or_mean(&limits(Deployment::tpm)?))
        .unwrap_or_else(|| vec![1.0; members.len()]);
    let heaviest = shares.iter().copied().fold(0.0, f64::max);
    let mut sum = 0;
    shares
        .iter()
        .map(|share| {
            if *share > 0.0 {
                sum += ((share / heaviest * FULL) as u64).max(1);
            }
            sum
        })
        .collect()
}

/// What the members name, if one does. What is no number, or below zero, is zero.
fn given(
    members: &[Arc<Deployment>],
    value: impl Fn(&Deployment) -> Option<f64>,
) -> Option<Vec<Option<f64>>> {
    let valid = |value: f64| {
        if value.is_finite() {
            value.max(0.0)
        } else {
            0.0
        }
    };
    let values: Vec<_> = members
        .iter()
        .map(|member| value(member).map(valid))
        .collect();
    values.iter().any(Option::is_some).then_some(values)
}

fn or_else(values: &[Option<f64>], default: f64) -> Vec<f64> {
    values
        .iter()
        .map(|value| value.unwrap_or(default))
        .collect()
}

fn any_over_zero(values: &[f64]) -> bool {
    values.iter().any(|value| *value > 0.0)
}

fn over_zero_or_mean(values: &[Option<f64>]) -> Option<Vec<f64>> {
    let named = values.iter().flatten();
    let mean = named.clone().sum::<f64>() / named.count() as f64;
    (mean > 0.0).then(|| or_else(values, mean))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member() -> Deployment {
        Deployment::new("a", "g", "m")
    }

    /// Each member's share, in parts of the whole.
    fn shares(members: impl IntoIterator<Item = Deployment>) -> Vec<f64> {
        let members: Vec<_> = members.into_iter().map(Arc::new).collect();
        let cumulative = cumulative(&members);
        let whole = cumulative.last().copied().unwrap_or_default() as f64;
        let before = std::iter::once(&0).chain(&*cumulative);
        let parts = cumulative.iter().zip(before);
        parts.map(|(to, from)| (to - from) as f64 / whole).collect()
    }

    fn assert_close(shares: &[f64], expected: &[f64]) {
        assert_eq!(shares.len(), expected.len());
        for (share, expected) in shares.iter().zip(expected) {
            assert!((share - expected).abs() < 1e-6, "{share} is not {expected}");
        }
    }

    #[test]
    fn a_missing_weight_is_one_and_a_zero_is_nothing() {
        let members = [
            member().with_weight(3.0),
            member(),
            member().with_weight(0.0),
        ];
        assert_close(&shares(members), &[0.75, 0.25, 0.0]);
        assert_close(&shares([member().with_weight(0.0), member()]), &[0.0, 1.0]);
    }

    #[test]
    fn weights_come_before_rpm_and_rpm_before_tpm() {
        let weighted = member().with_weight(1.0).with_rpm(9);
        assert_close(&shares([weighted, member().with_rpm(1)]), &[0.5, 0.5]);
        let by_rpm = member().with_rpm(3).with_tpm(1);
        assert_close(
            &shares([by_rpm, member().with_rpm(1).with_tpm(99)]),
            &[0.75, 0.25],
        );
        let by_tpm = [member().with_tpm(4), member().with_tpm(1)];
        assert_close(&shares(by_tpm), &[0.8, 0.2]);
        assert_close(&shares([member(), member()]), &[0.5, 0.5]);
    }

    #[test]
    fn a_member_without_the_limit_has_the_mean_of_the_others() {
        let members = [member().with_rpm(10), member().with_rpm(30), member()];
        assert_close(&shares(members), &[10.0 / 60.0, 30.0 / 60.0, 20.0 / 60.0]);
    }

    #[test]
    fn weights_of_nothing_but_zero_or_nonsense_count_as_none() {
        let drained = [member().with_weight(0.0), member().with_weight(-1.0)];
        assert_close(&shares(drained), &[0.5, 0.5]);
        let nonsense = [member().with_weight(f64::NAN), member().with_weight(2.0)];
        assert_close(&shares(nonsense), &[0.0, 1.0]);
    }

    proptest! {
        #[test]
        fn a_share_does_not_depend_on_the_order_of_the_list(
            mut members in prop::collection::vec(
                (prop::option::of(0.0..9.0_f64), prop::option::of(0..9_u64), prop::option::of(0..9_u64)),
                1..8,
            ),
            rotate in 0..8_usize,
        ) {
            let build = |(weight, rpm, tpm): &(Option<f64>, Option<u64>, Option<u64>)| {
                let mut built = member();
                if let Some(weight) = weight {
                    built = built.with_weight(*weight);
                }
                if let Some(rpm) = rpm {
                    built = built.with_rpm(*rpm);
                }
                if let Some(tpm) = tpm {
                    built = built.with_tpm(*tpm);
                }
                built
            };
            let mut before = shares(members.iter().map(build));
            let by = rotate % members.len();
            members.rotate_left(by);
            before.rotate_left(by);
            let after = shares(members.iter().map(build));
            for (before, after) in before.iter().zip(&after) {
                prop_assert!((before - after).abs() < 1e-6);
            }
        }
    }
}
