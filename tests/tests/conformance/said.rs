//! What an answer says, read from the documents of each dialect.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::route::Words;

/// What an answer says, whatever the dialect.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Said {
    /// All text, of one choice after another; a refusal is text.
    pub(crate) text: String,
    /// Names and arguments.
    pub(crate) calls: Vec<(String, String)>,
    /// In OpenAI's words.
    pub(crate) finish: Option<String>,
    pub(crate) counts: Option<Counts>,
}

/// The tokens that a provider counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) input: u64,
    pub(crate) output: u64,
    /// All together, where the provider says so.
    pub(crate) total: Option<u64>,
}

/// Reads the documents of a whole answer, or of a stream.
pub(crate) fn read(words: Words, documents: &[Value]) -> Said {
    let mut said = match words {
        Words::OpenAi => openai(documents),
        Words::Responses => responses(documents),
        Words::Anthropic => anthropic(documents),
        Words::Google => google(documents),
        Words::Converse => converse(documents),
        Words::Cohere => cohere(documents),
        Words::Ollama => ollama(documents),
    };
    if !said.calls.is_empty() && matches!(words, Words::Google | Words::Ollama | Words::Responses) {
        // They do not say it.
        said.finish = said.finish.map(|finish| match &*finish {
            "stop" => "tool_calls".to_owned(),
            _ => finish,
        });
    }
    said
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn sum(counts: &Value, names: &[&str]) -> u64 {
    let count = |name: &&str| counts[*name].as_f64().map_or(0, |count| count as u64);
    names.iter().map(count).sum()
}

/// Arguments as text: some providers send an object.
fn arguments(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

fn openai(documents: &[Value]) -> Said {
    let mut said = Said::default();
    let mut texts: BTreeMap<u64, String> = BTreeMap::new();
    let mut calls: BTreeMap<(u64, usize), (String, String)> = BTreeMap::new();
    for document in documents {
        for choice in list(&document["choices"]) {
            let index = choice["index"].as_u64().unwrap_or_default();
            let message = match &choice["message"] {
                Value::Null => &choice["delta"],
                message => message,
            };
            let all = texts.entry(index).or_default();
            for said in [&message["content"], &message["refusal"], &choice["text"]] {
                all.push_str(text(said));
                list(said)
                    .iter()
                    .for_each(|part| all.push_str(text(&part["text"])));
            }
            let legacy = &message["function_call"];
            if legacy.is_object() {
                let call = calls.entry((index, 0)).or_default();
                call.0.push_str(text(&legacy["name"]));
                call.1.push_str(text(&legacy["arguments"]));
            }
            for (place, call) in list(&message["tool_calls"]).iter().enumerate() {
                let place = call["index"].as_u64().map_or(place, |index| index as usize);
                let function = &call["function"];
                let entry = calls.entry((index, place)).or_default();
                entry.0.push_str(text(&function["name"]));
                entry.1.push_str(&arguments(&function["arguments"]));
            }
            if let Some(finish) = choice["finish_reason"].as_str().filter(|it| !it.is_empty()) {
                said.finish = Some(finish.to_owned());
            }
        }
        let usage = [&document["usage"], &document["x_groq"]["usage"]];
        if let Some(usage) = usage.into_iter().find(|usage| usage.is_object()) {
            said.counts = Some(Counts {
                input: sum(usage, &["prompt_tokens"]),
                output: sum(usage, &["completion_tokens"]),
                total: usage["total_tokens"].as_u64(),
            });
        }
    }
    said.text = texts.into_values().collect();
    said.calls = calls.into_values().collect();
    said
}

fn responses(documents: &[Value]) -> Said {
    let whole = documents.iter().rev().find_map(|document| {
        let inner = &document["response"];
        let whole = if inner.is_object() { inner } else { document };
        whole["output"].is_array().then_some(whole)
    });
    let Some(whole) = whole else {
        return Said::default();
    };
    let mut said = Said::default();
    for item in list(&whole["output"]) {
        for part in list(&item["content"]) {
            let is_text = part["type"] == "output_text" || part["type"] == "refusal";
            if is_text {
                said.text.push_str(text(&part["text"]));
                said.text.push_str(text(&part["refusal"]));
            }
        }
        if item["type"] == "function_call" {
            let name = text(&item["name"]).to_owned();
            said.calls.push((name, arguments(&item["arguments"])));
        }
    }
    said.finish = match text(&whole["status"]) {
        "completed" => Some("stop".to_owned()),
        "incomplete" if whole["incomplete_details"]["reason"] == "content_filter" => {
            Some("content_filter".to_owned())
        }
        "incomplete" => Some("length".to_owned()),
        _ => None,
    };
    let usage = &whole["usage"];
    said.counts = usage.is_object().then(|| Counts {
        input: sum(usage, &["input_tokens"]),
        output: sum(usage, &["output_tokens"]),
        total: usage["total_tokens"].as_u64(),
    });
    said
}

fn anthropic(documents: &[Value]) -> Said {
    let mut said = Said::default();
    let mut counts = Counts::default();
    let mut calls: BTreeMap<u64, (String, String)> = BTreeMap::new();
    for document in documents {
        let inner = &document["message"];
        let message = if inner.is_object() { inner } else { document };
        let blocks = list(&message["content"]).iter().zip(0..);
        let started = (document["content_block"].is_object())
            .then(|| (&document["content_block"], document["index"].as_u64()));
        let started = started.map(|(block, index)| (block, index.unwrap_or_default()));
        for (block, index) in blocks.chain(started) {
            match text(&block["type"]) {
                "text" => said.text.push_str(text(&block["text"])),
                "tool_use" => {
                    let input = match &block["input"] {
                        // A stream begins with an empty one.
                        Value::Object(input) if started.is_some() && input.is_empty() => {
                            String::new()
                        }
                        input => arguments(input),
                    };
                    calls.insert(index, (text(&block["name"]).to_owned(), input));
                }
                _ => {}
            }
        }
        let delta = &document["delta"];
        said.text.push_str(text(&delta["text"]));
        let call = calls.get_mut(&document["index"].as_u64().unwrap_or_default());
        if let Some(call) = call.filter(|_| delta["partial_json"].is_string()) {
            call.1.push_str(text(&delta["partial_json"]));
        }
        let reason = [&delta["stop_reason"], &message["stop_reason"]];
        if let Some(reason) = reason.into_iter().find_map(Value::as_str) {
            said.finish = Some(finish(reason).to_owned());
        }
        // Why it declines is all that it says then.
        for end in [delta, message] {
            said.text
                .push_str(text(&end["stop_details"]["explanation"]));
        }
        let input = [
            "input_tokens",
            "cache_creation_input_tokens",
            "cache_read_input_tokens",
        ];
        for usage in [&message["usage"], &document["usage"]] {
            counts.input = counts.input.max(sum(usage, &input));
            counts.output = counts.output.max(sum(usage, &["output_tokens"]));
        }
    }
    said.calls = calls.into_values().collect();
    said.counts = Some(counts);
    said
}

/// The finish reason for a stop reason of Anthropic's or of Converse.
fn finish(reason: &str) -> &'static str {
    match reason {
        "max_tokens" | "model_context_window_exceeded" | "compaction" => "length",
        "tool_use" => "tool_calls",
        "refusal" | "guardrail_intervened" | "content_filtered" => "content_filter",
        _ => "stop",
    }
}

fn google(documents: &[Value]) -> Said {
    let mut said = Said::default();
    let mut calls: Vec<(&str, Value)> = Vec::new();
    for document in documents {
        let candidate = &document["candidates"][0];
        for part in list(&candidate["content"]["parts"]) {
            if part["thought"] != true {
                said.text.push_str(text(&part["text"]));
            }
            let call = &part["functionCall"];
            if let Some(name) = call["name"].as_str() {
                calls.push((name, call["args"].clone()));
            }
            for piece in list(&call["partialArgs"]) {
                let name = text(&piece["jsonPath"]).trim_start_matches("$.");
                if let Some((_, arguments)) = calls.last_mut() {
                    let before = text(&arguments[name]).to_owned();
                    arguments[name] = (before + text(&piece["stringValue"])).into();
                }
            }
        }
        // A number is the place of the word in their protocol.
        let reason = &candidate["finishReason"];
        let finish = match reason.as_str() {
            Some("STOP") => "stop",
            Some("MAX_TOKENS") => "length",
            Some(_) => "content_filter",
            None if *reason == 1 => "stop",
            None if *reason == 2 => "length",
            None => "",
        };
        if !finish.is_empty() {
            said.finish = Some(finish.to_owned());
        }
        let usage = &document["usageMetadata"];
        if usage["promptTokenCount"].is_u64() {
            said.counts = Some(Counts {
                input: sum(usage, &["promptTokenCount", "toolUsePromptTokenCount"]),
                output: sum(usage, &["candidatesTokenCount", "thoughtsTokenCount"]),
                total: usage["totalTokenCount"].as_u64(),
            });
        }
    }
    let calls = calls.into_iter();
    let calls = calls.map(|(name, args)| (name.to_owned(), arguments(&args)));
    said.calls = calls.collect();
    said
}

fn converse(documents: &[Value]) -> Said {
    let mut said = Said::default();
    let mut calls: BTreeMap<u64, (String, String)> = BTreeMap::new();
    for document in documents {
        for (block, index) in list(&document["output"]["message"]["content"])
            .iter()
            .zip(0..)
        {
            said.text.push_str(text(&block["text"]));
            let tool = &block["toolUse"];
            if tool.is_object() && tool["type"] != "server_tool_use" {
                let name = text(&tool["name"]).to_owned();
                calls.insert(index, (name, arguments(&tool["input"])));
            }
        }
        let start = &document["contentBlockStart"];
        let tool = &start["start"]["toolUse"];
        let index = |of: &Value| of["contentBlockIndex"].as_u64().unwrap_or_default();
        if tool.is_object() && tool["type"] != "server_tool_use" {
            calls.insert(
                index(start),
                (text(&tool["name"]).to_owned(), String::new()),
            );
        }
        let block = &document["contentBlockDelta"];
        said.text.push_str(text(&block["delta"]["text"]));
        if let Some(call) = calls.get_mut(&index(block)) {
            call.1.push_str(text(&block["delta"]["toolUse"]["input"]));
        }
        let reasons = [
            &document["stopReason"],
            &document["messageStop"]["stopReason"],
        ];
        if let Some(reason) = reasons.into_iter().find_map(Value::as_str) {
            said.finish = Some(finish(reason).to_owned());
        }
        let usage = [&document["usage"], &document["metadata"]["usage"]];
        if let Some(usage) = usage.into_iter().find(|usage| usage.is_object()) {
            let input = [
                "inputTokens",
                "cacheReadInputTokens",
                "cacheWriteInputTokens",
            ];
            said.counts = Some(Counts {
                input: sum(usage, &input),
                output: sum(usage, &["outputTokens"]),
                total: usage["totalTokens"].as_u64(),
            });
        }
    }
    said.calls = calls.into_values().collect();
    said
}

fn cohere(documents: &[Value]) -> Said {
    let mut said = Said::default();
    for document in documents {
        let (message, delta) = (&document["message"], &document["delta"]["message"]);
        for part in list(&message["content"]) {
            said.text.push_str(text(&part["text"]));
        }
        said.text.push_str(text(&delta["content"]["text"]));
        for call in list(&message["tool_calls"]) {
            let function = &call["function"];
            let name = text(&function["name"]).to_owned();
            said.calls.push((name, arguments(&function["arguments"])));
        }
        let call = &delta["tool_calls"]["function"];
        if let Some(name) = call["name"].as_str() {
            said.calls.push((name.to_owned(), String::new()));
        }
        if let Some(last) = said.calls.last_mut() {
            last.1.push_str(text(&call["arguments"]));
        }
        let ends = [document, &document["delta"]];
        for end in ends {
            if let Some(reason) = end["finish_reason"].as_str() {
                let finish = match reason {
                    "MAX_TOKENS" | "ERROR_LIMIT" => "length",
                    "TOOL_CALL" => "tool_calls",
                    "ERROR_TOXIC" => "content_filter",
                    _ => "stop",
                };
                said.finish = Some(finish.to_owned());
            }
            let tokens = &end["usage"]["tokens"];
            if tokens.is_object() {
                said.counts = Some(Counts {
                    input: sum(tokens, &["input_tokens", "image_tokens"]),
                    output: sum(tokens, &["output_tokens"]),
                    total: None,
                });
            }
        }
    }
    said
}

fn ollama(documents: &[Value]) -> Said {
    let mut said = Said::default();
    for document in documents {
        let message = &document["message"];
        said.text.push_str(text(&message["content"]));
        for call in list(&message["tool_calls"]) {
            let function = &call["function"];
            let name = text(&function["name"]).to_owned();
            said.calls.push((name, arguments(&function["arguments"])));
        }
        if document["done"] == true {
            let reason = document["done_reason"].as_str();
            said.finish = Some(reason.unwrap_or("stop").to_owned());
            said.counts = Some(Counts {
                input: sum(document, &["prompt_eval_count"]),
                output: sum(document, &["eval_count"]),
                total: None,
            });
        }
    }
    said
}
