//! What providers with OpenAI's API keep for a client: files, batches, answers, threads, ….
//!
//! An id that was given out by a gateway names the deployment that has the object. Who creates one
//! names the group, unless there is only one that it can be.

use bytes::Bytes;
use http::{StatusCode, request::Parts};
use ziggurat::{Deployment, Error, ErrorKind, LlmRequest, ObjectId, Passed, Snapshot};

use crate::passing::{for_path, in_query, may_use};

/// Objects of one kind, and what is under them.
struct Family {
    path: &'static str,
    /// Whether a `model` in a body is one of the provider's words.
    has_models: bool,
    /// What may stand in the place of an id.
    words: &'static [&'static str],
}

const fn family(path: &'static str, has_models: bool, words: &'static [&'static str]) -> Family {
    Family {
        path,
        has_models,
        words,
    }
}

const FAMILIES: [Family; 9] = [
    family("/assistants", true, &[]),
    family("/batches", false, &[]),
    family("/conversations", false, &[]),
    family("/files", false, &[]),
    family("/fine_tuning/jobs", true, &[]),
    family(RESPONSES, true, &["compact", "input_tokens"]),
    family("/threads", true, &["runs"]),
    family("/uploads", false, &[]),
    family("/vector_stores", false, &[]),
];

/// Answers are created by an operation of its own.
const RESPONSES: &str = "/responses";

/// Words that choose a group, in a query or a body, as LiteLLM's clients know them.
const MODEL: &str = "model";
const TARGETS: &str = "target_model_names";
const PROVIDER: &str = "custom_llm_provider";

/// Those that keep files and more, where nobody says whom to ask.
const KEEPERS: [&str; 2] = ["azure", "openai"];

/// The paths that are served, without a version.
pub(crate) fn paths() -> impl Iterator<Item = String> {
    let bare = FAMILIES.iter().filter(|family| family.path != RESPONSES);
    let bare = bare.map(|family| family.path.to_owned());
    bare.chain(
        FAMILIES
            .iter()
            .map(|family| format!("{}/{{*rest}}", family.path)),
    )
}

/// The request of a client.
pub(crate) fn request(
    snapshot: &Snapshot,
    parts: &Parts,
    body: Bytes,
) -> Result<LlmRequest, Error> {
    let path = parts.uri.path();
    let path = path.strip_prefix("/v1").unwrap_or(path);
    let family = FAMILIES.iter().find(|family| family.rest(path).is_some());
    let Some(family) = family else {
        return Err(not_found("there is no such path"));
    };
    let request = for_path(parts, path, &[MODEL, TARGETS, PROVIDER], body)?;
    let fields: &[&str] = match family.has_models {
        true => &[TARGETS, PROVIDER],
        false => &[TARGETS, PROVIDER, MODEL],
    };
    let passed = Passed::stored(&request, fields)?;
    let asked = match passed.owner() {
        // The model of a run, say, which its owner may know by another name.
        Some(owner) => passed.model().filter(|model| {
            let group = snapshot.resolve(model);
            group.is_some_and(|group| group.members().iter().any(|it| it.id() == owner))
        }),
        None => None,
    };
    if passed.owner().is_some() {
        let asked = asked.unwrap_or_default().to_owned();
        return LlmRequest::pass_through(&asked, passed);
    }
    let named = named(parts, &passed);
    if named.is_none()
        && family
            .id(path)
            .is_some_and(|id| ObjectId::parse(id).is_none())
    {
        return Err(unknown(family));
    }
    let model = match named {
        Some(model) => model,
        None => guessed(snapshot, parts, &passed)?,
    };
    LlmRequest::pass_through(&model, passed)
}

impl Family {
    /// What comes behind the path of the family.
    fn rest<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(self.path)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }

    /// The id in a path, if there is one.
    fn id<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = self.rest(path)?.strip_prefix('/')?;
        let first = rest.split('/').next().unwrap_or_default();
        (!first.is_empty() && !self.words.contains(&first)).then_some(first)
    }
}

/// The group that a client names.
fn named(parts: &Parts, passed: &Passed) -> Option<String> {
    let taken = |field| passed.taken(field).map(str::to_owned);
    let first = |names: String| names.split(',').next().map(|name| name.trim().to_owned());
    let header = parts.headers.get("x-litellm-model");
    let header = header.and_then(|value| value.to_str().ok());
    let named = in_query(parts, MODEL)
        .or_else(|| header.map(str::to_owned))
        .or_else(|| taken(MODEL))
        .or_else(|| in_query(parts, TARGETS).and_then(first))
        .or_else(|| taken(TARGETS));
    named.filter(|name| !name.is_empty())
}

/// The group of somebody who names none: that of the model in the body or in the batch; else the
/// only one that it can be among those that it may use, or any if all are of one account.
fn guessed(snapshot: &Snapshot, parts: &Parts, passed: &Passed) -> Result<String, Error> {
    let model = passed.model().map(str::to_owned);
    let model = model.or_else(|| passed.batch_model());
    if let Some(model) = model.filter(|model| snapshot.resolve(model).is_some()) {
        return Ok(model);
    }
    let provider = in_query(parts, PROVIDER);
    let provider = provider.as_deref().or(passed.taken(PROVIDER));
    let may_keep = |it: &&Deployment| match provider {
        Some(provider) => it.provider() == provider,
        None => KEEPERS.contains(&it.provider()),
    };
    let mut keepers: Vec<&Deployment> = snapshot.deployments().map(|it| &**it).collect();
    keepers.retain(|it| may_keep(it) && may_use(snapshot, parts, it.group()));
    keepers.sort_unstable_by_key(|it| it.id());
    let Some((first, others)) = keepers.split_first() else {
        let message = "no deployment of OpenAI or Azure is configured; name the group that is meant by `model`";
        return Err(ambiguous(message));
    };
    let alike = |it: &&Deployment| it.group() == first.group() || is_same_account(it, first);
    match others.iter().all(alike) {
        true => Ok(first.group().to_owned()),
        false => Err(ambiguous(
            "several groups could keep this; name one by `?model=`, by a field `model` or `target_model_names`, or by the header `x-litellm-model`",
        )),
    }
}

