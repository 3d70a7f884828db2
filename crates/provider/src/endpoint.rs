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
use ziggurat_core::{Deployment, Error, ErrorKind, Idle, Keyed, LlmRequest, Operation, Passed};

use crate::{
    RequestBody,
    chat::unsupported,
    dialect::{
        self, Outgoing, azure,
        credential::{self, secret},
        openai,
    },
    secrets::Secrets,
    tokens::TokenSource,
};

/// How many deployments are remembered.
const REMEMBERED: usize = 16_384;

/// The addresses and headers of a deployment, ready to be sent.
pub(crate) struct Endpoint {
    addresses: [Uri; openai::OPERATIONS.len()],
    models: Uri,
    /// Where another model than the deployment's own has another address.
    azure: Option<azure::Place>,
    model: Box<str>,
    /// What comes before the path of a dialect.
    base: String,
    headers: HeaderMap,
    token: Option<TokenSource>,
    secrets: Secrets,
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
        let dialect = dialect::of_deployment(deployment);
        let usual = || match dialect {
            Some(dialect) => dialect.base(deployment),
            None => openai::default_base(provider).map(str::to_owned),
        };
        let base = deployment.base_url().map(str::to_owned).or_else(usual);
        let base =
            base.ok_or_else(|| wrong(format!("the provider `{provider}` needs a base URL")))?;
        let address = |azure_base: Option<String>, path| {
            let base = azure_base.as_deref().unwrap_or(&base);
            openai::address(base, path)
                .ok_or_else(|| wrong("the base URL is no plain http or https address".to_owned()))
        };
        let azure = azure::Place::of(deployment, &base);
        let models = azure.as_ref().map(azure::Place::models_base);
        let list = dialect.map(|dialect| dialect.models(deployment));
        let models = address(models, list.as_deref().unwrap_or(openai::MODELS))?;
        let mut addresses = openai::OPERATIONS.map(|_| Uri::default());
        for (uri, operation) in addresses.iter_mut().zip(openai::OPERATIONS) {
            let azure = azure.as_ref();
            let azure = azure.map(|place| place.base(operation, deployment.model()));
            *uri = address(azure, operation.path())?;
        }

