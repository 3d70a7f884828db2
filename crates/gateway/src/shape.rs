//! How clients read errors.

use bytes::Bytes;
use ziggurat::{
    Error, Operation,
    provider::{messages, responses},
};

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
}

impl ErrorShape {
    /// What clients of an operation expect.
    pub(crate) fn of(operation: Operation) -> Self {
        match operation {
            Operation::Messages => Self::Anthropic,
            Operation::Responses => Self::Responses,
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
            [false, false, false] => Self::OpenAi,
            _ => Self::Anthropic,
        }
    }

    /// An error as a whole body.
    pub(crate) fn json(self, error: &Error) -> String {
        match self {
            Self::OpenAi | Self::Responses => error.to_json(),
            Self::Anthropic => messages::error_json(error),
        }
    }

    /// An error as the last event of a stream, which clients raise.
    pub(crate) fn event(self, error: &Error) -> Bytes {
        let event = match self {
            Self::OpenAi => format!("data: {}\n\n", error.to_json()),
            Self::Responses => responses::error_event(error),
            Self::Anthropic => messages::error_event(error),
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
