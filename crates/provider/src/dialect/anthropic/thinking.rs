//! How much the model thinks before it answers, and how much it may write.
//!
//! An effort is a number of tokens for older models; newer ones take the effort itself, and decide
//! by the question. What a client writes of `thinking` for one kind of model is told to the other
//! kind in its own words.

use serde_json::{Value, json};
use ziggurat_core::{Error, ErrorKind};

use super::model::Model;
use crate::chat::{ChatRequest, unsupported};

/// How much may be written, if nobody says it.
const USUAL_ANSWER: u64 = 4096;
/// A smaller budget is refused.
const LEAST_BUDGET: u64 = 1024;
/// The budget where one is needed and only "think" was said.
const USUAL_BUDGET: u64 = 4096;

/// What is decided of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) max_tokens: u64,
    /// `thinking`, if it is said.
    pub(crate) thinking: Option<Value>,
    /// `effort` of `output_config`.
    pub(crate) effort: Option<&'static str>,
}

impl Plan {
    /// Whether the model thinks.
    pub(crate) fn thinks(&self) -> bool {
        let thinking = self.thinking.as_ref();
        thinking.is_some_and(|thinking| thinking["type"] != "disabled")
    }
}

/// What stands against thinking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hindrance {
    None,
    /// The thoughts before the last calls are not known; with a budget they would have to be.
    Forgotten,
    /// A call is demanded, or the model is to go on with an answer.
    Forced,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq)]
