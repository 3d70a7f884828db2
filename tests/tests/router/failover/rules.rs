//! What must hold under each fault.

use std::{fmt, time::Duration};

use crate::failover::{
    dialects::Declines,
    run::{A, B},
    seen::Seen,
};

/// Why a provider declines.
pub(crate) const REASON: &str = "the prompt was flagged for violence";

/// What a provider says that takes no prefill.
pub(crate) const NO_PREFILL: &str = "the conversation must end with a user message";

/// How a fault ended, in the words of the bench. There is no word for a failure: it fails the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The client has what is right, and everybody behaved.
    Pass,
    /// The client has a clear error in good time.
    Safe,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Safe => "safe",
        })
    }
}

/// Two seconds are worth waiting for, whether or not a fallback is left.
pub(crate) fn throttled_once(seen: &Seen) -> Outcome {
    seen.asked(2, 0);
    assert!(seen.a[1] >= Duration::from_secs(2), "{:?}", seen.a);
    seen.is_of(&A, &["a=rate_limited"]);
    seen.within(4);
    Outcome::Pass
}

pub(crate) fn throttled(seen: &Seen) -> Outcome {
    seen.asked(1, 1);
    seen.is_of(&B, &["a=rate_limited"]);
    seen.within(3);
    Outcome::Pass
}

pub(crate) fn throttled_alone(seen: &Seen) -> Outcome {
    seen.asked(3, 0);
    let pauses = [seen.a[1] - seen.a[0], seen.a[2] - seen.a[1]];
    assert!(
        pauses[0] != pauses[1] && !pauses.contains(&Duration::ZERO),
        "{pauses:?}"
    );
    let error = seen.answer().is_refused(429, &["a=rate_limited"; 3]);
    if seen.shape.client.has_codes && seen.shape.a.has_codes {
        assert_eq!(error["code"], "rate_limit_exceeded");
    }
    seen.within(3);
    Outcome::Safe
}

pub(crate) fn failing_once(seen: &Seen) -> Outcome {
    seen.asked(2, 0);
    seen.is_of(&A, &["a=internal"]);
    seen.within(3);
    Outcome::Pass
}

pub(crate) fn down(seen: &Seen) -> Outcome {
    seen.asked(3, 1);
    seen.is_of(&B, &[seen.shape.a.down; 3]);
    seen.within(3);
    Outcome::Pass
}

pub(crate) fn reset_once(seen: &Seen) -> Outcome {
    seen.asked(2, 0);
    seen.is_of(&A, &["a=connect"]);
    seen.within(3);
    Outcome::Pass
}

/// A stream is left when its first token is late, anything else when its time is over.
pub(crate) fn silent(seen: &Seen) -> Outcome {
    seen.asked(1, 1);
    if seen.is_streamed() {
        seen.is_of(&B, &["a=timeout_first_token"]);
        seen.within(15);
    } else {
        seen.is_of(&B, &["a=timeout_attempt"]);
        seen.within(31);
    }
    Outcome::Pass
}

/// What is not streamed has no first token, and 20 seconds are less than it may take.
pub(crate) fn late(seen: &Seen) -> Outcome {
    if seen.is_streamed() {
        seen.asked(1, 1);
        seen.is_of(&B, &["a=timeout_first_token"]);
        seen.within(15);
    } else {
        seen.asked(1, 0);
        seen.is_of(&A, &[]);
        seen.within(21);
    }
    Outcome::Pass
}

/// A stream is gone on with by whoever can: of chats those that take a prefill, of completions
/// everybody, and so the group itself at first. What is not streamed has not begun.
pub(crate) fn cut(seen: &Seen) -> Outcome {
    if seen.is_streamed() && !seen.shape.client.goes_on {
        return cut_for_good(seen);
    }
    if seen.shape.is_streamed_chat() {
        seen.asked(1, 1);
    } else {
        seen.asked(3, 1);
    }
    if seen.is_streamed() {
        seen.answer().is_gone_on_with(&A);
    } else {
        seen.is_of(&B, &["a=stream_broken"; 3]);
    }
    seen.within(3);
    Outcome::Pass
}

/// Who has fallen silent is not asked again.
pub(crate) fn stalled(seen: &Seen) -> Outcome {
    if seen.is_streamed() && !seen.shape.client.goes_on {
        seen.asked(1, 0);
        seen.answer().breaks_off(&A);
        seen.within(45);
        return Outcome::Safe;
    }
    seen.asked(1, 1);
    if seen.is_streamed() {
        seen.answer().is_gone_on_with(&A);
    } else {
        seen.is_of(&B, &["a=timeout_attempt"]);
    }
    seen.within(45);
    Outcome::Pass
}

