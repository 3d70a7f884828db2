//! How clients read errors.

use bytes::Bytes;
use ziggurat::{
    Error, Operation,
    provider::{generate, messages, responses},
};

use crate::{google, json_list::JsonList, keep_alive::COMMENT};

/// The envelope in which a client expects errors, and the event that tells it of a failure in the
/// middle of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ErrorShape {
    /// OpenAI's, of chat and most else.
    #[default]
    OpenAi,
    /// OpenAI's, of Responses, whose events have names.
    Responses,
    /// Anthropic's.
    Anthropic,
    /// Google's.
    Google,
    /// Google's, of streams that are a list: an error is one of its items.
    GoogleList,
}

impl ErrorShape {
    /// What clients of an operation expect.
    pub(crate) fn of(operation: Operation) -> Self {
        match operation {
            Operation::Messages | Operation::CountTokens => Self::Anthropic,
            Operation::Responses => Self::Responses,
            Operation::GenerateContent => Self::Google,
            _ => Self::OpenAi,
        }
    }

    /// What those expect who ask for a path, whether there is something or not.
    pub(crate) fn of_path(path: &str) -> Self {
        let under = |start: &str| {
            let rest = path.strip_prefix(start);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match ["/anthropic", "/v1/messages", "/messages"].map(under) {
            [false, false, false] if google::is_google_s(path) => Self::Google,
            [false, false, false] => Self::OpenAi,
            _ => Self::Anthropic,
        }
    }

    /// An error as a whole body.
    pub(crate) fn json(self, error: &Error) -> String {
        match self {
            Self::OpenAi | Self::Responses => error.to_json(),
            Self::Anthropic => messages::error_json(error),
            Self::Google => generate::error_json(error),
            Self::GoogleList => format!("[{}]", generate::error_json(error)),
        }
    }

    /// What keeps the connection of a silent stream alive. Google's Python client takes a comment for
    /// an answer; empty lines it skips, as everybody does.
    pub(crate) fn silence(self) -> &'static [u8] {
        match self {
            Self::Google => b"\r\n",
            Self::GoogleList => JsonList::SPACE,
            _ => COMMENT,
        }
    }

    /// The content type of a stream.
    pub(crate) fn stream_type(self) -> &'static str {
        match self {
            Self::GoogleList => "application/json",
            _ => "text/event-stream",
        }
    }

    /// An error as the last event of a stream, which clients raise.
    pub(crate) fn event(self, error: &Error) -> Bytes {
        let event = match self {
            Self::OpenAi => format!("data: {}\n\n", error.to_json()),
            Self::Responses => responses::error_event(error),
            Self::Anthropic => messages::error_event(error),
            Self::Google | Self::GoogleList => generate::error_event(error),
        };
        event.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_who_asks() {
        for path in [
            "/v1/messages",
            "/messages",
            "/anthropic/v1/messages",
            "/v1/messages/batches/1",
        ] {
            assert_eq!(ErrorShape::of_path(path), ErrorShape::Anthropic, "{path}");
        }
        for path in ["/v1/responses", "/messagesx", "/v1/chat/completions", "/"] {
            assert_eq!(ErrorShape::of_path(path), ErrorShape::OpenAi, "{path}");
        }
    }
}
