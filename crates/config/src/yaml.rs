//! YAML as a tree in which every value knows its place. Hostile files cost bounded time and memory.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use crate::problem::Report;

/// How deep lists and mappings may be nested.
pub(crate) const MAX_DEPTH: usize = 64;

/// How many values a file may hold once its aliases are replaced. Long texts count more than once.
const MAX_VALUES: usize = 500_000;

/// A place in the file; both numbers start at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pos {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl Pos {
    /// The place of what stands in no file.
    pub(crate) const NOWHERE: Self = Self { line: 0, column: 0 };

    /// As a part of a sentence.
    pub(crate) fn told(self) -> String {
        match self.line {
            0 => "set at run time".to_owned(),
            line => format!("in line {line}"),
        }
    }
}

impl From<Marker> for Pos {
    fn from(marker: Marker) -> Self {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            line: number(marker.line()),
            column: number(marker.col() + 1),
        }
    }
}

/// A value and where it begins.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: Pos,
    pub(crate) value: Value,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar(Scalar),
    /// A reference to an environment variable that is not set.
    Unset(Arc<str>),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A text; what type it has is for the reader to say.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    pub(crate) text: Arc<str>,
    /// Not quoted, so it may be a number, a truth value or nothing.
    pub(crate) plain: bool,
    /// The environment variable that it came from.
    pub(crate) variable: Option<Arc<str>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) at: Pos,
    pub(crate) text: Arc<str>,
}

impl Node {
    pub(crate) fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar(scalar) => {
                scalar.plain && matches!(&*scalar.text, "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }

    /// The value of a key, if this is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => entries
                .iter()
                .find(|(k, _)| &*k.text == key)
                .map(|(_, v)| v),
            _ => None,
        }
    }

    /// How much of the limit of a file it takes.
    pub(crate) fn size(&self) -> usize {
        1 + match &self.value {
            Value::Scalar(scalar) => scalar.text.len() / 64,
            Value::Unset(_) => 0,
            Value::List(items) => items.iter().map(Self::size).sum(),
            Value::Map(entries) => entries.iter().map(|(_, node)| 1 + node.size()).sum(),
        }
    }
}

/// Whether a tree of this [size](Node::size) is within the limit of a file.
pub(crate) fn fits(size: usize) -> bool {
    size <= MAX_VALUES
}

/// Reads the one document of a file. `None` if it is empty, or if it could not be read.
pub(crate) fn parse(text: &str, report: &mut Report) -> Option<Node> {
    let mut tree = Tree::default();
    for event in Parser::new_from_str(text) {
        let (event, at) = match event {
            Ok((event, span)) => (event, Pos::from(span.start)),
            Err(error) => {
                let at = Pos::from(*error.marker());
                report.error(at, format!("this is not YAML: {}", error.info()));
                return None;
            }
        };
        if let Err(message) = tree.event(event, at, report) {
            report.error(at, message);
            return None;
        }
    }
    tree.root
}

/// A list or mapping whose end has not been seen.
#[derive(Debug)]
struct Open {
    at: Pos,
    anchor: usize,
    size_before: usize,
    content: Content,
}

#[derive(Debug)]
enum Content {
    List(Vec<Node>),
    Map(Vec<(Key, Node)>, Option<Key>),
}

#[derive(Debug, Default)]
struct Tree {
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    size: usize,
    root: Option<Node>,
}

