//! Anthropic's shape: `/v1/messages`.
//!
//! What only Anthropic serves (tools that it runs itself, containers, MCP servers) is refused by
//! name; what other providers have no place for and would answer alike without is left out.

mod answer;
mod betas;
mod blocks;
mod content;
mod encoder;
mod error;
mod request;
#[cfg(test)]
mod tests;
mod tools;
mod unsigned;

use bytes::Bytes;
use serde_json::Value;
use ziggurat_core::Error;

pub(in crate::shape) use self::answer::{arguments, said, thoughts};
pub(crate) use self::unsigned::without_unsigned;
pub use self::{
    betas::ClientBetas,
    error::{error_event, error_json},
};
use super::{Encoder, Shape};
use crate::chat::unsupported::Fit;

/// An object, made without copying what is in it.
fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    let members = members.into_iter();
    Value::Object(
        members
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

/// Anthropic's shape.
#[derive(Debug)]
pub(crate) struct Messages;

impl Shape for Messages {
    fn to_chat(&self, body: &[u8], fit: Fit) -> Result<Vec<u8>, Error> {
        request::to_chat(body, fit)
    }

    fn answer(&self, request: &[u8], chat: &[u8]) -> Result<Bytes, Error> {
        answer::answer(request, chat)
    }

    fn encoder(&self, request: &[u8]) -> Box<dyn Encoder> {
        Box::new(encoder::MessagesEncoder::new(request))
    }

    fn knows(&self, field: &str) -> bool {
        const KNOWN: [&str; 10] = [
            "max_tokens",
            "metadata",
            "service_tier",
            "stream",
            "temperature",
            "thinking",
            "tool_choice",
            "tools",
            "top_k",
            "top_p",
        ];
        KNOWN.contains(&field)
    }

    fn last_event(&self) -> &'static [u8] {
        b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
    }
}
