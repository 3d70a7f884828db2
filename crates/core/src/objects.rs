//! Finds the ids of kept objects in JSON, and puts others in their places.

use std::ops::Range;

use memchr::{memchr_iter, memmem};

use crate::{
    DeploymentId, Error, ErrorKind, ObjectId,
    object_id::{MARK, begins},
    scan::{MAX_DEPTH, Malformed, Member, Scanner, Shape},
};

/// How many ids of ours a request may name.
const MAX_NAMED: usize = 10_000;

/// An id of ours and where it stands.
pub(crate) type Named = (Range<usize>, ObjectId);

/// Which strings of a request are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strings {
    /// All.
    All,
    /// Those whose member says that it holds an id.
    Ids,
}

/// The ids of ours in the JSON of a request. Most requests are looked at once, and not read.
pub(crate) fn named(text: &str, strings: Strings) -> Result<Vec<Named>, Error> {
    let mut named = Vec::new();
    if memmem::find(text.as_bytes(), MARK.as_bytes()).is_none() {
        return Ok(named);
    }
    each(text, |at, text, is_id| {
        if (is_id || strings == Strings::All)
            && let Some(id) = ObjectId::parse(text)
        {
            named.push((at, id));
        }
    })?;
    if named.len() > MAX_NAMED {
        let message = format!("the request names more than {MAX_NAMED} objects");
        return Err(Error::new(ErrorKind::BadRequest, message));
    }
    Ok(named)
}

/// Who has all that is named.
///
/// # Errors
///
/// [`ErrorKind::BadRequest`] if several deployments have it.
pub(crate) fn owner<'a>(
    ids: impl IntoIterator<Item = &'a ObjectId>,
) -> Result<Option<DeploymentId>, Error> {
    let mut owner: Option<&DeploymentId> = None;
    for id in ids {
        match owner {
            Some(owner) if owner != id.deployment() => {
                let message = "the request names objects of several deployments, of which none has all; create them with the same file, or name the deployment when you create them";
                return Err(Error::new(ErrorKind::BadRequest, message)
                    .with_code("objects_of_several_deployments"));
            }
            _ => owner = Some(id.deployment()),
        }
    }
    Ok(owner.cloned())
}

impl ObjectId {
    /// A JSON text of a deployment, whole or of an event, in which the ids of objects are ours:
    /// where a member says that it holds one (`id`, `file_id`, `file_ids`, `training_file`, …) and
    /// its value is of a known kind. All else stays as it is, byte for byte, and so does what a
    /// client wrote itself into `metadata`. `None` if nothing changes, or if the text is no JSON.
    #[must_use]
    pub fn mint(deployment: &DeploymentId, json: &[u8]) -> Option<Vec<u8>> {
        let may_hold = memchr_iter(b'"', json).any(|at| begins(&json[at + 1..]));
        let text = std::str::from_utf8(json).ok().filter(|_| may_hold)?;
        let mut minted = Vec::new();
        let read = each(text, |at, text, is_id| {
            if is_id && let Some(id) = Self::new(deployment, text) {
                minted.push((at, format!("\"{id}\"")));
            }
        });
        if read.is_err() || minted.is_empty() {
            return None;
        }
        let mut out = Vec::with_capacity(json.len() + 64 * minted.len());
        let mut from = 0;
        for (at, id) in minted {
            out.extend_from_slice(&json[from..at.start]);
            out.extend_from_slice(id.as_bytes());
            from = at.end;
        }
        out.extend_from_slice(&json[from..]);
        Some(out)
    }
}

/// Calls `found` for each string that is a value: where it stands with its quotes, what it says, and
/// whether its member, or that of its list, holds ids.
fn each(text: &str, mut found: impl FnMut(Range<usize>, &str, bool)) -> Result<(), Malformed> {
    let mut scanner = Scanner::new(text);
    value(&mut scanner, false, 1, &mut found)?;
    scanner.end()
}

fn value(
    s: &mut Scanner<'_>,
    is_id: bool,
    depth: u32,
    found: &mut impl FnMut(Range<usize>, &str, bool),
) -> Result<(), Malformed> {
    match s.shape()? {
        Shape::Object | Shape::Array if depth > MAX_DEPTH => Err(Malformed {
            at: s.position(),
            expected: "less nesting",
        }),
        Shape::Object => {
            let member = |s: &mut Scanner<'_>, key: &str, _: &mut Vec<_>| {
                match key {
                    "metadata" => s.skip()?,
                    key => value(s, holds_ids(key), depth + 1, found)?,
                }
                Ok::<_, Malformed>(Member::Keep)
            };
            s.object(&mut Vec::new(), member).map(drop)
        }
        Shape::Array => s.array(|s| value(s, is_id, depth + 1, found)).map(drop),
        Shape::String => {
            let start = s.position();
            let text = s.string()?;
            found(start..s.here(), &text, is_id);
            Ok(())
        }
        _ => s.skip(),
    }
}

