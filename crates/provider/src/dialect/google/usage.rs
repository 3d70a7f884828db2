//! What an answer used.

use serde_json::Value;

use crate::chat::Tokens;

/// The tokens that `usageMetadata` counts, if it counts some: thoughts are output, and what tools
/// put into the prompt is input.
pub(super) fn tokens(usage: &Value) -> Option<Tokens> {
    let counted = |name: &str| usage[name].as_u64();
    let count = |name: &str| counted(name).unwrap_or_default();
    counted("promptTokenCount").or(counted("candidatesTokenCount"))?;
    let reasoning = count("thoughtsTokenCount");
    Some(Tokens {
        input: count("promptTokenCount").saturating_add(count("toolUsePromptTokenCount")),
        cached: count("cachedContentTokenCount"),
        audio_input: of("AUDIO", &usage["promptTokensDetails"]),
        image_input: of("IMAGE", &usage["promptTokensDetails"]),
        output: count("candidatesTokenCount").saturating_add(reasoning),
        reasoning,
        audio_output: of("AUDIO", &usage["candidatesTokensDetails"]),
        image_output: of("IMAGE", &usage["candidatesTokensDetails"]),
        ..Tokens::default()
    })
}

/// The tokens of one kind.
fn of(modality: &str, details: &Value) -> u64 {
    let told = details.as_array().into_iter().flatten();
    let told = told.filter(|detail| detail["modality"] == modality);
    told.filter_map(|detail| detail["tokenCount"].as_u64())
        .fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn thoughts_are_output_and_what_tools_say_is_input() {
        let usage = json!({
            "promptTokenCount": 9, "candidatesTokenCount": 10, "thoughtsTokenCount": 38,
            "toolUsePromptTokenCount": 5, "cachedContentTokenCount": 4, "totalTokenCount": 62,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 2}, {"modality": "AUDIO", "tokenCount": 7}],
            "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 8}],
        });
        let expected = Tokens {
            input: 14,
            cached: 4,
            audio_input: 7,
            image_output: 8,
            output: 48,
            reasoning: 38,
            ..Tokens::default()
        };
        assert_eq!(tokens(&usage), Some(expected));
    }

    #[test]
    fn no_count_is_no_usage() {
        assert_eq!(tokens(&json!({"trafficType": "ON_DEMAND"})), None);
        assert_eq!(tokens(&Value::Null), None);
    }
}
