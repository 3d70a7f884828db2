//! Documents by how much they have to do with a question.

use bytes::Bytes;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tower_service::Service;
use ziggurat_core::{Error, LlmRequest, LlmResponse, Operation};

use super::{Answer, Client, Reply, read_json};

/// Documents, the most relevant first.
#[derive(Clone, Debug, Deserialize)]
pub struct Ranking {
    results: Vec<Ranked>,
}

/// A document.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct Ranked {
    /// Its place in the request.
    pub index: usize,
    /// How relevant it is; models differ in what their numbers mean.
    #[serde(rename = "relevance_score")]
    pub score: f64,
    /// The document, if `return_documents` asked for it.
    #[serde(default)]
    pub document: Option<Value>,
}

impl Ranking {
    /// The documents, the most relevant first.
    #[must_use]
    pub fn results(&self) -> &[Ranked] {
        &self.results
    }
}

impl Reply for Ranking {
    const OPERATION: Operation = Operation::Rerank;

    fn read(body: &Bytes, _: &HeaderMap) -> Result<Self, Error> {
        let mut ranking: Self = read_json(body)?;
        ranking.results.sort_by(|a, b| b.score.total_cmp(&a.score));
        Ok(ranking)
    }
}

impl<S> Client<S>
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone,
    S::Error: Into<Error>,
{
    /// Asks for documents to be put in the order of their relevance. For one with more fields, such
    /// as `top_n`, there is [`ask::<Ranking>`](Self::ask).
    ///
    /// # Errors
    ///
    /// Those of [`ask`](Self::ask).
    pub async fn rerank(
        &self,
        model: &str,
        query: &str,
        documents: impl Serialize,
    ) -> Result<Answer<Ranking>, Error> {
        #[derive(Serialize)]
        struct Body<'a, T> {
            model: &'a str,
            query: &'a str,
            documents: T,
        }
        let body = Body {
            model,
            query,
            documents,
        };
        self.ask(&body).await
    }
}
