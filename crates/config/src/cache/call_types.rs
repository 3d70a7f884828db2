//! What is looked up, by the names that LiteLLM has for it, or by ours.

use std::sync::Arc;

use ziggurat_core::Operation;

use crate::{
    keys,
    problem::Report,
    read::{self, Found, Section, first},
    source::Facts,
};

/// What is looked up, if nobody says it: not images and judgements, of which LiteLLM keeps none
/// either.
const USUAL: [Operation; 7] = [
    Operation::ChatCompletions,
    Operation::Completions,
    Operation::Embeddings,
    Operation::GenerateContent,
    Operation::Messages,
    Operation::Rerank,
    Operation::Responses,
];

const NAMES: &[(&str, Operation)] = &[
    ("acompletion", Operation::ChatCompletions),
    ("aembedding", Operation::Embeddings),
    ("anthropic_messages", Operation::Messages),
    ("arerank", Operation::Rerank),
    ("aresponses", Operation::Responses),
    ("atext_completion", Operation::Completions),
    ("chat_completions", Operation::ChatCompletions),
    ("completion", Operation::ChatCompletions),
    ("completions", Operation::Completions),
    ("embedding", Operation::Embeddings),
    ("embeddings", Operation::Embeddings),
    ("generate_content", Operation::GenerateContent),
    ("image_generation", Operation::ImageGeneration),
    ("messages", Operation::Messages),
    ("moderation", Operation::Moderation),
    ("rerank", Operation::Rerank),
    ("responses", Operation::Responses),
    ("text_completion", Operation::Completions),
];

/// What LiteLLM keeps and we do not: the request is a form.
const FORMS: [&str; 3] = ["atranscription", "transcription", "translation"];

/// Reads `supported_call_types`.
pub(super) fn read(
    params: &[Section<'_>; 2],
    facts: &mut Facts,
    report: &mut Report,
) -> Vec<Operation> {
    let key = "supported_call_types";
    let found = params.map(|section| section.texts(key, report));
    let Some(found) = first(found, report) else {
        return USUAL.to_vec();
    };
    let operations = operations(&found, report);
    facts.take("cache.supported_call_types", Some(found));
    operations
}

fn operations(found: &Found<Vec<Arc<str>>>, report: &mut Report) -> Vec<Operation> {
    let mut operations = Vec::new();
    for name in &found.value {
        let told = read::name(name);
        if let Some((_, operation)) = NAMES.iter().find(|(known, _)| **known == **name) {
            if !operations.contains(operation) {
                operations.push(*operation);
            }
        } else if FORMS.contains(&&**name) {
            let message = format!("supported_call_types: answers to {told} are never kept");
            report.warning(found.at, message);
        } else {
            let near = keys::near(name, NAMES.iter().map(|(known, _)| *known));
            let message = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    let all: Vec<_> = NAMES.iter().map(|(known, _)| *known).collect();
                    format!("use some of {}", all.join(", "))
                }
            };
            report.error(
                found.at,
                format!("supported_call_types: unknown {told}; {message}"),
            );
        }
    }
    operations
}
