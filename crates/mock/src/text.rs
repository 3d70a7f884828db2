//! What the text of a made-up answer stands for.

use ziggurat_core::{Clock, Error, ErrorKind};

/// How many characters of a text are told in an error.
const MOST_CHARS: usize = 200;

/// The names that stand for a failure, after `litellm.`.
const NAMES: [(&str, ErrorKind); 5] = [
    ("RateLimitError", ErrorKind::RateLimited),
    ("InternalServerError", ErrorKind::Internal),
    ("ContextWindowExceededError", ErrorKind::ContextWindow),
    ("ContentPolicyViolationError", ErrorKind::ContentPolicy),
    ("Timeout", ErrorKind::Timeout(Clock::Attempt)),
];

/// The failure that a text stands for: one of the names, alone or before a colon, or anything after
/// `Exception: `.
pub(crate) fn failure(text: &str) -> Option<Error> {
    let kind = if let Some(what) = text.strip_prefix("Exception: ") {
        match what.starts_with("content_filter_policy") {
            true => ErrorKind::ContentPolicy,
            false => ErrorKind::Internal,
        }
    } else {
        let name = text.strip_prefix("litellm.")?;
        let name = name.split(':').next()?.trim_end();
        NAMES.iter().find(|(it, _)| *it == name)?.1
    };
    let message: String = text.chars().take(MOST_CHARS).collect();
    Some(Error::new(kind, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Option<ErrorKind> {
        failure(text).map(|error| error.kind())
    }

    #[test]
    fn the_names_of_errors_are_failures_of_their_kind() {
        for (name, expected) in NAMES {
            assert_eq!(kind(&format!("litellm.{name}")), Some(expected));
            assert_eq!(kind(&format!("litellm.{name}: too much")), Some(expected));
            assert_eq!(kind(name), None);
        }
        assert_eq!(kind("Exception: boom"), Some(ErrorKind::Internal));
        let filtered = "Exception: content_filter_policy";
        assert_eq!(kind(filtered), Some(ErrorKind::ContentPolicy));
    }

    #[test]
    fn any_other_text_is_an_answer() {
        for text in [
            "",
            "hello",
            "litellm.Timeouts",
            "litellm.",
            "an Exception: no",
        ] {
            assert_eq!(kind(text), None, "{text}");
        }
    }

    #[test]
    fn a_message_is_bounded() {
        let text = format!("Exception: {}", "ä".repeat(10_000));
        let error = failure(&text).expect("is one");
        assert_eq!(error.message().chars().count(), MOST_CHARS);
    }
}
