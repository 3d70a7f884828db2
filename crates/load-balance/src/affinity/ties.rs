//! What one request is tied to.

use std::{sync::Arc, time::Duration};

use smallvec::SmallVec;
use ziggurat_core::Deployment;

use super::{
    Learn,
    map::{Account, Key, PinMap, Place},
};
use crate::{Candidate, Candidates};

/// What one request is tied to, and what is to be learned from its answer.
#[derive(Clone, Debug)]
pub struct Ties {
    pub(super) map: Arc<PinMap>,
    pub(super) ties: SmallVec<[Tie; 3]>,
    pub(super) learns: Learns,
    owner: Option<Account>,
}

/// One tie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tie {
    pub(super) key: Key,
    pub(super) time: Duration,
    pub(super) max_load: Option<f64>,
    pub(super) across_orders: bool,
    pub(super) reads: bool,
    pub(super) write: Write,
}

/// When a pin is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Write {
    Never,
    Always,
    IfFree,
}

/// What is learned from the content of an answer, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Learns {
    pub(super) response_id: Option<Duration>,
    pub(super) content: Option<Duration>,
}

impl Ties {
    pub(super) fn new(map: Arc<PinMap>, learns: Learns) -> Self {
        Self {
            map,
            ties: SmallVec::new(),
            learns,
            owner: None,
        }
    }

    pub(super) fn push(&mut self, tie: Tie) {
        self.ties.push(tie);
    }

    pub(super) fn own(&mut self, owner: Option<Account>) {
        self.owner = owner;
    }

    pub(super) fn matters(&self) -> bool {
        let Learns {
            response_id,
            content,
        } = self.learns;
        !self.ties.is_empty() || response_id.is_some() || content.is_some()
    }

    pub(super) fn response_key(&self, id: &[u8]) -> Key {
        self.map.key(&[b"response", id])
    }

    /// Says of a deployment whether it can read what the request carries; `None` if any may, as far
    /// as is known.
    pub(crate) fn reads_content(&self) -> Option<impl Fn(&Deployment) -> bool> {
        let owner = self.owner?;
        Some(move |member: &Deployment| self.map.account(member) == owner)
    }

    /// The member that the request is to go to, if it is tied to one that may be picked.
    ///
    /// `first` are the candidates of the lowest order that serves, `of` those of a member's order.
    pub(crate) fn pinned<'a>(
        &self,
        members: &[Arc<Deployment>],
        first: Option<&Candidates<'a>>,
        of: impl Fn(usize) -> Option<Candidate<'a>>,
    ) -> Option<usize> {
        self.ties.iter().filter(|tie| tie.reads).find_map(|tie| {
            let Place::Deployment(id, at) = self.map.get(tie.key)? else {
                return None;
            };
            let is_it = |member: &Arc<Deployment>| *member.id() == id;
            let index = match members.get(at) {
                Some(member) if is_it(member) => at,
                _ => members.iter().position(is_it)?,
            };
            if tie.across_orders {
                return of(index).map(|candidate| candidate.index());
            }
            // One that has just failed is not waited for: who answers instead is pinned.
            let candidate = first?.get(index).filter(|it| !it.is_failing())?;
            let fits = tie
                .max_load
                .is_none_or(|times| fits(&candidate, first, times));
            fits.then_some(index)
        })
    }

    /// What is to be learned if a deployment answers.
    pub(crate) fn learn(&self, from: &Deployment, at: usize) -> Learn {
        Learn::new(self.clone(), from, at)
    }
}

/// Whether one more attempt is no more than so many times the mean of all, rounded up (Mirrokni,
/// Thorup and Zadimoghaddam, 2018: consistent hashing with bounded loads).
fn fits(candidate: &Candidate<'_>, all: Option<&Candidates<'_>>, times: f64) -> bool {
    // Of a few at once the mean says nothing: those of a burst come one after the other.
    const FEW: u32 = 8;
    let load = candidate.in_flight();
    if load < FEW {
        return true;
    }
    let loads = all.into_iter().flat_map(|all| all.iter());
    let (count, sum) = loads.fold((0_u64, 0_u64), |(count, sum), it| {
        (count + 1, sum + u64::from(it.in_flight()))
    });
    let mean = (sum + 1) as f64 / count.max(1) as f64;
    f64::from(load + 1) <= (mean * times).ceil()
}