enum Wish {
    Nothing,
    Off,
    /// With LiteLLM's numbers of tokens.
    Effort(&'static str, u64),
    Budget(u64),
    Adaptive,
}

/// Decides; `most` is what the model can write at most.
///
/// # Errors
///
/// [`ErrorKind::BadRequest`] if `thinking` or the effort is none that is known.
pub(crate) fn plan(
    request: &ChatRequest,
    model: Model,
    most: Option<u64>,
    hindrance: Hindrance,
) -> Result<Plan, Error> {
    let effort = effort(request.reasoning_effort.as_deref(), model)?;
    let wish = match &request.thinking {
        Some(thinking) => wish(thinking)?,
        None => effort.clone(),
    };
    let asked = request
        .max_tokens
        .unwrap_or(u64::MAX)
        .min(most.unwrap_or(u64::MAX));
    let room = Some(asked).filter(|asked| *asked < u64::MAX);
    let mut plan = Plan {
        max_tokens: room.unwrap_or(USUAL_ANSWER),
        thinking: None,
        effort: None,
    };
    let wish = match (wish, model.adapts(), model.takes_budgets()) {
        (Wish::Effort(_, budget), false, _) => {
            // An answer is wanted as well.
            let half = room.map_or(budget, |room| room / 2);
            Wish::Budget(budget.min(half))
        }
        (Wish::Adaptive, false, _) => Wish::Budget(USUAL_BUDGET),
        (Wish::Budget(_), _, false) => Wish::Adaptive,
        (wish, _, _) => wish,
    };
    let display = request
        .thinking
        .as_ref()
        .and_then(|thinking| thinking.get("display"));
    match wish {
        Wish::Nothing => {}
        Wish::Off => plan.thinking = Some(json!({"type": "disabled"})),
        _ if hindrance == Hindrance::Forced => {}
        Wish::Effort(level, _) => {
            // Newer models keep their thoughts to themselves unless they are asked.
            plan.thinking = Some(json!({"type": "adaptive", "display": "summarized"}));
            plan.effort = Some(level);
        }
        Wish::Adaptive => {
            plan.thinking = Some(json!({"type": "adaptive"}));
            if let Wish::Effort(level, _) = effort {
                plan.effort = Some(level);
            }
        }
        Wish::Budget(budget) => {
            let budget = budget.min(room.map_or(u64::MAX, |room| room.saturating_sub(1)));
            if budget >= LEAST_BUDGET && hindrance == Hindrance::None {
                plan.max_tokens = room.unwrap_or(USUAL_ANSWER.saturating_add(budget));
                plan.thinking = Some(json!({"type": "enabled", "budget_tokens": budget}));
            }
        }
    }
    if let (Some(thinking), Some(display)) = (&mut plan.thinking, display) {
        thinking["display"] = display.clone();
    }
    Ok(plan)
}

fn effort(effort: Option<&str>, model: Model) -> Result<Wish, Error> {
    Ok(match effort {
        None | Some("none" | "default") => Wish::Nothing,
        Some("minimal") => Wish::Effort("low", LEAST_BUDGET),
        Some("low") => Wish::Effort("low", 1024),
        Some("medium") => Wish::Effort("medium", 2048),
        Some("high") => Wish::Effort("high", 4096),
        Some("xhigh") => Wish::Effort(model.xhigh(), 8192),
        Some("max") => Wish::Effort("max", 16_384),
        Some(_) => {
            let expected = "an effort that is known";
            return Err(unsupported::value("reasoning_effort", expected));
        }
    })
}

fn wish(thinking: &Value) -> Result<Wish, Error> {
    match thinking["type"].as_str() {
        Some("disabled") => Ok(Wish::Off),
        Some("adaptive") => Ok(Wish::Adaptive),
        Some("enabled") => match &thinking["budget_tokens"] {
            Value::Null => Ok(Wish::Budget(USUAL_BUDGET)),
            budget => match budget.as_u64() {
                Some(budget) => Ok(Wish::Budget(budget)),
                None => Err(wrong("thinking.budget_tokens", "a whole number")),
            },
        },
        _ => Err(unsupported::value(
            "thinking.type",
            "`enabled`, `adaptive` or `disabled`",
        )),
    }
}

fn wrong(at: &str, expected: &str) -> Error {
    let message = format!("`{at}` must be {expected}");
    Error::new(ErrorKind::BadRequest, message).with_param(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(body: &Value, model: &str, most: Option<u64>, hindrance: Hindrance) -> Plan {
        let request = ChatRequest::read(body.to_string().as_bytes()).expect("is valid");
        plan(&request, Model::of(model), most, hindrance).expect("can be done")
    }

    fn old(body: &Value) -> Plan {
        planned(body, "claude-sonnet-4-5", None, Hindrance::None)
    }

    fn budget(tokens: u64) -> Option<Value> {
        Some(json!({"type": "enabled", "budget_tokens": tokens}))
    }

    #[test]
    fn an_effort_is_a_budget_for_older_models() {
        for (level, tokens) in [
            ("minimal", 1024),
            ("low", 1024),
            ("high", 4096),
            ("max", 16_384),
        ] {
            let plan = old(&json!({"reasoning_effort": level}));
            assert_eq!(plan.thinking, budget(tokens), "{level}");
            assert_eq!(plan.max_tokens, 4096 + tokens);
        }
        let plan = old(&json!({"reasoning_effort": "none"}));
        assert_eq!((plan.thinking, plan.max_tokens), (None, 4096));
    }

    #[test]
    fn an_effort_stays_one_for_newer_models() {
        let adaptive = Some(json!({"type": "adaptive", "display": "summarized"}));
        for (model, level, expected) in [
            ("claude-opus-4-6", "minimal", "low"),
            ("claude-opus-4-6", "xhigh", "max"),
            ("claude-sonnet-4-6", "xhigh", "high"),
            ("claude-sonnet-5", "xhigh", "xhigh"),
        ] {
            let body = json!({"reasoning_effort": level, "max_tokens": 100});
            let plan = planned(&body, model, None, Hindrance::Forgotten);
            assert_eq!(plan.thinking, adaptive, "{model}");
            assert_eq!((plan.effort, plan.max_tokens), (Some(expected), 100));
        }
    }

    #[test]
    fn a_budget_leaves_room_for_the_answer_or_there_is_none() {
        let effort = |max| old(&json!({"reasoning_effort": "high", "max_tokens": max})).thinking;
        assert_eq!(effort(20_000), budget(4096));
        assert_eq!(effort(3000), budget(1500));
        assert_eq!(effort(2000), None);
        let thinking = json!({"type": "enabled", "budget_tokens": 5000});
        let asked = |max| old(&json!({"thinking": thinking, "max_tokens": max}));
        assert_eq!(asked(5001).thinking, budget(5000));
        assert_eq!(asked(2000).thinking, budget(1999));
        assert_eq!(asked(1024).thinking, None);
        assert_eq!(old(&json!({ "thinking": thinking })).max_tokens, 9096);
    }

    #[test]
    fn nobody_writes_more_than_the_model_can() {
        let most = |body: &Value| planned(body, "claude-3-haiku", Some(5000), Hindrance::None);
        assert_eq!(most(&json!({"max_tokens": 64_000})).max_tokens, 5000);
        assert_eq!(most(&json!({})).max_tokens, 5000);
        assert_eq!(most(&json!({"max_tokens": 7})).max_tokens, 7);
        assert_eq!(
            most(&json!({"reasoning_effort": "high"})).thinking,
            budget(2500)
        );
    }

    #[test]
    fn what_is_said_to_one_kind_of_model_is_told_to_the_other() {
        let enabled = json!({"thinking": {"type": "enabled", "budget_tokens": 2000}});
        let plan = planned(&enabled, "claude-opus-4-7", None, Hindrance::None);
        assert_eq!(plan.thinking, Some(json!({"type": "adaptive"})));
        let adaptive = json!({"thinking": {"type": "adaptive", "display": "omitted"}, "reasoning_effort": "low"});
        let expected = json!({"type": "enabled", "budget_tokens": 4096, "display": "omitted"});
        assert_eq!(old(&adaptive).thinking, Some(expected));
        let plan = planned(&adaptive, "claude-opus-4-6", None, Hindrance::None);
        let expected = json!({"type": "adaptive", "display": "omitted"});
        assert_eq!((plan.thinking, plan.effort), (Some(expected), Some("low")));
    }

    #[test]
    fn what_stands_against_thinking_wins() {
        let body = || json!({"reasoning_effort": "high"});
        for (model, hindrance) in [
            ("claude-sonnet-4-5", Hindrance::Forgotten),
            ("claude-sonnet-4-5", Hindrance::Forced),
            ("claude-sonnet-5", Hindrance::Forced),
        ] {
            let plan = planned(&body(), model, None, hindrance);
            assert_eq!((&plan.thinking, plan.effort), (&None, None), "{model}");
            assert!(!plan.thinks());
        }
        let off = planned(
            &json!({"thinking": {"type": "disabled"}}),
            "claude-sonnet-5",
            None,
            Hindrance::Forced,
        );
        assert!(off.thinking.is_some() && !off.thinks());
    }

    #[test]
    fn what_nobody_knows_is_refused() {
        for (body, at) in [
            (json!({"reasoning_effort": "lots"}), "reasoning_effort"),
            (json!({"thinking": {"type": "hard"}}), "thinking.type"),
            (json!({"thinking": 7}), "thinking.type"),
            (
                json!({"thinking": {"type": "enabled", "budget_tokens": -1}}),
                "thinking.budget_tokens",
            ),
        ] {
            let request = ChatRequest::read(body.to_string().as_bytes()).expect("is valid");
            let plan = plan(&request, Model::of("claude"), None, Hindrance::None);
            assert_eq!(plan.expect_err("is unknown").param(), Some(at));
        }
    }
}
