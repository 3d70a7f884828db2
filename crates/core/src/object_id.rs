//! The ids of what a provider keeps for a client.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{DeploymentId, deployment::fnv1a};

/// What stands behind the kind in an id of ours.
pub(crate) const MARK: &str = "zgt1_";

/// How the ids of objects begin that are asked for by themselves. What is only found under one of
/// them (messages and runs of a thread, parts of an upload) goes where that is.
const KINDS: [&str; 12] = [
    "asst_",
    "assistant-",
    "batch_",
    "conv_",
    "file-",
    "file_",
    "ftjob-",
    "msgbatch_",
    "resp_",
    "thread_",
    "upload_",
    "vs_",
];

/// How long the id of a deployment may be, and what a provider calls its object behind the kind.
const MAX_PART: usize = 255;
/// How many bytes say whether the rest was made by us.
const SUM: usize = 3;
/// Longer than any that we make.
const MAX_LENGTH: usize = 1_024;

/// The id of an object that a provider keeps for a client (a file, a batch, a stored answer, a
/// thread, …), with the deployment that has it.
///
/// It is its own memory: nothing is stored, so it is understood after a restart, and by every
/// gateway with the same deployments. It begins as the provider's id does, and has no character that
/// a URL cannot have. It is no secret and no permission: whoever knows a deployment and an id can
/// make one.
///
/// ```
/// use ziggurat_core::{DeploymentId, ObjectId};
///
/// let id = ObjectId::new(&DeploymentId::new("east"), "file-abc").expect("is the id of a file");
/// let text = id.to_string();
/// assert!(text.starts_with("file-"));
/// assert_eq!(ObjectId::parse(&text), Some(id));
/// assert_eq!(ObjectId::parse("file-abc"), None, "is the provider's own");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectId {
    deployment: DeploymentId,
    original: Box<str>,
}

impl ObjectId {
    /// The id of an object of a deployment; `None` if it is not of a kind that is known.
    #[must_use]
    pub fn new(deployment: &DeploymentId, original: &str) -> Option<Self> {
        let name = &original[kind(original)?.len()..];
        let fits = |length: usize| (1..=MAX_PART).contains(&length);
        let fits = fits(deployment.as_str().len()) && fits(name.len()) && is_plain(name);
        fits.then(|| Self {
            deployment: deployment.clone(),
            original: original.into(),
        })
    }

    /// Reads an id that was made by us; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_LENGTH {
            return None;
        }
        let kind = kind(text)?;
        let payload = text[kind.len()..].strip_prefix(MARK)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let (payload, sum) = payload.split_at_checked(payload.len().checked_sub(SUM)?)?;
        if sum != self::sum(kind, payload) {
            return None;
        }
        let (length, rest) = payload.split_first()?;
        let (deployment, name) = rest.split_at_checked(usize::from(*length))?;
        let name = std::str::from_utf8(name).ok()?;
        let deployment = DeploymentId::new(std::str::from_utf8(deployment).ok()?);
        Self::new(&deployment, &format!("{kind}{name}"))
    }

    /// The deployment that has it.
    #[must_use]
    pub fn deployment(&self) -> &DeploymentId {
        &self.deployment
    }

    /// What the provider calls it.
    #[must_use]
    pub fn original(&self) -> &str {
        &self.original
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = kind(&self.original).unwrap_or_default();
        let (deployment, name) = (self.deployment.as_str(), &self.original[kind.len()..]);
        let mut payload = Vec::with_capacity(1 + deployment.len() + name.len() + SUM);
        payload.push(u8::try_from(deployment.len()).unwrap_or(u8::MAX));
        payload.extend_from_slice(deployment.as_bytes());
        payload.extend_from_slice(name.as_bytes());
        let sum = sum(kind, &payload);
        payload.extend_from_slice(&sum);
        write!(f, "{kind}{MARK}{}", URL_SAFE_NO_PAD.encode(payload))
    }
}

/// How an id begins, if it is of a kind that is known.
pub(crate) fn kind(id: &str) -> Option<&'static str> {
    KINDS.into_iter().find(|kind| id.starts_with(kind))
}

/// Whether the beginning of a text may be that of an id.
pub(crate) fn begins(text: &[u8]) -> bool {
    KINDS.iter().any(|kind| text.starts_with(kind.as_bytes()))
}

fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    name.bytes().all(plain)
}

/// Tells what we made from what looks like it.
fn sum(kind: &str, payload: &[u8]) -> [u8; SUM] {
    let hash = fnv1a(&[kind.as_bytes(), payload].concat()).to_le_bytes();
    [hash[0], hash[1], hash[2]]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(deployment: &str, original: &str) -> Option<ObjectId> {
        ObjectId::new(&DeploymentId::new(deployment), original)
    }

    #[test]
    fn what_is_no_id_of_a_known_kind_is_left_alone() {
        for original in [
            "",
            "file-",
            "file",
            "chatcmpl-1",
            "msg_1",
            "call_1",
            "file-../x",
            "file-a.b",
            "file-é",
            "file-a b",
        ] {
            assert_eq!(id("a", original), None, "{original}");
        }
        assert_eq!(id("", "file-a"), None);
        assert_eq!(id(&"d".repeat(256), "file-a"), None);
        assert_eq!(id("d", &format!("file-{}", "a".repeat(256))), None);
    }

    #[test]
    fn an_id_with_one_other_character_is_none_of_ours() {
        let text = id("east", "batch_abc123").expect("is one").to_string();
        for at in 0..text.len() {
            for other in ['A', 'z', '0', '_', '-', '=', '.', '/', 'é'] {
                let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
                let same = changed == text;
                assert_eq!(ObjectId::parse(&changed).is_some(), same, "{changed}");
            }
        }
        for cut in 0..text.len() {
            assert_eq!(ObjectId::parse(&text[..cut]), None);
        }
        assert_eq!(ObjectId::parse(&format!("{text}=")), None);
        assert_eq!(ObjectId::parse(&format!("file-{}", &text[6..])), None);
    }

    #[test]
    fn an_id_of_a_gateway_behind_this_one_is_an_id_like_any_other() {
        let theirs = id("theirs", "resp_68a1").expect("is one").to_string();
        let ours = id("ours", &theirs).expect("is one").to_string();
        let read = ObjectId::parse(&ours).expect("is ours");
        assert_eq!(
            (read.deployment().as_str(), read.original()),
            ("ours", &*theirs)
        );
    }

    proptest! {
        #[test]
        fn what_was_made_is_read(deployment in ".{1,60}", kind in 0..KINDS.len(), name in "[A-Za-z0-9_-]{1,80}") {
            let id = id(&deployment, &format!("{}{name}", KINDS[kind])).expect("is of a kind");
            let text = id.to_string();
            prop_assert!(text.starts_with(KINDS[kind]) && text.len() <= MAX_LENGTH);
            prop_assert!(is_plain(&text));
            prop_assert_eq!(ObjectId::parse(&text), Some(id));
        }

        #[test]
        fn whatever_is_read_was_made(kind in 0..KINDS.len(), payload in prop::collection::vec(any::<u8>(), 0..600), text in ".*") {
            prop_assert_eq!(ObjectId::parse(&text), None);
            let sum = sum(KINDS[kind], &payload);
            let forged = URL_SAFE_NO_PAD.encode([&payload[..], &sum].concat());
            let forged = format!("{}{MARK}{forged}", KINDS[kind]);
            if let Some(read) = ObjectId::parse(&forged) {
                prop_assert_eq!(read.to_string(), forged);
            }
        }
    }
}
