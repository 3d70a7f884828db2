//! Ids of calls as Anthropic takes them: letters, digits, `_` and `-`.

use std::collections::VecDeque;

/// The id under which a call goes. One that is not taken gets a name of its own, the same wherever
/// it stands.
pub(crate) fn safe(id: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if id.chars().all(fits) {
        return id.to_owned();
    }
    let replaced = id.chars().map(|c| if fits(c) { c } else { '_' });
    // FNV-1a, so that ids which differ in what was replaced still differ.
    let hash = id.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    format!("{}_{hash:08x}", replaced.collect::<String>())
}

/// Ids for calls that have none, as those of old clients, which are told apart by their order.
#[derive(Debug, Default)]
pub(crate) struct Nameless {
    made: usize,
    /// Calls that have no result yet: function and id.
    open: VecDeque<(String, String)>,
}

impl Nameless {
    /// An id for a call of that function.
    pub(crate) fn call(&mut self, function: &str) -> String {
        self.made += 1;
        let id = format!("nameless_{}", self.made);
        self.open.push_back((function.to_owned(), id.clone()));
        id
    }

    /// The id of the first call of that function without a result; of any, if it is not named.
    pub(crate) fn result(&mut self, function: Option<&str>) -> Option<String> {
        let mut calls = self.open.iter();
        let at = calls.position(|(open, _)| function.is_none_or(|function| open == function))?;
        self.open.remove(at).map(|(_, id)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_fits_stays_and_others_stay_apart() {
        assert_eq!(safe("toolu_01-aB"), "toolu_01-aB");
        let ids = ["call:1", "call.1", "call_1", "call|1", "ü"].map(safe);
        for (at, id) in ids.iter().enumerate() {
            assert!(!ids[..at].contains(id), "{id}");
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            assert!(id.chars().all(fits), "{id}");
        }
        assert_eq!(safe("call:1"), safe("call:1"));
    }

    #[test]
    fn results_find_their_calls_by_name_and_order() {
        let mut ids = Nameless::default();
        let (f, g, again) = (ids.call("f"), ids.call("g"), ids.call("f"));
        assert_eq!(ids.result(Some("g")), Some(g));
        assert_eq!(ids.result(Some("f")), Some(f));
        assert_eq!(ids.result(None), Some(again));
        assert_eq!(ids.result(None), None);
    }
}
