//! Why there is no answer.

use std::fmt;

use redis::{ErrorKind, RedisError};

/// How much of what a server says is repeated.
const MAX_DETAIL: usize = 200;

/// Why a call was not answered. It is not known whether a call that was sent took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// Nothing was sent: the server is left alone until it serves again.
    Down,
    /// No answer in time.
    Late,
    /// The connection broke.
    Lost,
    /// An answer came that is none to this call.
    Garbled,
    /// The server cannot serve now: it has no memory left, is loading, read-only, or not whole.
    Unfit {
        /// The first word of what it said, such as `OOM`.
        code: Box<str>,
    },
    /// The server refused this call: the mistake is in the call, or in what the key holds.
    Refused {
        /// The first word of what it said, such as `WRONGTYPE`.
        code: Box<str>,
        /// The rest, shortened.
        detail: Box<str>,
    },
}

impl StoreError {
    /// Whether it tells of the server, and not only of this call.
    pub(crate) fn is_failure(&self) -> bool {
        match self {
            Self::Late | Self::Lost => true,
            // A slot that moves is no fault of the server.
            Self::Unfit { code } => !matches!(&**code, "ASK" | "MOVED" | "TRYAGAIN"),
            Self::Down | Self::Garbled | Self::Refused { .. } => false,
        }
    }
}

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::Server(_) | ErrorKind::Extension => {
                let code = error.code().unwrap_or("ERR");
                let detail = error.detail().unwrap_or_default();
                match unfit(code, detail) {
                    Some(code) => Self::Unfit { code: code.into() },
                    None => Self::Refused {
                        code: short(code).into(),
                        detail: short(detail).into(),
                    },
                }
            }
            ErrorKind::AuthenticationFailed => Self::Unfit {
                code: "WRONGPASS".into(),
            },
            _ => Self::Lost,
        }
    }
}

/// The code, if the server cannot serve.
fn unfit<'a>(code: &'a str, detail: &str) -> Option<&'a str> {
    const CODES: [&str; 14] = [
        "ASK",
        "BUSY",
        "CLUSTERDOWN",
        "LOADING",
        "MASTERDOWN",
        "MISCONF",
        "MOVED",
        "NOAUTH",
        "NOPERM",
        "NOREPLICAS",
        "OOM",
        "READONLY",
        "TRYAGAIN",
        "WRONGPASS",
    ];
    if CODES.contains(&code) {
        return Some(code);
    }
    // Before version 7, the code of a command in a script is in the midst of the text.
    let within = |it: &&str| detail.contains(&format!("-{it} "));
    (code == "ERR").then(|| CODES.into_iter().find(within))?
}

fn short(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_DETAIL)]
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Down => f.write_str("the shared store is left alone until it serves again"),
            Self::Late => f.write_str("the shared store did not answer in time"),
            Self::Lost => f.write_str("the connection to the shared store broke"),
            Self::Garbled => f.write_str("the shared store answered something else"),
            Self::Unfit { code } => write!(f, "the shared store cannot serve: {code}"),
            Self::Refused { code, detail } => {
                write!(f, "the shared store refused a call: {code} {detail}")
            }
        }
    }
}

impl std::error::Error for StoreError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_cannot_serve_is_told_from_a_call_that_is_wrong() {
        assert_eq!(unfit("OOM", "command not allowed"), Some("OOM"));
        assert_eq!(unfit("WRONGTYPE", "-OOM "), None);
        assert_eq!(unfit("ERR", "value is not an integer"), None);
        let old =
            "Error running script (call to f_1): @user_script:1: @user_script: 1: -OOM command not";
        assert_eq!(unfit("ERR", old), Some("OOM"));
    }
}