impl Tree {
    fn event(&mut self, event: Event<'_>, at: Pos, report: &mut Report) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let size = 1 + text.len() / 64;
                self.grow(size)?;
                let plain = plain(tag.as_deref(), style)?;
                let scalar = Scalar {
                    text: Arc::from(text),
                    plain,
                    variable: None,
                };
                let value = Value::Scalar(scalar);
                self.close(Node { at, value }, anchor, size)
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(at, anchor, tag.as_deref(), Content::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.open(at, anchor, tag.as_deref(), Content::Map(Vec::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else {
                    return Ok(());
                };
                let value = match open.content {
                    Content::List(items) => Value::List(items),
                    Content::Map(entries, _) => Value::Map(unique(merge(entries, report), report)),
                };
                let size = self.size - open.size_before;
                self.close(Node { at: open.at, value }, open.anchor, size)
            }
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor) else {
                    return Err("an anchor cannot hold itself".to_owned());
                };
                let (node, size) = (node, *size);
                if self.size + size > MAX_VALUES {
                    return Err(too_many());
                }
                let node = node.clone();
                self.size += size;
                self.close(node, 0, size)
            }
            Event::DocumentStart(_) if self.root.is_some() => {
                Err("a configuration is one document, this begins a second".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn grow(&mut self, by: usize) -> Result<(), String> {
        self.size += by;
        if self.size > MAX_VALUES {
            return Err(too_many());
        }
        Ok(())
    }

    fn open(
        &mut self,
        at: Pos,
        anchor: usize,
        tag: Option<&Tag>,
        content: Content,
    ) -> Result<(), String> {
        plain(tag, ScalarStyle::Plain)?;
        if self.open.len() == MAX_DEPTH {
            return Err(format!("nested more than {MAX_DEPTH} deep"));
        }
        let size_before = self.size;
        self.grow(1)?;
        self.open.push(Open {
            at,
            anchor,
            size_before,
            content,
        });
        Ok(())
    }

    /// Puts a whole value where it belongs.
    fn close(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), String> {
        if anchor > 0 {
            // The copy that is kept for aliases is paid for as well.
            self.grow(size)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map(entries, key)) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => {
                    let Value::Scalar(scalar) = node.value else {
                        return Err("a key must be a text".to_owned());
                    };
                    *key = Some(Key {
                        at: node.at,
                        text: scalar.text,
                    });
                }
            },
        }
        Ok(())
    }
}

pub(crate) fn too_many() -> String {
    format!("more than {MAX_VALUES} values, aliases counted as often as they are used")
}

/// Whether a scalar may be something else than a text.
fn plain(tag: Option<&Tag>, style: ScalarStyle) -> Result<bool, String> {
    match tag {
        None => Ok(style == ScalarStyle::Plain),
        Some(tag) if tag.is_yaml_core_schema() => Ok(tag.suffix != "str"),
        Some(tag) => {
            let tag: String = tag.to_string().chars().take(40).collect();
            Err(format!("the tag `{}` is not known", tag.escape_debug()))
        }
    }
}

/// Replaces `<<` by the entries of the mapping, or of the list of mappings, that it names. What
/// stands in the mapping itself wins, then what was named first.
fn merge(entries: Vec<(Key, Node)>, report: &mut Report) -> Vec<(Key, Node)> {
    if entries.iter().all(|(key, _)| &*key.text != "<<") {
        return entries;
    }
    let (merges, mut entries): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|(key, _)| &*key.text == "<<");
    for (_, node) in merges {
        let maps = match node.value {
            Value::List(items) => items,
            _ => vec![node],
        };
        for map in maps {
            let Value::Map(more) = map.value else {
                report.error(map.at, "`<<` takes a mapping or a list of mappings");
                continue;
            };
            let have: HashSet<Arc<str>> = entries
                .iter()
                .map(|(key, _)| Arc::clone(&key.text))
                .collect();
            entries.extend(
                more.into_iter()
                    .filter(|(key, _)| !have.contains(&key.text)),
            );
        }
    }
    entries
}

/// Reports keys that stand twice; the first stays.
fn unique(entries: Vec<(Key, Node)>, report: &mut Report) -> Vec<(Key, Node)> {
    let mut first: HashMap<Arc<str>, Pos> = HashMap::with_capacity(entries.len());
    let mut kept = Vec::with_capacity(entries.len());
    for (key, node) in entries {
        if let Some(first) = first.get(&key.text) {
            let message = format!(
                "{} stands twice, the first is in line {}",
                crate::read::name(&key.text),
                first.line
            );
            report.error(key.at, message);
        } else {
            first.insert(Arc::clone(&key.text), key.at);
            kept.push((key, node));
        }
    }
    kept
}
