//! Where an answer has it from, as annotations of OpenAI's.

use serde_json::{Value, json};

/// The sources that an answer names. `place` is where a character is that is so many bytes into the
/// text, if that is known.
pub(super) fn annotations(
    grounding: &Value,
    citations: &Value,
    place: impl Fn(u64) -> Option<u64>,
) -> Vec<Value> {
    let citation = |segment: &Value, url: &Value, title: &Value| {
        let url = url.as_str()?;
        let mut citation = json!({"url": url, "title": title.as_str().unwrap_or_default()});
        let at = |name: &str| place(segment[name].as_u64().unwrap_or_default());
        if let (Some(start), Some(end)) = (at("startIndex"), at("endIndex")) {
            citation["start_index"] = start.into();
            citation["end_index"] = end.into();
        }
        Some(json!({"type": "url_citation", "url_citation": citation}))
    };
    let mut out = Vec::new();
    for support in list(&grounding["groundingSupports"]) {
        for index in list(&support["groundingChunkIndices"]) {
            let index = index.as_u64().and_then(|index| usize::try_from(index).ok());
            let chunk = index.and_then(|index| grounding["groundingChunks"].get(index));
            let source = chunk.and_then(|chunk| chunk.as_object()?.values().next());
            if let Some(source) = source {
                out.extend(citation(
                    &support["segment"],
                    &source["uri"],
                    &source["title"],
                ));
            }
        }
    }
    // The two hosts have two names for it.
    for name in ["citationSources", "citations"] {
        for source in list(&citations[name]) {
            out.extend(citation(source, &source["uri"], &source["title"]));
        }
    }
    out
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_support_names_its_sources_and_its_place() {
        let grounding = json!({
            "groundingChunks": [
                {"web": {"uri": "https://a", "title": "A"}},
                {"retrievedContext": {"uri": "gs://b"}},
            ],
            "groundingSupports": [
                {"segment": {"startIndex": 4, "endIndex": 9}, "groundingChunkIndices": [0, 1, 7]},
                {"segment": {"endIndex": 4}, "groundingChunkIndices": [0]},
                {"segment": "odd", "groundingChunkIndices": "odd"},
            ],
        });
        let citations =
            json!({"citations": [{"startIndex": 1, "endIndex": 2, "uri": "https://c"}]});
        let found = annotations(&grounding, &citations, |byte| Some(byte / 2));
        let told: Vec<_> = found
            .iter()
            .map(|found| {
                let citation = &found["url_citation"];
                (
                    citation["url"].as_str(),
                    citation["start_index"].as_u64(),
                    citation["end_index"].as_u64(),
                )
            })
            .collect();
        let at = |url, start, end| (Some(url), Some(start), Some(end));
        let expected = [
            at("https://a", 2, 4),
            at("gs://b", 2, 4),
            at("https://a", 0, 2),
            at("https://c", 0, 1),
        ];
        assert_eq!(told, expected);
        let nowhere = annotations(&grounding, &Value::Null, |_| None);
        assert!(nowhere[0]["url_citation"].get("start_index").is_none());
    }
}
