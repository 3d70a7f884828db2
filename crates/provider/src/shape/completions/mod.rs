//! OpenAI's completions, where the provider knows conversations only.
//!
//! The prompt is what a user says, and what the model answers is the text that follows. What makes
//! sense for a text alone (`suffix`, `echo`, `best_of`, tokens for a prompt) is refused by name.

mod answer;
mod request;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use ziggurat_core::Error;

use super::{Encoder, Shape};
use crate::chat::unsupported::Fit;

/// OpenAI's completions.
#[derive(Debug)]
pub(crate) struct Completions;

impl Shape for Completions {
    fn to_chat(&self, body: &[u8], fit: Fit) -> Result<Vec<u8>, Error> {
        request::to_chat(body, fit)
    }

    fn answer(&self, _: &[u8], chat: &[u8]) -> Result<Bytes, Error> {
        answer::answer(chat)
    }

    fn encoder(&self, request: &[u8]) -> Box<dyn Encoder> {
        Box::new(answer::CompletionsEncoder::new(request))
    }
}
