//! How the health of a deployment is checked.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value};

/// How the health of a deployment is checked, where that is done at all. `None` leaves the checker's
/// own value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthCheck {
    /// It is not checked.
    pub disabled: bool,
    /// The model that is asked: any will do where the configured one is a wildcard.
    pub model: Option<Arc<str>>,
    /// How long an answer may take.
    pub timeout: Option<Duration>,
    /// How many tokens an answer may have.
    pub max_tokens: Option<u32>,
    /// Further fields of the request.
    pub params: Map<String, Value>,
}
