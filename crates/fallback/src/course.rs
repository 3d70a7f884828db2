//! One request on its way from group to group.

use std::sync::Arc;

use tokio::time::Instant;
use ziggurat_core::{Deployments, Error, FallbackList, FallbackTarget, Redirect, Scope};

use crate::{
    FallbackLists,
    plan::{Names, Rules, Walk},
};

/// A request, the group that is asked now, and those that may be asked after it.
#[derive(Debug)]
pub(crate) struct Course<R> {
    given: Given<R>,
    walk: Walk,
    /// What a fallback is asked; nothing while it is the requested group's turn.
    redirected: Option<R>,
}

/// What does not change on the way.
#[derive(Debug)]
struct Given<R> {
    request: R,
    layer: Arc<FallbackLists>,
    caller: Option<Arc<FallbackLists>>,
    deployments: Option<Deployments>,
}

impl<R: Redirect> Given<R> {
    fn rules(&self) -> Rules<'_> {
        let request = &self.request;
        let caller = self.caller.as_deref();
        Rules::new(request.group(), request.controls(), caller, &self.layer)
    }

    fn names(&self) -> Names {
        Names::of(self.deployments.as_ref(), self.request.caller())
    }

    /// What a target is asked: made of the original each time, so that nothing of one target is
    /// left in the next.
    fn request_for(&self, target: &FallbackTarget) -> Result<R, Error> {
        let request = self.request.clone().redirect(target.group());
        match target.overrides() {
            Some(overrides) => {
                self.note_altered();
                request.with_overrides(overrides)
            }
            None => Ok(request),
        }
    }

    fn note_altered(&self) {
        if let Some(ledger) = self.request.ledger() {
            ledger.note_altered();
        }
    }

    fn note(&self, error: &Error) {
        if let Some(ledger) = self.request.ledger() {
            ledger.note_failure(error);
        }
    }
}

impl<R: Redirect> Course<R> {
    pub(crate) fn new(
        request: R,
        layer: Arc<FallbackLists>,
        caller: Option<Arc<FallbackLists>>,
        deployments: Option<Deployments>,
    ) -> Self {
        Self {
            given: Given {
                request,
                layer,
                caller,
                deployments,
            },
            walk: Walk::default(),
            redirected: None,
        }
    }

    /// What the group is asked whose turn it is.
    pub(crate) fn request(&self) -> &R {
        self.redirected.as_ref().unwrap_or(&self.given.request)
    }

    /// Tells those beneath, before they are asked, what could follow: so many other ways in the
    /// same group, and the groups of the lists.
    pub(crate) fn tell(&self, other_ways: u32) {
        let Some(ledger) = self.given.request.ledger() else {
            return;
        };
        let rules = self.given.rules();
        let mut names = None;
        let mut ahead = |list| {
            if !self.walk.is_open() && !rules.serves(list) {
                return 0;
            }
            let names = names.get_or_insert_with(|| self.given.names());
            self.walk.ahead(rules, list, names)
        };
        ledger.set_fallbacks_left(ahead(FallbackList::General) + other_ways);
        ledger.set_takes_refusals(ahead(FallbackList::ContentPolicy) > 0);
    }

    /// Remembers why the group failed whose turn it was.
    pub(crate) fn note(&self, error: &Error) {
        self.given.note(error);
    }

    /// Whether anything may be asked after that failure: it could help, and there is time and an
    /// attempt left.
    pub(crate) fn may_go_on(&self, error: &Error) -> bool {
        let for_all = (error.rejection()).is_some_and(|why| why.scope() == Scope::Request);
        let ledger = self.given.request.ledger();
        !for_all
            && ledger
                .is_none_or(|ledger| ledger.attempts_left() > 0 && ledger.allows(Instant::now()))
    }

    /// Goes to the next target of those that answer failures which `list` serves, if there is one.
    #[must_use]
    pub(crate) fn advance(&mut self, list: FallbackList) -> bool {
        let names = self.given.names();
        let next = self.walk.next(self.given.rules(), list, &names);
        self.enter(next, &names)
    }

    /// Goes to the one after it: this one cannot be asked.
    #[must_use]
    pub(crate) fn pass_over(&mut self) -> bool {
        let names = self.given.names();
        let next = self.walk.instead(self.given.rules(), &names);
        self.enter(next, &names)
    }

    /// The turn of a target, or of the first after it whose overrides fit the request.
    fn enter(&mut self, mut next: Option<FallbackTarget>, names: &Names) -> bool {
        while let Some(target) = next {
            match self.given.request_for(&target) {
                Ok(request) => {
                    self.redirected = Some(request);
                    return true;
                }
                Err(error) => {
                    self.given.note(&error);
                    next = self.walk.instead(self.given.rules(), names);
                }
            }
        }
        false
    }

    /// Notes that what is asked next is not what the client wrote.
    pub(crate) fn note_altered(&self) {
        self.given.note_altered();
    }

    /// Counts a move to another target.
    pub(crate) fn note_move(&self) {
        if let Some(ledger) = self.given.request.ledger() {
            ledger.note_fallback();
        }
    }
}
