//! What is asked, as Converse takes it.

use serde_json::{Map, Number, Value, json};
use ziggurat_core::{Deployment, Error};

use super::{
    messages::{self, Reads},
    model::{Family, Model},
    reasoning, tools,
};
use crate::{
    chat::{
        ChatRequest,
        unsupported::{is_not_zero, known, refuse},
        wrong,
    },
    dialect::anthropic::thinking::Hindrance,
};

/// The fields for the model itself.
const FOR_MODEL: &str = "additionalModelRequestFields";

/// Fields of Converse that a client may write itself.
const OWN: &[&str] = &[
    FOR_MODEL,
    "additionalModelResponseFieldPaths",
    "guardrailConfig",
    "outputConfig",
    "performanceConfig",
    "promptVariables",
    "requestMetadata",
    "serviceTier",
];

/// The body of a request.
///
/// # Errors
///
/// [`BadRequest`](ziggurat_core::ErrorKind::BadRequest), naming what Bedrock cannot take.
pub(super) fn body(
    mut chat: ChatRequest,
    model: &Model<'_>,
    deployment: &Deployment,
) -> Result<Vec<u8>, Error> {
    refuse(deployment, "n", chat.asks_choices())?;
    refuse(deployment, "logprobs", chat.asks_logprobs())?;
    let penalty = |name, penalty| refuse(deployment, name, is_not_zero(penalty));
    penalty("presence_penalty", chat.presence_penalty.as_ref())?;
    penalty("frequency_penalty", chat.frequency_penalty.as_ref())?;

    let mut other = std::mem::take(&mut chat.other);
    let tier = other.remove("service_tier");
    let betas = other.remove("anthropic_beta");
    let mut body = known(deployment, other, OWN)?;
    if let Some("flex" | "priority") = tier.as_ref().and_then(Value::as_str) {
        body.entry("serviceTier").or_insert(json!({ "type": tier }));
    }
    if let Some(user) = chat.user.take().filter(|user| fits_logs(user)) {
        body.entry("requestMetadata")
            .or_insert(json!({ "user": user }));
    }
    let mut fields = match body.remove(FOR_MODEL) {
        None => Map::new(),
        Some(Value::Object(fields)) => fields,
        Some(_) => return Err(wrong(FOR_MODEL, "an object")),
    };
    match betas {
        Some(betas) if model.family.is_claude() => {
            fields.entry("anthropic_beta").or_insert(betas);
        }
        betas => refuse(deployment, "anthropic_beta", betas.is_some())?,
    }

    let tools = tools::read(&mut chat, model, deployment)?;
    let reads = Reads {
        caches: model.caches(),
        thoughts: model.family.is_claude(),
    };
    let mut said = messages::write(std::mem::take(&mut chat.messages), reads)?;
    said.system
        .extend(tools.words.map(|words| json!({ "text": words })));
    let hindrance = if tools.forces() {
        Hindrance::Forced
    } else {
        said.hindrance
    };
    if let (Some(asked), Some(most)) = (&mut chat.max_tokens, deployment.max_output_tokens()) {
        *asked = most.min(*asked);
    }
    let thinks = reasoning::add(&mut chat, model, hindrance, deployment, &mut fields)?;

    if chat.parallel_tool_calls == Some(false)
        && let Some(config) = &tools.config
    {
        refuse(deployment, "parallel_tool_calls", !model.family.is_claude())?;
        if model.family.is_claude() {
            let choice = tools::one_at_a_time(config);
            fields.entry("tool_choice").or_insert(choice);
        }
    }
    let sampling = sampling(&chat, model, thinks, &mut fields);

    body.insert("messages".to_owned(), said.messages.into());
    let mut insert = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.entry(name).or_insert(value);
        }
    };
    let system = (!said.system.is_empty()).then(|| said.system.into());
    insert("system", system);
    insert("toolConfig", tools.config);
    insert("outputConfig", tools.output);
    insert(
        "inferenceConfig",
        (!sampling.is_empty()).then(|| sampling.into()),
    );
    insert(FOR_MODEL, (!fields.is_empty()).then(|| fields.into()));
    Ok(Value::Object(body).to_string().into_bytes())
}

/// How the words are chosen: `inferenceConfig`, and what goes to the model itself. While Claude
/// thinks, it leaves that to itself.
fn sampling(
    chat: &ChatRequest,
    model: &Model<'_>,
    thinks: bool,
    fields: &mut Map<String, Value>,
) -> Map<String, Value> {
    let stop = (!chat.stop.is_empty()).then(|| chat.stop.clone().into());
    let number = |number: &Option<Number>| number.clone().filter(|_| !thinks).map(Value::from);
    let all = [
        ("maxTokens", chat.max_tokens.map(Value::from)),
        ("temperature", number(&chat.temperature)),
        ("topP", number(&chat.top_p)),
        ("stopSequences", stop),
    ];
    if let Some(top_k) = number(&chat.top_k) {
        match model.family {
            Family::Nova | Family::Nova2 => {
                let config = fields.entry("inferenceConfig").or_insert(json!({}));
                if let Value::Object(config) = config {
                    config.entry("topK").or_insert(top_k);
                }
            }
            Family::Claude(_) | Family::GptOss | Family::Other => {
                fields.entry("top_k").or_insert(top_k);
            }
        }
    }
    let given = all.into_iter();
    given
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

/// Whether a name may stand in the logs of requests.
fn fits_logs(user: &str) -> bool {
    const LONGEST: usize = 256;
    let fits = |c: char| c.is_ascii_alphanumeric() || " :_$#=/+,-.".contains(c);
    !user.is_empty() && user.len() <= LONGEST && user.chars().all(fits)
}
