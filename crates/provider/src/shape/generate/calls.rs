//! Which result belongs to which call.

/// The calls of a conversation, in order.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<Call>,
    /// All before this one have a result.
    first_open: usize,
}

#[derive(Debug)]
struct Call {
    id: String,
    name: String,
    is_answered: bool,
}

impl Calls {
    /// A call, with the id that it was given or else one that is made up: the same each time the
    /// conversation is sent.
    pub(super) fn called(&mut self, id: String, name: &str) -> String {
        let id = match id.is_empty() {
            // Nine letters and figures, which Mistral demands.
            true => format!("call{:05}", self.calls.len()),
            false => id,
        };
        self.calls.push(Call {
            id: id.clone(),
            name: name.to_owned(),
            is_answered: false,
        });
        id
    }

    /// The id of the call that a result belongs to: the one of that id, or else the first of that
    /// name that has none yet, or the first at all. `None` if there is none.
    pub(super) fn answered(&mut self, id: Option<String>, name: &str) -> Option<String> {
        let calls = self.calls.iter_mut().skip(self.first_open);
        let mut open: Vec<_> = calls.filter(|call| !call.is_answered).collect();
        let by_id = |call: &&mut Call| id.as_ref().is_some_and(|id| call.id == *id);
        let by_name = |call: &&mut Call| call.name == name;
        let found = open.iter().position(by_id);
        let found = found.or_else(|| open.iter().position(by_name));
        // Another name is a slip, unless the client says whose result it is.
        let found = found.or_else(|| (id.is_none() && !open.is_empty()).then_some(0));
        let answered = match found {
            Some(index) => {
                let call = open.swap_remove(index);
                call.is_answered = true;
                Some(call.id.clone())
            }
            None => id.filter(|id| self.calls.iter().any(|call| call.id == *id)),
        };
        let is_answered = |call: &&Call| call.is_answered;
        let rest = &self.calls[self.first_open..];
        self.first_open += rest.iter().take_while(is_answered).count();
        answered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(list: &[(&str, &str)]) -> Calls {
        let mut calls = Calls::default();
        for (id, name) in list {
            calls.called((*id).to_owned(), name);
        }
        calls
    }

    #[test]
    fn results_without_ids_belong_to_the_calls_of_their_names_in_order() {
        let mut calls = calls(&[("", "f"), ("", "g"), ("", "f")]);
        let ids = ["f", "f", "g"].map(|name| calls.answered(None, name));
        let expected = ["call00000", "call00002", "call00001"];
        assert_eq!(ids, expected.map(|id| Some(id.to_owned())));
        assert_eq!(calls.answered(None, "f"), None);
    }

    #[test]
    fn an_id_goes_before_a_name_and_a_name_before_the_order() {
        let mut calls = calls(&[("a", "f"), ("b", "f"), ("c", "g"), ("d", "h")]);
        let some = |id: &str| Some(id.to_owned());
        assert_eq!(calls.answered(some("b"), "f"), some("b"));
        assert_eq!(calls.answered(some("unknown"), "g"), some("c"));
        assert_eq!(calls.answered(None, "unknown"), some("a"));
        assert_eq!(calls.answered(some("x"), "unknown"), None);
        // Said twice.
        assert_eq!(calls.answered(some("b"), "other"), some("b"));
    }
}
