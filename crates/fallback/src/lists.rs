//! Which groups stand in for which.

use std::{collections::HashMap, sync::Arc};

use ziggurat_core::{Controls, Deployment, FallbackList, Fallbacks, Group, Snapshot};

/// The default entry of a list.
const DEFAULT: &str = "*";

/// Which model groups stand in for which, in three lists, and how many of them a request may ask.
///
/// A list has entries: a group and the groups that stand in for it, in order. An entry is found by
/// the name a request asks for, or else by the group that this name is an alias of. It may be a
/// pattern such as `openai/*`; as with model groups, an exact name comes before a pattern and the
/// longer pattern before the shorter. `"*"` is the default entry; an empty entry keeps a group from
/// it.
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
    targets: HashMap<Arc<str>, Vec<Arc<str>>>,
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
        T: IntoIterator<Item: Into<Arc<str>>>,
    {
        self.general = List::new(entries);
        self
    }

    /// Sets the list for requests that are too long for a model.
    #[must_use]
    pub fn context_window<K, T>(mut self, entries: impl IntoIterator<Item = (K, T)>) -> Self
    where
        K: Into<Arc<str>>,
        T: IntoIterator<Item: Into<Arc<str>>>,
    {
        self.context_window = List::new(entries);
        self
    }

    /// Sets the list for content that a provider declines.
    #[must_use]
    pub fn content_policy<K, T>(mut self, entries: impl IntoIterator<Item = (K, T)>) -> Self
    where
        K: Into<Arc<str>>,
        T: IntoIterator<Item: Into<Arc<str>>>,
    {
        self.content_policy = List::new(entries);
        self
    }

    /// Sets how many fallbacks a request may ask in all, if it says nothing itself. With zero there
    /// are none.
    #[must_use]
    pub fn max_fallbacks(mut self, groups: u32) -> Self {
        self.max = groups;
        self
    }

    /// Where failures of a kind of list are answered from: the client's list, or the configured one.
    pub(crate) fn source<'a>(
        &'a self,
        list: FallbackList,
        client: Option<&'a Controls>,
    ) -> Option<Source<'a>> {
        let (configured, client_own) = match list {
            FallbackList::General => (&self.general, client.and_then(|c| c.fallbacks.as_ref())),
            FallbackList::ContextWindow => (
                &self.context_window,
                client.and_then(|c| c.context_window_fallbacks.as_ref()),
            ),
            FallbackList::ContentPolicy => (
                &self.content_policy,
                client.and_then(|c| c.content_policy_fallbacks.as_ref()),
            ),
            _ => return None,
        };
        let for_all = client
            .and_then(|client| client.fallbacks.as_ref())
            .filter(|fallbacks| matches!(fallbacks, Fallbacks::List(_)));
        Some(match client_own.or(for_all) {
            Some(fallbacks) => Source::Client(fallbacks),
            None => Source::Configured(configured),
        })
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
        T: IntoIterator<Item: Into<Arc<str>>>,
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
}

/// A list, whoever it is from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    Client(&'a Fallbacks),
    Configured(&'a List),
}

impl<'a> Source<'a> {
    /// The entry of a group, by one of its names.
    pub(crate) fn entry(self, name: &str) -> Option<&'a [Arc<str>]> {
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
    pub(crate) fn default(self) -> Option<&'a [Arc<str>]> {
        match self {
            Self::Client(Fallbacks::List(names)) => Some(names),
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
            Self::Configured(list) => list.targets.is_empty(),
        }
    }
}
