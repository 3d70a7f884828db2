//! What a plan was read from, as far as it may be read again.

use std::{collections::HashMap, fmt, sync::Arc};

use crate::{
    named_credentials::Credentials,
    yaml::{Key, Node, Value},
};

/// The parts of a file that say where requests go.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) file: Arc<str>,
    pub(crate) router: Arc<[(Key, Node)]>,
    pub(crate) litellm: Arc<[(Key, Node)]>,
    pub(crate) own: Arc<[(Key, Node)]>,
    /// `environment_variables`.
    pub(crate) variables: Arc<HashMap<Arc<str>, Arc<str>>>,
    pub(crate) credentials: Arc<Credentials>,
    /// The groups of `model_list`, those of deployments that were left out included.
    pub(crate) groups: Arc<[Arc<str>]>,
}

impl fmt::Debug for Origin {
    /// Any of it may be a credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.file, f)
    }
}

/// All but the keys of callers, which are kept nowhere.
fn without_keys(own: &[(Key, Node)]) -> Arc<[(Key, Node)]> {
    let others = own.iter().filter(|(key, _)| &*key.text != "keys");
    others.cloned().collect()
}

impl Origin {
    pub(crate) fn new(
        root: Option<Node>,
        file: &Arc<str>,
        variables: HashMap<Arc<str>, Arc<str>>,
        credentials: Arc<Credentials>,
        groups: &[Arc<str>],
    ) -> Self {
        let mut sections = match root.map(|root| root.value) {
            Some(Value::Map(sections)) => sections,
            _ => Vec::new(),
        };
        let mut take = |name: &str| -> Arc<[(Key, Node)]> {
            let at = sections.iter().position(|(key, _)| &*key.text == name);
            match at.map(|at| sections.swap_remove(at).1.value) {
                Some(Value::Map(entries)) => entries.into(),
                _ => Arc::from([]),
            }
        };
        Self {
            file: Arc::clone(file),
            router: take("router_settings"),
            litellm: take("litellm_settings"),
            own: without_keys(&take("ziggurat_settings")),
            variables: Arc::new(variables),
            credentials,
            groups: groups.into(),
        }
    }
}
