//! What is told when nobody serves a name.

use http::StatusCode;
use ziggurat_core::{DeploymentId, Error, ErrorKind, Snapshot};

/// The length of names that are compared and quoted, in bytes.
const LONGEST: usize = 100;

/// The error for a model that no group serves. It is the request that is wrong, so it is tried
/// nowhere else.
pub(crate) fn model_not_found(name: &str, snapshot: &Snapshot) -> Error {
    let message = if name.len() > LONGEST {
        "the model does not exist".into()
    } else if let Some(near) = nearest(name, snapshot) {
        format!("the model `{name}` does not exist; did you mean `{near}`?")
    } else {
        format!("the model `{name}` does not exist")
    };
    Error::new(ErrorKind::BadRequest, message)
        .with_status(StatusCode::NOT_FOUND)
        .with_code("model_not_found")
        .with_param("model")
}

/// The error for a request about objects of a deployment that does not serve what is asked for, or
/// that is not there any more. Nobody else has them.
pub(crate) fn owner_not_found(name: &str, id: &DeploymentId, snapshot: &Snapshot) -> Error {
    if snapshot.get(id).is_none() {
        let message = "the deployment that keeps what the request names is not configured any more";
        return Error::new(ErrorKind::BadRequest, message)
            .with_status(StatusCode::NOT_FOUND)
            .with_code("deployment_not_found");
    }
    if snapshot.resolve(name).is_none() {
        return model_not_found(name, snapshot);
    }
    let message = "what the request names is kept by a deployment that does not serve its model";
    Error::new(ErrorKind::BadRequest, message)
        .with_code("object_of_another_deployment")
        .with_param("model")
}

/// The listed name that differs the least, if that is by no more than a third of its letters.
fn nearest<'a>(name: &str, snapshot: &'a Snapshot) -> Option<&'a str> {
    let names = snapshot.names().iter().map(|listed| &**listed);
    let short = names.filter(|listed| listed.len() <= LONGEST);
    let near = short.map(|listed| (distance(name, listed), listed));
    let (distance, listed) = near.min_by_key(|(distance, _)| *distance)?;
    (distance * 3 <= listed.len()).then_some(listed)
}

/// How many letters must be changed, added or taken away to make one text of the other
/// (Levenshtein; Wagner and Fischer, 1974). Case does not count.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.bytes().enumerate() {
            let changed = diagonal + usize::from(!a.eq_ignore_ascii_case(&b));
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use ziggurat_core::Deployment;

    use super::*;

    #[test]
    fn distances_are_those_of_the_textbook() {
        for (from, to, expected) in [
            ("kitten", "sitting", 3),
            ("", "abc", 3),
            ("abc", "", 3),
            ("GPT-4o", "gpt-4o", 0),
            ("flaw", "lawn", 2),
        ] {
            assert_eq!(distance(from, to), expected, "{from} {to}");
        }
    }

    #[test]
    fn a_name_that_is_nearly_right_gets_a_suggestion() {
        let groups = ["gpt-4o", "claude-sonnet"].map(|group| Deployment::new(group, group, "m"));
        let snapshot = Snapshot::new(groups);
        let error = model_not_found("gpt4o", &snapshot);
        assert_eq!(error.status(), 404);
        assert_eq!(
            (error.code(), error.param()),
            ("model_not_found", Some("model"))
        );
        assert!(error.message().ends_with("did you mean `gpt-4o`?"));
        let error = model_not_found("llama", &snapshot);
        assert_eq!(error.message(), "the model `llama` does not exist");
        let error = model_not_found(&"x".repeat(1 << 20), &snapshot);
        assert_eq!(error.message(), "the model does not exist");
    }
}
