//! Where and how a deployment is called, worked out once.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri,
    header::{
        ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE,
        TRANSFER_ENCODING, USER_AGENT,
    },
};
use smallvec::SmallVec;
use ziggurat_core::{Deployment, Error, ErrorKind, Idle, Keyed, Operation};

use crate::{RequestBody, dialect::openai};

/// How many deployments are remembered.
const REMEMBERED: usize = 16_384;

/// The addresses and headers of a deployment, ready to be sent.
pub(crate) struct Endpoint {
    addresses: [Uri; openai::OPERATIONS.len()],
    models: Uri,
    headers: HeaderMap,
    deployment: Weak<Deployment>,
}

impl Endpoint {
    /// Works out the endpoint of a deployment.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Internal`] if the deployment cannot be called as it is configured. The message
    /// repeats nothing that may be secret.
    pub(crate) fn new(deployment: &Deployment) -> Result<Self, Error> {
        let wrong = |message: String| {
            Error::new(ErrorKind::Internal, message).with_deployment(deployment.id().clone())
        };
        let provider = deployment.provider();
        let base = match deployment.base_url() {
            Some(base) => base,
            None => openai::default_base(provider)
                .ok_or_else(|| wrong(format!("the provider `{provider}` needs a base URL")))?,
        };
        let address = |path| {
            openai::address(base, path)
                .ok_or_else(|| wrong("the base URL is no plain http or https address".to_owned()))
        };
        let models = address(openai::MODELS)?;
        let mut addresses = openai::OPERATIONS.map(|_| Uri::default());
        for (place, operation) in addresses.iter_mut().zip(openai::OPERATIONS) {
            *place = address(operation.path())?;
        }

        let mut headers = HeaderMap::with_capacity(4 + deployment.headers().len());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let agent = concat!("ziggurat/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        if let Some(credential) = deployment.credential() {
            let value = format!("Bearer {}", credential.expose().trim());
            let value = secret(&value).ok_or_else(|| {
                wrong("the credential has characters that no header may have".to_owned())
            })?;
            headers.insert(AUTHORIZATION, value);
        }
        for (name, value) in deployment.headers() {
            let unusable = || wrong(format!("the header `{name}` cannot be sent"));
            let parsed: HeaderName = name.parse().map_err(|_| unusable())?;
            if [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&parsed) {
                return Err(unusable());
            }
            headers.insert(parsed, secret(value).ok_or_else(unusable)?);
        }
        Ok(Self {
            addresses,
            models,
            headers,
            deployment: Weak::new(),
        })
    }

    /// The request for an operation.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadRequest`] if the operation is not served.
    pub(crate) fn request(
        &self,
        operation: Operation,
        body: RequestBody,
    ) -> Result<Request<RequestBody>, Error> {
        let served = openai::OPERATIONS.into_iter().zip(&self.addresses);
        let Some((_, address)) = served.into_iter().find(|(served, _)| *served == operation) else {
            let message = format!("the operation `{operation}` is not supported");
            return Err(
                Error::new(ErrorKind::BadRequest, message).with_code("unsupported_operation")
            );
        };
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = address.clone();
        *request.headers_mut() = self.headers.clone();
        Ok(request)
    }

    /// The request for the list of models.
    pub(crate) fn models(&self) -> Request<RequestBody> {
        let mut request = Request::new(RequestBody::new(SmallVec::new()));
        *request.uri_mut() = self.models.clone();
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().remove(CONTENT_TYPE);
        request
    }
}

fn secret(value: &str) -> Option<HeaderValue> {
    let mut value: HeaderValue = value.parse().ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl Idle for Endpoint {
    fn is_idle(&self) -> bool {
        self.deployment.strong_count() == 0
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").finish_non_exhaustive()
    }
}

/// The endpoints of the deployments that were called.
///
/// They are found by the place of the description in memory, so a reload that changes a deployment
/// and keeps its id is noticed. An entry keeps that place from being used again.
#[derive(Debug)]
pub(crate) struct Endpoints(Keyed<usize, Endpoint>);

impl Endpoints {
    pub(crate) fn new() -> Self {
        Self(Keyed::new(REMEMBERED))
    }

    pub(crate) fn get(&self, deployment: &Arc<Deployment>) -> Result<Arc<Endpoint>, Error> {
        let place = Arc::as_ptr(deployment).addr();
        if let Some(endpoint) = self.0.get(&place) {
            return Ok(endpoint);
        }
        let mut endpoint = Endpoint::new(deployment)?;
        endpoint.deployment = Arc::downgrade(deployment);
        Ok(self.0.get_or_insert_with(&place, || endpoint))
    }
}

#[cfg(test)]
mod tests {
    use ziggurat_core::Secret;

    use super::*;

    fn refused(deployment: &Deployment) -> Error {
        let error = Endpoint::new(deployment).expect_err("cannot be called");
        assert_eq!(error.deployment(), Some(deployment.id()));
        error
    }

    #[test]
    fn a_deployment_that_cannot_be_called_is_found_before_it_is() {
        let deployment = || Deployment::new("a", "gpt", "m");
        assert!(
            refused(&deployment().with_provider("bedrock"))
                .message()
                .contains("`bedrock`")
        );
        refused(&deployment().with_base_url("https://user:hunter2@x/v1"));
        refused(&deployment().with_header("bad name", "x"));
        refused(&deployment().with_header("content-length", "7"));
        let error = refused(&deployment().with_credential(Secret::new("sk-\ncanary")));
        assert!(!format!("{error:?}").contains("canary"));
        assert!(Endpoint::new(&deployment().with_credential(Secret::new("sk-1\n"))).is_ok());
    }

    #[test]
    fn what_is_configured_wins_over_what_is_usual() {
        let deployment = Deployment::new("a", "gpt", "m")
            .with_credential(Secret::new("sk-canary"))
            .with_header("User-Agent", "mine")
            .with_header("api-key", "canary-2");
        let endpoint = Endpoint::new(&deployment).expect("can be called");
        let request = endpoint
            .request(Operation::Embeddings, bytes::Bytes::new().into())
            .expect("is served");
        assert_eq!(request.uri(), "https://api.openai.com/v1/embeddings");
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer sk-canary");
        assert_eq!(request.headers()[USER_AGENT], "mine");
        assert!(!format!("{request:?}").contains("canary"));
    }

    #[test]
    fn a_reload_is_noticed_and_the_same_description_is_worked_out_once() {
        let endpoints = Endpoints::new();
        let before = Arc::new(Deployment::new("a", "gpt", "m").with_base_url("http://before"));
        let first = endpoints.get(&before).expect("can be called");
        assert!(Arc::ptr_eq(
            &first,
            &endpoints.get(&before).expect("can be called")
        ));
        drop(before);
        let after = Arc::new(Deployment::new("a", "gpt", "m").with_base_url("http://after"));
        let second = endpoints.get(&after).expect("can be called");
        assert_eq!(second.addresses[0], "http://after/chat/completions");
    }
}