        let mut headers = HeaderMap::with_capacity(4 + deployment.headers().len());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let agent = concat!("ziggurat/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        headers.extend(match dialect {
            Some(dialect) => dialect.authorization(deployment)?,
            None if azure.is_some() => azure::authorization(deployment, &base)?,
            None => credential::bearer(deployment)?,
        });
        for (name, value) in deployment.headers() {
            let unusable = || wrong(format!("the header `{name}` cannot be sent"));
            let parsed: HeaderName = name.parse().map_err(|_| unusable())?;
            if [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&parsed) {
                return Err(unusable());
            }
            headers.insert(parsed, secret(value).ok_or_else(unusable)?);
        }
        let token = match dialect {
            _ if headers.contains_key(AUTHORIZATION) => None,
            Some(dialect) => dialect.token(deployment)?,
            None if azure.is_some() => azure::token(deployment)?,
            None => None,
        };
        Ok(Self {
            addresses,
            models,
            azure,
            model: deployment.model().into(),
            base: base.trim().trim_end_matches('/').to_owned(),
            headers,
            token,
            secrets: Secrets::of(deployment),
            deployment: Weak::new(),
        })
    }

    /// The request for an operation of a model.
    ///
    /// # Errors
    ///
    /// A refusal if the operation is not served.
    pub(crate) fn request(
        &self,
        operation: Operation,
        model: &str,
        body: RequestBody,
    ) -> Result<Request<RequestBody>, Error> {
        let served = openai::OPERATIONS.into_iter().zip(&self.addresses);
        let Some((_, address)) = served.into_iter().find(|(served, _)| *served == operation) else {
            return Err(unsupported::operation(operation));
        };
        let address = match &self.azure {
            Some(place) if place.is_by_model() && *model != *self.model => {
                let address = openai::address(&place.base(operation, model), operation.path());
                address.ok_or_else(no_address)?
            }
            _ => address.clone(),
        };
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = address;
        *request.headers_mut() = self.headers.clone();
        Ok(request)
    }

    /// The request that becomes a connection to a model, with more to say in its query.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Internal`] if there is no such address.
    pub(crate) fn upgrade<'a>(
        &self,
        model: &'a str,
        more: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Request<RequestBody>, Error> {
        let body = RequestBody::new(SmallVec::new());
        let mut request = self.request(Operation::Realtime, model, body)?;
        let by_model = self.azure.as_ref().is_some_and(azure::Place::is_by_model);
        let name = if by_model { "deployment" } else { "model" };
        let mut address = request.uri().to_string();
        for (name, value) in std::iter::once((name, model)).chain(more) {
            let and = if address.contains('?') { '&' } else { '?' };
            let (name, value) = (azure::encoded(name), azure::encoded(value));
            address.push_str(&format!("{and}{name}={value}"));
        }
        *request.method_mut() = Method::GET;
        *request.uri_mut() = address.parse().map_err(|_| no_address())?;
        request.headers_mut().remove(CONTENT_TYPE);
        Ok(request)
    }

    /// The request that a dialect makes of a client's.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Internal`] if there is no such address.
    pub(crate) fn outgoing(
        &self,
        of: &LlmRequest,
        outgoing: Outgoing,
    ) -> Result<Request<RequestBody>, Error> {
        let address = format!("{}{}", self.base, outgoing.path);
        let mut request = Request::new(RequestBody::from(of.hold(outgoing.body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = address.parse().map_err(|_| no_address())?;
        *request.headers_mut() = self.headers.clone();
        for (name, value) in outgoing.headers {
            request.headers_mut().insert(name, value);
        }
        Ok(request)
    }

    /// Whether it can be asked for usage at the end of a stream.
    pub(crate) fn knows_usage(&self) -> bool {
        self.azure.as_ref().is_none_or(azure::Place::knows_usage)
    }

    /// Whether Responses may be there.
    pub(crate) fn knows_responses(&self) -> bool {
        let azure = self.azure.as_ref();
        azure.is_none_or(azure::Place::knows_responses)
    }

    /// The request for a path.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Internal`] if there is no such address.
    pub(crate) fn passed(
        &self,
        passed: &Passed,
        body: RequestBody,
    ) -> Result<Request<RequestBody>, Error> {
        let azure = self.azure.as_ref();
        let azure = azure.map(|place| match passed.is_stored() {
            true => place.kept_base(),
            false => place.root_base(),
        });
        let base = azure.as_deref().unwrap_or(&self.base);
        let (base, own) = base.split_once('?').unwrap_or((base, ""));
        let path = behind(base, passed.path());
        // What the client says of the same is meant for this very path.
        let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
        let theirs: Vec<_> = passed.query().split('&').map(name).collect();
        let own = own.split('&').filter(|pair| !theirs.contains(&name(pair)));
        let pairs = own.chain(passed.query().split('&'));
        let query: Vec<_> = pairs.filter(|pair| !pair.is_empty()).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let address = format!("{base}{mark}{}", query.join("&"));
        let address = openai::address(&address, path).ok_or_else(no_address)?;
        let is_empty = http_body::Body::is_end_stream(&body);
        let mut request = Request::new(body);
        *request.method_mut() = passed.method().clone();
        *request.uri_mut() = address;
        let headers = request.headers_mut();
        *headers = self.headers.clone();
        if is_empty {
            headers.remove(CONTENT_TYPE);
        }
        for (name, value) in passed.headers() {
            // Those of betas add up.
            match name.as_str().ends_with("-beta") {
                true => drop(headers.append(name, value.clone())),
                false => drop(headers.insert(name, value.clone())),
            }
        }
        Ok(request)
    }

    /// Whether connections may be made there.
    pub(crate) fn knows_realtime(&self) -> bool {
        let azure = self.azure.as_ref();
        azure.is_none_or(azure::Place::knows_realtime)
    }

    /// Where the token comes from that is shown with each request.
    pub(crate) fn token(&self) -> Option<&TokenSource> {
        self.token.as_ref()
    }

    /// What must not come back.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.secrets
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

/// A path without the version with which the base ends already.
fn behind<'a>(base: &str, path: &'a str) -> &'a str {
    let last = base
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or_default();
    let is_version = last.starts_with('v') && last[1..].starts_with(|c: char| c.is_ascii_digit());
    let rest = path
        .strip_prefix('/')
        .and_then(|path| path.strip_prefix(last));
    let rest = rest.filter(|rest| is_version && (rest.is_empty() || rest.starts_with('/')));
    rest.unwrap_or(path)
}

fn no_address() -> Error {
    let message = "the model makes no address under the base URL";
    Error::new(ErrorKind::Internal, message)
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
            .request(Operation::Embeddings, "m", bytes::Bytes::new().into())
            .expect("is served");
        assert_eq!(request.uri(), "https://api.openai.com/v1/embeddings");
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer sk-canary");
        assert_eq!(request.headers()[USER_AGENT], "mine");
        assert!(!format!("{request:?}").contains("canary"));
    }

    #[test]
    fn a_path_is_put_behind_the_base_with_what_is_harmless_of_the_client() {
        let passed = |uri: &str, stored: bool| {
            let request = Request::get(uri)
                .header("openai-beta", "b")
                .header("cookie", "canary");
            let request = request.body(bytes::Bytes::new()).expect("is a request");
            match stored {
                true => Passed::stored(&request, &[]).expect("is valid"),
                false => Passed::any(&request).expect("is valid"),
            }
        };
        for (provider, base, uri, stored, expected) in [
            (
                "openai",
                "",
                "/files?limit=2",
                true,
                "https://api.openai.com/v1/files?limit=2",
            ),
            (
                "openai",
                "",
                "/v1/files",
                false,
                "https://api.openai.com/v1/files",
            ),
            (
                "openai",
                "http://x/v1/",
                "/v1beta/y",
                false,
                "http://x/v1/v1beta/y",
            ),
            (
                "anthropic",
                "",
                "/v1/models",
                false,
                "https://api.anthropic.com/v1/models",
            ),
            (
                "azure",
                "https://x.openai.azure.com",
                "/batches/batch_1",
                true,
                "https://x.openai.azure.com/openai/batches/batch_1?api-version=2025-02-01-preview",
            ),
            (
                "azure",
                "https://x.openai.azure.com/openai/deployments/gpt",
                "/files",
                true,
                "https://x.openai.azure.com/openai/files?api-version=2025-02-01-preview",
            ),
            (
                "azure",
                "https://x.openai.azure.com/openai/v1",
                "/files",
                true,
                "https://x.openai.azure.com/openai/v1/files",
            ),
            (
                "azure",
                "https://x.openai.azure.com",
                "/openai/models?api-version=2024-10-21",
                false,
                "https://x.openai.azure.com/openai/models?api-version=2024-10-21",
            ),
        ] {
            let mut deployment = Deployment::new("a", "gpt", "m").with_provider(provider);
            if !base.is_empty() {
                deployment = deployment.with_base_url(base);
            }
            let deployment = deployment.with_credential(Secret::new("canary-key"));
            let endpoint = Endpoint::new(&deployment).expect("can be called");
            let body = RequestBody::new(SmallVec::new());
            let request = endpoint
                .passed(&passed(uri, stored), body)
                .expect("has an address");
            assert_eq!(request.uri(), expected);
            assert_eq!(request.method(), Method::GET);
            assert_eq!(request.headers()["openai-beta"], "b");
            assert!(!request.headers().contains_key(CONTENT_TYPE));
            assert!(!request.headers().contains_key("cookie"));
        }
    }

    #[test]
    fn a_model_of_azure_that_a_wildcard_stands_for_has_its_own_address() {
        let deployment = Deployment::new("a", "gpt", "*")
            .with_provider("azure")
            .with_base_url("https://x.openai.azure.com")
            .with_credential(Secret::new("canary"));
        let endpoint = Endpoint::new(&deployment).expect("can be called");
        let request = |model: &str| {
            endpoint.request(
                Operation::ChatCompletions,
                model,
                bytes::Bytes::new().into(),
            )
        };
        let sent = request("gpt/4o?").expect("is served");
        assert_eq!(
            sent.uri(),
            "https://x.openai.azure.com/openai/deployments/gpt%2F4o%3F/chat/completions\
                ?api-version=2025-02-01-preview"
        );
        assert_eq!(sent.headers()["api-key"], "canary");
        assert!(!format!("{sent:?}").contains("canary"));
        let error = request(&"x".repeat(70_000)).expect_err("is too long");
        assert_eq!(error.kind(), ErrorKind::Internal);
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
