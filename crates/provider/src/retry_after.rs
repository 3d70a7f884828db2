//! How long a provider wants to be left alone.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, header::RETRY_AFTER};
use tokio::time::Instant;
use ziggurat_core::{ProviderLimits, Quota};

/// Nobody is waited for longer than that.
const MAX: Duration = Duration::from_secs(24 * 3600);

/// The wait that an error answer asks for, at most a day.
///
/// `retry-after-ms` and `retry-after` (seconds or a date) come first, and the longer of them wins.
/// Only where requests are `limited`: then the reset of the limit that is used up, then what the
/// message says ("try again in 9.8s").
pub(crate) fn wanted(
    headers: &HeaderMap,
    message: &str,
    limited: bool,
    now: SystemTime,
) -> Option<Duration> {
    let millis = ["retry-after-ms", "x-ms-retry-after-ms"]
        .into_iter()
        .filter_map(|name| number(headers.get(name)?))
        .map(|millis| millis / 1000.0);
    let seconds = headers.get(RETRY_AFTER).and_then(number);
    let wait = millis
        .chain(seconds)
        .filter_map(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .chain(date(headers, now))
        .max();
    let wait = match wait {
        None if limited => reset(headers)
            .or_else(|| reset_at(headers, now))
            .or_else(|| told(message)),
        wait => wait,
    };
    wait.map(|wait| wait.min(MAX))
}

fn number(value: &HeaderValue) -> Option<f64> {
    value.to_str().ok()?.trim().parse().ok()
}

fn date(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let at = httpdate::parse_http_date(headers.get(RETRY_AFTER)?.to_str().ok()?).ok()?;
    Some(at.duration_since(now).unwrap_or_default())
}

/// When the limits that are used up are reset. A bare number says nothing: its unit differs.
fn reset(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    [
        (
            "x-ratelimit-remaining-requests",
            "x-ratelimit-reset-requests",
        ),
        ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ]
    .into_iter()
    .filter(|(remaining, _)| text(remaining).is_none_or(|left| left.trim() == "0"))
    .filter_map(|(_, reset)| match leading_duration(text(reset)?.trim()) {
        (wait, "") => wait,
        _ => None,
    })
    .max()
}

/// When the limits of Anthropic's that are used up are reset, which are told with a time.
fn reset_at(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    ["requests", "tokens", "input-tokens", "output-tokens"]
        .into_iter()
        .filter(|kind| {
            let left = text(&format!("anthropic-ratelimit-{kind}-remaining"));
            left.is_some_and(|left| left.trim() == "0")
        })
        .filter_map(|kind| until(text(&format!("anthropic-ratelimit-{kind}-reset"))?, now))
        .max()
}

/// How long it is until a time in the form of RFC 3339; nothing if it has passed.
fn until(time: &str, now: SystemTime) -> Option<Duration> {
    let at: jiff::Timestamp = time.trim().parse().ok()?;
    Some(SystemTime::from(at).duration_since(now).unwrap_or_default())
}

/// What a provider says is left of its limits, under the names that OpenAI uses and many have taken
/// over, or under Anthropic's.
pub(crate) fn limits(headers: &HeaderMap, now: Instant, time: SystemTime) -> ProviderLimits {
    let of = |limit: &str, remaining: &str, reset: &str| {
        let whole = |name: &str| -> Option<u64> {
            let text = headers.get(name)?.to_str().ok()?;
            text.trim().parse().ok()
        };
        let resets_at = headers.get(reset).and_then(|value| {
            let text = value.to_str().ok()?.trim();
            let wait = match leading_duration(text) {
                (Some(wait), "") => Some(wait),
                _ => until(text, time),
            };
            now.checked_add(wait?.min(MAX))
        });
        Some(Quota {
            limit: whole(limit)?,
            remaining: whole(remaining)?,
            resets_at,
        })
    };
    ProviderLimits {
        requests: of(
            "x-ratelimit-limit-requests",
            "x-ratelimit-remaining-requests",
            "x-ratelimit-reset-requests",
        )
        .or_else(|| {
            of(
                "anthropic-ratelimit-requests-limit",
                "anthropic-ratelimit-requests-remaining",
                "anthropic-ratelimit-requests-reset",
            )
        }),
        tokens: of(
            "x-ratelimit-limit-tokens",
            "x-ratelimit-remaining-tokens",
            "x-ratelimit-reset-tokens",
        )
        .or_else(|| {
            of(
                "anthropic-ratelimit-tokens-limit",
                "anthropic-ratelimit-tokens-remaining",
                "anthropic-ratelimit-tokens-reset",
            )
        }),
    }
}

/// The wait that a message for people names.
fn told(message: &str) -> Option<Duration> {
    let message = message.to_ascii_lowercase();
    ["try again in ", "retry in ", "retry after ", "wait "]
        .into_iter()
        .filter_map(|words| message.split_once(words))
        .find_map(|(_, rest)| leading_duration(rest).0)
}

/// The duration a text begins with (`1m12s`, `8.64s`, `12ms`, `20 seconds`), and the text after it.
fn leading_duration(text: &str) -> (Option<Duration>, &str) {
    let mut total = None;
    let mut rest = text;
    loop {
        let unit_at = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(unit_at);
        let after = after.strip_prefix(' ').unwrap_or(after);
        let unit_end = after
            .find(|c: char| !c.is_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let part = number
            .parse()
            .ok()
            .zip(seconds_in(unit))
            .and_then(|(number, unit): (f64, f64)| Duration::try_from_secs_f64(number * unit).ok());
        let Some(part) = part else {
            return (total, rest);
        };
        total = Some(total.unwrap_or(Duration::ZERO).saturating_add(part));
        rest = after;
    }
}

fn seconds_in(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" | "millisecond" | "milliseconds" => 1e-3,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86_400.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn limits_are_read_with_their_resets() {
        let now = Instant::now();
        let headers = [
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-limit-tokens", "150000"),
            ("x-ratelimit-remaining-tokens", "-3"),
        ]
        .into_iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        })
        .collect();
        let requests = Quota {
            limit: 60,
            remaining: 59,
            resets_at: Some(now + Duration::from_secs(1)),
        };
        let expected = ProviderLimits {
            requests: Some(requests),
            tokens: None,
        };
        assert_eq!(limits(&headers, now, NOW), expected);
    }

    #[test]
    fn limits_of_anthropic_are_reset_at_a_time() {
        let headers = |resets: &'static str, left: &'static str| -> HeaderMap {
            let header = HeaderName::from_static;
            HeaderMap::from_iter([
                (
                    header("anthropic-ratelimit-requests-limit"),
                    HeaderValue::from_static("60"),
                ),
                (
                    header("anthropic-ratelimit-requests-remaining"),
                    HeaderValue::from_static(left),
                ),
                (
                    header("anthropic-ratelimit-requests-reset"),
                    HeaderValue::from_static(resets),
                ),
            ])
        };
        let now = Instant::now();
        let soon = limits(&headers("1970-01-01T00:00:09Z", "59"), now, NOW);
        let requests = Quota {
            limit: 60,
            remaining: 59,
            resets_at: Some(now + Duration::from_secs(9)),
        };
        assert_eq!(soon.requests, Some(requests));
        let wait = |resets, left| wanted(&headers(resets, left), "", true, NOW);
        assert_eq!(
            wait("1970-01-01T00:00:09.5Z", "0"),
            Some(Duration::from_millis(9_500))
        );
        assert_eq!(wait("1969-12-31T23:00:00Z", "0"), Some(Duration::ZERO));
        assert_eq!(wait("9999-01-01T00:00:00Z", "0"), Some(MAX));
        assert_eq!(wait("1970-01-01T00:00:09Z", "1"), None);
        assert_eq!(wait("soon", "0"), None);
    }

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn of(headers: &[(&str, &str)], message: &str) -> Option<Duration> {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                let name: HeaderName = name.parse().expect("is a name");
                (name, value.parse().expect("is a value"))
            })
            .collect();
        wanted(&headers, message, true, NOW)
    }

    #[test]
    fn every_form_of_the_header_is_read() {
        for (value, millis) in [
            ("2", Some(2_000)),
            ("0", Some(0)),
            ("1.5", Some(1_500)),
            ("Thu, 01 Jan 1970 00:01:30 GMT", Some(90_000)),
            ("999999999999", Some(24 * 3_600_000)),
            ("-5", None),
            ("soon", None),
            ("NaN", None),
            ("inf", None),
        ] {
            assert_eq!(
                of(&[("retry-after", value)], ""),
                millis.map(Duration::from_millis),
                "{value}"
            );
        }
    }

    #[test]
    fn a_date_that_has_passed_asks_for_no_wait() {
        let headers = HeaderMap::from_iter([(
            RETRY_AFTER,
            HeaderValue::from_static("Thu, 01 Jan 1970 00:00:10 GMT"),
        )]);
        let now = NOW + Duration::from_secs(60);
        assert_eq!(wanted(&headers, "", false, now), Some(Duration::ZERO));
    }

    #[test]
    fn the_longer_of_two_headers_wins() {
        let both = [("retry-after", "1"), ("retry-after-ms", "0")];
        assert_eq!(of(&both, ""), Some(Duration::from_secs(1)));
        let both = [("retry-after", "1"), ("retry-after-ms", "1500")];
        assert_eq!(
            of(&both, "try again in 60s"),
            Some(Duration::from_millis(1500))
        );
    }

    #[test]
    fn the_reset_of_the_limit_that_is_used_up_counts() {
        let headers = [
            ("x-ratelimit-remaining-requests", "12"),
            ("x-ratelimit-reset-requests", "1h"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "1m12s"),
        ];
        assert_eq!(of(&headers, ""), Some(Duration::from_secs(72)));
        let reset = |value| of(&[("x-ratelimit-reset-requests", value)], "");
        assert_eq!(reset("8.64s"), Some(Duration::from_millis(8640)));
        assert_eq!(reset("12ms"), Some(Duration::from_millis(12)));
        assert_eq!(reset("500"), None);
        assert_eq!(reset("1m12"), None);
    }

    #[test]
    fn messages_say_it_in_words() {
        for (message, millis) in [
            (
                "Rate limit reached. Please try again in 9.816s. Visit",
                Some(9_816),
            ),
            ("try again in 644ms.", Some(644)),
            ("Please try again in 9m38.016s.", Some(578_016)),
            ("Please Retry After 20 seconds.", Some(20_000)),
            ("Please retry in 48.5s.", Some(48_500)),
            ("Please retry shortly", None),
            ("", None),
        ] {
            assert_eq!(
                of(&[], message),
                millis.map(Duration::from_millis),
                "{message}"
            );
        }
    }

    #[test]
    fn what_is_not_limited_has_no_reset() {
        let headers = HeaderMap::from_iter([(
            HeaderName::from_static("x-ratelimit-reset-tokens"),
            HeaderValue::from_static("6m0s"),
        )]);
        assert_eq!(wanted(&headers, "try again in 5s", false, NOW), None);
    }

    proptest! {
        #[test]
        fn anything_is_read_and_bounded(value in "[ -~]{0,30}|[0-9]{0,400}[.smh]{0,3}", message in "(try again in |[0-9.]{1,30}|[a-zµ ]{0,4}){0,5}") {
            for name in ["retry-after", "retry-after-ms", "x-ratelimit-reset-tokens", "anthropic-ratelimit-tokens-reset"] {
                let wait = of(&[(name, &value)], &message);
                prop_assert!(wait.is_none_or(|wait| wait <= MAX));
            }
        }
    }
}
