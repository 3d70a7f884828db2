//! Which keys there are, and what becomes of them.

use crate::{
    problem::Report,
    read,
    tables::{GENERAL, INFO, LITELLM, OWN, PARAMS, ROUTER, TABLES},
    yaml::{Key, Node},
};

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Support {
    /// It changes the plan.
    Acted,
    /// LiteLLM knows it; it is a warning here and changes nothing yet.
    Known,
    /// LiteLLM knows it, and to ignore it would do something else than it says: an error.
    Refused(&'static str),
}

use Support::{Acted, Known, Refused};

/// The keys of one section.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) acted: &'static [&'static str],
    pub(crate) known: &'static [&'static str],
    pub(crate) refused: &'static [(&'static str, &'static str)],
    /// Whether it is our own, so that a key we do not know is nobody's.
    pub(crate) own: bool,
}

/// Every key of every section and what becomes of it: `(section, key, support)`.
///
/// ```
/// use ziggurat_config::{Support, keys};
///
/// assert!(keys().any(|key| key == ("router_settings", "num_retries", Support::Acted)));
/// assert!(keys().any(|key| key == ("general_settings", "otel", Support::Known)));
/// ```
pub fn keys() -> impl Iterator<Item = (&'static str, &'static str, Support)> {
    TABLES.iter().flat_map(|table| {
        table
            .keys()
            .map(|(key, support)| (table.name, key, support))
    })
}

impl Table {
    fn keys(&self) -> impl Iterator<Item = (&'static str, Support)> {
        let acted = self.acted.iter().map(|key| (*key, Acted));
        let known = self.known.iter().map(|key| (*key, Known));
        let refused = self.refused.iter().map(|(key, why)| (*key, Refused(why)));
        acted.chain(known).chain(refused)
    }

    pub(crate) fn support(&self, key: &str) -> Option<Support> {
        self.keys()
            .find(|(k, _)| *k == key)
            .map(|(_, support)| support)
    }

    /// Says of each key that changes nothing why it does not.
    ///
    /// A key that nobody knows is an error if it resembles one, or belongs into another section:
    /// then something was meant that would not happen. Otherwise it is a warning, because LiteLLM
    /// takes unknown keys and the next version of it may know this one.
    pub(crate) fn check(&self, entries: &[(Key, Node)], report: &mut Report) {
        for (key, _) in entries {
            let name = read::name(&key.text);
            match self.support(&key.text) {
                Some(Acted) => {}
                Some(Known) => {
                    report.warning(
                        key.at,
                        format!("{name} is known to LiteLLM, not acted on yet"),
                    );
                }
                Some(Refused(why)) => report.error(key.at, format!("{name} {why}")),
                None => {
                    if let Some(section) = self.home(&key.text) {
                        report.error(key.at, format!("{name} belongs into `{section}`"));
                    } else if let Some(near) = near(&key.text, self.keys().map(|(key, _)| key)) {
                        let message = format!("unknown key {name}; did you mean `{near}`?");
                        report.error(key.at, message);
                    } else if self.own {
                        report.error(key.at, format!("unknown key {name}"));
                    } else {
                        report.warning(key.at, format!("unknown key {name}, ignored"));
                    }
                }
            }
        }
    }

    /// The other section that acts on a key.
    fn home(&self, key: &str) -> Option<&'static str> {
        let homes: &[&Table] = match self.name {
            "model_list" => &[&PARAMS, &INFO],
            "litellm_params" => &[&INFO],
            "model_info" => &[&PARAMS],
            "the file" => &[&ROUTER, &GENERAL, &LITELLM],
            _ => &[&ROUTER, &GENERAL, &LITELLM, &OWN],
        };
        let table = homes.iter().find(|table| table.support(key).is_some())?;
        Some(table.name)
    }
}

/// The name that was probably meant.
pub(crate) fn near<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let length = name.chars().count();
    let most = match length {
        0..3 => return None,
        3..8 => 1,
        8..64 => 2,
        _ => return None,
    };
    candidates
        .into_iter()
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= most)
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
