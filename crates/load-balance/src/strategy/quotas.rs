//! What the limits of members are worth to a comparison.

use std::sync::Arc;

use ziggurat_core::Deployment;

/// What a token is of a limit that nobody has.
const TOKEN: f32 = 1e-6;

/// The limits of the members of a tier.
#[derive(Debug)]
pub(crate) struct Quotas(Box<[Limits]>);

#[derive(Debug)]
struct Limits {
    rpm: u64,
    tpm: u64,
    /// What part of its limit one request, and one token, is.
    of_requests: f32,
    of_tokens: f32,
}

impl Quotas {
    /// A member without a limit that others have is compared as if it had the mean of theirs.
    pub(crate) fn new(members: &[Arc<Deployment>]) -> Self {
        let mean = |limit: fn(&Deployment) -> Option<u64>| {
            let given = members.iter().filter_map(|member| limit(member));
            let (sum, count) = given.fold((0.0, 0), |(sum, n), limit| (sum + limit as f32, n + 1));
            (count > 0).then(|| sum / count as f32)
        };
        let part = |limit: Option<u64>, mean: Option<f32>| {
            let limit = limit.map(|limit| limit as f32).or(mean);
            limit.map(|limit| 1.0 / limit.max(1.0))
        };
        let (rpm, tpm) = (mean(Deployment::rpm), mean(Deployment::tpm));
        let neither = if rpm.is_none() { TOKEN } else { 0.0 };
        let limits = |member: &Arc<Deployment>| Limits {
            rpm: member.rpm().unwrap_or(u64::MAX),
            tpm: member.tpm().unwrap_or(u64::MAX),
            of_requests: part(member.rpm(), rpm).unwrap_or(0.0),
            of_tokens: part(member.tpm(), tpm).unwrap_or(neither),
        };
        Self(members.iter().map(limits).collect())
    }

    /// What part of its limits the member at that place has used, of the limit of which more is
    /// used.
    pub(crate) fn share(&self, at: usize, requests: u64, tokens: f32) -> f32 {
        let limits = &self.0[at];
        (requests as f32 * limits.of_requests).max(tokens * limits.of_tokens)
    }

    /// Whether one request more, with so many tokens, passes none of its limits.
    pub(crate) fn fits(&self, at: usize, requests: u64, tokens: u64, more: u64) -> bool {
        let limits = &self.0[at];
        requests < limits.rpm && tokens.saturating_add(more) <= limits.tpm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member() -> Deployment {
        Deployment::new("a", "g", "m")
    }

    fn quotas(members: impl IntoIterator<Item = Deployment>) -> Quotas {
        Quotas::new(&members.into_iter().map(Arc::new).collect::<Vec<_>>())
    }

    #[test]
    fn the_limit_of_which_more_is_used_counts() {
        let quotas = quotas([member().with_rpm(10).with_tpm(1_000)]);
        assert!((quotas.share(0, 1, 500.0) - 0.5).abs() < 1e-6);
        assert!((quotas.share(0, 8, 500.0) - 0.8).abs() < 1e-6);
        assert!(quotas.fits(0, 9, 900, 100));
        assert!(!quotas.fits(0, 10, 0, 0) && !quotas.fits(0, 0, 900, 101));
    }

    #[test]
    fn without_a_limit_a_member_is_as_large_as_the_mean_and_never_full() {
        let quotas = quotas([member().with_tpm(100), member().with_tpm(300), member()]);
        assert!((quotas.share(2, 9, 100.0) - 0.5).abs() < 1e-6);
        assert!(quotas.fits(2, u64::MAX - 1, 1 << 60, 1 << 60));
    }

    #[test]
    fn where_nobody_has_a_limit_tokens_count() {
        let quotas = quotas([member(), member()]);
        assert!(quotas.share(0, 9, 10.0) < quotas.share(1, 1, 11.0));
    }
}
