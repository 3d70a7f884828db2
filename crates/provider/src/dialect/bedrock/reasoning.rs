//! How much a model is to think before it answers: each family has words of its own for it.

use serde_json::{Map, Value, json};
use ziggurat_core::{Deployment, Error};

use super::model::{Family, Model};
use crate::{
    chat::{
        ChatRequest,
        unsupported::{self, refuse},
    },
    dialect::anthropic::thinking::{self, Hindrance},
};

/// Adds to the fields for the model what makes it think as much as is asked for. Tells whether it
/// thinks in a way that leaves temperature and its like alone. The output that is asked for may grow
/// by what is thought.
///
/// # Errors
///
/// [`BadRequest`](ziggurat_core::ErrorKind::BadRequest) if the model cannot be told.
pub(super) fn add(
    chat: &mut ChatRequest,
    model: &Model<'_>,
    hindrance: Hindrance,
    deployment: &Deployment,
    fields: &mut Map<String, Value>,
) -> Result<bool, Error> {
    let mut add = |name: &str, value: Value| {
        fields.entry(name).or_insert(value);
    };
    if let Family::Claude(model) = model.family {
        let plan = thinking::plan(chat, model, deployment.max_output_tokens(), hindrance)?;
        let thinks = plan.thinks();
        if let Some(mut thinking) = plan.thinking {
            if thinking["type"] == "enabled" {
                chat.max_tokens = Some(plan.max_tokens);
            }
            if chat.thinking.is_none() {
                // Nothing but the type was seen to be taken.
                thinking
                    .as_object_mut()
                    .map(|thinking| thinking.remove("display"));
            }
            add("thinking", thinking);
        }
        if let Some(effort) = plan.effort {
            add("output_config", json!({ "effort": effort }));
        }
        return Ok(thinks);
    }
    let thinks = chat.thinking.as_ref();
    let thinks = thinks.is_some_and(|thinking| thinking["type"] != "disabled");
    refuse(deployment, "thinking", thinks)?;
    let Some(asked) = chat.reasoning_effort.as_deref() else {
        return Ok(false);
    };
    let effort = effort(asked)?;
    match model.family {
        Family::Nova2 if asked == "none" => {
            add("reasoningConfig", json!({"type": "disabled"}));
        }
        Family::Nova2 => {
            let config = json!({"type": "enabled", "maxReasoningEffort": effort});
            add("reasoningConfig", config);
        }
        Family::GptOss => add("reasoning_effort", effort.into()),
        Family::Nova | Family::Other | Family::Claude(_) => {
            refuse(deployment, "reasoning_effort", asked != "none")?;
        }
    }
    Ok(false)
}

/// An effort in the three steps that there are.
fn effort(asked: &str) -> Result<&'static str, Error> {
    Ok(match asked {
        "none" | "minimal" | "low" => "low",
        "medium" | "default" => "medium",
        "high" | "xhigh" | "max" => "high",
        _ => {
            return Err(unsupported::value(
                "reasoning_effort",
                "an effort that is known",
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
    const NEW: &str = "us.anthropic.claude-sonnet-4-6";
    const NOVA: &str = "us.amazon.nova-2-lite-v1:0";
    const OSS: &str = "openai.gpt-oss-20b-1:0";
    const LLAMA: &str = "meta.llama3-3-70b-instruct-v1:0";

    fn added(model: &str, asked: &Value) -> Result<(Value, bool, Option<u64>), Error> {
        let deployment = Deployment::new("a", "gpt", "m");
        let mut chat = ChatRequest::read(asked.to_string().as_bytes())?;
        let mut fields = Map::new();
        let model = Model::of(model, &deployment);
        let none = Hindrance::None;
        let thinks = add(&mut chat, &model, none, &deployment, &mut fields)?;
        Ok((fields.into(), thinks, chat.max_tokens))
    }

    #[test]
    fn every_family_is_told_in_its_own_words() {
        let nova = |effort: &str| json!({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort}});
        let oss = |effort: &str| json!({ "reasoning_effort": effort });
        for (model, effort, expected) in [
            (OLD, "none", json!({})),
            (
                OLD,
                "low",
                json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}),
            ),
            (NEW, "none", json!({})),
            (
                NOVA,
                "none",
                json!({"reasoningConfig": {"type": "disabled"}}),
            ),
            (NOVA, "minimal", nova("low")),
            (NOVA, "xhigh", nova("high")),
            (OSS, "none", oss("low")),
            (OSS, "medium", oss("medium")),
            (LLAMA, "none", json!({})),
        ] {
            let (fields, ..) = added(model, &json!({"reasoning_effort": effort})).expect("is told");
            assert_eq!(fields, expected, "{model} {effort}");
        }
        let (fields, ..) = added(NEW, &json!({"reasoning_effort": "high"})).expect("is told");
        assert_eq!(fields["thinking"], json!({"type": "adaptive"}));
        assert_eq!(fields["output_config"], json!({"effort": "high"}));
    }

    #[test]
    fn a_budget_comes_with_tokens_to_spend_it_and_nothing_else_does() {
        let own = json!({"thinking": {"type": "enabled", "budget_tokens": 2000}});
        assert_eq!(added(OLD, &own).expect("is told"), (own, true, Some(6096)));
        let new = json!({"reasoning_effort": "high"});
        let (_, thinks, tokens) = added(NEW, &new).expect("is told");
        assert_eq!((thinks, tokens), (true, None));
        let off = json!({"thinking": {"type": "disabled"}});
        assert_eq!(added(OLD, &off).expect("is told"), (off, false, None));
    }

    #[test]
    fn a_model_that_cannot_be_told_refuses() {
        let off = json!({"thinking": {"type": "disabled"}});
        assert_eq!(added(LLAMA, &off).expect("is nothing").0, json!({}));
        for (model, asked, param) in [
            (
                LLAMA,
                json!({"reasoning_effort": "low"}),
                "reasoning_effort",
            ),
            (OSS, json!({"reasoning_effort": "huge"}), "reasoning_effort"),
            (NOVA, json!({"thinking": {"type": "enabled"}}), "thinking"),
        ] {
            let error = added(model, &asked).expect_err("is refused");
            assert_eq!(error.param(), Some(param));
        }
    }
}