fn holds_ids(key: &str) -> bool {
    const ENDS: [&str; 4] = ["_id", "_ids", "_file", "_files"];
    matches!(key, "id" | "conversation") || ENDS.iter().any(|end| key.ends_with(end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn mint(text: &str) -> String {
        let minted = ObjectId::mint(&"east".into(), text.as_bytes());
        minted.map_or_else(
            || text.to_owned(),
            |bytes| String::from_utf8(bytes).expect("stays text"),
        )
    }

    fn ours(original: &str) -> String {
        let id = ObjectId::new(&"east".into(), original);
        id.expect("is of a kind").to_string()
    }

    #[test]
    fn ids_are_replaced_and_nothing_else_is_touched() {
        let (file, batch) = (ours("file-1"), ours("batch_2"));
        let text = |file: &str, batch: &str| {
            format!(
                r#"{{ "id" : "{batch}","n":1.50, "input_file_id":"{file}", "file_ids":["{file}", null,"x"],
                "result_files":["{file}"],"training_file": "{file}","data":[{{"id":"{batch}","note":"file-1"}}],
                "filename":"file-1","metadata":{{"my_file":"file-1"}},"content":"file-1","item_id":"msg_1","call_id":"call_1","e":1e400 }}"#
            )
        };
        assert_eq!(mint(&text("file-1", "batch_2")), text(&file, &batch));
    }

    #[test]
    fn what_is_no_json_is_left_alone() {
        for text in [
            "",
            "{",
            "file-1",
            r#"{"id":"file-1""#,
            r#"{"id":"file-1"} x"#,
        ] {
            assert_eq!(mint(text), text);
        }
        let deep = format!("{}{}", r#"{"id":"#.repeat(2_000), "1");
        assert_eq!(mint(&deep), deep);
        assert_eq!(
            ObjectId::mint(&"east".into(), b"{\"id\":\"file-1\",\"x\":\"\xff\"}"),
            None
        );
    }

    #[test]
    fn an_escaped_member_is_that_member() {
        let minted = mint(r#"{"i\u0064":"file-1"}"#);
        assert_eq!(minted, format!(r#"{{"i\u0064":"{}"}}"#, ours("file-1")));
    }

    #[test]
    fn ids_of_two_deployments_have_no_owner() {
        let id = |deployment: &str| ObjectId::new(&deployment.into(), "file-1").expect("is one");
        let (east, west) = (id("east"), id("west"));
        assert_eq!(
            owner([&east, &east]).expect("is one").as_ref(),
            Some(east.deployment())
        );
        assert_eq!(owner([]).expect("is none"), None);
        let error = owner([&east, &west]).expect_err("are two");
        assert_eq!(error.kind(), ErrorKind::BadRequest);
    }

    #[test]
    fn prompts_are_not_looked_at_for_ids() {
        let id = ours("file-1");
        let text = json!({"input": [{"content": id, "file_id": id}], "previous_response_id": id});
        let text = text.to_string();
        assert_eq!(named(&text, Strings::Ids).expect("is JSON").len(), 2);
        assert_eq!(named(&text, Strings::All).expect("is JSON").len(), 3);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Value::from),
            "(file-|resp_|x)[a-z0-9]{0,4}".prop_map(Value::from),
            Just(Value::Null),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::hash_map("(id|file_ids|other|x_file|metadata)", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// What a tree says that minting does.
    fn minted_tree(value: &mut Value, is_id: bool) {
        match value {
            Value::String(text) if is_id => {
                if let Some(id) = ObjectId::new(&"east".into(), text) {
                    *text = id.to_string();
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| minted_tree(item, is_id)),
            Value::Object(map) => map
                .iter_mut()
                .filter(|(key, _)| *key != "metadata")
                .for_each(|(key, value)| minted_tree(value, holds_ids(key))),
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn minting_gives_what_editing_a_tree_gives_and_restoring_undoes_it(value in any_json()) {
            let text = serde_json::to_string_pretty(&value).expect("serialises");
            let minted = mint(&text);
            let mut model = value;
            minted_tree(&mut model, false);
            prop_assert_eq!(serde_json::from_str::<Value>(&minted).expect("stays JSON"), model);
            let mut restored = minted.clone();
            for (at, id) in named(&minted, Strings::All).expect("is JSON").into_iter().rev() {
                restored.replace_range(at, &format!("\"{}\"", id.original()));
            }
            prop_assert_eq!(restored, text);
        }
    }
}
