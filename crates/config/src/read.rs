//! Typed reading of a tree: each value with its place and source, each mistake reported.

use std::{sync::Arc, time::Duration};

use ziggurat_core::Secret;

use crate::{
    keys::{self, Support, Table},
    problem::Report,
    source::Source,
    yaml::{Key, Node, Pos, Scalar, Value},
};

pub(crate) use crate::{
    range::Range,
    told::{name, wanted},
};

/// No clock runs longer than this: thirty years.
const MAX_SECONDS: f64 = 1e9;

/// A value, where it stands and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Found<T> {
    pub(crate) value: T,
    pub(crate) source: Source,
    pub(crate) at: Pos,
    /// The key as a reader of the file would name it, with its section.
    pub(crate) path: String,
}

impl<T> Found<T> {
    pub(crate) fn map<U>(self, f: impl FnOnce(T) -> U) -> Found<U> {
        Found {
            value: f(self.value),
            source: self.source,
            at: self.at,
            path: self.path,
        }
    }

    /// Where it stands; `other` for what stands in no file.
    pub(crate) fn at_or(&self, other: Pos) -> Pos {
        if self.at == Pos::NOWHERE {
            other
        } else {
            self.at
        }
    }
}

/// The first that is there. One that is set to something else and so has no effect is a warning.
pub(crate) fn first<T: PartialEq>(
    found: impl IntoIterator<Item = Option<Found<T>>>,
    report: &mut Report,
) -> Option<Found<T>> {
    let mut found = found.into_iter().flatten();
    let winner = found.next()?;
    for loser in found.filter(|loser| loser.value != winner.value) {
        let message = format!(
            "`{}` has no effect: `{}` {} wins",
            loser.path,
            winner.path,
            winner.at.told()
        );
        report.warning(loser.at, message);
    }
    Some(winner)
}

/// A mapping whose keys have been checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Section<'a> {
    table: &'static Table,
    entries: &'a [(Key, Node)],
}

impl<'a> Section<'a> {
    pub(crate) fn empty(table: &'static Table) -> Self {
        let entries = &[];
        Self { table, entries }
    }

    /// Reads a node as a mapping and checks its keys. `None` if it is something else.
    pub(crate) fn open(node: &'a Node, table: &'static Table, report: &mut Report) -> Option<Self> {
        let label = match table.name {
            "model_list" => "an entry of `model_list`",
            "access_windows" => "an entry of `access_windows`",
            "credential_list" => "an entry of `credential_list`",
            "routing_groups" => "an entry of `routing_groups`",
            "rules" => "an entry of `rules`",
            "bandits" => "an entry of `bandits`",
            "splits" => "an entry of `splits`",
            "groups" => "an entry of `groups`",
            "caller" => "an entry of `fallbacks_for`",
            "classes" => "an entry of `classes`",
            "keys" => "an entry of `keys`",
            "teams" => "an entry of `teams`",
            "users" => "an entry of `users`",
            "webhooks" => "an entry of `webhooks`",
            "limit" => "an entry of `rules`",
            "quotas" => "an entry of `quotas`",
            name => name,
        };
        let entries = map(node, label, report)?;
        table.check(entries, report);
        Some(Self { table, entries })
    }

    /// A mapping whose keys were checked before.
    pub(crate) fn again(entries: &'a [(Key, Node)], table: &'static Table) -> Self {
        Self { table, entries }
    }

    /// The mapping under a key; an empty one if it is not there.
    pub(crate) fn child(
        &self,
        key: &'static str,
        table: &'static Table,
        report: &mut Report,
    ) -> Self {
        self.field(key)
            .and_then(|field| Self::open(field.node, table, report))
            .unwrap_or_else(|| Self::empty(table))
    }

    /// The mapping under a key, whose keys somebody else checks; an empty one if it is not there.
    pub(crate) fn peek(&self, key: &'static str, table: &'static Table) -> Self {
        match self.field(key).map(|field| &field.node.value) {
            Some(Value::Map(entries)) => Self::again(entries, table),
            _ => Self::empty(table),
        }
    }

