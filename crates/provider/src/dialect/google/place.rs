//! Where a model is.

use ziggurat_core::{Deployment, Error, ErrorKind};

use super::{Host, credentials, thinking::Model};

const STUDIO: &str = "https://generativelanguage.googleapis.com";
const STUDIO_VERSION: &str = "/v1beta";

/// Where the servers are that serve a deployment.
pub(super) fn base(host: Host, deployment: &Deployment) -> String {
    let Host::Vertex { version } = host else {
        return format!("{STUDIO}{STUDIO_VERSION}");
    };
    let server = match location(deployment) {
        "global" => "aiplatform.googleapis.com".to_owned(),
        // Regions that span several.
        area @ ("us" | "eu") => format!("aiplatform.{area}.rep.googleapis.com"),
        location => format!("{location}-aiplatform.googleapis.com"),
    };
    format!("https://{server}/{version}")
}

/// The location that the deployment names, else one that has the model.
fn location(deployment: &Deployment) -> &str {
    let named = deployment.param("vertex_location").map(str::trim);
    match named.filter(|location| !location.is_empty()) {
        Some(location) => location,
        None if Model::of(deployment.model()).has_levels() => "global",
        None => "us-central1",
    }
}

/// The path of a method of a model, under the base.
///
/// # Errors
///
/// [`ErrorKind::NotFound`] if no model has such a name, [`ErrorKind::Internal`] if it is not known
/// whose project it is.
pub(super) fn path(
    host: Host,
    deployment: &Deployment,
    model: &str,
    method: &str,
) -> Result<String, Error> {
    match host {
        Host::Studio => {
            let version = studio_version(deployment);
            let model = match model.starts_with("models/") || model.starts_with("tunedModels/") {
                true => model.to_owned(),
                false => format!("models/{model}"),
            };
            Ok(format!("{version}/{}:{method}", safe(&model)?))
        }
        Host::Vertex { version } => {
            let version = match deployment.base_url() {
                Some(base) if is_bare(base) => format!("/{version}"),
                _ => String::new(),
            };
            let project = match deployment.param("vertex_project").map(str::trim) {
                Some(project) if !project.is_empty() => project.to_owned(),
                _ => credentials::project(deployment).ok_or_else(|| {
                    let message = "`vertex_project` is missing: it is not known whose model it is";
                    Error::new(ErrorKind::Internal, message)
                })?,
            };
            let (project, location) = (safe(&project)?, safe(location(deployment))?);
            let model = resource(safe(model)?)?;
            Ok(format!(
                "{version}/projects/{project}/locations/{location}/{model}:{method}"
            ))
        }
    }
}

/// Where AI Studio lists all of its models, under the base.
pub(super) fn models(deployment: &Deployment) -> String {
    format!("{}/models?pageSize=1000", studio_version(deployment))
}

/// The version, where the base does not say it.
fn studio_version(deployment: &Deployment) -> &'static str {
    match deployment.base_url().is_some_and(is_bare) {
        true => STUDIO_VERSION,
        false => "",
    }
}

/// Whether a base URL names a server and nothing on it.
fn is_bare(base: &str) -> bool {
    let base = base.trim().trim_end_matches('/');
    let after_scheme = base.split_once("://").map_or(base, |(_, rest)| rest);
    !after_scheme.contains('/')
}

/// A model of Vertex, or an endpoint of somebody's own, which goes by a number.
///
/// # Errors
///
/// [`ErrorKind::NotFound`] for a publisher whose dialect is not spoken.
fn resource(model: &str) -> Result<String, Error> {
    let model = model.strip_prefix("gemini/").unwrap_or(model);
    let is_number = !model.is_empty() && model.bytes().all(|byte| byte.is_ascii_digit());
    Ok(match model.split_once('/') {
        None if is_number => format!("endpoints/{model}"),
        None if model.starts_with("claude") => format!("publishers/anthropic/models/{model}"),
        None => format!("publishers/google/models/{model}"),
        Some(("endpoints", _)) => model.to_owned(),
        Some((publisher @ ("google" | "anthropic"), model)) => {
            format!("publishers/{publisher}/models/{model}")
        }
        Some((publisher, _)) => {
            return Err(no_model(format!(
                "models of `{publisher}` are not supported here"
            )));
        }
    })
}

