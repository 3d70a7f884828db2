//! Typed reading of a tree: each value with its place and source, each mistake reported.

use std::{sync::Arc, time::Duration};

use ziggurat_core::Secret;

use crate::{
    keys::{Support, Table},
    problem::Report,
    source::Source,
    yaml::{Key, Node, Pos, Scalar, Value},
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
            "`{}` has no effect: `{}` in line {} wins",
            loser.path, winner.path, winner.at.line
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
            name => name,
        };
        let entries = map(node, label, report)?;
        table.check(entries, report);
        Some(Self { table, entries })
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
        self.field(key)?.read(range.whole(), report, |text| {
            whole(text)
                .filter(|n| range.holds(*n as f64))
                .and_then(|n| T::try_from(n).ok())
        })
    }

    pub(crate) fn number(
        &self,
        key: &'static str,
        range: Range,
        report: &mut Report,
    ) -> Option<Found<f64>> {
        self.field(key)?.read(range.number(), report, |text| {
            number(text).filter(|n| range.holds(*n))
        })
    }

    pub(crate) fn seconds(
        &self,
        key: &'static str,
        range: Range,
        report: &mut Report,
    ) -> Option<Found<Duration>> {
        self.field(key)?.read(range.seconds(), report, |text| {
            number(text)
                .filter(|n| range.holds(*n) && *n <= MAX_SECONDS)
                .and_then(|n| Duration::try_from_secs_f64(n).ok())
                // Less than a nanosecond is nothing.
                .filter(|time| range != Range::OverZero || !time.is_zero())
        })
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
}

/// A value and the key it stands under.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    section: &'static str,
    key: &'static str,
    pub(crate) node: &'a Node,
}

impl Field<'_> {
    fn read<T>(
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

    pub(crate) fn found<T>(&self, value: T, variable: Option<&Arc<str>>) -> Found<T> {
        Found {
            value,
            source: Source::of(self.node, variable),
            at: self.node.at,
            path: format!("{}.{}", self.section, self.key),
        }
    }
}

/// Which numbers are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Range {
    Any,
    NotNegative,
    OverZero,
}

impl Range {
    fn holds(self, n: f64) -> bool {
        match self {
            Self::Any => true,
            Self::NotNegative => n >= 0.0,
            Self::OverZero => n > 0.0,
        }
    }

    fn whole(self) -> &'static str {
        match self {
            Self::Any => "a whole number",
            Self::NotNegative => "a whole number, 0 or more",
            Self::OverZero => "a whole number over 0",
        }
    }

    fn number(self) -> &'static str {
        match self {
            Self::Any => "a number",
            Self::NotNegative => "a number, 0 or more",
            Self::OverZero => "a number over 0",
        }
    }

    fn seconds(self) -> &'static str {
        match self {
            Self::OverZero => "a number of seconds over 0",
            Self::Any | Self::NotNegative => "a number of seconds, 0 or more",
        }
    }
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

fn scalar<'a>(node: &'a Node, key: &str, what: &str, report: &mut Report) -> Option<&'a Scalar> {
    match &node.value {
        Value::Scalar(scalar) if !node.is_null() => Some(scalar),
        _ => wanted(node, key, what, report),
    }
}

/// Reports that a value is not what its key takes. A key with a space in it is a description.
pub(crate) fn wanted<T>(node: &Node, key: &str, what: &str, report: &mut Report) -> Option<T> {
    let label = if key.contains(' ') {
        key.to_owned()
    } else {
        name(key)
    };
    let message = match &node.value {
        Value::Unset(variable) if variable.is_empty() => {
            format!("{label}: `os.environ/` names no variable")
        }
        Value::Unset(variable) => {
            let variable = name(variable);
            format!("{label}: the environment variable {variable} is not set")
        }
        _ => format!("{label} must be {what}, got {}", got(node, key)),
    };
    report.error(node.at, message);
    None
}

/// How to speak of a value without telling a secret.
fn got(node: &Node, key: &str) -> String {
    match &node.value {
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a mapping".to_owned(),
        _ if node.is_null() => "nothing".to_owned(),
        Value::Unset(_) => "nothing".to_owned(),
        Value::Scalar(Scalar {
            variable: Some(variable),
            ..
        }) => format!("what is in {}", name(variable)),
        Value::Scalar(scalar)
            if is_secret(key) || looks_secret(&scalar.text) || scalar.text.contains(['@', '?']) =>
        {
            "a string".to_owned()
        }
        Value::Scalar(scalar) if scalar.plain && number(&scalar.text).is_some() => {
            cut(&scalar.text)
        }
        Value::Scalar(scalar) => format!("\"{}\"", cut(&scalar.text)),
    }
}

/// A name in backquotes, cut and escaped.
pub(crate) fn name(text: &str) -> String {
    format!("`{}`", cut(text))
}

fn cut(text: &str) -> String {
    if looks_secret(text) {
        return "…".to_owned();
    }
    let mut cut: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        cut.push('…');
    }
    cut
}

/// Whether a key holds a credential.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let one_of = [
        "secret",
        "password",
        "credential",
        "authorization",
        "header",
    ];
    key.ends_with("_key")
        || (key.ends_with("token") && !key.contains("_per_"))
        || one_of.iter().any(|word| key.contains(word))
}

/// Whether a text is a credential by its looks, whatever it stands under.
fn looks_secret(text: &str) -> bool {
    text.starts_with("sk-") || text.starts_with("Bearer ")
}

/// Python's idea of a whole number: digits may be grouped, and `10.0` is one.
fn whole(text: &str) -> Option<i64> {
    let digits = ungroup(text);
    digits.parse().ok().or_else(|| {
        let n = number(&digits)?;
        // Beyond 2^53 a float is not exact.
        (n.fract() == 0.0 && n.abs() < 9_007_199_254_740_992.0).then_some(n as i64)
    })
}

fn number(text: &str) -> Option<f64> {
    // The standard parser takes "inf" and "nan", too.
    ungroup(text).parse().ok().filter(|n: &f64| n.is_finite())
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
