//! Whether texts are harmful.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use tower_service::Service;
use ziggurat_core::{Error, LlmRequest, LlmResponse, Operation};

use super::{Answer, Client, Reply, read_json};

/// What is said of some inputs, in their order.
#[derive(Clone, Debug, Deserialize)]
pub struct Moderation {
    results: Vec<Moderated>,
}

/// What is said of an input.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct Moderated {
    /// Whether it is harmful.
    pub flagged: bool,
    /// In which way; `None` where the model does not look.
    #[serde(default)]
    pub categories: BTreeMap<String, Option<bool>>,
    /// How surely, from 0 to 1.
    #[serde(default, rename = "category_scores")]
    pub scores: BTreeMap<String, Option<f64>>,
}

impl Moderation {
    /// Whether one of the inputs is harmful.
    #[must_use]
    pub fn is_flagged(&self) -> bool {
        self.results.iter().any(|result| result.flagged)
    }

    /// What is said of each input.
    #[must_use]
    pub fn results(&self) -> &[Moderated] {
        &self.results
    }
}

impl Reply for Moderation {
    const OPERATION: Operation = Operation::Moderation;

    fn read(body: &Bytes, _: &HeaderMap) -> Result<Self, Error> {
        read_json(body)
    }
}

impl<S> Client<S>
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone,
    S::Error: Into<Error>,
{
    /// Asks whether a text, or a list of inputs, is harmful.
    ///
    /// # Errors
    ///
    /// Those of [`ask`](Self::ask).
    pub async fn moderate(
        &self,
        model: &str,
        input: impl Serialize,
    ) -> Result<Answer<Moderation>, Error> {
        #[derive(Serialize)]
        struct Body<'a, T> {
            model: &'a str,
            input: T,
        }
        self.ask(&Body { model, input }).await
    }
}
