//! Who is told when a limit is nearly used up, and when it is.

use std::time::Duration;

use tokio::time::Instant;

use crate::{Limit, LimitKey, Window};

/// How far a limit is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// As far as somebody is to be told; see [`Limit::with_soft`].
    Near,
    /// All of it.
    Full,
}

impl Level {
    /// A short name in snake case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Near => "near",
            Self::Full => "full",
        }
    }
}

/// A limit that is nearly used up, or is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Crossing {
    /// Whose limit it is.
    pub key: LimitKey,
    /// The limit.
    pub limit: Limit,
    /// How far it is used.
    pub level: Level,
    /// How much is used, what is reserved included.
    pub used: u64,
}

impl Crossing {
    /// A limit of a key that is used so far.
    #[must_use]
    pub const fn new(key: LimitKey, limit: Limit, level: Level, used: u64) -> Self {
        Self {
            key,
            limit,
            level,
            used,
        }
    }
}

/// Is told when a limit is nearly used up, and when it is: for alerts and metrics.
///
/// It is told of each level of a limit once in a period: of a budget once in the period that it is
/// for, of a rate once in any time as long as its own, of places in flight once a minute. A limit
/// counts as used up when a request is refused for it, or has been settled and nothing is left.
///
/// It is called on the task of a request, outside of locks, and must not block or panic. A closure
/// is one.
pub trait LimitSink: Send + Sync {
    /// Hears of one.
    fn crossed(&self, crossing: &Crossing);
}

impl<F: Fn(&Crossing) + Send + Sync> LimitSink for F {
    fn crossed(&self, crossing: &Crossing) {
        self(crossing);
    }
}

/// Until when nobody is told again, level by level.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    near: Option<Instant>,
    full: Option<Instant>,
}

impl Told {
    /// What there is to tell of a limit of which so much is used, and whose period ends then, if it
    /// has one that ends. What is returned counts as told.
    pub fn tell(
        &mut self,
        limit: &Limit,
        used: u64,
        is_refused: bool,
        ends_at: Option<Instant>,
        now: Instant,
    ) -> Option<Level> {
        let is_full = is_refused || used >= limit.amount();
        let is_near = limit.soft().is_some_and(|soft| used >= soft);
        let level = match (is_full, is_near) {
            (true, _) => Level::Full,
            (false, true) => Level::Near,
            (false, false) => return None,
        };
        let until = match level {
            Level::Near => &mut self.near,
            Level::Full => &mut self.full,
        };
        if until.is_some_and(|until| now < until) {
            return None;
        }
        let next = again(limit.window(), ends_at, now);
        *until = Some(next);
        if level == Level::Full {
            // Who knows that it is used up need not hear that it nearly is.
            self.near = Some(next);
        }
        Some(level)
    }
}

/// When it is told again.
fn again(window: Window, ends_at: Option<Instant>, now: Instant) -> Instant {
    const MINUTE: Duration = Duration::from_secs(60);
    const AGES: Duration = Duration::from_secs(36_525 * 24 * 60 * 60);
    match window {
        Window::Sliding(per) | Window::Smooth(per) => now + per,
        Window::Fixed(_) => ends_at.unwrap_or(now + AGES),
        Window::AtOnce => now + MINUTE,
    }
}
