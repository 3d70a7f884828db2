//! Embeddings.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::HeaderMap;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{SeqAccess, Visitor},
};
use tower_service::Service;
use ziggurat_core::{Error, LlmRequest, LlmResponse, Operation};

use super::{Answer, Client, Reply, read_json};

/// The embeddings of some inputs, in their order.
#[derive(Clone, Debug)]
pub struct Embeddings {
    vectors: Vec<Vec<f32>>,
}

impl Embeddings {
    /// A vector for each input.
    #[must_use]
    pub fn vectors(&self) -> &[Vec<f32>] {
        &self.vectors
    }

    /// The same.
    #[must_use]
    pub fn into_vectors(self) -> Vec<Vec<f32>> {
        self.vectors
    }
}

impl Reply for Embeddings {
    const OPERATION: Operation = Operation::Embeddings;

    fn read(body: &Bytes, _: &HeaderMap) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Body {
            data: Vec<Embedding>,
        }
        #[derive(Deserialize)]
        struct Embedding {
            index: Option<u64>,
            embedding: Vector,
        }
        let mut data = read_json::<Body>(body)?.data;
        // Those without an index are in their places.
        if data.iter().all(|embedding| embedding.index.is_some()) {
            data.sort_by_key(|embedding| embedding.index);
        }
        Ok(Self {
            vectors: data.into_iter().map(|it| it.embedding.0).collect(),
        })
    }
}

/// Numbers, or their bytes in base64.
struct Vector(Vec<f32>);

impl<'de> Deserialize<'de> for Vector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Numbers)
    }
}

struct Numbers;

impl<'de> Visitor<'de> for Numbers {
    type Value = Vector;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("numbers, or their bytes in base64")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<Vector, A::Error> {
        let mut vector = Vec::new();
        while let Some(number) = numbers.next_element()? {
            vector.push(number);
        }
        Ok(Vector(vector))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vector, E> {
        let bytes = STANDARD.decode(text).map_err(E::custom)?;
        let (numbers, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            return Err(E::custom(
                "an embedding in base64 ends in the middle of a number",
            ));
        }
        Ok(Vector(
            numbers.iter().copied().map(f32::from_le_bytes).collect(),
        ))
    }
}

impl<S> Client<S>
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone,
    S::Error: Into<Error>,
{
    /// Asks for the embeddings of a text, or of a list of texts. For one with more fields, such as
    /// `dimensions`, there is [`ask::<Embeddings>`](Self::ask).
    ///
    /// # Errors
    ///
    /// Those of [`ask`](Self::ask).
    pub async fn embed(
        &self,
        model: &str,
        input: impl Serialize,
    ) -> Result<Answer<Embeddings>, Error> {
        #[derive(Serialize)]
        struct Body<'a, T> {
            model: &'a str,
            input: T,
        }
        self.ask(&Body { model, input }).await
    }
}
