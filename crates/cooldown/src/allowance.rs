//! How many failures of a kind are forgiven.

use ziggurat_core::{Clock, Cooling, Deployment, ErrorKind};

use crate::CooldownPolicy;

/// How a failure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// Not at all.
    Nothing,
    /// One is enough.
    AtOnce,
    /// Together with all others that are counted; so many are forgiven.
    Together(u32),
    /// By its name alone; so many are forgiven.
    Named(ErrorKind, u32),
}

impl CooldownPolicy {
    /// How a failure of a deployment counts. What the deployment says goes before what the policy
    /// says, and both before the table.
    pub(crate) fn allowance(&self, deployment: &Deployment, kind: ErrorKind) -> Allowance {
        let cooling = kind.rule().cooling;
        if let Some(named) = named(deployment.allowed_fails_of(), kind) {
            return named;
        }
        if let (Cooling::Counted, Some(failures)) = (cooling, deployment.allowed_fails()) {
            return Allowance::Together(failures);
        }
        named(&self.allowed_fails_of, kind).unwrap_or(match cooling {
            Cooling::AtOnce => Allowance::AtOnce,
            Cooling::Counted => Allowance::Together(self.allowed_fails),
            _ => Allowance::Nothing,
        })
    }
}

/// The number that a list has for a kind, the last one if there are several.
fn named(list: &[(ErrorKind, u32)], kind: ErrorKind) -> Option<Allowance> {
    let name = name_of(kind)?;
    let mut list = list.iter().rev();
    let (_, failures) = list.find(|(listed, _)| name_of(*listed) == Some(name))?;
    Some(Allowance::Named(name, *failures))
}

/// The name under which a kind is listed and counted: one for the clocks of an attempt. What no
/// deployment has said or left unsaid has none.
pub(crate) const fn name_of(kind: ErrorKind) -> Option<ErrorKind> {
    match kind {
        ErrorKind::Rejected | ErrorKind::Cancelled | ErrorKind::Timeout(Clock::Total) => None,
        ErrorKind::Timeout(_) => Some(ErrorKind::Timeout(Clock::Attempt)),
        kind => Some(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCKS: [Clock; 4] = [
        Clock::Connect,
        Clock::FirstToken,
        Clock::Idle,
        Clock::Attempt,
    ];

    fn deployment() -> Deployment {
        Deployment::new("a", "gpt", "m")
    }

    #[test]
    fn the_nearest_word_counts_and_the_table_where_there_is_none() {
        let policy = CooldownPolicy::new()
            .allowed_fails(7)
            .allowed_fails_of(ErrorKind::Internal, 6)
            .allowed_fails_of(ErrorKind::RateLimited, 5);
        let own = deployment().with_allowed_fails(4);
        let named = own.clone().with_allowed_fails_of(ErrorKind::Internal, 3);
        let all = |kind| {
            [&deployment(), &own, &named].map(|deployment| policy.allowance(deployment, kind))
        };
        let by_name = |kind, failures| Allowance::Named(kind, failures);
        let internal = ErrorKind::Internal;
        let expected = [
            by_name(internal, 6),
            Allowance::Together(4),
            by_name(internal, 3),
        ];
        assert_eq!(all(internal), expected);
        let throttled = ErrorKind::RateLimited;
        assert_eq!(all(throttled), [by_name(throttled, 5); 3]);
        let [policys, owns @ ..] = all(ErrorKind::Unavailable);
        assert_eq!(policys, Allowance::Together(7));
        assert_eq!(owns, [Allowance::Together(4); 2]);
        assert_eq!(all(ErrorKind::NotFound), [Allowance::AtOnce; 3]);
        assert_eq!(all(ErrorKind::BadRequest), [Allowance::Nothing; 3]);
    }

    #[test]
    fn timeout_is_one_name_for_all_clocks_but_the_total_one() {
        for listed in CLOCKS {
            let policy = CooldownPolicy::new().allowed_fails_of(ErrorKind::Timeout(listed), 9);
            let allowance = |clock| policy.allowance(&deployment(), ErrorKind::Timeout(clock));
            let name = ErrorKind::Timeout(Clock::Attempt);
            assert_eq!(CLOCKS.map(allowance), [Allowance::Named(name, 9); 4]);
            assert_eq!(allowance(Clock::Total), Allowance::Nothing);
        }
    }

    #[test]
    fn what_no_deployment_said_counts_under_no_name() {
        for kind in [
            ErrorKind::Rejected,
            ErrorKind::Cancelled,
            ErrorKind::Timeout(Clock::Total),
        ] {
            let policy = CooldownPolicy::new().allowed_fails_of(kind, 0);
            let own = deployment().with_allowed_fails_of(kind, 0);
            assert_eq!(policy.allowance(&own, kind), Allowance::Nothing, "{kind}");
        }
    }

    #[test]
    fn a_number_that_is_set_again_replaces_the_one_before() {
        let kind = ErrorKind::Timeout(Clock::Idle);
        let again = ErrorKind::Timeout(Clock::Connect);
        let policy = CooldownPolicy::new()
            .allowed_fails_of(kind, 1)
            .allowed_fails_of(again, 2);
        assert_eq!(policy.allowed_fails_of.len(), 1);
        let own = deployment()
            .with_allowed_fails_of(kind, 3)
            .with_allowed_fails_of(again, 4);
        let number = |deployment| match policy.allowance(deployment, kind) {
            Allowance::Named(_, failures) => failures,
            other => panic!("it is named, and {other:?}"),
        };
        assert_eq!((number(&deployment()), number(&own)), (2, 4));
    }
}
