//! The search of one request for a deployment that takes it.

use std::{borrow::Cow, sync::Arc, time::Duration};

use smallvec::SmallVec;
use tokio::time::Instant;
use ziggurat_core::{
    Deployment, Error, HasLedger, Ledger, ModelGroup, Param, Reason, Rejection, Routed, Scope,
};

use crate::{
    Candidates, Filter, Members, Strategy,
    bits::Bits,
    in_flight::InFlight,
    pool::{Clock, Pool},
    refusals::Refusals,
    unknown,
    view::View,
};

/// Up to which number the members that are left are counted: that there are many is enough to know.
const COUNTED: u32 = 64;

/// What one request has met so far.
///
/// It goes through the members of a group in this order: those that were not tried for this request
/// before, by `order`; those that were; of those that are known to refuse, the one that will do so
/// for the shortest time. Whoever refuses is not asked again.
#[derive(Debug)]
pub(crate) struct Search {
    view: Arc<View>,
    pool: usize,
    asked: ModelGroup,
    clock: Clock,
    /// The members that may not be picked: filtered, refused, or tried.
    closed: Bits,
    /// The members that are closed for nothing but having been tried.
    tried: SmallVec<[u32; 4]>,
    stage: Stage,
    refusals: Refusals,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Untried,
    Tried,
    Probe,
    Over,
}

impl Search {
    /// Begins a search.
    ///
    /// # Errors
    ///
    /// If no group serves the model, or filters leave no member of it.
    pub(crate) fn new<R, F>(
        view: Arc<View>,
        clock: Clock,
        request: &R,
        filter: &F,
    ) -> Result<Self, Error>
    where
        R: HasLedger + Param<ModelGroup>,
        F: Filter<R>,
    {
        let asked = request.param();
        let Some(pool) = view.resolve(asked.as_str()) else {
            return Err(unknown::model_not_found(asked.as_str(), view.snapshot()));
        };
        let mut search = Self {
            view,
            pool,
            asked,
            clock,
            closed: Bits::default(),
            tried: SmallVec::new(),
            stage: Stage::Untried,
            refusals: Refusals::default(),
        };
        search.filter(request, filter)?;
        search.leave_tried(request.ledger());
        Ok(search)
    }

    fn pool(&self) -> &Pool {
        &self.view.pools()[self.pool]
    }

    pub(crate) fn member(&self, index: usize) -> &Arc<Deployment> {
        &self.pool().members()[index]
    }

    fn filter<R>(&mut self, request: &R, filter: &impl Filter<R>) -> Result<(), Error> {
        let pool = &self.view.pools()[self.pool];
        let mut members = Members::new(pool.members(), &mut self.closed);
        let why = match filter.filter(request, &mut members) {
            Ok(()) if members.is_empty() => "filters leave none of them to this request".into(),
            Ok(()) => return Ok(()),
            Err(why) => why,
        };
        let group = pool.group().name();
        let rejection = Rejection::new(Reason::Filtered, Scope::Attempt);
        let message = format!("no deployment of `{group}` fits the request: {why}");
        Err(Error::rejected(rejection, message))
    }

    /// Leaves out the members that have been tried, by another branch of the request perhaps.
    pub(crate) fn leave_tried(&mut self, ledger: Option<&Ledger>) {
        let Some(ledger) = ledger.filter(|_| self.stage == Stage::Untried) else {
            return;
        };
        let members = self.view.pools()[self.pool].members();
        ledger.with_trail(|trail| {
            for entry in trail.entries() {
                let tried = entry.deployment().id();
                if let Some(index) = members.iter().position(|member| member.id() == tried)
                    && !self.closed.contains(index)
                {
                    self.closed.insert(index);
                    self.tried.push(index as u32);
                }
            }
        });
    }

    /// The member to ask next; `None` when there is none.
    pub(crate) fn next<R, P: Strategy<R>>(
        &mut self,
        request: &R,
        strategy: &P,
        now: Instant,
    ) -> Option<usize> {
        let now = self.clock.millis(now);
        loop {
            match self.stage {
                Stage::Untried => {
                    if let Some(index) = self.pick(request, strategy, now) {
                        return Some(index);
                    }
                    for index in &self.tried {
                        self.closed.remove(*index as usize);
                    }
                    self.stage = Stage::Tried;
                }
                Stage::Tried => {
                    if !self.tried.is_empty()
                        && let Some(index) = self.pick(request, strategy, now)
                    {
                        return Some(index);
                    }
                    self.stage = Stage::Probe;
                }
                Stage::Probe => {
                    self.stage = Stage::Over;
                    return self.soonest(now);
                }
                Stage::Over => return None,
            }
        }
    }