fn is_same_account(one: &Deployment, other: &Deployment) -> bool {
    one.provider() == other.provider()
        && one.base_url() == other.base_url()
        && one.credential() == other.credential()
}

fn ambiguous(message: &'static str) -> Error {
    let error = Error::new(ErrorKind::BadRequest, message);
    error.with_param(MODEL).with_code("missing_model")
}

fn unknown(family: &Family) -> Error {
    not_found(match family.path {
        RESPONSES => "this answer was not stored: none of the providers that store answers gave it",
        _ => {
            "this id was not given out here; name the group that is meant by `?model=` to ask for it all the same"
        }
    })
}

fn not_found(message: &'static str) -> Error {
    Error::new(ErrorKind::BadRequest, message)
        .with_status(StatusCode::NOT_FOUND)
        .with_code("not_found")
}

#[cfg(test)]
mod tests {
    use http::Request;
    use ziggurat::{HasLedger, Secret};

    use super::*;

    fn keeper(id: &str, group: &str, key: &str) -> Deployment {
        Deployment::new(id, group, "m")
            .with_provider("openai")
            .with_credential(Secret::new(key))
    }

    fn ask(
        members: impl IntoIterator<Item = Deployment>,
        uri: &str,
        body: &str,
    ) -> Result<String, Error> {
        let request = Request::post(uri).header("content-type", "application/json");
        let (parts, ()) = request.body(()).expect("is a request").into_parts();
        let request = request_of(members, &parts, body)?;
        let pin = request.ledger().and_then(|ledger| ledger.pinned());
        let pin = pin.map(|pin| format!("={pin}")).unwrap_or_default();
        Ok(format!("{}{pin}", request.group()))
    }

    fn request_of(
        members: impl IntoIterator<Item = Deployment>,
        parts: &Parts,
        body: &str,
    ) -> Result<LlmRequest, Error> {
        request(
            &Snapshot::new(members),
            parts,
            Bytes::copy_from_slice(body.as_bytes()),
        )
    }

    #[test]
    fn a_group_is_named_or_the_only_one_that_it_can_be() {
        let one = || [keeper("a", "gpt", "k1"), keeper("b", "gpt", "k2")];
        let same = || [keeper("a", "gpt", "k"), keeper("b", "mini", "k")];
        let two = || {
            let claude = Deployment::new("c", "claude", "m").with_provider("anthropic");
            [keeper("a", "gpt", "k1"), keeper("b", "mini", "k2"), claude]
        };
        assert_eq!(ask(one(), "/v1/batches", "{}").expect("is clear"), "gpt");
        assert_eq!(ask(same(), "/files", "{}").expect("is clear"), "gpt");
        let error = ask(two(), "/v1/batches", "{}").expect_err("is not clear");
        assert_eq!(
            (error.status().as_u16(), error.param()),
            (400, Some("model"))
        );
        for (uri, body) in [
            ("/v1/batches?model=mini", "{}"),
            ("/v1/batches?x=1&target_model_names=mini,gpt", "{}"),
            ("/v1/batches", r#"{"model":"mini"}"#),
            ("/v1/batches", r#"{"target_model_names":["mini"]}"#),
            ("/v1/assistants", r#"{"model":"mini"}"#),
        ] {
            assert_eq!(
                ask(two(), uri, body).expect("is clear"),
                "mini",
                "{uri} {body}"
            );
        }
        let by_provider = r#"{"custom_llm_provider":"anthropic"}"#;
        assert_eq!(
            ask(two(), "/files", by_provider).expect("is clear"),
            "claude"
        );
        assert!(ask([], "/files", "{}").is_err());
    }

    #[test]
    fn an_id_of_ours_goes_to_its_deployment_whatever_is_named_and_another_id_nowhere() {
        let members = || [keeper("a", "gpt", "k1"), keeper("b", "mini", "k2")];
        let id = |original| {
            ObjectId::new(&"b".into(), original)
                .expect("is one")
                .to_string()
        };
        let uri = format!("/v1/batches/{}/cancel?model=gpt", id("batch_1"));
        assert_eq!(ask(members(), &uri, "{}").expect("is pinned"), "b=b");
        let uri = format!("/v1/threads/{}/runs", id("thread_1"));
        let run = |model: &str| format!(r#"{{"model":"{model}"}}"#);
        assert_eq!(
            ask(members(), &uri, &run("mini")).expect("is pinned"),
            "mini=b"
        );
        assert_eq!(ask(members(), &uri, &run("gpt")).expect("is pinned"), "b=b");
        for uri in [
            "/v1/files/file-1",
            "/v1/threads/thread_1",
            "/v1/files/file-zgt1_AAAA",
        ] {
            assert_eq!(
                ask(members(), uri, "").expect_err("is unknown").status(),
                404
            );
        }
        let error = ask(members(), "/v1/responses/resp_1", "").expect_err("is unknown");
        assert!(error.message().contains("was not stored"));
        let named = ask(members(), "/v1/files/file-1?model=gpt", "");
        assert_eq!(named.expect("is named"), "gpt");
        let error = ask(members(), "/v1/filesx", "").expect_err("is no family");
        assert_eq!(error.status(), 404);
    }
}
