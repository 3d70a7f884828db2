//! What is answered, as a whole.

use serde_json::{Map, Value, json};
use ziggurat_core::{ServiceTier, Usage};

use super::ToolCall;

/// A whole answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) id: Option<String>,
    pub(crate) model: String,
    /// Seconds since 1970.
    pub(crate) created: u64,
    pub(crate) choices: Vec<Choice>,
    pub(crate) usage: Option<Tokens>,
    /// Further members of the answer.
    pub(crate) other: Map<String, Value>,
}

/// One of the answers that were asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choice {
    pub(crate) content: String,
    pub(crate) refusal: Option<String>,
    pub(crate) reasoning: String,
    /// Blocks that their maker signed, as Anthropic writes them.
    pub(crate) thinking: Vec<Value>,
    pub(crate) tool_calls: Vec<ToolCall>,
    pub(crate) annotations: Vec<Value>,
    /// Images that were made, as parts of OpenAI's chat.
    pub(crate) images: Vec<Value>,
    /// Sound that was made, as OpenAI writes it.
    pub(crate) audio: Option<Value>,
    pub(crate) logprobs: Option<Value>,
    pub(crate) finish: Finish,
    /// What only the provider understands: `provider_specific_fields`.
    pub(crate) extra: Option<Value>,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Finish {
    /// It did not, or nobody said why.
    #[default]
    Unknown,
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
    /// The model failed.
    Error,
}

impl Finish {
    pub(crate) const fn as_str(self) -> Option<&'static str> {
        Some(match self {
            Self::Unknown => return None,
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Error => "error",
        })
    }
}

/// What an answer used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tokens {
    /// All input, cached and written included.
    pub(crate) input: u64,
    pub(crate) cached: u64,
    pub(crate) cache_write: u64,
    /// What of it is kept for an hour.
    pub(crate) cache_write_1h: u64,
    pub(crate) audio_input: u64,
    pub(crate) image_input: u64,
    /// All output, reasoning included.
    pub(crate) output: u64,
    pub(crate) reasoning: u64,
    pub(crate) audio_output: u64,
    pub(crate) image_output: u64,
    /// Searches in the web.
    pub(crate) searches: u64,
    /// The class of service, if it is not the usual one.
    pub(crate) tier: Option<ServiceTier>,
}

impl Tokens {
    /// As OpenAI writes it, with the members of others for what it has none for.
    pub(crate) fn to_json(self) -> Value {
        let mut input = json!({"cached_tokens": self.cached});
        if self.cache_write > 0 {
            input["cache_write_tokens"] = self.cache_write.into();
        }
        if self.cache_write_1h > 0 {
            input["cache_creation_token_details"] = json!({
                "ephemeral_5m_input_tokens": self.cache_write.saturating_sub(self.cache_write_1h),
                "ephemeral_1h_input_tokens": self.cache_write_1h,
            });
        }
        if self.audio_input > 0 {
            input["audio_tokens"] = self.audio_input.into();
        }
        if self.image_input > 0 {
            input["image_tokens"] = self.image_input.into();
        }
        let mut output = json!({"reasoning_tokens": self.reasoning});
        if self.audio_output > 0 {
            output["audio_tokens"] = self.audio_output.into();
        }
        if self.image_output > 0 {
            output["image_tokens"] = self.image_output.into();
        }
        let mut usage = json!({
            "prompt_tokens": self.input,
            "completion_tokens": self.output,
            "total_tokens": self.input.saturating_add(self.output),
            "prompt_tokens_details": input,
            "completion_tokens_details": output,
        });
        if self.searches > 0 {
            usage["server_tool_use"] = json!({"web_search_requests": self.searches});
        }
        if let Some(tier) = self.tier {
            usage["service_tier"] = tier.as_str().into();
        }
        usage
    }
}

impl From<Tokens> for Usage {
    fn from(tokens: Tokens) -> Self {
        Self {
            cached_input: tokens.cached,
            cache_write: tokens.cache_write,
            cache_write_1h: tokens.cache_write_1h,
            audio_input: tokens.audio_input,
            image_input: tokens.image_input,
            reasoning: tokens.reasoning,
            audio_output: tokens.audio_output,
            image_output: tokens.image_output,
            queries: (tokens.searches > 0).then_some(tokens.searches),
            tier: tokens.tier,
            ..Self::new(tokens.input, tokens.output)
        }
    }
}

impl Answer {
    /// The answer as OpenAI's chat writes it.
    pub(crate) fn into_json(self) -> Vec<u8> {
        let choices = self.choices.into_iter().enumerate();
        let choices: Vec<_> = choices
            .map(|(index, choice)| choice.into_json(index))
            .collect();
        let mut answer = json!({
            "id": self.id.unwrap_or_else(new_id),
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": choices,
        });
        if let Some(usage) = self.usage {
            answer["usage"] = usage.to_json();
        }
        for (name, value) in self.other {
            answer[name] = value;
        }
        answer.to_string().into_bytes()
    }
}

impl Choice {
    fn into_json(self, index: usize) -> Value {
        let mut message = json!({"role": "assistant", "refusal": self.refusal});
        let is_silent = self.content.is_empty() && !self.tool_calls.is_empty();
        message["content"] = match is_silent || self.refusal.is_some() {
            true => Value::Null,
            false => self.content.into(),
        };
        if !self.reasoning.is_empty() {
            message["reasoning_content"] = self.reasoning.into();
        }
        if !self.tool_calls.is_empty() {
            message["tool_calls"] = self.tool_calls.iter().map(ToolCall::to_json).collect();
        }
        for (name, list) in [
            ("thinking_blocks", self.thinking),
            ("annotations", self.annotations),
            ("images", self.images),
        ] {
            if !list.is_empty() {
                message[name] = list.into();
            }
        }
        if let Some(audio) = self.audio {
            message["audio"] = audio;
        }
        if let Some(extra) = self.extra {
            message["provider_specific_fields"] = extra;
        }
        json!({
            "index": index,
            "message": message,
            "logprobs": self.logprobs,
            "finish_reason": self.finish.as_str(),
        })
    }
}

/// An id for an answer whose provider gives none.
pub(super) fn new_id() -> String {
    format!("chatcmpl-{:032x}", fastrand::u128(..))
}
