//! What is known of a deployment, for others to see.

use tokio::time::Instant;
use ziggurat_core::ErrorKind;

/// Whether a deployment serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It serves.
    Closed,
    /// It takes nothing.
    Resting {
        /// When the rest ends.
        until: Instant,
        /// The failure it rests for.
        because: ErrorKind,
    },
    /// Its rest is over; one request at a time goes through until one succeeds.
    HalfOpen {
        /// The failure it rested for.
        because: ErrorKind,
    },
}

/// What is known of a deployment, for an operator to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// Whether it serves; if it does not, why, and until when.
    pub state: State,
    /// How many failures came since its last success, of those that count.
    pub failures: u32,
    /// How many times it was rested since it last served well.
    pub rests: u32,
    /// When a probe brought it back. `None` while it does not serve, if it never rested, and if
    /// its rest was ended by hand or by another credential.
    pub back_since: Option<Instant>,
}

impl Health {
    /// Of a deployment of which nothing is known.
    pub(crate) const NEW: Self = Self {
        state: State::Closed,
        failures: 0,
        rests: 0,
        back_since: None,
    };
}
