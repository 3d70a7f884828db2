//! A split of the traffic, for experiments.

use std::{convert::Infallible, fmt, sync::Arc};

use ziggurat_core::{Extract, FromParam, LlmRequest, Param, Redirect};

use crate::{Choice, Chooser};

/// Divides the requests for a model among groups, by shares.
///
/// Requests with the same [`Sticky`] key, which are those of one session or else of one user, go to
/// the same group, in every process and after a restart. Requests without a key go anywhere, by the
/// shares.
///
/// A key draws a number for each group and goes to the one with the best number, weighed by its
/// share: weighted rendezvous hashing (Schindelhauer and Schomaker, "Weighted Distributed Hash
/// Tables", 2005). So when the share of one group is raised, keys move to that group and nowhere
/// else, and no more of them than needed; the order of the list does not matter.
///
/// ```
/// use ziggurat_auto_route::{AutoRouteLayer, Split};
///
/// let split = Split::new("gpt", [("gpt", 0.9), ("gpt-next", 0.1)])?;
/// let layer = AutoRouteLayer::new(vec![split]);
/// # Ok::<(), ziggurat_auto_route::SplitError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Split<X = FromParam> {
    model: Arc<str>,
    sides: Box<[Side]>,
    extract: X,
}

#[derive(Clone, Debug)]
struct Side {
    group: Arc<str>,
    hash: u64,
    share: f64,
    why_sticky: Arc<str>,
    why_random: Arc<str>,
}

/// What keeps requests together: a number that is the same for those that belong together, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sticky(Option<u64>);

impl Sticky {
    /// Requests with an equal key belong together.
    #[must_use]
    pub fn key(key: impl AsRef<[u8]>) -> Self {
        Self(Some(fnv1a(key.as_ref())))
    }

    /// The request belongs to no other.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }
}

/// The session that the client names, or else the user.
impl Param<Sticky> for LlmRequest {
    fn param(&self) -> Sticky {
        self.session()
            .or_else(|| self.user())
            .map_or(Sticky::none(), Sticky::key)
    }
}

/// Why a split cannot be.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SplitError {
    /// A share is below zero or no number.
    Share {
        /// Of this group.
        group: Arc<str>,
    },
    /// A group is named twice.
    Twice {
        /// This one.
        group: Arc<str>,
    },
    /// No group has a share over zero.
    Empty,
}

impl fmt::Display for SplitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share { group } => {
                write!(f, "the share of `{group}` must be a number from 0 up")
            }
            Self::Twice { group } => write!(f, "`{group}` is named twice"),
            Self::Empty => f.write_str("no group has a share over 0"),
        }
    }
}

impl std::error::Error for SplitError {}

impl Split {
    /// Divides the requests for `model` among groups. Shares are relative to their sum; a group with
    /// a share of zero gets nothing.
    ///
    /// # Errors
    ///
    /// If a share is below zero or not finite, a group is named twice, or no share is over zero.
    pub fn new<G: Into<Arc<str>>>(
        model: impl Into<Arc<str>>,
        shares: impl IntoIterator<Item = (G, f64)>,
    ) -> Result<Self, SplitError> {
        let model = model.into();
        let shares: Vec<(Arc<str>, f64)> = shares
            .into_iter()
            .map(|(group, share)| (group.into(), share))
            .collect();
        let whole: f64 = shares.iter().map(|(_, share)| share).sum();
        let mut sides: Vec<Side> = Vec::new();
        for (group, share) in shares {
            if !(share.is_finite() && share >= 0.0) {
                return Err(SplitError::Share { group });
            }
            if sides.iter().any(|side| side.group == group) {
                return Err(SplitError::Twice { group });
            }
            let percent = (share / whole * 1_000.0).round() / 10.0;
            let why = format!(r#"split of "{model}": {percent} % go to "{group}""#);
            sides.push(Side {
                hash: fnv1a(group.as_bytes()) ^ fnv1a(model.as_bytes()).rotate_left(32),
                share: share / whole,
                why_sticky: format!("{why}, by session or user").into(),
                why_random: format!("{why}, at random").into(),
                group,
            });
        }
        if !(whole.is_finite() && whole > 0.0) {
            return Err(SplitError::Empty);
        }
        Ok(Self {
            model,
            sides: sides.into(),
            extract: FromParam,
        })
    }
}

impl<X> Split<X> {
    /// Sets how a request is asked what it belongs to: an
    /// [`Extract<Sticky, Request>`](ziggurat_core::Extract), such as a closure.
    #[must_use]
    pub fn sticky_by<Y>(self, extract: Y) -> Split<Y> {
        Split {
            model: self.model,
            sides: self.sides,
            extract,
        }
    }

    /// The model whose requests it divides.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The groups it divides them among.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<str>> {
        self.sides.iter().map(|side| &side.group)
    }

    /// The side of a key.
    fn side(&self, key: u64) -> Option<&Side> {
        let rank = |side: &Side| -unit(mix(key ^ side.hash)).ln() / side.share;
        let open = self.sides.iter().filter(|side| side.share > 0.0);
        open.min_by(|a, b| rank(a).total_cmp(&rank(b)))
    }
}