    fn pick<R>(&self, request: &R, strategy: &impl Strategy<R>, now: u64) -> Option<usize> {
        let pool = self.pool();
        pool.tiers().iter().find_map(|tier| {
            let candidates = Candidates::new(pool, tier, &self.closed, now);
            let index = strategy.pick(request, &candidates)?;
            let is_open = tier.members.contains(&index) && !self.closed.contains(index);
            is_open.then_some(index)
        })
    }

    /// Of the members that are known to refuse, the one whose refusal ends first, an untried one
    /// if there is one.
    fn soonest(&self, now: u64) -> Option<usize> {
        let was_tried = |index: usize| self.tried.contains(&(index as u32));
        self.hinted(now)
            .min_by_key(|(index, until)| (was_tried(*index), *until))
            .map(|(index, _)| index)
    }

    /// The members that could be picked if they were not known to refuse, and until when they are.
    fn hinted(&self, now: u64) -> impl Iterator<Item = (usize, u64)> {
        let pool = self.pool();
        let open = (0..pool.members().len()).filter(|index| !self.closed.contains(*index));
        open.filter_map(move |index| {
            let (block, at) = pool.place(index);
            let seen = block.loads[at].see();
            seen.is_hinted(now).then(|| (index, seen.hinted_until()))
        })
    }

    /// Enters an attempt at a member, for as long as the guard lives.
    ///
    /// # Errors
    ///
    /// If the request may make no further attempt.
    pub(crate) fn enter(
        &self,
        index: usize,
        ledger: Option<&Ledger>,
        now: Instant,
    ) -> Result<InFlight, Error> {
        let attempt = match ledger {
            Some(ledger) => {
                ledger.set_untried(self.untried(index, now));
                Some(ledger.attempt(self.member(index))?)
            }
            None => None,
        };
        Ok(InFlight::new(self.pool().cell(index), attempt, now))
    }

    /// How many other members are neither tried nor known to refuse, of any `order`.
    fn untried(&self, picked: usize, now: Instant) -> u32 {
        if self.stage != Stage::Untried {
            return 0;
        }
        let (pool, now) = (self.pool(), self.clock.millis(now));
        let free = |index: &usize| {
            let (block, at) = pool.place(*index);
            *index != picked
                && !self.closed.contains(*index)
                && !block.loads[at].see().is_hinted(now)
        };
        let free = (0..pool.members().len()).filter(free);
        free.take(COUNTED as usize).count() as u32
    }

    /// The request for a member, with the model that is to be asked for.
    pub(crate) fn route<R>(&self, request: R, index: usize) -> Routed<R> {
        let deployment = self.member(index);
        let asked = self.view.snapshot().unalias(self.asked.as_str());
        let routed = Routed::new(request, Arc::clone(deployment));
        match self.pool().group().target(deployment, asked) {
            Cow::Owned(model) => routed.with_model(model),
            Cow::Borrowed(_) => routed,
        }
    }

    /// Notes that a member has refused; one that would refuse any request is left alone for a while,
    /// no longer than `cap`.
    pub(crate) fn refused(
        &mut self,
        index: usize,
        refusal: &Rejection,
        now: Instant,
        cap: Duration,
    ) {
        self.closed.insert(index);
        self.refusals.add(index, refusal);
        if refusal.scope() == Scope::Deployment {
            self.pool().cell(index).refuse(refusal, now, cap);
        }
    }

    /// The refusal of the whole group: what was met, and what is remembered.
    pub(crate) fn give_up(&mut self, now: Instant) -> Error {
        let mut refusals = std::mem::take(&mut self.refusals);
        let pool = self.pool();
        for (index, _) in self.hinted(self.clock.millis(now)) {
            if let Some(remembered) = pool.cell(index).last_refusal() {
                refusals.add(index, &remembered);
            }
        }
        refusals.into_error(pool.group().name(), pool.members())
    }
}
