//! Which clocks an attempt is held to.

use std::{collections::HashMap, sync::Arc, time::Duration};

use foldhash::fast::RandomState;
use ziggurat_core::{
    Capability, Deployment, Extract, HasLedger, Ledger, LlmRequest, Operation, Routed, Snapshot,
    Support, Timeouts,
};

use crate::{Adaptive, AttemptClocks, Share};

/// How long the first token of a stream may take where nobody sets a limit, for an empty prompt.
const FIRST_TOKEN: Duration = Duration::from_secs(10);

/// What a token of the prompt adds: a second for 2,500 of them.
const PER_TOKEN: Duration = Duration::from_micros(400);

/// The clocks of groups.
#[derive(Clone, Debug, Default)]
struct Groups {
    clocks: HashMap<Arc<str>, Timeouts, RandomState>,
    /// The names as if they were groups, so that they match as groups do.
    names: Snapshot,
}

impl Groups {
    fn find(&self, name: &str) -> Option<&Timeouts> {
        if self.clocks.is_empty() {
            return None;
        }
        self.clocks.get(self.names.resolve(name)?.name())
    }
}

/// The limit to the first token where no request, deployment or group sets one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FirstToken {
    /// What is late for this deployment, while somebody else could still answer; see
    /// [`RequestClocks`].
    #[default]
    Auto,
    /// This long. A time of zero is no limit.
    After(Duration),
    /// None but that of the whole stream.
    Off,
}

/// The clocks as the request, its deployment, its group and the layer set them, in this order of
/// precedence: each time is that of the first that sets it.
///
/// - An answer that is not streamed has `attempt` for the whole of it.
/// - One that is passed through has `attempt` to its beginning, and the time of a stream between two
///   pieces. Files take long: give them more in the request.
/// - A streamed one, and speech, has `stream`, else `attempt`, to its first token, or `first_token` if that is
///   shorter; and `idle` between two items, else `stream`, else `attempt`.
///
/// Of a request those are its [`Controls`](ziggurat_core::Controls): `timeout`, `stream_timeout`,
/// `first_token_timeout` and `idle_timeout`. A time of zero counts as not set. Where the request
/// makes a time shorter than it would be, and that runs out, it speaks against no deployment.
///
/// # While somebody else could still answer
///
/// That is while the request has attempts left, and another group to fall back to or a deployment
/// of its group that was not tried; the latter counts only if it has retries left, as far as the
/// request, its deployment or [`num_retries`](Self::num_retries) tells.
///
/// - An attempt may use half of the time that is left to the deadline of the request, and the last
///   one all of it. A stream only has to begin in that time. Without a deadline nothing changes.
/// - A stream for which nobody sets `first_token` has ten seconds and one more for each 2,500
///   estimated tokens of its prompt, or four times the 99th percentile of what the deployment took
///   of late if that is longer, but at most five minutes. A percentile takes twenty observations.
///   Where the request asks for reasoning, or the model is known to reason, or what is asked for is
///   an image, speech or a transcript, it has what is learned of such answers, and no limit before
///   that. An attempt that is cut counts as an observation of
///   its limit, so a model that really is that slow soon has longer. See [`FirstToken`].
#[derive(Clone, Debug, Default)]
pub struct RequestClocks {
    defaults: Timeouts,
    first_token: FirstToken,
    groups: Arc<Groups>,
    num_retries: Option<u32>,
}

impl RequestClocks {
    /// Clocks with these defaults. A default `first_token` is [`FirstToken::After`].
    #[must_use]
    pub fn new(defaults: Timeouts) -> Self {
        Self {
            defaults,
            first_token: defaults
                .first_token
                .map_or(FirstToken::Auto, FirstToken::After),
            ..Self::default()
        }
    }

    /// Sets the limit to the first token where nothing nearer to the request sets one.
    #[must_use]
    pub const fn first_token(mut self, limit: FirstToken) -> Self {
        self.defaults.first_token = match limit {
            FirstToken::After(time) => Some(time),
            FirstToken::Auto | FirstToken::Off => None,
        };
        self.first_token = limit;
        self
    }

    /// Sets the clocks of a group: by the name that a request asks for, else by the group of its
    /// deployment. It may be a pattern such as `openai/*`, or `*` for all; as with model groups, an
    /// exact name comes before a pattern and the longer pattern before the shorter.
    #[must_use]
    pub fn group(mut self, name: impl Into<Arc<str>>, clocks: Timeouts) -> Self {
        let groups = Arc::make_mut(&mut self.groups);
        groups.clocks.insert(name.into(), clocks);
        let named = |name: &Arc<str>| Deployment::new(&**name, Arc::clone(name), "*");
        groups.names = Snapshot::new(groups.clocks.keys().map(named));
        self
    }

    /// Says how often a request is tried again in its group if neither it nor its deployment says
    /// so. With none, a deployment that was not tried will not be asked either.
    #[must_use]
    pub const fn num_retries(mut self, retries: u32) -> Self {
        self.num_retries = Some(retries);
        self
    }

    fn of_group(&self, routed: &Routed<LlmRequest>) -> Option<&Timeouts> {
        let asked = self.groups.find(routed.request().group().as_str());
        asked.or_else(|| self.groups.find(routed.deployment().group()))
    }

