//! Which group a failed request goes to next.

use std::sync::Arc;

use ziggurat_core::{Caller, Controls, Deployments, FallbackList, FallbackTarget, Snapshot};

use crate::lists::{FallbackLists, Source};

/// Which names are groups, which of them are the same one, and which the caller may use.
#[derive(Debug, Default)]
pub(crate) struct Names {
    snapshot: Option<Arc<Snapshot>>,
    caller: Option<Arc<Caller>>,
}

impl Names {
    pub(crate) fn of(deployments: Option<&Deployments>, caller: Option<&Arc<Caller>>) -> Self {
        Self {
            snapshot: deployments.map(Deployments::load),
            caller: caller.cloned(),
        }
    }

    fn resolve<'a>(&'a self, name: &'a str) -> &'a str {
        (self.snapshot.as_ref()).map_or(name, |snapshot| snapshot.unalias(name))
    }

    /// Whether there is such a group, and the caller may use it.
    fn open(&self, name: &str) -> bool {
        let Some(snapshot) = &self.snapshot else {
            return true;
        };
        let caller = self.caller.as_ref();
        (snapshot.route(name))
            .is_some_and(|route| caller.is_none_or(|caller| caller.may_use(name, route)))
    }

    fn same_group(&self, a: &str, b: &str) -> bool {
        a == b || self.resolve(a) == self.resolve(b)
    }

    fn same(&self, a: &FallbackTarget, b: &FallbackTarget) -> bool {
        a.overrides() == b.overrides() && self.same_group(a.group(), b.group())
    }
}

/// The rules of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    requested: &'a str,
    client: Option<&'a Controls>,
    caller: Option<&'a FallbackLists>,
    layer: &'a FallbackLists,
}

impl<'a> Rules<'a> {
    pub(crate) const fn new(
        requested: &'a str,
        client: Option<&'a Controls>,
        caller: Option<&'a FallbackLists>,
        layer: &'a FallbackLists,
    ) -> Self {
        Self {
            requested,
            client,
            caller,
            layer,
        }
    }

    /// How many fallbacks the request may ask.
    fn max(self) -> usize {
        let max = match self.client {
            Some(client) if client.disable_fallbacks => 0,
            client => client
                .and_then(|client| client.max_fallbacks)
                .unwrap_or(self.layer.max),
        };
        max as usize
    }

    /// Where failures of a kind are answered from: the client's list, else the caller's, else the
    /// layer's.
    fn source(self, list: FallbackList) -> Option<Source<'a>> {
        let of_client = |client| Source::of_client(client, list);
        if let Some(source) = self.client.and_then(of_client) {
            return Some(source);
        }
        let of_caller = self.caller.and_then(|lists| lists.list(list));
        let of_caller = of_caller.filter(|list| !list.is_empty());
        let list = of_caller.or_else(|| self.layer.list(list))?;
        Some(Source::Configured(list))
    }

    /// Whether there is anything that failures of a kind could be answered from.
    pub(crate) fn serves(self, list: FallbackList) -> bool {
        let source = self.source(list);
        source.is_some_and(|source| !source.is_empty()) && self.max() > 0
    }
}

fn own<'a>(source: Source<'a>, group: &str, names: &Names) -> Option<&'a [FallbackTarget]> {
    (source.entry(group)).or_else(|| source.entry(names.resolve(group)))
}

/// The way of one request through the targets that stand in for the group it asks for.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// The targets that were asked or passed over.
    asked: Vec<FallbackTarget>,
    /// How many of them were passed over.
    passed_over: usize,
    /// Entries that were opened, each before those above it. They are not taken away when they are
    /// used up: what was asked is skipped.
    open: Vec<Entry>,
    /// Whether a group has declined the content.
    declined: bool,
}

#[derive(Debug)]
struct Entry {
    list: FallbackList,
    serves_all: bool,
    targets: Vec<FallbackTarget>,
}

