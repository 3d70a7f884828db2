//! Where each value came from.

use std::{fmt, sync::Arc, time::Duration};

use ziggurat_core::{DeploymentId, Secret};

use crate::{
    read::Found,
    yaml::{Node, Pos},
};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// Nobody set it.
    Default,
    /// It stands in the file.
    #[non_exhaustive]
    File {
        /// In this line, counted from 1.
        line: u32,
    },
    /// It is in the environment, or in the file's `environment_variables`.
    #[non_exhaustive]
    Env {
        /// Under this name.
        variable: Arc<str>,
    },
    /// It was set while the router ran.
    Runtime,
    /// Nobody set it; it is what the catalog says of the model.
    Catalog,
}

impl Source {
    pub(crate) fn of(node: &Node, variable: Option<&Arc<str>>) -> Self {
        match variable {
            Some(variable) => Self::Env {
                variable: Arc::clone(variable),
            },
            None if node.at == Pos::NOWHERE => Self::Runtime,
            None => Self::File { line: node.at.line },
        }
    }
}

/// What an [`Entry`] is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subject {
    /// One deployment.
    Deployment(DeploymentId),
    /// Another name for a group.
    Alias,
    /// Where requests of a group go next.
    Fallbacks,
    /// Several groups under one name, or with a strategy of their own.
    RoutingGroup,
    /// What may change the group of a request before it is routed.
    AutoRoute,
    /// Who may ask for what.
    Callers,
    /// What may be used up how far.
    Limits,
    /// The whole plan.
    Settings,
}

/// One effective value and its source. Its text holds no credential.
#[derive(Clone, Debug)]
pub struct Entry {
    pub(crate) subject: Subject,
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) source: Source,
}

impl Entry {
    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// What is set.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// To what it is set.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Who set it.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }
}

/// The entries of one subject while it is read.
#[derive(Debug, Default)]
pub(crate) struct Facts(pub(crate) Vec<(String, String, Source)>);

impl Facts {
    pub(crate) fn note(&mut self, name: &str, value: &impl Show, source: Source) {
        self.0
            .push((name.to_owned(), Shown(value).to_string(), source));
    }

    /// Notes a value if it is there.
    pub(crate) fn take<T: Show>(&mut self, name: &str, found: Option<Found<T>>) -> Option<T> {
        let found = found?;
        self.note(name, &found.value, found.source);
        Some(found.value)
    }

    /// Notes a value, or what serves in its place.
    pub(crate) fn settle<T: Show>(&mut self, name: &str, found: Option<Found<T>>, default: T) -> T {
        self.take(name, found).unwrap_or_else(|| {
            self.note(name, &default, Source::Default);
            default
        })
    }

    /// Notes a value, or that there is none.
    pub(crate) fn maybe<T: Show>(&mut self, name: &str, found: Option<Found<T>>) -> Option<T> {
        let value = self.take(name, found);
        if value.is_none() {
            self.note(name, &"none", Source::Default);
        }
        value
    }

    pub(crate) fn about(self, subject: &Subject) -> impl Iterator<Item = Entry> {
        self.0.into_iter().map(move |(name, value, source)| Entry {
            subject: subject.clone(),
            name,
            value,
            source,
        })
    }
}

/// How a value is told.
pub(crate) trait Show {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

struct Shown<'a, T>(&'a T);

impl<T: Show> fmt::Display for Shown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f)
    }
}

macro_rules! show_as_displayed {
    ($($type:ty)*) => {$(
        impl Show for $type {
            fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}

show_as_displayed! {
    bool u32 u64 i32 i64 f64 usize &str String
    crate::Strategy crate::AffinityKey ziggurat_core::Mode
    crate::FirstTokenSetting crate::OnBreakSetting crate::HoldBackSetting
    crate::CacheStoreName crate::CacheTenants
    ziggurat_core::ConcurrencyMode std::num::NonZeroU32
}

/// Tells values by the names under which they are read.
macro_rules! show_by_name {
    ($($type:ty: $names:ident),*) => {$(
        impl Show for $type {
            fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let name = $names.iter().find(|(_, value)| value == self);
                f.write_str(name.map_or("", |(name, _)| name))
            }
        }
    )*};
}
pub(crate) use show_by_name;

impl Show for Duration {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0s");
        }
        fmt::Debug::fmt(self, f)
    }
}

/// A time, or none because it is turned off.
impl Show for Option<Duration> {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Some(time) => time.show(f),
            None => f.write_str("off"),
        }
    }
}

impl Show for Arc<str> {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.escape_debug(), f)
    }
}

impl Show for Vec<Arc<str>> {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, text) in self.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            write!(f, "{comma}{}", text.escape_debug())?;
        }
        Ok(())
    }
}

impl Show for Secret {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("set")
    }
}
