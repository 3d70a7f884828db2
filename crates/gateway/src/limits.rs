//! What clients are told of limits.

use std::{fmt::Write as _, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, header::RETRY_AFTER};
use serde_json::{Value, json};
use tokio::time::Instant;
use ziggurat::{
    Error, GroupUsage, LimitLeft, LlmRequest, Reason, Rejection, Router,
    rate_limit::{Left, Limit, LimitKey, Measure, Period, Refused, Window, money},
};

use crate::listing::without_nulls;

const LIMIT: HeaderName = HeaderName::from_static("x-ziggurat-limit");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
/// What the clients of OpenAI and Anthropic ask before they try again by themselves.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// The headers of a measure that clients know: limit, remaining, reset.
fn names(measure: Measure) -> Option<[HeaderName; 3]> {
    let names = match measure {
        Measure::Requests => [
            "x-ratelimit-limit-requests",
            "x-ratelimit-remaining-requests",
            "x-ratelimit-reset-requests",
        ],
        Measure::Tokens => [
            "x-ratelimit-limit-tokens",
            "x-ratelimit-remaining-tokens",
            "x-ratelimit-reset-tokens",
        ],
        Measure::InputTokens => [
            "x-ratelimit-limit-input-tokens",
            "x-ratelimit-remaining-input-tokens",
            "x-ratelimit-reset-input-tokens",
        ],
        Measure::OutputTokens => [
            "x-ratelimit-limit-output-tokens",
            "x-ratelimit-remaining-output-tokens",
            "x-ratelimit-reset-output-tokens",
        ],
        Measure::Money | Measure::InFlight => return None,
    };
    Some(names.map(HeaderName::from_static))
}

/// How long to wait, in whole seconds and exactly; where waiting is of no use, that.
pub(crate) fn tell_wait(error: &Error, headers: &mut HeaderMap) {
    if is_budget(error) {
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        return;
    }
    let Some(after) = error.retry_after() else {
        headers.insert(RETRY_AFTER, HeaderValue::from(1));
        return;
    };
    let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    headers.insert(RETRY_AFTER_MS, HeaderValue::from(millis(after)));
}

/// Whether money is spent.
fn is_budget(error: &Error) -> bool {
    let reason = error.rejection().map(Rejection::reason);
    error.kind() == ziggurat::ErrorKind::Budget || reason == Some(Reason::Budget)
}

/// Milliseconds, rounded up: who waits so long is not too early.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// Which limit refused a request.
pub(crate) fn tell_refused(refused: &Refused, headers: &mut HeaderMap) {
    let (limit, now) = (refused.limit(), Instant::now());
    let text = |measure: bool| describe(refused.key(), &limit, measure);
    match names(limit.measure()) {
        Some(names) => {
            let left = (limit.amount(), refused.remaining(), refused.reset());
            tell(names, left, now, headers);
            insert(headers, &text(true));
        }
        None => {
            let mut text = text(true);
            let (most, left) = (
                amount(&limit, limit.amount()),
                amount(&limit, refused.remaining()),
            );
            let _ = write!(text, ";limit={};remaining={}", plain(&most), plain(&left));
            insert(headers, &text);
        }
    }
}

/// The same as a member of the body of an error, whatever its envelope.
pub(crate) fn add_to_body(refused: &Refused, body: &str) -> Option<String> {
    let mut value: Value = serde_json::from_str(body).ok()?;
    let envelope = match &mut value {
        Value::Array(items) => items.first_mut()?,
        other => other,
    };
    let error = envelope.get_mut("error")?.as_object_mut()?;
    let mut told = in_json(refused.key(), &refused.limit(), refused.reset());
    told["remaining"] = amount(&refused.limit(), refused.remaining());
    error.insert("limit".to_owned(), told);
    Some(value.to_string())
}

/// What somebody has used of a limit, and what is left of it. Of one that is there only to tell
/// somebody, nothing is left and nothing refused.
pub(crate) fn left_in_json(one: &LimitLeft) -> Value {
    let limit = one.left.limit;
    let mut told = in_json(&one.key, &limit, one.left.resets_at);
    told["used"] = amount(&limit, one.left.used);
    if limit.amount() == u64::MAX {
        told["limit"] = Value::Null;
    } else {
        told["remaining"] = amount(&limit, one.left.remaining());
    }
    if let Some(soft) = limit.soft() {
        told["soft"] = amount(&limit, soft);
    }
    without_nulls(told)
}