impl Entry {
    /// Whether it may be followed after a failure of a kind: what is named for an outage is no way
    /// round a refusal.
    fn stays(&self, list: FallbackList) -> bool {
        list != FallbackList::ContentPolicy || self.list == list || self.serves_all
    }
}

impl Walk {
    /// Whether something stands open, whatever the next failure is.
    pub(crate) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Which target to ask after the last one failed in a way that `list` serves.
    pub(crate) fn next(
        &mut self,
        rules: Rules<'_>,
        list: FallbackList,
        names: &Names,
    ) -> Option<FallbackTarget> {
        let source = rules.source(list)?;
        let answer = self.answer(rules, source, list, names);
        if list == FallbackList::ContentPolicy {
            self.declined = true;
            self.open.retain(|entry| entry.stays(list));
        }
        if let Some(targets) = answer {
            let targets = targets.to_vec();
            // What is open already would grow with each target; it comes to the top instead.
            self.open
                .retain(|entry| entry.list != list || entry.targets != targets);
            let serves_all = source.serves_all();
            self.open.push(Entry {
                list,
                serves_all,
                targets,
            });
        }
        self.choose(rules, names)
    }

    /// Which target to ask instead of the last one, which could not be asked at all.
    pub(crate) fn instead(&mut self, rules: Rules<'_>, names: &Names) -> Option<FallbackTarget> {
        self.passed_over += 1;
        self.choose(rules, names)
    }

    /// How many targets could still be asked if the one that is asked now fails in a way that `list`
    /// serves. The fallbacks of those are left out. Allocates nothing.
    pub(crate) fn ahead(&self, rules: Rules<'_>, list: FallbackList, names: &Names) -> u32 {
        let Some(source) = rules.source(list) else {
            return 0;
        };
        let left = rules.max().saturating_sub(self.count());
        let open = self.open.iter().filter(|entry| entry.stays(list));
        let answer = self.answer(rules, source, list, names).unwrap_or_default();
        let pending = open.flat_map(|entry| &entry.targets).chain(answer);
        let all = pending.clone();
        let is_first = |at: usize, target| !all.clone().take(at).any(|it| names.same(it, target));
        let ahead = pending
            .enumerate()
            .filter(|(at, target)| self.may_ask(target, rules, names) && is_first(*at, target));
        ahead.take(left).count() as u32
    }

    /// How many fallbacks were asked.
    fn count(&self) -> usize {
        self.asked.len() - self.passed_over
    }

    fn choose(&mut self, rules: Rules<'_>, names: &Names) -> Option<FallbackTarget> {
        if self.count() >= rules.max() {
            return None;
        }
        let mut pending = self.open.iter().rev().flat_map(|entry| &entry.targets);
        let next = pending.find(|target| self.may_ask(target, rules, names))?;
        let next = next.clone();
        self.asked.push(next.clone());
        Some(next)
    }

    fn may_ask(&self, target: &FallbackTarget, rules: Rules<'_>, names: &Names) -> bool {
        let is_requested =
            target.overrides().is_none() && names.same_group(target.group(), rules.requested);
        !is_requested
            && !self.asked.iter().any(|asked| names.same(asked, target))
            && names.open(target.group())
    }

    /// The entry that serves the failure of the group that is asked now.
    fn answer<'a>(
        &self,
        rules: Rules<'a>,
        source: Source<'a>,
        list: FallbackList,
        names: &Names,
    ) -> Option<&'a [FallbackTarget]> {
        let failed = self.asked.last();
        let failed = failed.map_or(rules.requested, |target| target.group());
        own(source, failed, names).or_else(|| {
            let first_use = !self.open.iter().any(|entry| entry.list == list);
            let serves = list == FallbackList::ContentPolicy || !self.declined;
            let requested = || own(source, rules.requested, names).or_else(|| source.default());
            (first_use && serves).then(requested).flatten()
        })
    }
}

#[cfg(test)]
mod tests;
