//! Tokens of Entra, for applications that have a secret: the client credentials flow of the
//! Microsoft identity platform.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Uri,
    header::{ACCEPT, CONTENT_TYPE},
};
use ziggurat_core::{Deployment, Error, ErrorKind, Secret};

use super::place::encoded;
use crate::tokens::{Issuer, TokenRequest, TokenSource};

const AUTHORITY: &str = "https://login.microsoftonline.com";
const SCOPE: &str = "https://cognitiveservices.azure.com/.default";

/// An application, which proves who it is by a secret.
#[derive(Debug)]
struct Application {
    /// Where tokens are asked for.
    uri: Uri,
    /// The form that asks.
    form: Secret,
}

/// Where a deployment without a key gets its tokens: `tenant_id`, `client_id` and `client_secret`,
/// perhaps `azure_scope` and `azure_authority_host`.
///
/// # Errors
///
/// [`ErrorKind::Internal`] if the authority or the tenant makes no address.
pub(crate) fn token(deployment: &Deployment) -> Result<Option<TokenSource>, Error> {
    Ok(application(deployment)?.map(TokenSource::new))
}

fn application(deployment: &Deployment) -> Result<Option<Application>, Error> {
    let has_key = deployment.credential().is_some() || deployment.param("azure_ad_token").is_some();
    let param = |name| deployment.param(name).map(str::trim);
    let all = (
        param("tenant_id"),
        param("client_id"),
        param("client_secret"),
    );
    let (Some(tenant), Some(id), Some(key)) = all else {
        return Ok(None);
    };
    if has_key {
        return Ok(None);
    }
    let authority = param("azure_authority_host").unwrap_or(AUTHORITY);
    let authority = authority.trim_end_matches('/');
    let uri = format!("{authority}/{}/oauth2/v2.0/token", encoded(tenant));
    let uri: Uri = uri.parse().map_err(|_| no_address(deployment))?;
    if !matches!(uri.scheme_str(), Some("https" | "http")) {
        return Err(no_address(deployment));
    }
    let scope = param("azure_scope").unwrap_or(SCOPE);
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}&scope={}",
        encoded(id),
        encoded(key),
        encoded(scope),
    );
    let form = Secret::new(form);
    Ok(Some(Application { uri, form }))
}

fn no_address(deployment: &Deployment) -> Error {
    let message = "`azure_authority_host` and `tenant_id` make no address";
    Error::new(ErrorKind::Internal, message).with_deployment(deployment.id().clone())
}

impl Issuer for Application {
    fn identity(&self) -> String {
        format!("{} {}", self.uri, self.form.expose())
    }

    fn request(&self, _: u64) -> Result<TokenRequest, Error> {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        let json = HeaderValue::from_static("application/json");
        Ok(TokenRequest {
            uri: self.uri.clone(),
            headers: HeaderMap::from_iter([(CONTENT_TYPE, form), (ACCEPT, json)]),
            body: Bytes::copy_from_slice(self.form.expose().as_bytes()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(params: &[(&'static str, &'static str)]) -> Deployment {
        let empty = Deployment::new("a", "gpt", "m").with_provider("azure");
        params.iter().fold(empty, |deployment, (name, value)| {
            deployment.with_param(*name, Secret::new(*value))
        })
    }

    const ALL: [(&str, &str); 3] = [
        ("tenant_id", "t/1"),
        ("client_id", "c"),
        ("client_secret", "canary&+"),
    ];

    #[test]
    fn an_application_asks_with_its_secret_and_shows_it_to_nobody() {
        let application = application(&deployment(&ALL)).expect("can be used");
        let application = application.expect("is one");
        let asked = application.request(0).expect("can be asked");
        assert_eq!(
            asked.uri,
            "https://login.microsoftonline.com/t%2F1/oauth2/v2.0/token"
        );
        let form = "grant_type=client_credentials&client_id=c&client_secret=canary%26%2B\
            &scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default";
        assert_eq!(asked.body, form);
        assert!(!format!("{application:?}").contains("canary"));
    }

    #[test]
    fn what_is_not_whole_or_not_needed_is_none() {
        let is_none =
            |deployment: &Deployment| application(deployment).expect("is right").is_none();
        assert!(is_none(&deployment(&ALL[..2])));
        assert!(is_none(&deployment(&ALL).with_credential(Secret::new("k"))));
        let token = deployment(&ALL).with_param("azure_ad_token", Secret::new("t"));
        assert!(is_none(&token));
    }

    #[test]
    fn an_authority_that_is_no_address_is_refused() {
        for authority in [
            "login.example",
            "ftp://login.example",
            "https://log in.example",
        ] {
            let deployment =
                deployment(&ALL).with_param("azure_authority_host", Secret::new(authority));
            let error = application(&deployment).expect_err("is refused");
            assert_eq!(error.kind(), ErrorKind::Internal);
        }
    }
}
