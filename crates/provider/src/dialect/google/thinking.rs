//! How much a model is to think, in the terms of its generation.

use serde_json::{Value, json};
use ziggurat_core::{Deployment, Error};

use crate::chat::{ChatRequest, effort, unsupported};

/// What the name of a model tells about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Model<'a> {
    name: &'a str,
    /// `(2, 5)` of `gemini-2.5-pro`; `None` if the name does not say it.
    generation: Option<(u32, u32)>,
}

impl<'a> Model<'a> {
    pub(super) fn of(name: &'a str) -> Self {
        let name = name.rsplit('/').next().unwrap_or(name);
        let generation = name.strip_prefix("gemini-").and_then(|rest| {
            let number = rest.split('-').next().unwrap_or_default();
            let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
            Some((major.parse().ok()?, minor.parse().ok()?))
        });
        Self { name, generation }
    }

    /// Whether it is of the third generation or later: it thinks by levels, not by budgets, and its
    /// signatures have to come back.
    pub(super) fn has_levels(self) -> bool {
        self.generation
            .is_some_and(|generation| generation >= (3, 0))
    }

    /// Whether it takes a JSON schema as it is.
    pub(super) fn takes_json_schema(self) -> bool {
        self.generation
            .is_some_and(|generation| generation >= (2, 5))
    }

    /// Whether it has no place for what the system says.
    pub(super) fn has_no_system(self) -> bool {
        self.name.starts_with("gemma-")
    }

    fn thinks(self) -> bool {
        let too_old = self
            .generation
            .is_some_and(|generation| generation < (2, 5));
        !too_old && !self.has_no_system()
    }

    fn is_pro(self) -> bool {
        self.name.contains("-pro")
    }

    /// The level for an effort. Not every model has every level: the next higher one it is then.
    fn level(self, effort: &str) -> Option<&'static str> {
        Some(match effort {
            "none" | "minimal" if self.is_pro() => "low",
            "none" | "minimal" => "minimal",
            "low" => "low",
            "medium" if self.is_pro() && self.generation == Some((3, 0)) => "high",
            "medium" => "medium",
            "high" | "xhigh" | "max" => "high",
            _ => return None,
        })
    }

    /// The budget for an effort, no smaller than the model takes.
    fn budget(self, effort: &str) -> Option<u64> {
        let least = match self.name {
            name if name.contains("flash-lite") => 512,
            _ if self.is_pro() => 128,
            _ => 0,
        };
        match effort {
            // Only the largest cannot do without.
            "none" if self.is_pro() => Some(least),
            "none" => Some(0),
            _ => Some(effort::budget(effort)?.max(least)),
        }
    }
}

/// The `thinkingConfig` that a request asks for, if it asks for one.
///
/// # Errors
///
/// [`BadRequest`](ziggurat_core::ErrorKind::BadRequest) if it is no way to ask, or the model does
/// not think.
pub(super) fn config(
    request: &ChatRequest,
    model: Model<'_>,
    deployment: &Deployment,
) -> Result<Option<Value>, Error> {
    let (field, asked) = match (&request.thinking, &request.reasoning_effort) {
        (Some(thinking), _) => ("thinking", of_thinking(thinking)?),
        (None, Some(effort)) => ("reasoning_effort", Asked::Effort(effort)),
        (None, None) => return Ok(None),
    };
    let is_none = matches!(asked, Asked::Effort("none" | "disable"));
    if !model.thinks() {
        return unsupported::refuse(deployment, field, !is_none).map(|()| None);
    }
    let config = match asked {
        Asked::AsItLikes => json!({}),
        Asked::Budget(tokens) => json!({"thinkingBudget": tokens}),
        Asked::Effort(effort) => {
            let effort = if is_none { "none" } else { effort };
            let config = match model.has_levels() {
                true => model
                    .level(effort)
                    .map(|level| json!({"thinkingLevel": level})),
                false => model
                    .budget(effort)
                    .map(|tokens| json!({"thinkingBudget": tokens})),
            };
            config.ok_or_else(|| {
                unsupported::value(field, "`none`, `minimal`, `low`, `medium` or `high`")
            })?
        }
    };
    let mut config = config;
    config["includeThoughts"] = (!is_none).into();
    Ok(Some(config))
}

