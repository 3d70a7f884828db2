//! `os.environ/NAME` in a file, and the variables behind it.

use std::{collections::HashMap, sync::Arc};

use crate::{
    problem::Report,
    read::{self, Found},
    source::Source,
    yaml::{Node, Pos, Scalar, Value},
};

const REFERENCE: &str = "os.environ/";

/// The file's `environment_variables`, then those of the process.
pub(crate) struct Environment<'a> {
    file: HashMap<Arc<str>, Arc<str>>,
    process: &'a dyn Fn(&str) -> Option<String>,
}

impl<'a> Environment<'a> {
    pub(crate) fn new(process: &'a dyn Fn(&str) -> Option<String>) -> Self {
        let file = HashMap::new();
        Self { file, process }
    }

    /// With what a file said before.
    pub(crate) fn with_file(
        file: HashMap<Arc<str>, Arc<str>>,
        process: &'a dyn Fn(&str) -> Option<String>,
    ) -> Self {
        Self { file, process }
    }

    /// The variables of the file.
    pub(crate) fn into_file(self) -> HashMap<Arc<str>, Arc<str>> {
        self.file
    }

    /// Replaces every reference in a file, however deep it stands. One to a variable that is not
    /// set is reported by whoever reads the value.
    pub(crate) fn resolve(&mut self, file: &mut Node, report: &mut Report) {
        let Value::Map(sections) = &mut file.value else {
            return;
        };
        let is_ours = |key: &str| key == "environment_variables";
        for (_, node) in sections.iter_mut().filter(|(key, _)| is_ours(&key.text)) {
            self.replace(node);
            if !node.is_null() {
                self.read(node, report);
            }
        }
        for (_, node) in sections.iter_mut().filter(|(key, _)| !is_ours(&key.text)) {
            self.replace(node);
        }
    }

    fn read(&mut self, node: &Node, report: &mut Report) {
        for (key, node) in read::map(node, "environment_variables", report).unwrap_or_default() {
            if node.is_null() {
                continue;
            }
            // Any of them may be a credential, so none is told.
            let value = match &node.value {
                Value::Scalar(scalar) => Arc::clone(&scalar.text),
                _ => {
                    read::wanted::<()>(node, &key.text, "a text", report);
                    continue;
                }
            };
            self.file.insert(Arc::clone(&key.text), value);
        }
    }

    /// Replaces every reference in a tree.
    pub(crate) fn replace(&self, node: &mut Node) {
        match &mut node.value {
            Value::List(items) => items.iter_mut().for_each(|item| self.replace(item)),
            Value::Map(entries) => entries.iter_mut().for_each(|(_, node)| self.replace(node)),
            Value::Unset(_) => {}
            Value::Scalar(scalar) => {
                if let Some(variable) = scalar.text.strip_prefix(REFERENCE) {
                    let variable = Arc::from(variable);
                    node.value = match self.get(&variable) {
                        Some(text) => Value::Scalar(Scalar {
                            text,
                            plain: false,
                            variable: Some(variable),
                        }),
                        None => Value::Unset(variable),
                    };
                }
            }
        }
    }

    fn get(&self, variable: &str) -> Option<Arc<str>> {
        if let Some(value) = self.file.get(variable) {
            return Some(Arc::clone(value));
        }
        // The system refuses such names, some by a panic.
        if variable.is_empty() || variable.contains(['=', '\0']) {
            return None;
        }
        (self.process)(variable).map(Arc::from)
    }

    /// The first of these variables that is set and not empty.
    pub(crate) fn found(&self, variables: &[&str]) -> Option<Found<Arc<str>>> {
        variables.iter().find_map(|variable| {
            let value = self.get(variable).filter(|value| !value.is_empty())?;
            let variable = Arc::from(*variable);
            Some(Found {
                value,
                path: String::from(&*variable),
                source: Source::Env { variable },
                at: Pos::NOWHERE,
            })
        })
    }
}
