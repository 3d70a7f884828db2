//! Azure OpenAI and Azure AI Foundry: OpenAI's dialect under other addresses, with other
//! credentials. Nothing is translated.

mod authorization;
mod entra;
mod place;

pub(crate) use self::{authorization::authorization, entra::token, place::Place};

/// Whether a provider is one of Azure's.
pub(crate) fn is(provider: &str) -> bool {
    matches!(provider, "azure" | "azure_text" | "azure_ai")
}
