//! The name of an answer.

use std::{fmt, sync::Arc};

use ring::digest::{Context, SHA256};
use serde_json::Value;

/// The name under which an answer is kept: a SHA-256 of all that may change it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey([u8; 32]);

impl CacheKey {
    /// A key of one's own making.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CacheKey({self})")
    }
}

/// Takes what a key is made of. Each part says how long it is, so no two lists of parts look alike.
#[derive(Clone)]
pub(crate) struct Digest(Context);

impl Digest {
    pub(crate) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    pub(crate) fn part(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// Takes names, whatever their order.
    pub(crate) fn names(&mut self, names: &[Arc<str>]) {
        let mut names: Vec<&str> = names.iter().map(|name| &**name).collect();
        names.sort_unstable();
        names.dedup();
        self.0.update(&(names.len() as u64).to_le_bytes());
        names.iter().for_each(|name| self.part(name.as_bytes()));
    }

    /// Takes a value, whatever the order in which the members of its objects were written.
    pub(crate) fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.0.update(b"n"),
            Value::Bool(true) => self.0.update(b"t"),
            Value::Bool(false) => self.0.update(b"f"),
            Value::Number(number) => {
                self.0.update(b"d");
                self.part(number.to_string().as_bytes());
            }
            Value::String(text) => {
                self.0.update(b"s");
                self.part(text.as_bytes());
            }
            Value::Array(list) => {
                self.0.update(b"a");
                self.0.update(&(list.len() as u64).to_le_bytes());
                list.iter().for_each(|value| self.value(value));
            }
            Value::Object(members) => {
                self.0.update(b"o");
                self.0.update(&(members.len() as u64).to_le_bytes());
                let mut members: Vec<_> = members.iter().collect();
                members.sort_unstable_by_key(|(name, _)| *name);
                for (name, value) in members {
                    self.part(name.as_bytes());
                    self.value(value);
                }
            }
        }
    }

    pub(crate) fn finish(self) -> CacheKey {
        let digest = self.0.finish();
        let bytes = digest.as_ref().try_into();
        CacheKey(bytes.expect("a SHA-256 has 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn of(value: &Value) -> CacheKey {
        let mut digest = Digest::new();
        digest.value(value);
        digest.finish()
    }

    #[test]
    fn the_order_of_members_makes_no_difference_and_that_of_a_list_does() {
        let read = |text| of(&serde_json::from_str(text).expect("is JSON"));
        assert_eq!(
            read(r#"{"a":1,"b":{"c":2,"d":3}}"#),
            read(r#"{ "b":{"d":3,"c":2}, "a":1 }"#)
        );
        assert_ne!(of(&json!([1, 2])), of(&json!([2, 1])));
        assert_eq!(of(&json!(null)).to_string().len(), 64);
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            (0_u8..4).prop_map(|at| Value::from(["", "a", "ab", "b"][usize::from(at)])),
        ];
        leaf.prop_recursive(3, 16, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[ab]{0,2}", inner, 0..3).prop_map(|members| members
                    .into_iter()
                    .collect::<serde_json::Map<_, _>>()
                    .into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn two_values_have_one_key_only_if_they_are_the_same(one in values(), other in values()) {
            prop_assert_eq!(of(&one) == of(&other), one == other);
        }
    }
}
