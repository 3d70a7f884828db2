//! Which clock an attempt is held to.

use std::time::Duration;

use tokio::time::Instant;
use ziggurat_core::{Clock, Extract, LlmRequest, Routed, Timeouts};

/// The clocks of one attempt. `None` sets no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptClocks {
    /// To the end of an answer that is not streamed; `None` for one that is.
    pub attempt: Option<Duration>,
    /// To the first content item of a stream; `None` for an answer that is not streamed.
    pub first_token: Option<Duration>,
    /// Between two items of a stream.
    pub idle: Option<Duration>,
    /// Whether the caller made `attempt` or `first_token` shorter than they would be: if that runs
    /// out, it speaks against no deployment.
    pub callers: bool,
}

impl AttemptClocks {
    /// When the response has to be there and which clock says so, for an attempt that begins now.
    ///
    /// What runs out with the deadline runs out because of it: another attempt would have no time.
    pub(crate) fn limit(
        &self,
        now: Instant,
        deadline: Option<Instant>,
    ) -> Option<(Instant, Clock)> {
        let after = |time: Option<Duration>| time.and_then(|time| now.checked_add(time));
        [
            deadline.map(|at| (at, Clock::Total)),
            after(self.first_token).map(|at| (at, Clock::FirstToken)),
            after(self.attempt).map(|at| (at, Clock::Attempt)),
        ]
        .into_iter()
        .flatten()
        .min_by_key(|(at, _)| *at)
    }
}

/// The clocks as the request, its deployment and the layer set them, in this order of precedence.
///
/// - `attempt`: the request's `timeout`, else the deployment's, else the layer's.
/// - `stream`: the request's `stream_timeout`, else the deployment's, else the layer's, else
///   `attempt`.
///
/// An answer that is not streamed has `attempt` for the whole of it. A streamed one has `stream` to
/// its first token, or the `first_token` of its deployment or the layer if that is shorter; and
/// the `idle` of its deployment or the layer between two items, else `stream`. A time of zero
/// counts as not set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestClocks {
    defaults: Timeouts,
}

impl RequestClocks {
    /// Clocks with these defaults.
    #[must_use]
    pub const fn new(defaults: Timeouts) -> Self {
        Self { defaults }
    }
}

impl Extract<AttemptClocks, Routed<LlmRequest>> for RequestClocks {
    fn extract(&self, routed: &Routed<LlmRequest>) -> AttemptClocks {
        let asked = routed.request().controls();
        let clocks = self.clocks(routed, asked.timeout, asked.stream_timeout);
        if asked.timeout.is_none() && asked.stream_timeout.is_none() {
            return clocks;
        }
        let unasked = self.clocks(routed, None, None);
        let shorter = |ours: Option<Duration>, unasked: Option<Duration>| {
            ours.is_some_and(|ours| unasked.is_none_or(|unasked| ours < unasked))
        };
        let callers = shorter(clocks.attempt, unasked.attempt)
            || shorter(clocks.first_token, unasked.first_token);
        AttemptClocks { callers, ..clocks }
    }
}

impl RequestClocks {
    fn clocks(
        &self,
        routed: &Routed<LlmRequest>,
        timeout: Option<Duration>,
        stream_timeout: Option<Duration>,
    ) -> AttemptClocks {
        let (own, defaults) = (routed.deployment().timeouts(), &self.defaults);
        let attempt = first([timeout, own.attempt, defaults.attempt]);
        if !routed.request().is_stream() {
            return AttemptClocks {
                attempt,
                ..AttemptClocks::default()
            };
        }
        let stream = first([stream_timeout, own.stream, defaults.stream, attempt]);
        let first_token = first([own.first_token, defaults.first_token]);
        AttemptClocks {
            first_token: first_token.into_iter().chain(stream).min(),
            idle: first([own.idle, defaults.idle, stream]),
            ..AttemptClocks::default()
        }
    }
}