/// Whose limit it is, on what, how much, and when it is whole again.
fn in_json(key: &LimitKey, limit: &Limit, resets_at: Option<Instant>) -> Value {
    let mut told = json!({
        "scope": key.subject().as_str(),
        "measure": limit.measure().as_str(),
        "limit": amount(limit, limit.amount()),
        "window": window(limit.window()).0,
    });
    if key.subject() != ziggurat::rate_limit::Subject::All {
        told["name"] = key.name().into();
    }
    if let Some(share) = key.share() {
        told["of"] = share.into();
    }
    if let (_, Some(per)) = window(limit.window()) {
        told["seconds"] = json!(per.as_secs_f64());
    }
    if let Some(at) = resets_at {
        let left = at.saturating_duration_since(Instant::now());
        told["resets_in_ms"] = millis(left).into();
    }
    told
}

/// What a provider that throttles says of its own limits, under OpenAI's names, whatever the
/// provider's are.
pub(crate) fn tell_provider(error: &Error, headers: &mut HeaderMap) {
    let Some(limits) = error.provider_limits() else {
        return;
    };
    for (quota, names) in [
        (limits.requests, PROVIDER_REQUESTS),
        (limits.tokens, PROVIDER_TOKENS),
    ] {
        if let Some(quota) = quota {
            let left = (quota.limit, quota.remaining, quota.resets_at);
            let names = names.map(HeaderName::from_static);
            tell(names, left, Instant::now(), headers);
        }
    }
}

const PROVIDER_REQUESTS: [&str; 3] = [
    "llm_provider-x-ratelimit-limit-requests",
    "llm_provider-x-ratelimit-remaining-requests",
    "llm_provider-x-ratelimit-reset-requests",
];
const PROVIDER_TOKENS: [&str; 3] = [
    "llm_provider-x-ratelimit-limit-tokens",
    "llm_provider-x-ratelimit-remaining-tokens",
    "llm_provider-x-ratelimit-reset-tokens",
];

/// What is left, of one of those who are limited: the caller, where it is, else the group.
pub(crate) fn tell_left(
    router: &Router,
    request: Option<&LlmRequest>,
    group: Option<&str>,
    headers: &mut HeaderMap,
) {
    let of_caller = request.map(|request| router.limits_of_request(request));
    if of_caller.is_some_and(|left| tell_one(&left, headers)) {
        return;
    }
    let Some(group) = group else { return };
    if tell_one(&router.limits_of_group(group), headers) {
        return;
    }
    if let Some(usage) = router.group_limits(group) {
        tell_group(group, &usage, headers);
    }
}

/// Tells what the one has left who has the least, of its rates; whether anybody has any.
fn tell_one(left: &[LimitLeft], headers: &mut HeaderMap) -> bool {
    let now = Instant::now();
    let rates = || left.iter().filter(|it| is_rate(&it.left));
    let least = |measure: Option<Measure>, key: Option<&LimitKey>| {
        let those = rates().filter(|it| measure.is_none_or(|of| it.left.limit.measure() == of));
        let those = those.filter(|it| key.is_none_or(|of| it.key == *of));
        those.min_by(|one, other| share(&one.left).total_cmp(&share(&other.left)))
    };
    let Some(tightest) = least(None, None) else {
        return false;
    };
    for measure in [
        Measure::Requests,
        Measure::Tokens,
        Measure::InputTokens,
        Measure::OutputTokens,
    ] {
        if let (Some(one), Some(names)) =
            (least(Some(measure), Some(&tightest.key)), names(measure))
        {
            let left = one.left;
            let all = (left.limit.amount(), left.remaining(), left.resets_at);
            tell(names, all, now, headers);
        }
    }
    insert(
        headers,
        &describe(&tightest.key, &tightest.left.limit, false),
    );
    true
}

/// Whether it is a limit that clients know the headers of, and that can be reached.
fn is_rate(left: &Left) -> bool {
    names(left.limit.measure()).is_some() && left.limit.amount() < u64::MAX
}

/// The part of a limit that is left.
fn share(left: &Left) -> f64 {
    left.remaining() as f64 / left.limit.amount().max(1) as f64
}

