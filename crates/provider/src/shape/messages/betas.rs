//! The betas that a client asks for.

use std::sync::Arc;

/// How many names are passed on.
const MAX: usize = 64;

/// The betas that a client of Anthropic's shape asks for, in its `anthropic-beta` header: to be put
/// into the [`extensions`](ziggurat_core::LlmRequest::extensions_mut) of its request. A provider
/// that speaks the shape gets them; others never see them.
///
/// ```
/// use ziggurat_core::{LlmRequest, Operation};
/// use ziggurat_provider::messages::ClientBetas;
///
/// let body = r#"{"model":"claude","max_tokens":9,"messages":[]}"#;
/// let mut request = LlmRequest::from_bytes(Operation::Messages, body)?;
/// request.extensions_mut().insert(ClientBetas::new("context-1m-2025-08-07"));
/// # Ok::<(), ziggurat_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientBetas(Arc<str>);

impl ClientBetas {
    /// The names in the value of that header, with commas between them. What is no name is left out.
    #[must_use]
    pub fn new(header: &str) -> Self {
        Self(header.into())
    }

    /// The value that it was made of.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let names = self.0.split(',').map(str::trim);
        names
            .filter(move |name| !name.is_empty() && name.bytes().all(is_plain))
            .take(MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_few() {
        let betas = ClientBetas::new(" a-1, ,b_2,c\nx, d e,a.3 ");
        assert_eq!(betas.names().collect::<Vec<_>>(), ["a-1", "b_2", "a.3"]);
        assert_eq!(ClientBetas::new(&"x,".repeat(1_000)).names().count(), MAX);
    }
}
