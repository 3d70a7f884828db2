//! The search of one request for a deployment that takes it.

mod pick;

use std::{sync::Arc, time::Duration};

use smallvec::SmallVec;
use tokio::time::Instant;
use ziggurat_core::{
    Blame, Deployment, Error, ErrorKind, HasLedger, Ledger, ModelGroup, Outcome, Param, Retry,
    Scope,
};

use crate::{
    Affinity, Candidates, Filter, Members, SlowStart, Strategy, Ties, Track,
    bits::Bits,
    cells::{Cell, Clock},
    concrete::{Concretes, Target},
    filter::Record,
    in_flight::InFlight,
    pool::Pool,
    refusals::{self, Refusals},
    unknown,
    view::View,
};

/// Up to which number the members that are left are counted: that there are many is enough to know.
const COUNTED: u32 = 64;

/// How many deployments are told why they do not fit, where none does.
const TOLD: usize = 8;

/// What one request has met so far.
///
/// It goes through the members of a group in this order: those that were not tried for this request
/// before, by `order`; those that were; of those that are known to refuse, the one that will do so
/// for the shortest time. Whoever refuses is not asked again, nor is one that still runs for this
/// request or would only fail again.
#[derive(Debug)]
pub(crate) struct Search {
    view: Arc<View>,
    pool: usize,
    asked: ModelGroup,
    /// The only member that may serve, where the request names one by id.
    only: Option<usize>,
    clock: Clock,
    /// In milliseconds.
    slow_start: u64,
    ties: Option<Ties>,
    /// The members that may not be picked: filtered, refused, or tried.
    closed: Bits,
    /// The members that are closed for nothing but having been tried.
    tried: SmallVec<[u32; 4]>,
    /// The members that were tried and are not to be tried again.
    spent: SmallVec<[u32; 4]>,
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
    pub(crate) fn new<R, F, A>(
        view: Arc<View>,
        clock: Clock,
        slow_start: u64,
        request: &R,
        filter: &F,
        affinity: &A,
    ) -> Result<Self, Error>
    where
        R: HasLedger + Param<ModelGroup>,
        F: Filter<R>,
        A: Affinity<R>,
    {
        let mut search = Self::unfiltered(view, clock, slow_start, request)?;
        search.filter(request, filter, None);
        if search.nobody_is_left() {
            let mut record = Record::new(search.pool().members().len(), TOLD);
            search.closed = Bits::default();
            search.filter(request, filter, Some(&mut record));
            let pool = search.pool();
            return Err(refusals::filtered(
                pool.group().name(),
                pool.members(),
                &record,
                request.ledger().is_some_and(|it| it.fallbacks() > 0),
            ));
        }
        search.tie(request, affinity, None);
        search.leave_tried(request.ledger());
        Ok(search)
    }

    /// The same, which goes on where filters leave nobody, and records why.
    ///
    /// # Errors
    ///
    /// If no group serves the model.
    pub(crate) fn explained<R, F, A>(
        view: Arc<View>,
        clock: Clock,
        slow_start: u64,
        request: &R,
        filter: &F,
        affinity: &A,
    ) -> Result<(Self, Record), Error>
    where
        R: HasLedger + Param<ModelGroup>,
        F: Filter<R>,
        A: Affinity<R>,
    {
        let mut search = Self::unfiltered(view, clock, slow_start, request)?;
        let mut record = Record::new(search.pool().members().len(), usize::MAX);
        if let Some(only) = search.only {
            for index in (0..search.pool().members().len()).filter(|index| *index != only) {
                record.note(index, "id", || "the request names another".into());
            }
        }
        search.filter(request, filter, Some(&mut record));
        search.tie(request, affinity, Some(&mut record));
        search.leave_tried(request.ledger());
        Ok((search, record))
    }

    fn unfiltered<R>(
        view: Arc<View>,
        clock: Clock,
        slow_start: u64,
        request: &R,
    ) -> Result<Self, Error>
    where
        R: HasLedger + Param<ModelGroup>,
    {
        let asked = request.param();
        let (name, snapshot) = (asked.as_str(), view.snapshot());
        let (pool, only) = match request.ledger().and_then(Ledger::pinned) {
            Some(id) => match view.pinned(name, id) {
                Some((pool, only)) => (pool, Some(only)),
                None => return Err(unknown::owner_not_found(name, id, snapshot)),
            },
            None => match view.route(name) {
                Some(route) => route,
                None => return Err(unknown::model_not_found(name, snapshot)),
            },
        };
        Ok(Self {
            view,
            pool,
            asked,
            only,
            clock,
            slow_start,
            ties: None,
            closed: Bits::default(),
            tried: SmallVec::new(),
            spent: SmallVec::new(),
            stage: Stage::Untried,
            refusals: Refusals::default(),
        })
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.view.pools()[self.pool]
    }

    /// The name of the group.
    pub(crate) fn group(&self) -> &str {
        self.pool().group().name()
    }

    pub(crate) fn member(&self, index: usize) -> &Arc<Deployment> {
        &self.pool().members()[index]
    }

    fn filter<R>(&mut self, request: &R, filter: &impl Filter<R>, record: Option<&mut Record>) {
        let pool = &self.view.pools()[self.pool];
        let mut members = Members::new(pool, self.only, &mut self.closed, record);
        filter.filter(request, &mut members);
    }

    fn nobody_is_left(&self) -> bool {
        (0..self.pool().members().len()).all(|index| self.closed.contains(index))
    }

