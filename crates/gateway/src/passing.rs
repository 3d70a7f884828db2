//! Requests that are passed through: for what providers keep, and for any path of a provider.

use axum::extract::Query;
use bytes::Bytes;
use http::{Request, Uri, request::Parts};
use ziggurat::{Caller, Deployment, Deployments, Error, ErrorKind, LlmRequest, Snapshot};

use crate::{Identity, any_path, stored};

/// Who may be asked, and for what.
#[derive(Clone, Debug)]
pub(crate) enum Passing {
    /// For what providers with OpenAI's API keep.
    Stored(Deployments),
    /// For any path, where a deployment allows it.
    Any(Deployments),
}

impl Passing {
    /// The request that a client sends.
    pub(crate) fn request(&self, parts: &Parts, body: Bytes) -> Result<LlmRequest, Error> {
        match self {
            Self::Stored(deployments) => stored::request(&deployments.load(), parts, body),
            Self::Any(deployments) => any_path::request(&deployments.load(), parts, body),
        }
    }
}

/// A request for another path, with the same method and headers, without the pairs of the query that
/// are meant for us.
pub(crate) fn for_path(
    parts: &Parts,
    path: &str,
    ours: &[&str],
    body: Bytes,
) -> Result<Request<Bytes>, Error> {
    let query = parts.uri.query().unwrap_or_default();
    let is_theirs = |pair: &&str| !ours.contains(&pair.split('=').next().unwrap_or_default());
    let query: Vec<_> = query.split('&').filter(is_theirs).collect();
    let uri = match query.join("&") {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    };
    let uri: Uri = uri.parse().map_err(|_| wrong("the path cannot be read"))?;
    let mut request = Request::new(body);
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = parts.headers.clone();
    Ok(request)
}

/// What the query says of a name, decoded.
pub(crate) fn in_query(parts: &Parts, name: &str) -> Option<String> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri).ok()?;
    let found = pairs.into_iter().find(|(own, _)| own == name);
    found.map(|(_, value)| value)
}

/// Whether who asks may use a group that it has not named.
pub(crate) fn may_use(snapshot: &Snapshot, parts: &Parts, group: &str) -> bool {
    let identity = parts.extensions.get::<Identity>();
    let caller: Option<&Caller> = identity.and_then(|it| it.caller()).map(|it| &**it);
    may_ask_for(snapshot, caller, group)
}

/// Whether a name leads somewhere, and a caller may use it.
pub(crate) fn may_ask_for(snapshot: &Snapshot, caller: Option<&Caller>, name: &str) -> bool {
    let Some((route, caller)) = snapshot.route(name).zip(Some(caller)) else {
        return false;
    };
    caller.is_none_or(|caller| {
        let is_open = |member: &Deployment| {
            let team = member.team();
            team.is_none() || caller.is_admin || team == caller.team.as_deref()
        };
        let mut members = route.group.members().iter();
        members.any(|member| is_open(member)) && caller.may_use(name, route)
    })
}

pub(crate) fn wrong(message: &'static str) -> Error {
    Error::new(ErrorKind::BadRequest, message)
}
