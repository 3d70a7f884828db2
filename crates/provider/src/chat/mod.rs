//! A conversation between the dialects: what is asked and answered, in no provider's own words.
//!
//! A dialect that is not OpenAI's reads a request as a [`ChatRequest`], and tells an answer as an
//! [`Answer`], or as [`Events`]; both are written as OpenAI's chat, which everything above
//! understands.

mod answer;
pub(crate) mod effort;
mod events;
mod message;
mod request;
mod tools;
pub(crate) mod unsupported;

pub(crate) use self::{
    answer::{Answer, Choice, Finish, Tokens},
    events::Events,
    message::{Media, Message, Part, Role},
    request::{ChatRequest, Fields, wrong},
    tools::{ResponseFormat, Tool, ToolCall, ToolChoice},
};