/// The first time that is set and not zero.
fn first<const N: usize>(times: [Option<Duration>; N]) -> Option<Duration> {
    times.into_iter().flatten().find(|time| !time.is_zero())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use ziggurat_core::{Deployment, Operation};

    use super::*;

    const DEFAULTS: Timeouts = Timeouts {
        attempt: secs(600),
        stream: secs(60),
        first_token: secs(20),
        idle: secs(30),
    };

    #[test]
    fn an_answer_that_is_not_streamed_has_one_clock() {
        let clocks = |own, body| extract(own, DEFAULTS, body);
        let of = |attempt| AttemptClocks {
            attempt,
            ..AttemptClocks::default()
        };
        let own = Timeouts {
            attempt: secs(300),
            ..Timeouts::default()
        };
        let callers = AttemptClocks {
            callers: true,
            ..of(secs(7))
        };
        assert_eq!(clocks(own, json!({"timeout": 7})), callers);
        assert_eq!(clocks(own, json!({"timeout": 301})), of(secs(301)));
        assert_eq!(clocks(own, json!({"stream_timeout": 7})), of(secs(300)));
        assert_eq!(clocks(Timeouts::default(), json!({})), of(secs(600)));
        assert_eq!(
            extract(Timeouts::default(), Timeouts::default(), json!({})),
            of(None)
        );
    }

    #[test]
    fn the_first_token_has_the_shorter_of_its_own_time_and_the_streams() {
        let first_token = |own, body| extract(own, DEFAULTS, streamed(body)).first_token;
        assert_eq!(first_token(Timeouts::default(), json!({})), secs(20));
        assert_eq!(
            first_token(Timeouts::default(), json!({"stream_timeout": 5})),
            secs(5)
        );
        let patient = Timeouts {
            first_token: secs(120),
            ..Timeouts::default()
        };
        assert_eq!(first_token(patient, json!({})), secs(60));
        assert_eq!(
            first_token(patient, json!({"stream_timeout": 90})),
            secs(90)
        );
    }

    #[test]
    fn a_stream_without_clocks_of_its_own_has_those_of_an_answer_that_is_not_streamed() {
        let defaults = Timeouts {
            attempt: secs(600),
            ..Timeouts::default()
        };
        let clocks = extract(
            Timeouts::default(),
            defaults,
            streamed(json!({"timeout": 9})),
        );
        let expected = AttemptClocks {
            attempt: None,
            first_token: secs(9),
            idle: secs(9),
            callers: true,
        };
        assert_eq!(clocks, expected);
    }

    #[test]
    fn silence_has_its_own_clock_or_the_streams() {
        let idle = |own, defaults| extract(own, defaults, streamed(json!({}))).idle;
        let own = Timeouts {
            idle: secs(3),
            ..Timeouts::default()
        };
        assert_eq!(idle(own, DEFAULTS), secs(3));
        assert_eq!(idle(Timeouts::default(), DEFAULTS), secs(30));
        let unset = Timeouts {
            idle: None,
            ..DEFAULTS
        };
        assert_eq!(idle(Timeouts::default(), unset), secs(60));
    }

    #[test]
    fn zero_is_not_set() {
        let own = Timeouts {
            attempt: secs(0),
            ..Timeouts::default()
        };
        assert_eq!(extract(own, DEFAULTS, json!({})).attempt, secs(600));
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_that_runs_out_first_is_the_one_to_blame() {
        let now = Instant::now();
        let clocks = AttemptClocks {
            attempt: secs(5),
            ..AttemptClocks::default()
        };
        let at = |secs| now + Duration::from_secs(secs);
        assert_eq!(clocks.limit(now, None), Some((at(5), Clock::Attempt)));
        assert_eq!(
            clocks.limit(now, Some(at(9))),
            Some((at(5), Clock::Attempt))
        );
        assert_eq!(clocks.limit(now, Some(at(5))), Some((at(5), Clock::Total)));
        assert_eq!(AttemptClocks::default().limit(now, None), None);
        let for_ever = AttemptClocks {
            attempt: Some(Duration::MAX),
            ..AttemptClocks::default()
        };
        assert_eq!(for_ever.limit(now, None), None);
    }

    const fn secs(secs: u64) -> Option<Duration> {
        Some(Duration::from_secs(secs))
    }

    fn streamed(mut body: serde_json::Value) -> serde_json::Value {
        body["stream"] = true.into();
        body
    }

    fn extract(own: Timeouts, defaults: Timeouts, mut body: serde_json::Value) -> AttemptClocks {
        body["model"] = "gpt".into();
        body["messages"] = json!([]);
        let request = LlmRequest::from_value(Operation::ChatCompletions, &body);
        let deployment = Deployment::new("a", "gpt", "m").with_timeouts(own);
        let routed = Routed::new(request.expect("is valid"), Arc::new(deployment));
        RequestClocks::new(defaults).extract(&routed)
    }
}