impl<R, X> Chooser<R> for Split<X>
where
    R: Redirect,
    X: Extract<Sticky, R> + Send + Sync + 'static,
{
    type Feedback = Infallible;

    fn choose(&self, request: &R) -> Option<Choice> {
        if request.group() != &*self.model {
            return None;
        }
        let Sticky(key) = self.extract.extract(request);
        let side = self.side(key.unwrap_or_else(|| fastrand::u64(..)))?;
        let why = match key {
            Some(_) => &side.why_sticky,
            None => &side.why_random,
        };
        Some(Choice::new(Arc::clone(&side.group), Arc::clone(why)))
    }
}

/// FNV-1a, 64 bit (Fowler, Noll, Vo): the same in every process and version.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood, 2014): every bit depends on every other.
const fn mix(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// A number over 0 and below 1.
fn unit(hash: u64) -> f64 {
    ((hash >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: u64 = 20_000;

    fn split(shares: &[(&str, f64)]) -> Split {
        Split::new("m", shares.iter().map(|(group, share)| (*group, *share))).expect("is valid")
    }

    /// Where users go: their keys are as much alike as names are.
    fn placed(split: &Split) -> Vec<&str> {
        let side = |n| split.side(fnv1a(format!("user-{n}").as_bytes()));
        (0..KEYS)
            .map(|n| &*side(n).expect("has one").group)
            .collect()
    }

    fn count(placed: &[&str], group: &str) -> f64 {
        placed.iter().filter(|at| **at == group).count() as f64
    }

    #[test]
    fn each_group_gets_its_share_within_three_sigma() {
        for shares in [
            &[("a", 0.5), ("b", 0.5)][..],
            &[("a", 90.0), ("b", 10.0)],
            &[("a", 0.6), ("b", 0.3), ("c", 0.1), ("d", 0.0)],
        ] {
            let split = split(shares);
            let placed = placed(&split);
            let whole: f64 = shares.iter().map(|(_, share)| share).sum();
            for (group, share) in shares {
                let p = share / whole;
                let sigma = (KEYS as f64 * p * (1.0 - p)).sqrt();
                let expected = KEYS as f64 * p;
                let off = (count(&placed, group) - expected).abs();
                assert!(off <= 3.0 * sigma, "{group} of {shares:?} is off by {off}");
            }
        }
    }

    #[test]
    fn a_raised_share_moves_only_what_is_needed_and_only_to_that_group() {
        let (before, after) = (
            split(&[("a", 50.0), ("b", 30.0), ("c", 20.0)]),
            split(&[("a", 50.0), ("b", 30.0), ("c", 80.0)]),
        );
        let (before, after) = (placed(&before), placed(&after));
        let mut moved = 0.0;
        for (from, to) in before.iter().zip(&after) {
            if from != to {
                assert_eq!(*to, "c");
                moved += 1.0;
            }
        }
        assert_eq!(moved, count(&after, "c") - count(&before, "c"));
    }

    #[test]
    fn the_order_of_the_list_does_not_matter() {
        let (one, other) = (
            split(&[("a", 0.2), ("b", 0.8)]),
            split(&[("b", 0.8), ("a", 0.2)]),
        );
        assert_eq!(placed(&one), placed(&other));
    }

    #[test]
    fn two_experiments_divide_the_same_users_independently() {
        let shares = [("a", 0.5), ("b", 0.5)];
        let (one, other) = (
            Split::new("one", shares).expect("is valid"),
            Split::new("other", shares).expect("is valid"),
        );
        let (one, other) = (placed(&one), placed(&other));
        let both = one.iter().zip(&other).filter(|(x, y)| x == y).count() as f64;
        let sigma = (KEYS as f64 * 0.25).sqrt();
        assert!((both - KEYS as f64 / 2.0).abs() <= 3.0 * sigma, "{both}");
    }

    #[test]
    fn requests_of_a_session_stay_together_and_others_are_divided() {
        fastrand::seed(7);
        let split = split(&[("a", 0.5), ("b", 0.5)]);
        let ask = |body: &str| {
            let operation = ziggurat_core::Operation::ChatCompletions;
            let request = LlmRequest::from_bytes(operation, body.to_owned()).expect("is valid");
            let choice = split.choose(&request).expect("is for this model");
            (choice.group().to_string(), choice.why().to_string())
        };
        let session = r#"{"model":"m","user":"u","metadata":{"session_id":"s"}}"#;
        let first = ask(session);
        assert!(
            first.1.contains("50 % go to") && first.1.contains("by session"),
            "{}",
            first.1
        );
        assert!((0..100).all(|_| ask(session) == first));
        let alone: std::collections::HashSet<_> =
            (0..100).map(|_| ask(r#"{"model":"m"}"#).0).collect();
        assert_eq!(alone.len(), 2);
        assert!(split.choose(&LlmRequest::chat("other", "hi")).is_none());
    }

    #[test]
    fn shares_that_make_no_sense_are_refused() {
        let error = |shares: &[(&'static str, f64)]| {
            Split::new("m", shares.to_vec()).expect_err("makes no sense")
        };
        let group = || Arc::from("a");
        assert_eq!(error(&[("a", -1.0)]), SplitError::Share { group: group() });
        assert_eq!(
            error(&[("a", f64::NAN)]),
            SplitError::Share { group: group() }
        );
        assert_eq!(
            error(&[("a", 1.0), ("a", 1.0)]),
            SplitError::Twice { group: group() }
        );
        assert_eq!(error(&[("a", 0.0)]), SplitError::Empty);
        assert_eq!(error(&[]), SplitError::Empty);
        assert_eq!(
            error(&[("a", f64::MAX), ("b", f64::MAX)]),
            SplitError::Empty
        );
    }
}
