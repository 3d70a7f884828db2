//! What is to be ranked, and the ranking, in the words that Cohere, Jina and their followers share.
//!
//! A dialect reads a request with [`RerankRequest::read`], when it asks and again when it is
//! answered, and tells the answer as a [`Ranking`].

use serde_json::{Map, Value, json};
use ziggurat_core::{Error, ErrorKind};

use crate::chat::{Fields, wrong};

/// A request for a ranking, read for translation. What is read is taken out of `other`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RerankRequest {
    pub(crate) query: String,
    /// Texts, or objects that hold some. At least one.
    pub(crate) documents: Vec<Value>,
    /// How many of the best are wanted.
    pub(crate) top_n: Option<u64>,
    /// Whether the answer is to repeat the documents.
    pub(crate) returns_documents: bool,
    /// Every other field, as it was written: what only some providers know.
    pub(crate) other: Map<String, Value>,
}

impl RerankRequest {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadRequest`], with the place of what is wrong.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Error> {
        let body: Value = serde_json::from_slice(body).map_err(|error| {
            let message = format!("the body cannot be read: {error}");
            Error::new(ErrorKind::BadRequest, message)
        })?;
        let mut body = Fields::of(Some(body), "")?;
        body.take("model");
        let query = body.text("query")?;
        let documents = body.list("documents")?;
        if documents.is_empty() {
            return Err(wrong("documents", "a list that is not empty"));
        }
        let odd = documents
            .iter()
            .position(|document| !document.is_string() && !document.is_object());
        if let Some(odd) = odd {
            return Err(wrong(&format!("documents[{odd}]"), "a string or an object"));
        }
        Ok(Self {
            query: query.ok_or_else(|| wrong("query", "a string"))?,
            documents,
            top_n: body.count("top_n")?,
            returns_documents: body.flag("return_documents")?.unwrap_or(false),
            other: body.rest(),
        })
    }

    /// The documents as texts: of an object its `text`, or all of it as JSON.
    pub(crate) fn texts(&self) -> Vec<String> {
        let text = |document: &Value| match document.as_str().or(document["text"].as_str()) {
            Some(text) => text.to_owned(),
            None => document.to_string(),
        };
        self.documents.iter().map(text).collect()
    }
}

/// The documents in the order of their relevance.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranking {
    pub(crate) id: Option<String>,
    /// The places of the documents in the request, and how relevant they are. The best comes first.
    pub(crate) results: Vec<(u64, f64)>,
    /// What the provider says of the call: its version, what it bills.
    pub(crate) meta: Map<String, Value>,
    /// The tokens of query and documents, if the provider counts them.
    pub(crate) tokens: Option<u64>,
}

impl Ranking {
    /// The answer as clients know it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadAnswer`] if it ranks a document that was not in the request.
    pub(crate) fn into_json(self, request: &RerankRequest) -> Result<Vec<u8>, Error> {
        let mut results = Vec::with_capacity(self.results.len());
        for (index, score) in self.results {
            let place = usize::try_from(index).ok();
            let Some(document) = place.and_then(|place| request.documents.get(place)) else {
                let message = "the provider's answer ranks a document that it was not given";
                return Err(Error::new(ErrorKind::BadAnswer, message));
            };
            let mut result = json!({"index": index, "relevance_score": score});
            if request.returns_documents {
                result["document"] = match document {
                    Value::String(text) => json!({ "text": text }),
                    document => document.clone(),
                };
            }
            results.push(result);
        }
        let id = self
            .id
            .unwrap_or_else(|| format!("rerank-{:032x}", fastrand::u128(..)));
        let mut meta = self.meta;
        let mut answer = json!({"id": id, "results": results});
        if let Some(tokens) = self.tokens {
            meta.entry("tokens")
                .or_insert_with(|| json!({ "input_tokens": tokens }));
            answer["usage"] = json!({"prompt_tokens": tokens, "total_tokens": tokens});
        }
        answer["meta"] = meta.into();
        Ok(answer.to_string().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &Value) -> Result<RerankRequest, Error> {
        RerankRequest::read(body.to_string().as_bytes())
    }

    #[test]
    fn a_request_is_read_and_keeps_what_it_does_not_know() {
        let request = read(&json!({
            "model": "m", "query": "q", "documents": ["a", {"text": "b", "n": 1}, {"title": "c"}],
            "top_n": 2, "return_documents": true, "rank_fields": ["title"],
        }))
        .expect("is valid");
        assert_eq!(request.texts(), ["a", "b", r#"{"title":"c"}"#]);
        assert_eq!((request.top_n, request.returns_documents), (Some(2), true));
        assert_eq!(request.other.keys().collect::<Vec<_>>(), ["rank_fields"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (body, at) in [
            (json!({"documents": ["a"]}), "query"),
            (json!({"query": "q"}), "documents"),
            (json!({"query": "q", "documents": []}), "documents"),
            (json!({"query": "q", "documents": ["a", 7]}), "documents[1]"),
            (
                json!({"query": "q", "documents": ["a"], "top_n": -1}),
                "top_n",
            ),
        ] {
            let error = read(&body).expect_err("is wrong");
            assert_eq!(
                (error.kind(), error.param()),
                (ErrorKind::BadRequest, Some(at))
            );
        }
    }

    #[test]
    fn a_ranking_repeats_the_documents_if_it_is_asked_to() {
        let body = |returns: bool| json!({"query": "q", "documents": ["a", {"text": "b"}], "return_documents": returns});
        let ranking = Ranking {
            id: Some("r".to_owned()),
            results: vec![(1, 0.5), (0, 0.25)],
            tokens: Some(9),
            ..Ranking::default()
        };
        let write = |returns| {
            let request = read(&body(returns)).expect("is valid");
            let json = ranking.clone().into_json(&request).expect("is a ranking");
            serde_json::from_slice::<Value>(&json).expect("is JSON")
        };
        assert_eq!(
            write(true)["results"],
            json!([
                {"index": 1, "relevance_score": 0.5, "document": {"text": "b"}},
                {"index": 0, "relevance_score": 0.25, "document": {"text": "a"}},
            ])
        );
        let bare = write(false);
        assert_eq!(
            bare["results"][1],
            json!({"index": 0, "relevance_score": 0.25})
        );
        assert_eq!(bare["meta"]["tokens"]["input_tokens"], 9);
        assert_eq!(bare["usage"]["total_tokens"], 9);
    }

    #[test]
    fn a_document_that_nobody_gave_is_no_answer() {
        let request = read(&json!({"query": "q", "documents": ["a"]})).expect("is valid");
        let ranking = Ranking {
            results: vec![(1, 0.5)],
            ..Ranking::default()
        };
        let error = ranking.into_json(&request).expect_err("is none");
        assert_eq!(error.kind(), ErrorKind::BadAnswer);
    }
}
