//! How long one attempt may take.

use std::time::Duration;

use tokio::time::Instant;
use ziggurat_core::Clock;

/// The clocks of one attempt. `None` sets no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptClocks {
    /// To the end of an answer that is not streamed; `None` for one that is.
    pub attempt: Option<Duration>,
    /// To the first content item of a stream; `None` for an answer that is not streamed.
    pub first_token: Option<Duration>,
    /// Between two items of a stream.
    pub idle: Option<Duration>,
    /// Whether the answer is streamed: what runs out before it begins is the first-token clock then,
    /// not the attempt's.
    pub is_stream: bool,
    /// Whether the caller made `attempt` or `first_token` shorter than they would be: if that runs
    /// out, it speaks against no deployment.
    pub callers: bool,
    /// The same of `idle`.
    pub callers_idle: bool,
    /// How much of the time to the deadline it may use before its answer begins.
    pub share: Share,
    /// Where nobody set a limit to the first token: watch how long the deployment takes, and hold
    /// the attempt to that while somebody else could still answer, that is, while `share` is not
    /// [`Share::Whole`].
    pub adaptive: Option<Adaptive>,
}

/// How much of the time that is left to the deadline an attempt may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Share {
    /// All of it: nobody else could answer.
    #[default]
    Whole,
    /// Half of it: another deployment or group could still answer, and keeps the other half.
    Half,
    /// The same, of a deadline that the caller chose: if that runs out, it speaks against no
    /// deployment.
    CallersHalf,
}

/// A limit to the first token that nobody set: what the deployment usually takes says what is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Adaptive {
    /// This long, and longer where the deployment is known to take longer.
    AtLeast(Duration),
    /// Only as long as the deployment is known to take, and without a limit until it is known: for
    /// models that think before they answer.
    Learned,
}

/// When an answer has to have begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) at: Instant,
    /// Which clock has run out then.
    pub(crate) clock: Clock,
    /// Whether that speaks against no deployment.
    pub(crate) is_callers: bool,
    /// Whether it is the limit that nobody set.
    pub(crate) is_adaptive: bool,
}

impl Limit {
    /// The request's deadline, which speaks against no deployment: another attempt would have no
    /// time either.
    pub(crate) const fn deadline(at: Instant) -> Self {
        Self {
            at,
            clock: Clock::Total,
            is_callers: true,
            is_adaptive: false,
        }
    }
}

impl AttemptClocks {
    /// The limit that comes first, for an attempt that begins now. What runs out with the deadline
    /// runs out because of it.
    pub(crate) fn limit(
        &self,
        now: Instant,
        deadline: Option<Instant>,
        adaptive: Option<Duration>,
    ) -> Option<Limit> {
        let clock = match self.is_stream {
            true => Clock::FirstToken,
            false => Clock::Attempt,
        };
        let limit = |at, is_callers, is_adaptive| Limit {
            at,
            clock,
            is_callers,
            is_adaptive,
        };
        let after = |time: Option<Duration>| time.and_then(|time| now.checked_add(time));
        let half = |at: Instant| now + at.saturating_duration_since(now) / 2;
        let share = match self.share {
            Share::Whole => None,
            Share::Half => deadline.map(|at| limit(half(at), false, false)),
            Share::CallersHalf => deadline.map(|at| limit(half(at), true, false)),
        };
        [
            deadline.map(Limit::deadline),
            after(self.first_token).map(|at| limit(at, self.callers, false)),
            after(self.attempt).map(|at| limit(at, self.callers, false)),
            share,
            after(adaptive).map(|at| limit(at, false, true)),
        ]
        .into_iter()
        .flatten()
        .min_by_key(|limit| limit.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUFFERED: AttemptClocks = AttemptClocks {
        attempt: Some(secs(5)),
        first_token: None,
        idle: None,
        is_stream: false,
        callers: false,
        callers_idle: false,
        share: Share::Whole,
        adaptive: None,
    };

    #[test]
    fn the_clock_that_runs_out_first_is_the_one_to_blame() {
        let now = Instant::now();
        let of = |deadline: Option<u64>| {
            let limit = BUFFERED.limit(now, deadline.map(|at| now + secs(at)), None);
            limit.map(|limit| (limit.at - now, limit.clock))
        };
        assert_eq!(of(None), Some((secs(5), Clock::Attempt)));
        assert_eq!(of(Some(9)), Some((secs(5), Clock::Attempt)));
        assert_eq!(of(Some(5)), Some((secs(5), Clock::Total)));
        assert_eq!(AttemptClocks::default().limit(now, None, None), None);
        let for_ever = AttemptClocks {
            attempt: Some(Duration::MAX),
            ..BUFFERED
        };
        assert_eq!(for_ever.limit(now, None, None), None);
    }

    #[test]
    fn who_is_not_the_last_has_half_of_the_time() {
        let now = Instant::now();
        let of = |share, is_stream, deadline: Option<u64>| {
            let clocks = AttemptClocks {
                share,
                is_stream,
                ..AttemptClocks::default()
            };
            let limit = clocks.limit(now, deadline.map(|at| now + secs(at)), None)?;
            Some((limit.at - now, limit.clock, limit.is_callers))
        };
        let first_token = Clock::FirstToken;
        assert_eq!(of(Share::Half, false, None), None);
        let half = of(Share::Half, false, Some(8));
        assert_eq!(half, Some((secs(4), Clock::Attempt, false)));
        let half = of(Share::Half, true, Some(8));
        assert_eq!(half, Some((secs(4), first_token, false)));
        let half = of(Share::CallersHalf, true, Some(8));
        assert_eq!(half, Some((secs(4), first_token, true)));
        let whole = of(Share::Whole, true, Some(8));
        assert_eq!(whole, Some((secs(8), Clock::Total, true)));
        let over = of(Share::Half, true, Some(0));
        assert_eq!(over, Some((secs(0), Clock::Total, true)));
    }

    #[test]
    fn a_limit_that_is_set_goes_before_one_that_is_not() {
        let now = Instant::now();
        let set = AttemptClocks {
            first_token: Some(secs(5)),
            is_stream: true,
            ..AttemptClocks::default()
        };
        for (adaptive, is_adaptive) in [(4, true), (5, false), (6, false)] {
            let limit = set.limit(now, None, Some(secs(adaptive)));
            assert_eq!(limit.map(|it| it.is_adaptive), Some(is_adaptive));
        }
    }

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }
}