    /// Everything that is acted on and is not null.
    pub(crate) fn acted(&self) -> impl Iterator<Item = (&'a Key, &'a Node)> + use<'a> {
        let table = self.table;
        let acted = move |key: &Key| table.support(&key.text) == Some(Support::Acted);
        self.entries
            .iter()
            .filter(move |(key, node)| acted(key) && !node.is_null())
            .map(|(key, node)| (key, node))
    }

    /// Whether something stands under a key, which may be somebody else's to read.
    pub(crate) fn says(&self, key: &str) -> bool {
        let mut entries = self.entries.iter();
        entries.any(|(k, node)| &*k.text == key && !node.is_null())
    }

    /// What stands under a key. Null is nothing.
    pub(crate) fn field(&self, key: &'static str) -> Option<Field<'a>> {
        debug_assert!(
            self.table.support(key) == Some(Support::Acted),
            "`{key}` is read but not in the table of {}",
            self.table.name
        );
        self.entries
            .iter()
            .find(|(k, node)| &*k.text == key && !node.is_null())
            .map(|(_, node)| Field {
                section: self.table.name,
                key,
                node,
            })
    }

    pub(crate) fn text(&self, key: &'static str, report: &mut Report) -> Option<Found<Arc<str>>> {
        self.field(key)?.read("a text", report, |text| {
            (!text.is_empty()).then(|| Arc::from(text))
        })
    }

    /// A text that may be empty.
    pub(crate) fn secret(&self, key: &'static str, report: &mut Report) -> Option<Found<Secret>> {
        self.field(key)?
            .read("a text", report, |text| Some(Secret::new(text)))
    }

    pub(crate) fn flag(&self, key: &'static str, report: &mut Report) -> Option<Found<bool>> {
        self.field(key)?.read("true or false", report, |text| {
            match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Some(true),
                "false" | "no" | "off" | "0" => Some(false),
                _ => None,
            }
        })
    }

    pub(crate) fn whole<T: TryFrom<i64>>(
        &self,
        key: &'static str,
        range: Range,
        report: &mut Report,
    ) -> Option<Found<T>> {
        self.field(key)?.whole(range, report)
    }

    pub(crate) fn number(
        &self,
        key: &'static str,
        range: Range,
        report: &mut Report,
    ) -> Option<Found<f64>> {
        self.field(key)?.number(range, report)
    }

    pub(crate) fn seconds(
        &self,
        key: &'static str,
        range: Range,
        report: &mut Report,
    ) -> Option<Found<Duration>> {
        self.field(key)?
            .read(range.seconds(), report, |text| time(text, range))
    }

    /// One of a few names.
    pub(crate) fn choice<T: Copy>(
        &self,
        key: &'static str,
        names: &[(&'static str, T)],
        report: &mut Report,
    ) -> Option<Found<T>> {
        choose(self.text(key, report)?, key, names, report)
    }

    /// A list of texts that are not empty.
    pub(crate) fn texts(
        &self,
        key: &'static str,
        report: &mut Report,
    ) -> Option<Found<Vec<Arc<str>>>> {
        let field = self.field(key)?;
        let items = list(field.node, key, report)?;
        let texts = items.iter().filter_map(|item| text(item, key, report));
        let texts = texts.map(|found| found.value).collect();
        Some(field.found(texts, None))
    }

    /// A text, or a list of texts.
    pub(crate) fn one_or_more(
        &self,
        key: &'static str,
        report: &mut Report,
    ) -> Vec<Found<Arc<str>>> {
        let nodes = match self.field(key).map(|field| field.node) {
            None => &[],
            Some(Node {
                value: Value::List(nodes),
                ..
            }) => nodes.as_slice(),
            Some(node) => std::slice::from_ref(node),
        };
        let texts = nodes.iter().filter_map(|node| text(node, key, report));
        texts.collect()
    }

    /// The mappings in a list.
    pub(crate) fn each(
        &self,
        key: &'static str,
        table: &'static Table,
        report: &mut Report,
    ) -> Vec<(&'a Node, Self)> {
        let nodes = self
            .field(key)
            .and_then(|field| list(field.node, key, report));
        let open = |node| Some((node, Self::open(node, table, report)?));
        nodes.unwrap_or_default().iter().filter_map(open).collect()
    }
}

/// A value and the key it stands under.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    section: &'static str,
    key: &'static str,
    pub(crate) node: &'a Node,
}

impl Field<'_> {
    pub(crate) fn read<T>(
        &self,
        what: &str,
        report: &mut Report,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<Found<T>> {
        let scalar = scalar(self.node, self.key, what, report)?;
        match parse(&scalar.text) {
            Some(value) => Some(self.found(value, scalar.variable.as_ref())),
            None => wanted(self.node, self.key, what, report),
        }
    }

    fn whole<T: TryFrom<i64>>(&self, range: Range, report: &mut Report) -> Option<Found<T>> {
        self.read(range.whole(), report, |text| {
            whole(text)
                .filter(|n| range.holds(*n as f64))
                .and_then(|n| T::try_from(n).ok())
        })
    }

    fn number(&self, range: Range, report: &mut Report) -> Option<Found<f64>> {
        self.read(range.number(), report, |text| {
            number(text).filter(|n| range.holds(*n))
        })
    }

    pub(crate) fn found<T>(&self, value: T, variable: Option<&Arc<str>>) -> Found<T> {
        Found {
            value,
            source: Source::of(self.node, variable),
            at: self.node.at,
            path: format!("{}.{}", self.section, self.key),
        }
    }
}

