//! Reads a model's text as JSON.

use std::{error::Error as _, fmt};

use serde::de::DeserializeOwned;
use ziggurat_core::{Error, ErrorKind};

/// A model's text is not the JSON that was asked for. The source of an error of `parse`.
#[derive(Debug)]
pub struct NotJson {
    text: String,
    cause: serde_json::Error,
}

impl NotJson {
    /// The one that an error comes from.
    #[must_use]
    pub fn of(error: &Error) -> Option<&Self> {
        error.source()?.downcast_ref()
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for NotJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl std::error::Error for NotJson {}

/// Reads a text as JSON.
pub(super) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|cause| {
        let text = text.to_owned();
        Error::new(
            ErrorKind::BadAnswer,
            "the text is not the JSON that was asked for",
        )
        .with_source(NotJson { text, cause })
    })
}
