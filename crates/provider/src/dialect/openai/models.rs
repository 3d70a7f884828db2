//! Lists of models.

use std::borrow::Cow;

use serde::Deserialize;
use ziggurat_core::{Deployment, Error};

use super::{chunk::Chunk, error};

#[derive(Deserialize)]
#[serde(untagged)]
enum List<'a> {
    Object {
        #[serde(borrow)]
        data: Vec<Model<'a>>,
    },
    /// Google's.
    Models { models: Vec<Model<'a>> },
    /// Together's.
    Bare(#[serde(borrow)] Vec<Model<'a>>),
}

#[derive(Deserialize)]
struct Model<'a> {
    #[serde(borrow, alias = "name")]
    id: Cow<'a, str>,
}

/// Whether the deployment's model is in a list of models; `None` if this is no list.
///
/// # Errors
///
/// The error that stands in the place of a list.
pub(crate) fn lists(body: &[u8], deployment: &Deployment) -> Result<Option<bool>, Error> {
    let list = serde_json::from_slice(body);
    let Ok(List::Object { data: models } | List::Models { models } | List::Bare(models)) = list
    else {
        let is_error = Chunk::read(body).is_some_and(|answer| answer.is_error());
        return if is_error {
            Err(error::in_band(body, deployment))
        } else {
            Ok(None)
        };
    };
    let model = deployment.model();
    // Google's servers put a folder before the name.
    let is_it = |id: &str| id == model || id.strip_prefix("models/") == Some(model);
    Ok(Some(models.iter().any(|listed| is_it(&listed.id))))
}

#[cfg(test)]
mod tests {
    use ziggurat_core::ErrorKind;

    use super::*;

    #[test]
    fn a_model_is_listed_or_not_or_there_is_no_list() {
        let deployment = Deployment::new("a", "gpt", "m");
        for (body, listed) in [
            (
                r#"{"object":"list","data":[{"id":"x"},{"id":"m","object":"model"}]}"#,
                Some(true),
            ),
            (r#"{"data":[{"id":"models/m"}]}"#, Some(true)),
            (r#"{"data":[{"id":"\u006d"}]}"#, Some(true)),
            (r#"[{"id":"m"}]"#, Some(true)),
            (r#"{"models":[{"name":"models/m"}]}"#, Some(true)),
            (r#"{"data":[{"id":"mm"}]}"#, Some(false)),
            (r#"{"data":[]}"#, Some(false)),
            (r#"{"data":7}"#, None),
            ("<html>", None),
            ("", None),
        ] {
            let read = lists(body.as_bytes(), &deployment);
            assert_eq!(read.expect("is no error"), listed, "{body}");
        }
        let error = lists(br#"{"error":{"code":401,"message":"no"}}"#, &deployment);
        assert_eq!(error.expect_err("is one").kind(), ErrorKind::Authentication);
    }
}