fn no_model(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    let error = Error::new(ErrorKind::NotFound, message).with_param("model");
    error.with_code("model_not_found")
}

/// A part of a path that stays what it is: a model may be whatever a client calls it.
fn safe(path: &str) -> Result<&str, Error> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._@/".contains(&byte);
    let is_step = |part: &str| part.is_empty() || part.bytes().all(|byte| byte == b'.');
    if path.bytes().all(is_plain) && !path.split('/').any(is_step) {
        return Ok(path);
    }
    Err(no_model("the provider has no model of that name"))
}

#[cfg(test)]
mod tests {
    use ziggurat_core::Secret;

    use super::*;

    const VERTEX: Host = Host::Vertex { version: "v1" };

    fn vertex(location: &str) -> Deployment {
        Deployment::new("a", "g", "gemini-2.5-pro")
            .with_param("vertex_project", Secret::new("p-1"))
            .with_param("vertex_location", Secret::new(location))
    }

    #[test]
    fn a_location_has_its_own_server() {
        for (location, server) in [
            (
                "europe-west4",
                "https://europe-west4-aiplatform.googleapis.com/v1",
            ),
            ("global", "https://aiplatform.googleapis.com/v1"),
            ("eu", "https://aiplatform.eu.rep.googleapis.com/v1"),
            ("", "https://us-central1-aiplatform.googleapis.com/v1"),
        ] {
            assert_eq!(base(VERTEX, &vertex(location)), server);
        }
        let third = Deployment::new("a", "g", "gemini-3-pro-preview");
        assert_eq!(base(VERTEX, &third), "https://aiplatform.googleapis.com/v1");
    }

    #[test]
    fn a_model_has_its_path() {
        let studio = Deployment::new("a", "g", "m");
        for (model, expected) in [
            ("gemini-2.5-pro", "/models/gemini-2.5-pro:go"),
            ("models/gemini-2.5-pro", "/models/gemini-2.5-pro:go"),
            ("tunedModels/x-1", "/tunedModels/x-1:go"),
        ] {
            assert_eq!(
                path(Host::Studio, &studio, model, "go").expect("is plain"),
                expected
            );
        }
        for (model, expected) in [
            ("gemini-2.5-pro", "publishers/google/models/gemini-2.5-pro"),
            (
                "google/gemini-2.5-pro",
                "publishers/google/models/gemini-2.5-pro",
            ),
            (
                "claude-3-7-sonnet@20250219",
                "publishers/anthropic/models/claude-3-7-sonnet@20250219",
            ),
            ("123456", "endpoints/123456"),
            ("gemini/123456", "endpoints/123456"),
        ] {
            let path = path(VERTEX, &vertex("global"), model, "go").expect("is plain");
            assert_eq!(
                path,
                format!("/projects/p-1/locations/global/{expected}:go")
            );
        }
        let other = path(VERTEX, &vertex("global"), "meta/llama-4", "go");
        assert!(
            other
                .expect_err("is not known")
                .message()
                .contains("`meta`")
        );
    }

    #[test]
    fn a_server_without_a_path_gets_the_version() {
        for (base, expected) in [
            ("http://proxy:1", "/v1beta/models/m:go"),
            ("http://proxy:1/", "/v1beta/models/m:go"),
            ("http://proxy:1/v1", "/models/m:go"),
        ] {
            let deployment = Deployment::new("a", "g", "m").with_base_url(base);
            assert_eq!(
                path(Host::Studio, &deployment, "m", "go").expect("is plain"),
                expected
            );
        }
    }

    #[test]
    fn a_name_cannot_lead_elsewhere() {
        let studio = Deployment::new("a", "g", "*");
        for model in [
            "../x", "a/../b", "a?key=b", "a#b", "a:go", "a b", "", "a//b", "ä",
        ] {
            let error = path(Host::Studio, &studio, model, "go").expect_err("is refused");
            assert_eq!(
                (error.kind(), error.param()),
                (ErrorKind::NotFound, Some("model"))
            );
        }
    }

    #[test]
    fn without_a_project_there_is_no_path() {
        let nobody = Deployment::new("a", "g", "m");
        let error = path(VERTEX, &nobody, "m", "go").expect_err("is refused");
        assert!(error.message().contains("vertex_project"));
    }
}
