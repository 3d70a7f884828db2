//! The last minutes.

use crate::{Minute, Tally};

/// A tally for each of the last minutes.
///
/// A minute has one place, by its number, and takes it from an older one. So nothing has to pass
/// when a minute ends, and a clock that is set back only loses what was noted of the future.
#[derive(Debug)]
pub(crate) struct Ring(Box<[Place]>);

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    minute: Option<Minute>,
    tally: Tally,
}

impl Ring {
    /// Room for so many minutes, one at least. All of it is made at once.
    pub(crate) fn new(minutes: usize) -> Self {
        Self(vec![Place::default(); minutes.max(1)].into())
    }

    fn place(&self, minute: Minute) -> usize {
        (minute.number() % self.0.len() as u64) as usize
    }

    /// The tally of a minute, to be added to.
    pub(crate) fn at(&mut self, minute: Minute) -> &mut Tally {
        let place = self.place(minute);
        let place = &mut self.0[place];
        if place.minute != Some(minute) {
            *place = Place {
                minute: Some(minute),
                tally: Tally::default(),
            };
        }
        &mut place.tally
    }

    /// The tally of a minute, if something was noted.
    pub(crate) fn get(&self, minute: Minute) -> Option<&Tally> {
        let place = &self.0[self.place(minute)];
        (place.minute == Some(minute)).then_some(&place.tally)
    }

    /// The last `n` minutes to the one that is named, the oldest first; no more than there are.
    pub(crate) fn last(&self, now: Minute, n: usize) -> impl Iterator<Item = (Minute, Tally)> {
        let n = n.min(self.0.len()) as u64;
        (0..n).rev().map(move |back| {
            let minute = now.minus(back);
            (minute, self.get(minute).copied().unwrap_or_default())
        })
    }
}
