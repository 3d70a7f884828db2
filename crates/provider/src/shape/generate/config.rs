//! How the answer is to be made: `generationConfig`.

use serde_json::{Map, Number, Value, json};
use ziggurat_core::Error;

use super::{fields, object, schema, unsupported};
use crate::chat::{Fields, effort, unsupported::Fit, wrong};

const AT: &str = "generationConfig";

/// Fields that have another name in chat, and mean the same.
pub(crate) const NAMES: [(&str, &str); 8] = [
    ("candidateCount", "n"),
    ("frequencyPenalty", "frequency_penalty"),
    ("maxOutputTokens", "max_tokens"),
    ("presencePenalty", "presence_penalty"),
    ("seed", "seed"),
    ("temperature", "temperature"),
    ("topK", "top_k"),
    ("topP", "top_p"),
];

/// Where an answer is to stop, in the same way: a list, or in chat a text too.
pub(crate) const STOP: (&str, &str) = ("stopSequences", "stop");

/// Fields that say how Google is to serve a request, or that hint at something.
const HARMLESS: [&str; 5] = [
    "enableAffectiveDialog",
    "enableEnhancedCivicAnswers",
    "mediaResolution",
    "modelConfig",
    "routingConfig",
];

/// Puts into a chat what is said of its answer.
///
/// # Errors
///
/// [`BadRequest`](ziggurat_core::ErrorKind::BadRequest), with the place of what is wrong; a refusal
/// of what has no like in chat.
pub(super) fn read(
    config: Option<Value>,
    chat: &mut Map<String, Value>,
    fit: Fit,
) -> Result<(), Error> {
    let mut config = fields(config, AT)?;
    for (own, usual) in NAMES {
        if let Some(number) = config.number(own)? {
            let number = match usual {
                "max_tokens" | "n" | "seed" | "top_k" => whole(number),
                _ => number,
            };
            chat.insert(usual.to_owned(), number.into());
        }
    }
    if chat.get("n").is_some_and(|n| *n == 1) {
        chat.remove("n");
    }
    let mut put = |name: &str, value: Value| chat.insert(name.to_owned(), value);
    let stops = config.list("stopSequences")?;
    if stops.iter().any(|stop| !stop.is_string()) {
        return Err(wrong(&format!("{AT}.stopSequences"), "a list of strings"));
    }
    if !stops.is_empty() {
        put("stop", stops.into());
    }
    if config.flag("responseLogprobs")? == Some(true) {
        put("logprobs", true.into());
    }
    if let Some(most) = config.count("logprobs")?.filter(|most| *most > 0) {
        put("top_logprobs", most.into());
    }
    if let Some(format) = format(&mut config, fit)? {
        put("response_format", format);
    }
    modalities(&mut config, &mut put, fit)?;
    thinking(config.take("thinkingConfig"), &mut put)?;
    for name in HARMLESS {
        config.take(name);
    }
    for (name, value) in config.rest() {
        if !matches!(value, Value::Null | Value::Bool(false)) {
            fit.without(|| unsupported(&format!("{AT}.{name}"), &name))?;
        }
    }
    Ok(())
}

/// A whole number as one: Google's clients write some with a fraction of nothing.
fn whole(number: Number) -> Number {
    let fraction = number.as_f64().filter(|_| number.is_f64());
    match fraction {
        Some(value) if value.fract() == 0.0 && value.abs() < 1e15 => Number::from(value as i64),
        _ => number,
    }
}

/// The form of the answer.
fn format(config: &mut Fields, fit: Fit) -> Result<Option<Value>, Error> {
    let kind = config.text("responseMimeType")?;
    let own = config.take("responseSchema").map(schema::usual);
    let schema = config.take("responseJsonSchema").or(own);
    match (kind.as_deref(), schema) {
        (Some("application/json") | None, Some(schema)) => {
            let schema = object([("name", "answer".into()), ("schema", schema)]);
            Ok(Some(object([
                ("type", "json_schema".into()),
                ("json_schema", schema),
            ])))
        }
        (Some("application/json"), None) => Ok(Some(json!({"type": "json_object"}))),
        (None | Some("" | "text/plain"), _) => Ok(None),
        (Some(other), _) => {
            fit.without(|| unsupported(&format!("{AT}.responseMimeType"), other))?;
            Ok(None)
        }
    }
}

/// What the answer is to be besides text.
fn modalities(
    config: &mut Fields,
    put: &mut impl FnMut(&str, Value) -> Option<Value>,
    fit: Fit,
) -> Result<(), Error> {
    let names = config.list("responseModalities")?.into_iter();
    let names: Vec<_> = names
        .filter_map(|name| name.as_str().map(str::to_ascii_lowercase))
        .collect();
    if names.iter().any(|name| name != "text") {
        put("modalities", names.into());
    }
    let at = format!("{AT}.speechConfig");
    let mut speech = fields(config.take("speechConfig"), &at)?;
    let voice = speech.take("voiceConfig");
    let voice = fields(voice, &at)?.take("prebuiltVoiceConfig");
    if let Some(name) = fields(voice, &at)?.text("voiceName")? {
        put("audio", json!({"voice": name, "format": "pcm16"}));
    }
    speech.take("languageCode");
    match speech.rest().keys().next() {
        Some(other) => fit.without(|| unsupported(&at, other)),
        None => Ok(()),
    }
}

/// How much the model is to think: a level is an effort, a budget is as Anthropic writes it.
fn thinking(
    config: Option<Value>,
    put: &mut impl FnMut(&str, Value) -> Option<Value>,
) -> Result<(), Error> {
    let at = format!("{AT}.thinkingConfig");
    let mut config = fields(config, &at)?;
    let shows = config.flag("includeThoughts")? == Some(true);
    if let Some(level) = config.text("thinkingLevel")? {
        let level = level.to_ascii_lowercase();
        if !level.ends_with("unspecified") {
            put("reasoning_effort", level.into());
            return Ok(());
        }
    }
    let budget = config.number("thinkingBudget")?.map(whole);
    let Some(budget) = budget.as_ref().map(Number::as_i64) else {
        if shows {
            put("thinking", adaptive(shows));
        }
        return Ok(());
    };
    match budget {
        Some(0) => {
            put("thinking", json!({"type": "disabled"}));
        }
        Some(budget @ 1..) => {
            put(
                "reasoning_effort",
                effort::of_budget(budget.unsigned_abs()).into(),
            );
            put(
                "thinking",
                json!({"type": "enabled", "budget_tokens": budget}),
            );
        }
        // As much as it takes.
        Some(-1) => {
            put("thinking", adaptive(shows));
        }
        _ => {
            return Err(wrong(
                &format!("{at}.thinkingBudget"),
                "a whole number from -1",
            ));
        }
    }
    Ok(())
}

fn adaptive(shows: bool) -> Value {
    match shows {
        true => json!({"type": "adaptive", "display": "summarized"}),
        false => json!({"type": "adaptive"}),
    }
}
