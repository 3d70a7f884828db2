//! OpenAI's Responses, over chat and as providers speak them.
//!
//! Over chat nothing is stored: every request brings the whole conversation. What refers to a stored
//! one (`previous_response_id`, `conversation`, item references) is refused by name. What only its
//! maker can read of an answer, signed thoughts and the signatures of calls, travels with the items
//! that it belongs to, and comes back with them.

mod answer;
mod content;
mod decoder;
mod encoder;
mod error;
mod input;
mod items;
mod native;
mod open;
mod out;
mod request;
mod response;
mod tools;
mod whole;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use ziggurat_core::Error;

pub use self::error::error_event;
pub(crate) use self::{decoder::decoder, native::is_native, whole::to_chat_answer};
use super::{Encoder, Shape};
use crate::chat::unsupported::Fit;

/// OpenAI's Responses.
#[derive(Debug)]
pub(crate) struct Responses;

impl Shape for Responses {
    fn to_chat(&self, body: &[u8], fit: Fit) -> Result<Vec<u8>, Error> {
        request::to_chat(body, fit)
    }

    fn answer(&self, request: &[u8], chat: &[u8]) -> Result<Bytes, Error> {
        answer::write(request, chat)
    }

    fn encoder(&self, request: &[u8]) -> Box<dyn Encoder> {
        Box::new(encoder::ResponsesEncoder::new(request))
    }

    fn knows(&self, field: &str) -> bool {
        const KNOWN: [&str; 18] = [
            "include",
            "instructions",
            "max_output_tokens",
            "max_tool_calls",
            "metadata",
            "parallel_tool_calls",
            "prompt_cache_key",
            "reasoning",
            "safety_identifier",
            "service_tier",
            "store",
            "stream",
            "temperature",
            "text",
            "tool_choice",
            "tools",
            "top_p",
            "user",
        ];
        KNOWN.contains(&field)
    }
}
