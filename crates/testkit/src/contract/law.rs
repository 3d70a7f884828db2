//! The names of the laws, as a failing suite reports them.

use std::fmt;

/// A law that the suite checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Law {
    /// Only a service that said it is ready is called, and a clone has said nothing.
    Receiver,
    /// A readiness error reaches the caller; readiness is asked where the layer says it is.
    Readiness,
    /// Who waits is polled when there is something to see, and is woken then.
    WakeUp,
    /// Whatever a request takes is given back wherever it is dropped.
    Guard,
    /// A stream passes unchanged, and the request ends with it, once.
    Settlement,
    /// A refusal from beneath keeps its name and leaves nothing behind.
    Admission,
    /// A failure from beneath ends in a failure of that kind and leaves nothing behind.
    Errors,
    /// Any Tower layer may stand beneath.
    Foreign,
    /// The success path allocates no more than was said.
    Allocations,
}

impl Law {
    /// The name in the message of a panic.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Receiver => "receiver",
            Self::Readiness => "readiness",
            Self::WakeUp => "wake-up",
            Self::Guard => "guard",
            Self::Settlement => "settlement",
            Self::Admission => "admission",
            Self::Errors => "errors",
            Self::Foreign => "foreign",
            Self::Allocations => "allocations",
        }
    }

    /// Panics with the name of the law and what was seen.
    #[track_caller]
    pub(super) fn broken(self, seen: impl fmt::Display) -> ! {
        panic!("broken law `{self}`: {seen}")
    }
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
