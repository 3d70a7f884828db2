//! What Google's clients ask for: `…/models/{model}:{method}`.

mod count;
mod embed;
mod path;

use axum::{
    body::Body,
    http::{Request, StatusCode},
    response::Response,
};
use tower_service::Service;
use ziggurat::{Error, ErrorKind, LlmRequest, LlmResponse};

pub(crate) use self::path::{Asked, Method, errors_of, is_google_s, key_of, read};
use crate::{Endpoint, Gateway, app::shaped, shape::ErrorShape};

/// The paths that are served.
pub(crate) fn paths() -> impl Iterator<Item = String> {
    const STUDIO: [&str; 7] = [
        "",
        "/v1",
        "/v1beta",
        "/gemini",
        "/gemini/v1",
        "/gemini/v1alpha",
        "/gemini/v1beta",
    ];
    const VERTEX: [&str; 4] = ["/v1", "/v1beta1", "/vertex_ai/v1", "/vertex_ai/v1beta1"];
    const PROJECT: &str = "/projects/{project}/locations/{location}";
    let studio = STUDIO
        .iter()
        .map(|start| format!("{start}/models/{{*call}}"));
    let vertex = VERTEX.iter().flat_map(|start| {
        ["", PROJECT]
            .map(|place| format!("{start}{place}/publishers/{{publisher}}/models/{{*call}}"))
    });
    studio.chain(vertex)
}

/// What serves them.
#[derive(Clone, Debug)]
pub(crate) struct Models<S> {
    pub(crate) generate: Endpoint<S>,
    pub(crate) embed: Endpoint<S>,
    /// What serves the paths of a provider that we have nothing for.
    pub(crate) other: Endpoint<S>,
}

impl<S> Models<S>
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone,
    S::Error: Into<Error>,
    S::Future: Send + 'static,
{
    /// Answers a request.
    pub(crate) async fn call(mut self, gateway: Gateway, request: Request<Body>) -> Response {
        let path = request.uri().path();
        let asked = read(path);
        let passes = ["/gemini/", "/vertex_ai/"];
        let mut served = match asked {
            Some(Asked { model, method }) => match method {
                Method::Generate | Method::Stream => self.generate,
                Method::Count => return count::count(&gateway, &model, request).await,
                Method::Embed | Method::EmbedAll => {
                    let is_one = method == Method::Embed;
                    return embed::embed(&gateway, &mut self.embed, &model, is_one, request).await;
                }
                Method::Other if passes.iter().any(|start| path.starts_with(start)) => self.other,
                Method::Other => return not_served(),
            },
            None => return not_served(),
        };
        let Ok(answer) = served.call(request).await;
        answer.map(Body::new)
    }
}

fn not_served() -> Response {
    let message = "there is no such method: `generateContent`, `streamGenerateContent`, `countTokens`, `embedContent` and `batchEmbedContents` are served here; others can be passed through under `/gemini/` and `/vertex_ai/`, with `use_in_pass_through`";
    let error = Error::new(ErrorKind::NotFound, message).with_code("not_found");
    shaped(&error, ErrorShape::Google)
}

fn bad(message: String) -> Error {
    Error::new(ErrorKind::BadRequest, message)
}

/// That no deployment has a model.
fn no_model() -> Error {
    bad("the model does not exist".to_owned())
        .with_status(StatusCode::NOT_FOUND)
        .with_code("model_not_found")
        .with_param("model")
}
