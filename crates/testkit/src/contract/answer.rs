//! What a probe is told to do.

use std::time::Duration;

use ziggurat_core::{Error, ErrorKind, Item, Reason, Rejection, Scope, Usage};

/// Whether a [`Probe`](super::Probe) is ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Readiness {
    /// At once.
    #[default]
    Ready,
    /// After that many polls of an instance that were pending and woke at once.
    Yielding(u32),
    /// When the readiness is set to something else.
    Pending,
    /// Never: it fails with this kind.
    Failed(ErrorKind),
}

/// What a [`Probe`](super::Probe) answers to one call: an outcome, and when.
///
/// ```
/// use std::time::Duration;
/// use ziggurat_core::ErrorKind;
/// use ziggurat_testkit::contract::Answer;
///
/// let slow = Answer::complete().after(Duration::from_secs(2));
/// let broken = Answer::stream(3).breaking(ErrorKind::StreamBroken);
/// ```
#[derive(Clone, Debug)]
pub struct Answer {
    pub(super) outcome: Outcome,
    pub(super) yields: u32,
    pub(super) after: Option<Duration>,
    pub(super) held: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Complete,
    Error(ErrorKind),
    Rejection(Rejection),
    Stream { items: u32, then: Then },
}

/// What comes after the items of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) enum Then {
    End,
    Error(ErrorKind),
    Silence,
}

impl Answer {
    const fn new(outcome: Outcome) -> Self {
        Self {
            outcome,
            yields: 0,
            after: None,
            held: false,
        }
    }

    /// A complete body.
    #[must_use]
    pub const fn complete() -> Self {
        Self::new(Outcome::Complete)
    }

    /// A failure of that kind.
    #[must_use]
    pub const fn error(kind: ErrorKind) -> Self {
        Self::new(Outcome::Error(kind))
    }

    /// A refusal.
    #[must_use]
    pub const fn rejection(rejection: Rejection) -> Self {
        Self::new(Outcome::Rejection(rejection))
    }

    /// A refusal for [`Reason::Busy`] of that scope.
    #[must_use]
    pub const fn busy(scope: Scope) -> Self {
        Self::rejection(Rejection::new(Reason::Busy, scope))
    }

    /// A stream of that many items, as [`item`] gives them, and then its end.
    #[must_use]
    pub const fn stream(items: u32) -> Self {
        Self::new(Outcome::Stream {
            items,
            then: Then::End,
        })
    }

    /// Lets a stream break after its items. Anything else stays as it is.
    #[must_use]
    pub const fn breaking(mut self, kind: ErrorKind) -> Self {
        if let Outcome::Stream { then, .. } = &mut self.outcome {
            *then = Then::Error(kind);
        }
        self
    }

    /// Lets a stream fall silent after its items. Anything else stays as it is.
    #[must_use]
    pub const fn hanging(mut self) -> Self {
        if let Outcome::Stream { then, .. } = &mut self.outcome {
            *then = Then::Silence;
        }
        self
    }

    /// First is pending that many times, and wakes at once. A stream is then so once before each
    /// item but the first.
    #[must_use]
    pub const fn yielding(mut self, times: u32) -> Self {
        self.yields = times;
        self
    }

    /// First waits that long.
    #[must_use]
    pub const fn after(mut self, wait: Duration) -> Self {
        self.after = Some(wait);
        self
    }

    /// First waits until the probe is [released](super::Probe::release).
    #[must_use]
    pub const fn held(mut self) -> Self {
        self.held = true;
        self
    }
}

/// The item of that number of a probe's stream of so many; the last one tells the usage.
#[must_use]
pub fn item(number: u32, of: u32) -> Item {
    Item {
        bytes: format!("data: {{\"item\":{number}}}\n\n").into(),
        events: 1,
        usage: (number + 1 == of).then(|| Usage::new(1, u64::from(of))),
        ..Item::default()
    }
}

pub(super) fn error(kind: ErrorKind) -> Error {
    Error::new(kind, "the probe was told to fail")
}
