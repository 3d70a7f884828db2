//! From a client's request to the stack's.

use axum::extract::Query;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE, request::Parts};
use ziggurat::{
    ByteBudget, ClientAddress, ClientCredentials, Deployment, Error, ErrorKind, LlmRequest,
    Operation,
    provider::{check, messages::ClientBetas, realtime::Offer},
};

use crate::{
    Identity, forwarded, google,
    headers::apply_headers,
    passing::Passing,
    policy::{Policies, Policy},
};

/// Makes the stack's request of a client's.
#[derive(Clone)]
pub(crate) struct Making {
    pub(crate) operation: Operation,
    pub(crate) passing: Option<Passing>,
    pub(crate) budget: Option<ByteBudget>,
    pub(crate) policies: Policies,
    pub(crate) router: Option<ziggurat::Router>,
}

impl Making {
    /// The request of a client, if it may send it.
    pub(crate) fn request(&self, parts: &Parts, body: Bytes) -> Result<LlmRequest, Error> {
        let policy = self.policies.load();
        if let Some(passing) = &self.passing {
            return self.allowed(passing.request(parts, body)?, parts, &policy);
        }
        let (operation, options) = (self.operation, policy.read_options());
        let asked = (operation == Operation::GenerateContent)
            .then(|| google::read(parts.uri.path()))
            .flatten();
        let request = match (form(operation, &parts.headers)?, asked) {
            (Some(kind), _) => LlmRequest::read_multipart(operation, body, kind, options)?,
            (None, Some(asked)) => {
                let streams = asked.method == google::Method::Stream;
                LlmRequest::read_for(operation, body, asked.model, streams, options)?
            }
            (None, None) => LlmRequest::read(operation, body, options)?,
        };
        self.allowed(request, parts, &policy)
    }

    /// The request that a query makes, where there is no body: its pairs are the members.
    pub(crate) fn query_request(&self, parts: &Parts) -> Result<LlmRequest, Error> {
        let policy = self.policies.load();
        let wrong = |message: &'static str| Error::new(ErrorKind::BadRequest, message);
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let Query(pairs) = pairs.map_err(|_| wrong("the query cannot be read"))?;
        if !pairs.iter().any(|(name, _)| name == "model") {
            let error = wrong("the query has no `model`").with_param("model");
            return Err(error.with_code("missing_required_parameter"));
        }
        let members = pairs.into_iter().map(|(name, value)| (name, value.into()));
        let members = serde_json::Map::from_iter(members);
        let body = serde_json::Value::Object(members).to_string();
        let mut request = LlmRequest::read(self.operation, body, policy.read_options())?;
        let offer = Offer::new(&parts.headers);
        request.extensions_mut().insert(offer);
        self.allowed(request, parts, &policy)
    }

    /// The request with what its headers say, if the client may send it.
    fn allowed(
        &self,
        request: LlmRequest,
        parts: &Parts,
        policy: &Policy,
    ) -> Result<LlmRequest, Error> {
        let operation = self.operation;
        let mut request = apply_headers(request, &parts.headers, policy.user_agent)?;
        if let Some(budget) = &self.budget {
            request = request.with_budget(budget.clone());
        }
        if let Some(identity) = parts.extensions.get::<Identity>() {
            request = identity.put_into(request);
        }
        if operation == Operation::Messages
            && let Some(betas) = betas(&parts.headers)
        {
            request.extensions_mut().insert(betas);
        }
        if let (Some(router), Some(address)) =
            (&self.router, parts.extensions.get::<ClientAddress>())
            && router.limits_addresses()
        {
            let address = forwarded::client(*address, &parts.headers, &policy.trusted);
            request.extensions_mut().insert(address);
        }
        if let Some(client) = &request.controls().client {
            check_client(client)?;
        }
        match request.controls().mocks.names.first() {
            Some(name) if !policy.mocks => Err(Error::new(
                ErrorKind::BadRequest,
                format!(
                    "`{name}` is for tests; set `general_settings.dangerously_allow_mock_testing_request_params` to allow it"
                ),
            )
            .with_param(&**name)),
            _ => Ok(request),
        }
    }
}

/// The content type of a body that is a form; `None` if it is to be JSON.
fn form(operation: Operation, headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let kind = kind.unwrap_or_default();
    let start = kind.get(.."multipart/".len()).unwrap_or_default();
    let is_form = start.eq_ignore_ascii_case(b"multipart/");
    let wrong = |message: String| {
        let error = Error::new(ErrorKind::BadRequest, message);
        error
            .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
            .with_code("unsupported_media_type")
    };
    let expected = |kind: &str| wrong(format!("the body of `{operation}` must be `{kind}`"));
    match is_form {
        true if !operation.takes_form() => Err(expected("application/json")),
        false if !operation.takes_json() => Err(expected("multipart/form-data")),
        true => match std::str::from_utf8(kind) {
            Ok(kind) => Ok(Some(kind)),
            Err(_) => Err(wrong("the content type is not valid".to_owned())),
        },
        false => Ok(None),
    }
}

/// What a client of Anthropic's shape asks for beside the body.
fn betas(headers: &HeaderMap) -> Option<ClientBetas> {
    let values = headers.get_all("anthropic-beta").iter();
    let names: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    (!names.is_empty()).then(|| ClientBetas::new(&names.join(",")))
}

/// Whether what a client brings can be used. Otherwise it would count as a fault of the deployment.
fn check_client(client: &ClientCredentials) -> Result<(), Error> {
    let wrong = |name: &str, expected: &str| {
        Error::new(
            ErrorKind::BadRequest,
            format!("`{name}` must be {expected}"),
        )
        .with_param(name)
    };
    let own = |base: &str| Deployment::new("client", "client", "model").with_base_url(base);
    let base = client.base_url.as_deref().unwrap_or("http://localhost");
    check(&own(base)).map_err(|_| wrong("api_base", "a plain http or https address"))?;
    let Some(key) = &client.api_key else {
        return Ok(());
    };
    check(&own(base).with_credential(key.clone()))
        .map_err(|_| wrong("api_key", "of characters that a header may have"))
}
