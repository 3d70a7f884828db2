//! Google's shape: `generateContent`.
//!
//! What only Google serves (tools that it runs itself, caches, its guard of prompts) is refused by
//! name; what other providers have no place for and would answer alike without is left out. Names may
//! be written `like_this` too, as Google takes them.

mod answer;
mod assistant;
mod calls;
mod config;
mod contents;
mod encoder;
mod error;
mod parts;
mod request;
mod said;
mod schema;
mod signature;
#[cfg(test)]
mod tests;
mod tools;

use bytes::Bytes;
use serde_json::Value;
use ziggurat_core::Error;

pub use self::error::{error_event, error_json};
pub(crate) use self::{
    config::{NAMES as CONFIG_NAMES, STOP},
    signature::for_google,
};
use super::{Encoder, Shape};
use crate::{
    chat::{
        Fields,
        unsupported::{self, Fit},
    },
    dialect::google::camel,
};

/// An object, made without copying what is in it.
fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    let members = members.into_iter();
    Value::Object(
        members
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

/// The fields of an object, by the names that Google writes.
fn fields(value: Option<Value>, at: &str) -> Result<Fields, Error> {
    Fields::of(
        value.map(|value| match value {
            Value::Object(members) if members.keys().any(|name| name.contains('_')) => {
                let members = members.into_iter();
                let named =
                    members.map(|(name, value)| (camel(name.trim_start_matches('_')), value));
                Value::Object(named.collect())
            }
            value => value,
        }),
        at,
    )
}

/// What stands where there may be several: Google takes one without a list around it.
fn several(value: Option<Value>) -> Vec<Value> {
    match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(list)) => list,
        Some(one) => vec![one],
    }
}

/// Something that no other provider than Google has.
fn unsupported(at: &str, what: &str) -> Error {
    let message = format!("`{what}` in `{at}` is not supported by the model's provider");
    unsupported::refusal(at, message)
}

/// Google's shape.
#[derive(Debug)]
pub(crate) struct GenerateContent;

impl Shape for GenerateContent {
    fn to_chat(&self, body: &[u8], fit: Fit) -> Result<Vec<u8>, Error> {
        request::to_chat(body, fit)
    }

    fn answer(&self, request: &[u8], chat: &[u8]) -> Result<Bytes, Error> {
        answer::answer(request, chat)
    }

    fn encoder(&self, request: &[u8]) -> Box<dyn Encoder> {
        Box::new(encoder::GenerateEncoder::new(request))
    }

    fn is_named_beside(&self) -> bool {
        true
    }

    /// Those that have a place in `generationConfig`, where the dialect puts them.
    fn knows(&self, field: &str) -> bool {
        let mut names = CONFIG_NAMES.iter().chain([&STOP]);
        names.any(|(_, usual)| *usual == field)
    }
}
