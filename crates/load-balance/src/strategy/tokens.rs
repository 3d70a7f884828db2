//! The size of a request and of its answer.

use ziggurat_core::{LlmRequest, Operation, Param};

/// The input tokens of a request, roughly: what [`UsageBased`](crate::UsageBased) and
/// [`CostBased`](crate::CostBased) ask of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct InputTokens(pub u64);

impl Param<InputTokens> for LlmRequest {
    fn param(&self) -> InputTokens {
        InputTokens(self.estimated_input_tokens())
    }
}

/// The most output tokens that the answer to a request may have, if that is known: what
/// [`CostBased`](crate::CostBased) asks of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputTokens(pub Option<u64>);

impl Param<OutputTokens> for LlmRequest {
    fn param(&self) -> OutputTokens {
        use Operation::{Embeddings, Moderation, Rerank};
        OutputTokens(match self.operation() {
            Embeddings | Moderation | Rerank => Some(0),
            _ => self
                .max_output_tokens()
                .map(|tokens| tokens.saturating_mul(self.choices().max(1))),
        })
    }
}
