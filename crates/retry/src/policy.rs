//! How many retries each kind of failure gets.

use ziggurat_core::ErrorKind;

/// How often failures are tried again: a count for each kind, and one for all others.
///
/// ```
/// use ziggurat_core::ErrorKind;
/// use ziggurat_retry::{RetryLayer, RetryPolicy};
///
/// let policy = RetryPolicy::new()
///     .of_kind(ErrorKind::RateLimited, 5)
///     .of_kind(ErrorKind::ContentPolicy, 1)
///     .otherwise(2);
/// let layer = RetryLayer::new()
///     .policy(policy)
///     .group_policy("gpt", RetryPolicy::new().otherwise(0));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryPolicy {
    kinds: Vec<(ErrorKind, u32)>,
    otherwise: Option<u32>,
}

/// What was found for a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) retries: u32,
    /// Whether it was given for this very kind.
    pub(crate) is_of_kind: bool,
}

impl RetryPolicy {
    /// A policy that says nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            kinds: Vec::new(),
            otherwise: None,
        }
    }

    /// Sets the number for failures of one kind; the last one given counts.
    ///
    /// The number is compared with all retries of the request in its group so far, whatever they
    /// were for. Over 0 it also has those kinds tried again that the table of [`ErrorKind::rule`]
    /// never retries, but for [`Budget`](ErrorKind::Budget), [`Rejected`](ErrorKind::Rejected),
    /// [`Cancelled`](ErrorKind::Cancelled) and a deadline that has passed.
    #[must_use]
    pub fn of_kind(mut self, kind: ErrorKind, retries: u32) -> Self {
        self.kinds.retain(|(of, _)| *of != kind);
        self.kinds.push((kind, retries));
        self
    }

    /// Sets the number for failures of all other kinds.
    #[must_use]
    pub const fn otherwise(mut self, retries: u32) -> Self {
        self.otherwise = Some(retries);
        self
    }

    /// The number for failures of that kind, if it says one.
    pub(crate) fn find(&self, kind: ErrorKind) -> Option<Count> {
        let own = self.kinds.iter().find(|(of, _)| *of == kind);
        own.map(|(_, retries)| Count {
            retries: *retries,
            is_of_kind: true,
        })
        .or_else(|| self.otherwise.map(Count::of_any))
    }
}

impl Count {
    /// A number that was given whatever the kind.
    pub(crate) const fn of_any(retries: u32) -> Self {
        Self {
            retries,
            is_of_kind: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number_given_for_a_kind_counts_and_other_kinds_take_the_general_one() {
        let kinds = RetryPolicy::new()
            .of_kind(ErrorKind::Internal, 0)
            .of_kind(ErrorKind::Internal, 7);
        let of_kind = Count {
            retries: 7,
            is_of_kind: true,
        };
        assert_eq!(kinds.find(ErrorKind::Internal), Some(of_kind));
        assert_eq!(kinds.find(ErrorKind::Connect), None);
        let all = kinds.otherwise(2);
        assert_eq!(all.find(ErrorKind::Internal), Some(of_kind));
        assert_eq!(all.find(ErrorKind::Connect), Some(Count::of_any(2)));
    }
}