/// One event is left out; a whole body that is broken is no answer.
pub(crate) fn malformed(seen: &Seen) -> Outcome {
    if seen.is_streamed() {
        seen.asked(1, 0);
        seen.is_of(&A, &[]);
    } else {
        seen.asked(3, 1);
        seen.is_of(&B, &["a=bad_answer"; 3]);
    }
    seen.within(3);
    Outcome::Pass
}

pub(crate) fn without_done(seen: &Seen) -> Outcome {
    seen.asked(1, 0);
    seen.is_of(&A, &[]);
    seen.within(1);
    Outcome::Pass
}

pub(crate) fn too_long(seen: &Seen) -> Outcome {
    seen.asked(1, 1);
    seen.is_of(&B, &["a=context_window"]);
    seen.within(1);
    Outcome::Pass
}

/// Here the right answer is the error, or the answer that says so.
pub(crate) fn declined(seen: &Seen) -> Outcome {
    seen.asked(1, 0);
    seen.within(1);
    let kind = match seen.shape.a.declines {
        Declines::WithACode | Declines::InWords => "a=content_policy",
        Declines::LikeAnything => "a=bad_request",
        Declines::InAnswer => {
            seen.answer().declines(REASON);
            return Outcome::Pass;
        }
    };
    let error = seen.answer().is_refused(400, &[kind]);
    if seen.shape.client.has_codes && kind == "a=content_policy" {
        assert_eq!(error["code"], "content_policy_violation");
    }
    let message = error["message"].as_str().expect("is text");
    match seen.shape.a.declines {
        Declines::WithACode => assert_eq!(message, REASON),
        _ => assert!(message.contains(REASON), "{message}"),
    }
    Outcome::Pass
}

/// Nobody is known to go on with it, so nobody is asked.
pub(crate) fn cut_for_good(seen: &Seen) -> Outcome {
    seen.asked(1, 0);
    breaks_off(seen)
}

/// Somebody is said to go on with it and does not. That is not what the client is told.
pub(crate) fn cut_with_a_prefill_in_vain(seen: &Seen) -> Outcome {
    seen.asked(1, 1);
    breaks_off(seen)
}

fn breaks_off(seen: &Seen) -> Outcome {
    let error = seen.answer().breaks_off(&A);
    if seen.shape.client.has_codes {
        assert_eq!(error["code"], "stream_broken");
    }
    let message = error["message"].as_str().expect("is text");
    assert!(!message.contains(NO_PREFILL), "{message}");
    seen.within(1);
    Outcome::Safe
}

pub(crate) fn cut_behind_the_scenes(seen: &Seen) -> Outcome {
    seen.asked(3, 1);
    seen.is_of(&B, &["a=stream_broken"; 3]);
    seen.within(5);
    Outcome::Pass
}

pub(crate) fn down_for_a_minute(seen: &Seen) -> Outcome {
    const BACK_UP: Duration = Duration::from_secs(60);
    let mut back = None;
    for answer in &seen.answers {
        let name = answer.is_of_somebody().name;
        let is_down = answer.at < BACK_UP;
        assert!(!(is_down && name == "a"), "{answer:?}");
        if name == "a" {
            back.get_or_insert(answer.at);
        } else {
            assert_eq!(back, None, "it stays: {answer:?}");
        }
        assert!(answer.took < Duration::from_secs(2), "{answer:?}");
    }
    let back = back.expect("it is asked again");
    assert!(back <= BACK_UP + Duration::from_secs(30), "{back:?}");
    // Three times before it rests, then two probes.
    let in_vain = seen.a.iter().filter(|at| **at < BACK_UP).count();
    assert_eq!(in_vain, 5, "{:?}", seen.a);
    Outcome::Pass
}

/// Model, usage and headers are those of the one who answers, and that is all that is counted.
pub(crate) fn told(seen: &Seen) -> Outcome {
    seen.is_of(&B, &[seen.shape.a.down; 3]);
    assert_eq!(seen.tokens[0], 0);
    assert!(seen.tokens[1] >= B.prompt);
    assert!(seen.a.len() <= 6);
    Outcome::Pass
}
