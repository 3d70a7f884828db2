//! The headers that carry a credential.

use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use ziggurat_core::{Deployment, Error, ErrorKind};

/// A value that no log shows; `None` if no header may have it.
pub(crate) fn secret(value: &str) -> Option<HeaderValue> {
    let mut value: HeaderValue = value.parse().ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The deployment's credential as `Authorization: Bearer`, if it has one.
///
/// # Errors
///
/// [`ErrorKind::Internal`] if no header may have it. The message repeats nothing of it.
pub(crate) fn bearer(deployment: &Deployment) -> Result<HeaderMap, Error> {
    match deployment.credential() {
        Some(credential) => bearer_of(deployment, credential.expose()),
        None => Ok(HeaderMap::new()),
    }
}

/// A token as `Authorization: Bearer`.
///
/// # Errors
///
/// As [`bearer`].
pub(crate) fn bearer_of(deployment: &Deployment, token: &str) -> Result<HeaderMap, Error> {
    header(
        deployment,
        AUTHORIZATION,
        &format!("Bearer {}", token.trim()),
    )
}

/// A credential in a header of its own.
///
/// # Errors
///
/// As [`bearer`].
pub(crate) fn header(
    deployment: &Deployment,
    name: HeaderName,
    value: &str,
) -> Result<HeaderMap, Error> {
    let value = secret(value).ok_or_else(|| {
        let message = "the credential has characters that no header may have";
        Error::new(ErrorKind::Internal, message).with_deployment(deployment.id().clone())
    })?;
    Ok(HeaderMap::from_iter([(name, value)]))
}
