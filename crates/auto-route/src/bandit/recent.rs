//! The latest choices, for reports.

use std::{fmt, str::FromStr};

use fastrand::Rng;

use super::Context;

/// The name of a choice: what a caller reports an outcome for. Its text is 16 hexadecimal digits.
///
/// It cannot be guessed from another, and it is good for one report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChoiceId(u64);

/// What stands before an id in an explanation.
pub(super) const BEFORE_ID: &str = "choice ";

impl ChoiceId {
    /// Finds the id in the explanation of a choice, which is what
    /// [`Ledger::route`](ziggurat_core::Ledger::route) says.
    #[must_use]
    pub fn find(explanation: &str) -> Option<Self> {
        let (_, id) = explanation.rsplit_once(BEFORE_ID)?;
        id.parse().ok()
    }
}

impl fmt::Display for ChoiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for ChoiceId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

/// The latest choices, in a ring of fixed size.
#[derive(Debug)]
pub(super) struct Recent {
    /// Empty until the first choice.
    ring: Vec<Option<Entry>>,
    size: u32,
    next: u32,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    id: ChoiceId,
    context: Context,
    arm: u8,
}

impl Recent {
    pub(super) const fn new(size: u32) -> Self {
        Self {
            ring: Vec::new(),
            size,
            next: 0,
        }
    }

    /// Notes a choice, in the place of the oldest.
    pub(super) fn note(&mut self, context: Context, arm: usize, rng: &mut Rng) -> ChoiceId {
        if self.ring.is_empty() {
            self.ring.resize(self.size as usize, None);
        }
        let at = self.next;
        self.next = (at + 1) % self.size;
        // The lower half is the place, the upper half cannot be guessed.
        let id = ChoiceId(u64::from(rng.u32(..)) << 32 | u64::from(at));
        let arm = arm as u8;
        self.ring[at as usize] = Some(Entry { id, context, arm });
        id
    }

    /// What was chosen, once.
    pub(super) fn take(&mut self, id: ChoiceId) -> Option<(Context, usize)> {
        let place = usize::try_from(id.0 & u64::from(u32::MAX)).ok()?;
        let slot = self.ring.get_mut(place)?;
        let entry = slot.take_if(|entry| entry.id == id)?;
        Some((entry.context, entry.arm.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_known_once_and_until_its_place_is_needed() {
        let mut rng = Rng::with_seed(3);
        let mut recent = Recent::new(4);
        let context = Context::new(5);
        let ids: Vec<_> = (0..6)
            .map(|arm| recent.note(context, arm, &mut rng))
            .collect();
        let known: Vec<_> = ids.iter().map(|id| recent.take(*id)).collect();
        assert_eq!(known[..2], [None, None], "their places were needed");
        assert_eq!(known[2..], [2, 3, 4, 5].map(|arm| Some((context, arm))));
        assert!(
            ids.iter().all(|id| recent.take(*id).is_none()),
            "once is all"
        );
        assert_eq!(recent.ring.len(), 4);
    }

    #[test]
    fn an_id_that_was_never_given_is_unknown() {
        let mut rng = Rng::with_seed(3);
        let mut recent = Recent::new(4);
        assert!(recent.take(ChoiceId(0)).is_none(), "nothing was chosen yet");
        let id = recent.note(Context::new(0), 0, &mut rng);
        for other in [id.0 ^ 1 << 40, id.0 + 1, u64::MAX] {
            assert!(recent.take(ChoiceId(other)).is_none());
        }
        assert!(recent.take(id).is_some());
    }

    #[test]
    fn an_id_is_found_in_the_explanation() {
        let id = ChoiceId(0x00ff_0000_0000_0001);
        let text = format!(r#"bandit "choice 1": "small", {BEFORE_ID}{id}"#);
        assert_eq!(ChoiceId::find(&text), Some(id));
        assert_eq!(ChoiceId::find("rule \"x\""), None);
    }
}