enum Asked<'a> {
    Effort(&'a str),
    Budget(u64),
    AsItLikes,
}

/// Reads it as Anthropic writes it.
fn of_thinking(thinking: &Value) -> Result<Asked<'_>, Error> {
    match thinking["type"].as_str() {
        Some("disabled") => Ok(Asked::Effort("none")),
        Some("enabled" | "adaptive") => Ok(match thinking["budget_tokens"].as_u64() {
            Some(tokens) => Asked::Budget(tokens),
            None => Asked::AsItLikes,
        }),
        _ => Err(unsupported::value(
            "thinking.type",
            "`enabled`, `adaptive` or `disabled`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(request: Value, model: &str) -> Result<Option<Value>, Error> {
        let mut body = request;
        body["messages"] = json!([]);
        let request = ChatRequest::read(body.to_string().as_bytes()).expect("is valid");
        config(&request, Model::of(model), &Deployment::new("a", "g", "m"))
    }

    #[test]
    fn an_effort_is_a_budget_or_a_level_by_the_generation() {
        for (model, effort, expected) in [
            (
                "gemini-2.5-flash",
                "low",
                json!({"thinkingBudget": 1024, "includeThoughts": true}),
            ),
            (
                "gemini-2.5-flash",
                "none",
                json!({"thinkingBudget": 0, "includeThoughts": false}),
            ),
            (
                "gemini-2.5-pro",
                "none",
                json!({"thinkingBudget": 128, "includeThoughts": false}),
            ),
            (
                "gemini-2.5-flash-lite",
                "minimal",
                json!({"thinkingBudget": 512, "includeThoughts": true}),
            ),
            (
                "gemini-flash-latest",
                "high",
                json!({"thinkingBudget": 4096, "includeThoughts": true}),
            ),
            (
                "gemini-3-pro-preview",
                "medium",
                json!({"thinkingLevel": "high", "includeThoughts": true}),
            ),
            (
                "gemini-3-pro-preview",
                "none",
                json!({"thinkingLevel": "low", "includeThoughts": false}),
            ),
            (
                "gemini-3.1-pro-preview",
                "medium",
                json!({"thinkingLevel": "medium", "includeThoughts": true}),
            ),
            (
                "models/gemini-3-flash-preview",
                "minimal",
                json!({"thinkingLevel": "minimal", "includeThoughts": true}),
            ),
            (
                "gemini-3.5-flash",
                "xhigh",
                json!({"thinkingLevel": "high", "includeThoughts": true}),
            ),
        ] {
            let config = asked(json!({"reasoning_effort": effort}), model).expect("is known");
            assert_eq!(config, Some(expected), "{model} {effort}");
        }
        assert_eq!(
            asked(json!({}), "gemini-3-pro").expect("asks nothing"),
            None
        );
    }

    #[test]
    fn thinking_is_understood_as_anthropic_writes_it() {
        for (thinking, expected) in [
            (
                json!({"type": "enabled", "budget_tokens": 2000}),
                json!({"thinkingBudget": 2000, "includeThoughts": true}),
            ),
            (
                json!({"type": "adaptive"}),
                json!({"includeThoughts": true}),
            ),
            (
                json!({"type": "disabled"}),
                json!({"thinkingBudget": 0, "includeThoughts": false}),
            ),
        ] {
            let config = asked(json!({"thinking": thinking}), "gemini-2.5-flash");
            assert_eq!(config.expect("is known"), Some(expected));
        }
    }

    #[test]
    fn a_model_that_does_not_think_is_not_made_to() {
        let error = asked(json!({"reasoning_effort": "low"}), "gemini-2.0-flash");
        assert_eq!(
            error.expect_err("is refused").param(),
            Some("reasoning_effort")
        );
        let none = asked(json!({"reasoning_effort": "none"}), "gemma-3-27b-it");
        assert_eq!(none.expect("asks nothing"), None);
        let odd = asked(json!({"reasoning_effort": "very"}), "gemini-2.5-pro");
        assert_eq!(
            odd.expect_err("is unknown").param(),
            Some("reasoning_effort")
        );
    }
}
