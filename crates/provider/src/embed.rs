//! What is to be embedded, and the vectors that come of it, in no provider's own words.
//!
//! A dialect reads a request with [`EmbedRequest::read`], when it asks and again when it is
//! answered, and tells the answer as [`Embeddings`].

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use ziggurat_core::{Error, ErrorKind};

use crate::chat::{Fields, unsupported, wrong};

/// A request for embeddings, read for translation. What is read is taken out of `other`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct EmbedRequest {
    /// At least one.
    pub(crate) inputs: Vec<Input>,
    pub(crate) dimensions: Option<u64>,
    pub(crate) encoding: Encoding,
    pub(crate) user: Option<String>,
    /// Every other field, as it was written: what only some providers know.
    pub(crate) other: Map<String, Value>,
}

/// Something to embed: it becomes one vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Text(String),
    /// The numbers that OpenAI's tokenizer gives to a text.
    Tokens(Vec<u64>),
}

/// How the client wants the vectors written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Encoding {
    #[default]
    Float,
    /// 32-bit floats, the lowest byte first, in base64. OpenAI's own clients ask for it unseen.
    Base64,
}

impl EmbedRequest {
    /// Reads a body in the shape of OpenAI's embeddings.
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
        let encoding = match body.text("encoding_format")?.as_deref() {
            None | Some("float") => Encoding::Float,
            Some("base64") => Encoding::Base64,
            Some(_) => return Err(wrong("encoding_format", "`float` or `base64`")),
        };
        Ok(Self {
            inputs: inputs(body.take("input"))?,
            dimensions: body.count("dimensions")?,
            encoding,
            user: body.text("user")?,
            other: body.rest(),
        })
    }

    /// The texts, for a provider that takes nothing else.
    ///
    /// # Errors
    ///
    /// A refusal if there are tokens among them: they mean something to OpenAI's
    /// models only.
    pub(crate) fn texts(&self) -> Result<Vec<&str>, Error> {
        let text = |input| match input {
            &Input::Tokens(_) => {
                let message = "`input` must be text here: the model does not take tokens";
                Err(unsupported::refusal("input", message).with_code("unsupported_value"))
            }
            Input::Text(text) => Ok(text.as_str()),
        };
        self.inputs.iter().map(text).collect()
    }

    /// The tokens of the input, roughly: one for each four bytes of text.
    fn estimated_tokens(&self) -> u64 {
        let tokens = self.inputs.iter().map(|input| match input {
            Input::Text(text) => text.len().div_ceil(4) as u64,
            Input::Tokens(tokens) => tokens.len() as u64,
        });
        tokens.sum()
    }
}

fn inputs(input: Option<Value>) -> Result<Vec<Input>, Error> {
    let wrong = || {
        wrong(
            "input",
            "text, tokens, or a list of either that is not empty",
        )
    };
    let list = match input {
        Some(Value::String(text)) => return Ok(vec![Input::Text(text)]),
        Some(Value::Array(list)) if !list.is_empty() => list,
        _ => return Err(wrong()),
    };
    if list.iter().all(Value::is_number) {
        return Ok(vec![Input::Tokens(tokens(&list).ok_or_else(wrong)?)]);
    }
    let inputs = list.into_iter().map(|input| match input {
        Value::String(text) => Ok(Input::Text(text)),
        Value::Array(list) if !list.is_empty() => {
            Ok(Input::Tokens(tokens(&list).ok_or_else(wrong)?))
        }
        _ => Err(wrong()),
    });
    inputs.collect()
}

fn tokens(list: &[Value]) -> Option<Vec<u64>> {
    list.iter().map(Value::as_u64).collect()
}

/// The vectors of an answer, one for each input and in their order.
#[derive(Clone, Debug)]
pub(crate) struct Embeddings<'a> {
    pub(crate) model: &'a str,
    pub(crate) vectors: Vec<Vec<f64>>,
    /// The tokens of the input, if the provider counts them.
    pub(crate) tokens: Option<u64>,
}

impl Embeddings<'_> {
    /// The answer as OpenAI writes it. Tokens that the provider does not count are estimated, and
    /// marked as that.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadAnswer`] if there is not one vector for each input.
    pub(crate) fn into_json(self, request: &EmbedRequest) -> Result<Vec<u8>, Error> {
        if self.vectors.len() != request.inputs.len() {
            let message = "the provider's answer does not hold one embedding for each input";
            return Err(Error::new(ErrorKind::BadAnswer, message));
        }
        let written = self.vectors.iter().enumerate().map(|(index, vector)| {
            let embedding = match request.encoding {
                Encoding::Float => Written::Float(vector),
                Encoding::Base64 => Written::Base64(vector),
            };
            Datum {
                object: "embedding",
                index,
                embedding,
            }
        });
        let tokens = self.tokens.unwrap_or_else(|| request.estimated_tokens());
        let list = List {
            object: "list",
            data: written.collect(),
            model: self.model,
            usage: Used {
                prompt_tokens: tokens,
                total_tokens: tokens,
                estimated: self.tokens.is_none(),
            },
        };
        Ok(serde_json::to_vec(&list).expect("numbers and texts can be written"))
    }
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Datum<'a>>,
    model: &'a str,
    usage: Used,
}

#[derive(Serialize)]
struct Datum<'a> {
    object: &'static str,
    index: usize,
    embedding: Written<'a>,
}

#[derive(Serialize)]
struct Used {
    prompt_tokens: u64,
    total_tokens: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    estimated: bool,
}

enum Written<'a> {
    Float(&'a [f64]),
    Base64(&'a [f64]),
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Float(vector) => vector.serialize(serializer),
            Self::Base64(vector) => {
                let bytes = vector
                    .iter()
                    .flat_map(|value| (*value as f32).to_le_bytes());
                serializer.serialize_str(&STANDARD.encode(bytes.collect::<Vec<u8>>()))
            }
        }
    }
}

#[cfg(test)]
mod tests;