/// The value of one of a few names.
pub(crate) fn choose<T: Copy>(
    found: Found<Arc<str>>,
    key: &str,
    names: &[(&'static str, T)],
    report: &mut Report,
) -> Option<Found<T>> {
    if let Some((_, value)) = names.iter().find(|(name, _)| **name == *found.value) {
        return Some(found.map(|_| *value));
    }
    let all = names.iter().map(|(name, _)| *name);
    let (told, label) = (name(&found.value), name(key));
    let message = match keys::near(&found.value, all.clone()) {
        Some(near) => format!("{label}: unknown {told}; did you mean `{near}`?"),
        None => {
            let all = all.collect::<Vec<_>>().join(", ");
            format!("{label}: unknown {told}; use one of {all}")
        }
    };
    report.error(found.at, message);
    None
}

/// A node as a mapping.
pub(crate) fn map<'a>(node: &'a Node, key: &str, report: &mut Report) -> Option<&'a [(Key, Node)]> {
    match &node.value {
        Value::Map(entries) => Some(entries),
        _ => wanted(node, key, "a mapping", report),
    }
}

/// A node as a list.
pub(crate) fn list<'a>(node: &'a Node, key: &str, report: &mut Report) -> Option<&'a [Node]> {
    match &node.value {
        Value::List(items) => Some(items),
        _ => wanted(node, key, "a list", report),
    }
}

/// A node as a text that is not empty.
pub(crate) fn text(node: &Node, key: &'static str, report: &mut Report) -> Option<Found<Arc<str>>> {
    let section = "";
    Field { section, key, node }.read("a text", report, |text| {
        (!text.is_empty()).then(|| Arc::from(text))
    })
}

/// A node as a whole number.
pub(crate) fn whole_of<T: TryFrom<i64>>(
    node: &Node,
    key: &'static str,
    range: Range,
    report: &mut Report,
) -> Option<T> {
    let section = "";
    let found = Field { section, key, node }.whole(range, report)?;
    Some(found.value)
}

/// A node as a number.
pub(crate) fn number_of(
    node: &Node,
    key: &'static str,
    range: Range,
    report: &mut Report,
) -> Option<f64> {
    let section = "";
    let found = Field { section, key, node }.number(range, report)?;
    Some(found.value)
}

fn scalar<'a>(node: &'a Node, key: &str, what: &str, report: &mut Report) -> Option<&'a Scalar> {
    match &node.value {
        Value::Scalar(scalar) if !node.is_null() => Some(scalar),
        _ => wanted(node, key, what, report),
    }
}

/// Python's idea of a whole number: digits may be grouped, and `10.0` is one.
pub(crate) fn whole(text: &str) -> Option<i64> {
    let digits = ungroup(text);
    digits.parse().ok().or_else(|| {
        let n = number(&digits)?;
        // Beyond 2^53 a float is not exact.
        (n.fract() == 0.0 && n.abs() < 9_007_199_254_740_992.0).then_some(n as i64)
    })
}

pub(crate) fn number(text: &str) -> Option<f64> {
    // The standard parser takes "inf" and "nan", too.
    ungroup(text).parse().ok().filter(|n: &f64| n.is_finite())
}

/// So many seconds.
pub(crate) fn time(text: &str, range: Range) -> Option<Duration> {
    number(text)
        .filter(|n| range.holds(*n) && *n <= MAX_SECONDS)
        .and_then(|n| Duration::try_from_secs_f64(n).ok())
        // Less than a nanosecond is nothing.
        .filter(|time| range != Range::OverZero || !time.is_zero())
}

/// Whether a text is `off`, another word for it, or what writers of YAML make of it.
pub(crate) fn is_off(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    matches!(text.as_str(), "off" | "none" | "false" | "no")
}

/// Takes the underscores out of `10_000`.
fn ungroup(text: &str) -> String {
    let bytes = text.as_bytes();
    let digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
    let kept = text
        .char_indices()
        .filter(|(i, c)| !(*c == '_' && *i > 0 && digit(i - 1) && digit(i + 1)));
    kept.map(|(_, c)| c).collect()
}
