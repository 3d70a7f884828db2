//! Azure OpenAI and Azure AI Foundry: OpenAI's dialect under other addresses, with other
//! credentials. Nothing is translated, but for [Claude](claude).

mod authorization;
pub(crate) mod claude;
mod entra;
mod place;

pub(crate) use self::{
    authorization::authorization,
    entra::token,
    place::{Place, encoded},
};

/// Whether a provider is one of Azure's.
pub(crate) fn is(provider: &str) -> bool {
    matches!(provider, "azure" | "azure_text" | "azure_ai")
}
