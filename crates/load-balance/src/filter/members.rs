//! The members of a group while filters leave some of them out.

use std::sync::Arc;

use ziggurat_core::{Deployment, Traits};

use crate::{bits::Bits, pool::Pool};

/// The members of a group, while filters leave some of them out.
#[derive(Debug)]
pub struct Members<'a> {
    pool: &'a Pool,
    /// The members that are left out.
    closed: &'a mut Bits,
    /// The classes of which no member is left.
    gone: Bits,
    by_id: bool,
    record: Option<&'a mut Record>,
}

/// Why members were left out.
#[derive(Debug)]
pub(crate) struct Record {
    refused: Vec<Option<Refused>>,
    /// How many reasons may still be put into words.
    words: usize,
}

/// Why one member was left out.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) filter: &'static str,
    pub(crate) why: Option<String>,
}

impl Record {
    /// Nothing yet, for a group of that many members. Of no more than `words` refusals the reason
    /// is put into words.
    pub(crate) fn new(members: usize, words: usize) -> Self {
        Self {
            refused: vec![None; members],
            words,
        }
    }

    /// By index of the member.
    pub(crate) fn refused(&self) -> &[Option<Refused>] {
        &self.refused
    }

    pub(crate) fn note(
        &mut self,
        index: usize,
        filter: &'static str,
        why: impl FnOnce() -> String,
    ) {
        let slot = &mut self.refused[index];
        if slot.is_none() {
            let why = (self.words > 0).then(why);
            self.words = self.words.saturating_sub(1);
            *slot = Some(Refused { filter, why });
        }
    }
}

impl<'a> Members<'a> {
    /// All members of a pool, or, where a request names one by id, that one.
    pub(crate) fn new(
        pool: &'a Pool,
        only: Option<usize>,
        closed: &'a mut Bits,
        record: Option<&'a mut Record>,
    ) -> Self {
        let mut members = Self {
            pool,
            closed,
            gone: Bits::default(),
            by_id: only.is_some(),
            record,
        };
        if let Some(only) = only {
            for index in 0..pool.members().len() {
                if index != only {
                    members.closed.insert(index);
                }
            }
            members.find_gone();
        }
        members
    }

    /// The name of the group.
    #[must_use]
    pub fn group(&self) -> &'a str {
        self.pool.group().name()
    }

    /// Whether the request names its deployment by id. Then that one alone is left, and filters that
    /// choose among equals, by tag for example, have nothing to say; those that protect it have.
    #[must_use]
    pub fn is_by_id(&self) -> bool {
        self.by_id
    }

    /// All members of the group, those that have been left out among them.
    #[must_use]
    pub fn all(&self) -> &'a [Arc<Deployment>] {
        self.pool.members()
    }

    /// The members that are left.
    pub fn iter(&self) -> impl Iterator<Item = &'a Arc<Deployment>> {
        let open = |(index, _): &(usize, _)| !self.closed.contains(*index);
        let left = self.all().iter().enumerate().filter(open);
        left.map(|(_, member)| member)
    }

    /// What all members of the group are, once for those that are equal in it.
    pub fn all_traits(&self) -> impl Iterator<Item = Traits<'a>> {
        let classes = self.pool.classes().iter();
        classes.map(|class| class.representative.traits())
    }

    /// What the members that are left are, once for those that are equal in it.
    pub fn traits(&self) -> impl Iterator<Item = Traits<'a>> {
        let classes = self.pool.classes().iter().enumerate();
        classes
            .filter(|(at, _)| !self.gone.contains(*at))
            .map(|(_, class)| class.representative.traits())
    }

    /// Whether none is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        (0..self.pool.classes().len()).all(|at| self.gone.contains(at))
    }

    /// Leaves out those of which `keep` says no. It is asked once for all members that are equal in
    /// their traits.
    ///
    /// `filter` is a name for this, and `why` says for one that is left out what speaks against it:
    /// both are for the error where nothing is left, and `why` is not called otherwise. It says
    /// nothing that a client must not read.
    pub fn retain_traits(
        &mut self,
        filter: &'static str,
        mut keep: impl FnMut(&Traits<'_>) -> bool,
        why: impl Fn(&Traits<'_>) -> String,
    ) {
        for (at, class) in self.pool.classes().iter().enumerate() {
            if self.gone.contains(at) {
                continue;
            }
            let traits = class.representative.traits();
            if keep(&traits) {
                continue;
            }
            if let Some(record) = &mut self.record {
                for index in 0..self.pool.members().len() {
                    if class.members.contains(index) && !self.closed.contains(index) {
                        record.note(index, filter, || why(&traits));
                    }
                }
            }
            self.closed.insert_all(&class.members);
            self.gone.insert(at);
        }
    }

    /// Leaves out those of which `keep` says no. It is asked for each member that is left; `filter`
    /// and `why` are as in [`retain_traits`](Self::retain_traits).
    pub fn retain(
        &mut self,
        filter: &'static str,
        mut keep: impl FnMut(&Deployment) -> bool,
        why: impl Fn(&Deployment) -> String,
    ) {
        let mut changed = false;
        for (index, member) in self.pool.members().iter().enumerate() {
            if !self.closed.contains(index) && !keep(member) {
                if let Some(record) = &mut self.record {
                    record.note(index, filter, || why(member));
                }
                self.closed.insert(index);
                changed = true;
            }
        }
        if changed {
            self.find_gone();
        }
    }

    /// Notes the classes of which no member is left.
    fn find_gone(&mut self) {
        for (at, class) in self.pool.classes().iter().enumerate() {
            if class.members.is_within(self.closed) {
                self.gone.insert(at);
            }
        }
    }
}

/// For tests of single filters: what is left of some members, and why the others are not.
#[cfg(test)]
pub(super) fn left<R>(
    filter: &impl super::Filter<R>,
    request: &R,
    members: impl IntoIterator<Item = Deployment>,
) -> (Vec<String>, Vec<String>) {
    use std::collections::HashMap;

    use tokio::time::Instant;
    use ziggurat_core::Snapshot;

    use crate::cells::Clock;

    let snapshot = Snapshot::new(members);
    let group = snapshot.groups().next().expect("there is a group");
    let pool = Pool::new(group, &HashMap::new(), Clock::new(Instant::now()));
    let mut closed = Bits::default();
    let mut record = Record::new(pool.members().len(), usize::MAX);
    let mut members = Members::new(&pool, None, &mut closed, Some(&mut record));
    filter.filter(request, &mut members);
    let left = members.iter().map(|member| member.id().to_string());
    let left: Vec<_> = left.collect();
    let refused = record.refused().iter().zip(pool.members());
    let refused = refused.filter_map(|(refused, member)| {
        let Refused { filter, why } = refused.as_ref()?;
        let why = why.as_deref().unwrap_or_default();
        Some(format!("{} ({filter}: {why})", member.id()))
    });
    (left, refused.collect())
}
