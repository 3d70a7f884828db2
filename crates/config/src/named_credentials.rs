//! `credential_list`: what deployments have under the name of a credential.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use crate::{
    defaults::Defaults,
    keys,
    problem::Report,
    read::{self, Section},
    tables::CREDENTIAL,
    yaml::{self, Node, Value},
};

const KEY: &str = "credential_list";

/// The key of a deployment that names one.
pub(crate) const NAME: &str = "litellm_credential_name";

/// The credentials by their names.
#[derive(Default)]
pub(crate) struct Credentials(HashMap<Arc<str>, Defaults>);

impl Credentials {
    /// Reads what is to be filled into at most so many deployments.
    pub(crate) fn read(top: &Section<'_>, deployments: usize, report: &mut Report) -> Self {
        let mut credentials = Self::default();
        for (node, section) in top.each(KEY, &CREDENTIAL, report) {
            let Some(name) = section.text("credential_name", report) else {
                if section.field("credential_name").is_none() {
                    report.error(node.at, "a credential needs a `credential_name`");
                }
                continue;
            };
            let values = section.field("credential_values");
            let values =
                values.and_then(|field| read::map(field.node, "credential_values", report));
            let values = Defaults::of(values.unwrap_or_default(), report);
            if !values.fit(deployments) {
                let message = format!("a credential in each deployment is {}", yaml::too_many());
                report.error(node.at, message);
                continue;
            }
            match credentials.0.entry(name.value) {
                Entry::Vacant(free) => {
                    free.insert(values);
                }
                Entry::Occupied(first) => {
                    let told = read::name(first.key());
                    let message = format!("the credential {told} stands twice: the first counts");
                    report.warning(name.at, message);
                }
            }
        }
        credentials
    }

    /// An entry of `model_list` with what its credential says and it does not.
    pub(crate) fn fill<'a>(&self, entry: &'a Node, report: &mut Report) -> Cow<'a, Node> {
        let named = entry
            .get("litellm_params")
            .and_then(|params| params.get(NAME));
        let Some(Value::Scalar(name)) = named.filter(|it| !it.is_null()).map(|it| &it.value) else {
            return Cow::Borrowed(entry);
        };
        if let Some(values) = self.0.get(&name.text) {
            return values.fill(entry);
        }
        let told = read::name(&name.text);
        let near = keys::near(&name.text, self.0.keys().map(|name| &**name));
        let meant = near.map_or_else(String::new, |near| {
            format!("; did you mean {}?", read::name(near))
        });
        let message = format!("`{KEY}` has no credential {told}{meant}");
        report.error(named.map(|node| node.at), message);
        Cow::Borrowed(entry)
    }
}