    /// The limit to the first token that nobody set.
    fn adaptive(&self, routed: &Routed<LlmRequest>) -> Option<Adaptive> {
        let request = routed.request();
        // How long a file takes tells nothing of an answer.
        if self.first_token != FirstToken::Auto || request.passed().is_some() {
            return None;
        }
        let capabilities = routed.deployment().capabilities();
        let reasons = request.needs().contains(Capability::Reasoning)
            || capabilities.get(Capability::Reasoning) == Support::Yes;
        if reasons || makes_media(request.operation()) {
            return Some(Adaptive::Learned);
        }
        let tokens = u32::try_from(request.estimated_input_tokens()).unwrap_or(u32::MAX);
        Some(Adaptive::AtLeast(FIRST_TOKEN + PER_TOKEN * tokens))
    }

    fn share(&self, routed: &Routed<LlmRequest>) -> Share {
        let (request, deployment) = (routed.request(), routed.deployment());
        let Some(ledger) = request.ledger() else {
            return Share::Whole;
        };
        let others = ledger.fallbacks_left() > 0
            || (ledger.untried() > 0 && self.may_retry(request, deployment, ledger));
        if !others || ledger.attempts_left() == 0 {
            return Share::Whole;
        }
        // Who shortens the deadline sets it when the request arrives, never before it is made.
        let asked = request.controls().deadline;
        let asked = asked.and_then(|time| ledger.started().checked_add(time));
        match asked {
            Some(asked) if ledger.deadline() >= Some(asked) => Share::CallersHalf,
            _ => Share::Half,
        }
    }

    fn may_retry(&self, request: &LlmRequest, deployment: &Deployment, ledger: &Ledger) -> bool {
        let retries = (request.controls().num_retries)
            .or_else(|| deployment.num_retries())
            .or(self.num_retries);
        retries.is_none_or(|retries| ledger.retries() < retries) || ledger.has_tiers()
    }
}

impl Extract<AttemptClocks, Routed<LlmRequest>> for RequestClocks {
    fn extract(&self, routed: &Routed<LlmRequest>) -> AttemptClocks {
        const UNSET: Timeouts = Timeouts {
            attempt: None,
            stream: None,
            first_token: None,
            idle: None,
        };
        let (request, own) = (routed.request(), routed.deployment().timeouts());
        let controls = request.controls();
        let asked = Timeouts {
            attempt: controls.timeout,
            stream: controls.stream_timeout,
            first_token: controls.first_token_timeout,
            idle: controls.idle_timeout,
        };
        let group = self.of_group(routed).unwrap_or(&UNSET);
        let ours = [own, group, &self.defaults].into_iter().fold(UNSET, or);
        let times = or(asked, &ours);
        // Speech comes as it is made, whether as events or as plain bytes.
        let is_stream = request.is_stream() || request.operation() == Operation::Speech;
        let mut clocks = attempt_clocks(times, is_stream);
        if request.passed().is_some() {
            // Nobody knows beforehand whether the answer is streamed.
            clocks.idle = times.idle.or(times.stream).or(times.attempt);
        }
        clocks.share = self.share(routed);
        if clocks.is_stream && times.first_token.is_none() {
            clocks.adaptive = self.adaptive(routed);
        }
        if asked != UNSET {
            let unasked = attempt_clocks(ours, is_stream);
            let shorter = |asked: Option<Duration>, unasked: Option<Duration>| {
                asked.is_some_and(|asked| unasked.is_none_or(|unasked| asked < unasked))
            };
            clocks.callers = shorter(clocks.attempt, unasked.attempt)
                || shorter(clocks.first_token, unasked.first_token);
            clocks.callers_idle = shorter(clocks.idle, unasked.idle);
        }
        clocks
    }
}

/// Whether an answer begins late because of what it is: an image, or what is said in a recording.
fn makes_media(operation: Operation) -> bool {
    use Operation::{ImageEdit, ImageGeneration, Speech, Transcription};
    matches!(
        operation,
        ImageGeneration | ImageEdit | Transcription | Speech
    )
}

/// What is set and not zero, else what the other sets.
fn or(first: Timeouts, other: &Timeouts) -> Timeouts {
    let set = |time: Option<Duration>| time.filter(|time| !time.is_zero());
    let or = |first, other| set(first).or_else(|| set(other));
    Timeouts {
        attempt: or(first.attempt, other.attempt),
        stream: or(first.stream, other.stream),
        first_token: or(first.first_token, other.first_token),
        idle: or(first.idle, other.idle),
    }
}

/// What times mean for an attempt.
fn attempt_clocks(times: Timeouts, is_stream: bool) -> AttemptClocks {
    if !is_stream {
        return AttemptClocks {
            attempt: times.attempt,
            ..AttemptClocks::default()
        };
    }
    let stream = times.stream.or(times.attempt);
    AttemptClocks {
        first_token: times.first_token.into_iter().chain(stream).min(),
        idle: times.idle.or(stream),
        is_stream,
        ..AttemptClocks::default()
    }
}

#[cfg(test)]
mod tests;