    /// Finds what the request is tied to. Of what only its maker can read, leaves those that can.
    fn tie<R>(&mut self, request: &R, affinity: &impl Affinity<R>, record: Option<&mut Record>) {
        let pool = &self.view.pools()[self.pool];
        if self.only.is_some() {
            return;
        }
        self.ties = affinity.ties(request, pool.group().name());
        let Some(reads) = self.ties.as_ref().and_then(Ties::reads_content) else {
            return;
        };
        let mut members = Members::new(pool, None, &mut self.closed, record);
        if members.iter().any(|member| reads(member)) {
            members.retain(
                "content owner",
                |member| reads(member),
                |_| "cannot read what another account has encrypted or signed".into(),
            );
        }
    }

    /// Leaves out the members that have been tried, by another branch of the request perhaps.
    pub(crate) fn leave_tried(&mut self, ledger: Option<&Ledger>) {
        let Some(ledger) = ledger else {
            return;
        };
        let members = self.view.pools()[self.pool].members();
        ledger.with_trail(|trail| {
            for entry in trail.entries() {
                let tried = entry.deployment().public_id();
                let index = members.iter().position(|member| member.id() == tried);
                let Some(index) = index else {
                    continue;
                };
                if is_spent(entry.outcome()) {
                    self.closed.insert(index);
                    self.tried.retain(|tried| *tried != index as u32);
                    self.spent.push(index as u32);
                } else if self.stage == Stage::Untried && !self.closed.contains(index) {
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
                    let pinned = self.pinned(now);
                    if let Some(index) = pinned.or_else(|| self.pick(request, strategy, now)) {
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

    /// The member that the request is to go to, if it is tied to one that may be picked.
    fn pinned(&self, now: u64) -> Option<usize> {
        let ties = self.ties.as_ref()?;
        let pool = self.pool();
        let all = |tier| Candidates::new(pool, tier, &self.closed, now);
        let mut tiers = pool.tiers().iter().map(all);
        let first = tiers.find(|all| all.iter().next().is_some());
        let of = |index| pool.tiers().iter().find_map(|tier| all(tier).get(index));
        ties.pinned(pool.members(), first.as_ref(), of)
    }

    /// The same at a time, for those who ask from outside.
    pub(crate) fn pinned_at(&self, now: Instant) -> Option<usize> {
        self.pinned(self.clock.millis(now))
    }

    pub(crate) fn was_tried(&self, index: usize) -> bool {
        let index = index as u32;
        self.tried.contains(&index) || self.spent.contains(&index)
    }

    /// The slow start of a member, of which this is the cell.
    pub(crate) fn slow_start(&self, cell: &Cell, now: Instant) -> Option<SlowStart> {
        SlowStart::of(cell, self.clock.millis(now), self.slow_start)
    }

    /// Whether a member is known to refuse any request now.
    pub(crate) fn is_refusing(&self, index: usize, now: Instant) -> bool {
        let cell = self.pool().cell(index);
        cell.load().see().is_hinted(self.clock.millis(now))
    }

    /// Of the members that are known to refuse, the one whose refusal ends first, an untried one
    /// if there is one.
    fn soonest(&self, now: u64) -> Option<usize> {
        self.hinted(now)
            .min_by_key(|(index, until)| (self.was_tried(*index), *until))
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
        target: &Target,
        ledger: Option<&Ledger>,
        track: Track,
        now: Instant,
    ) -> Result<InFlight, Error> {
        let attempt = match ledger {
            Some(ledger) => {
                ledger.set_untried(self.untried(index, now));
                ledger.set_has_tiers(self.pool().tiers().len() > 1);
                Some(ledger.attempt(target.deployment())?)
            }
            None => None,
        };
        let in_flight = InFlight::new(self.pool().cell(index), attempt, track, now);
        Ok(match &self.ties {
            Some(ties) => in_flight.learning(ties.learn(self.member(index), index)),
            None => in_flight,
        })
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

    /// What of a member the request is sent to: of a wildcard, the concrete model.
    pub(crate) fn target(&self, index: usize, concretes: &Concretes) -> Target {
        let asked = self.view.snapshot().unalias(self.asked.as_str());
        concretes.target(self.pool().group(), self.member(index), asked)
    }

    /// Notes that a member has refused; one that would refuse any request is left alone for a while,
    /// no longer than `cap`. An error that is no refusal is none.
    pub(crate) fn refused(&mut self, index: usize, error: Error, now: Instant, cap: Duration) {
        let Some(refusal) = error.rejection() else {
            return;
        };
        self.closed.insert(index);
        self.refusals.add(index, refusal);
        // What stands for many models has refused one of them.
        if refusal.scope() == Scope::Deployment && !self.is_wildcard(index) {
            self.pool().cell(index).refuse(refusal, now, cap);
        }
        self.refusals.keep(error);
    }

    fn is_wildcard(&self, index: usize) -> bool {
        self.member(index).model().contains('*')
    }

    /// The failure of a member, with the blame on the request where that asked for a model which
    /// the provider does not have.
    pub(crate) fn blamed(&self, index: usize, error: Error) -> Error {
        if error.kind() == ErrorKind::NotFound && self.is_wildcard(index) {
            return error.with_blame(Blame::Request);
        }
        error
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

/// Whether an attempt keeps its deployment from being tried again: it runs, or it would fail again.
fn is_spent(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Pending | Outcome::Answering => true,
        Outcome::Failed(kind) => kind.rule().retry == Retry::Elsewhere,
        _ => false,
    }
}