/// What the deployments of a group have left together, in the current minute.
fn tell_group(group: &str, usage: &GroupUsage, headers: &mut HeaderMap) {
    for (measure, limit, left) in [
        (Measure::Requests, usage.rpm, usage.requests_left),
        (Measure::Tokens, usage.tpm, usage.tokens_left),
    ] {
        if let (Some(limit), Some(left), Some(names)) = (limit, left, names(measure)) {
            tell(names, (limit, left, None), Instant::now(), headers);
        }
    }
    insert(
        headers,
        &format!("group;name=\"{}\";window=minute", plain(group)),
    );
}

fn tell(
    [limit, remaining, reset]: [HeaderName; 3],
    (most, left, resets_at): (u64, u64, Option<Instant>),
    now: Instant,
    headers: &mut HeaderMap,
) {
    headers.insert(limit, HeaderValue::from(most));
    headers.insert(remaining, HeaderValue::from(left));
    if let Some(at) = resets_at {
        let text = duration(at.saturating_duration_since(now));
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(reset, value);
        }
    }
}

/// As OpenAI writes a time: `850ms`, `59.5s`, `6m0s`.
fn duration(time: Duration) -> String {
    let all = millis(time);
    let (minutes, rest) = (all / 60_000, all % 60_000);
    let seconds = match (rest / 1_000, rest % 1_000) {
        (seconds, 0) => format!("{seconds}s"),
        (seconds, millis) => {
            let fraction = format!("{millis:03}");
            format!("{seconds}.{}s", fraction.trim_end_matches('0'))
        }
    };
    match (minutes, rest) {
        (0, 1..1_000) => format!("{rest}ms"),
        (0, _) => seconds,
        _ => format!("{minutes}m{seconds}"),
    }
}

/// Whose limit it is, and in what time it holds, as an item of RFC 9651 with parameters.
fn describe(key: &LimitKey, limit: &Limit, with_measure: bool) -> String {
    let mut text = key.subject().as_str().to_owned();
    if key.subject() != ziggurat::rate_limit::Subject::All {
        let _ = write!(text, ";name=\"{}\"", plain(key.name()));
    }
    if let Some(share) = key.share() {
        let _ = write!(text, ";of=\"{}\"", plain(share));
    }
    if with_measure {
        let _ = write!(text, ";measure={}", limit.measure());
    }
    let (name, per) = window(limit.window());
    let _ = write!(text, ";window={name}");
    if let Some(per) = per {
        let _ = write!(text, ";seconds={}", per.as_secs_f64());
    }
    text
}

/// How a window is called, and how long it is where the name does not say it.
fn window(window: Window) -> (&'static str, Option<Duration>) {
    match window {
        Window::Sliding(per) => ("sliding", Some(per)),
        Window::Smooth(per) => ("smooth", Some(per)),
        Window::Fixed(Period::Rolling(per)) => ("rolling", Some(per)),
        Window::Fixed(Period::Day) => ("day", None),
        Window::Fixed(Period::Week) => ("week", None),
        Window::Fixed(Period::Month) => ("month", None),
        Window::Fixed(Period::Forever) => ("forever", None),
        Window::AtOnce => ("at_once", None),
    }
}

/// An amount in the unit of its measure: of money, dollars as a text that keeps all digits.
fn amount(limit: &Limit, amount: u64) -> Value {
    match limit.measure() {
        Measure::Money => money(amount).to_string().into(),
        _ => amount.into(),
    }
}

trait Plain {
    fn plain(&self) -> String;
}

impl Plain for str {
    /// What may stand in a quoted string of a header.
    fn plain(&self) -> String {
        let chars = self.chars().map(|c| match c {
            '"' | '\\' => '\'',
            ' '..='~' => c,
            _ => '?',
        });
        chars.collect()
    }
}

impl Plain for Value {
    fn plain(&self) -> String {
        self.as_str()
            .map_or_else(|| self.to_string(), str::to_owned)
    }
}

fn plain(value: &(impl Plain + ?Sized)) -> String {
    value.plain()
}

fn insert(headers: &mut HeaderMap, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(LIMIT, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_openai_does_and_never_too_short() {
        for (micros, text) in [
            (0, "0s"),
            (1, "1ms"),
            (850_000, "850ms"),
            (999_001, "1s"),
            (59_500_000, "59.5s"),
            (59_010_000, "59.01s"),
            (360_000_000, "6m0s"),
            (61_250_000, "1m1.25s"),
        ] {
            assert_eq!(duration(Duration::from_micros(micros)), text);
        }
    }
}
