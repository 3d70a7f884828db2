//! Which groups stand in for which.

use std::{collections::HashMap, sync::Arc};

use ziggurat_core::{
    Controls, Deployment, FallbackList, FallbackTarget, Fallbacks, Group, Snapshot,
};

/// The default entry of a list.
const DEFAULT: &str = "*";

/// Which model groups stand in for which, in three lists, and how many of them a request may ask.
///
/// A list has entries: a group and the [targets](FallbackTarget) that stand in for it, in order: other
/// groups, or any group for a request with other values. An entry is found by the name a request
/// asks for, or else by the group that this name is an alias of. It may be a pattern such as
/// `openai/*`; as with model groups, an exact name comes before a pattern and the longer pattern
/// before the shorter. `"*"` is the default entry; an empty entry keeps a group from it.
///
/// ```
/// use ziggurat_fallback::FallbackLists;
///
/// let lists = FallbackLists::new()
///     .general([("gpt", vec!["claude", "gemini"]), ("batch", vec![]), ("*", vec!["llama"])])
///     .context_window([("gpt", ["gemini"])])
///     .max_fallbacks(3);
/// ```
#[derive(Clone, Debug)]
pub struct FallbackLists {
    general: List,
    context_window: List,
    content_policy: List,
    pub(crate) max: u32,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct List {
    targets: HashMap<Arc<str>, Vec<FallbackTarget>>,
    /// The keys as if they were groups, so that they match as groups do.
    keys: Snapshot,
}

impl FallbackLists {
    /// Empty lists, for at most five fallbacks in a request.
    #[must_use]
    pub fn new() -> Self {
        Self {
            general: List::default(),
            context_window: List::default(),
            content_policy: List::default(),
            max: 5,
        }
    }

    /// Sets the list for failures that are not the request's fault.
    #[must_use]
    pub fn general<K, T>(mut self, entries: impl IntoIterator<Item = (K, T)>) -> Self
    where
        K: Into<Arc<str>>,
        T: IntoIterator<Item: Into<FallbackTarget>>,
    {
        self.general = List::new(entries);
        self
    }

    /// Sets the list for requests that are too long for a model.
    #[must_use]
    pub fn context_window<K, T>(mut self, entries: impl IntoIterator<Item = (K, T)>) -> Self
    where
        K: Into<Arc<str>>,
        T: IntoIterator<Item: Into<FallbackTarget>>,
    {
        self.context_window = List::new(entries);
        self
    }

    /// Sets the list for content that a provider declines.
    #[must_use]
    pub fn content_policy<K, T>(mut self, entries: impl IntoIterator<Item = (K, T)>) -> Self
    where
        K: Into<Arc<str>>,
        T: IntoIterator<Item: Into<FallbackTarget>>,
    {
        self.content_policy = List::new(entries);
        self
    }

    /// Sets how many fallbacks a request may ask in all, if it says nothing itself. With zero there
    /// are none. Of the lists of [a caller](crate::FallbackLayer::lists_by) it is not used.
    #[must_use]
    pub fn max_fallbacks(mut self, groups: u32) -> Self {
        self.max = groups;
        self
    }

    /// One of the three lists.
    pub(crate) fn list(&self, of: FallbackList) -> Option<&List> {
        match of {
            FallbackList::General => Some(&self.general),
            FallbackList::ContextWindow => Some(&self.context_window),
            FallbackList::ContentPolicy => Some(&self.content_policy),
            _ => None,
        }
    }
}

impl Default for FallbackLists {
    fn default() -> Self {
        Self::new()
    }
}

impl List {
    fn new<K, T>(entries: impl IntoIterator<Item = (K, T)>) -> Self
    where
        K: Into<Arc<str>>,
        T: IntoIterator<Item: Into<FallbackTarget>>,
    {
        let mut list = Self::default();
        for (key, targets) in entries {
            let entry = list.targets.entry(key.into()).or_default();
            entry.extend(targets.into_iter().map(Into::into));
        }
        let names = list.targets.keys().filter(|key| &***key != DEFAULT);
        list.keys = Snapshot::new(names.map(|key| Deployment::new(&**key, Arc::clone(key), "*")));
        list
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }
}

/// A list, whoever it is from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    Client(&'a Fallbacks),
    Configured(&'a List),
}

impl<'a> Source<'a> {
    /// The list that a client sends for failures of a kind: its own one, or its plain list for all.
    pub(crate) fn of_client(client: &'a Controls, list: FallbackList) -> Option<Self> {
        let own = match list {
            FallbackList::General => &client.fallbacks,
            FallbackList::ContextWindow => &client.context_window_fallbacks,
            FallbackList::ContentPolicy => &client.content_policy_fallbacks,
            _ => return None,
        };
        let for_all = || match &client.fallbacks {
            Some(fallbacks @ Fallbacks::List(_)) => Some(fallbacks),
            _ => None,
        };
        own.as_ref().or_else(for_all).map(Self::Client)
    }

    /// The entry of a group, by one of its names.
    pub(crate) fn entry(self, name: &str) -> Option<&'a [FallbackTarget]> {
        match self {
            Self::Client(Fallbacks::Map(maps)) => {
                maps.iter().find_map(|map| map.get(name)).map(Vec::as_slice)
            }
            Self::Client(_) => None,
            Self::Configured(list) => {
                let key = list.keys.resolve(name).map(|key| Group::name(key))?;
                list.targets.get(key).map(Vec::as_slice)
            }
        }
    }

    /// The entry of requested groups that have none.
    pub(crate) fn default(self) -> Option<&'a [FallbackTarget]> {
        match self {
            Self::Client(Fallbacks::List(targets)) => Some(targets),
            Self::Client(_) => self.entry(DEFAULT),
            Self::Configured(list) => list.targets.get(DEFAULT).map(Vec::as_slice),
        }
    }

    /// Whether it serves every failure that may fall back.
    pub(crate) fn serves_all(self) -> bool {
        matches!(self, Self::Client(Fallbacks::List(_)))
    }

    pub(crate) fn is_empty(self) -> bool {
        match self {
            Self::Client(_) => false,
            Self::Configured(list) => list.is_empty(),
        }
    }
}
