//! Streamed answers: each event is an answer with the new parts only.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;
use ziggurat_core::{Deployment, Error};

use super::{answer, candidate::Candidate, usage};
use crate::{
    chat::{Choice, Events, Finish, Tokens},
    dialect::{Call, openai, sse::OnEvent},
};

/// What was read of a stream.
#[derive(Debug)]
pub(super) struct Stream {
    deployment: Arc<Deployment>,
    /// How many candidates were asked for.
    asked: usize,
    candidates: BTreeMap<u64, Candidate>,
    /// What it used so far: every event counts anew.
    usage: Option<Tokens>,
    told: Option<Tokens>,
}

impl Stream {
    pub(super) fn new(call: &Call<'_>) -> Self {
        Self {
            deployment: Arc::clone(call.deployment),
            asked: usize::try_from(call.request.choices()).unwrap_or(usize::MAX),
            candidates: BTreeMap::new(),
            usage: None,
            told: None,
        }
    }

    fn tell_usage(&mut self, out: &mut Events) {
        if let Some(usage) = self.usage.filter(|_| self.told != self.usage) {
            out.usage(usage);
            self.told = self.usage;
        }
    }
}

impl OnEvent for Stream {
    fn event(&mut self, data: &[u8], out: &mut Events) -> Result<(), Error> {
        let Ok(mut event) = serde_json::from_slice::<Value>(data) else {
            out.skip();
            return Ok(());
        };
        if answer::is_error(&event) || event.is_array() {
            return Err(openai::in_band(data, &self.deployment));
        }
        out.set_id(event["responseId"].as_str().unwrap_or_default());
        out.set_model(event["modelVersion"].as_str().unwrap_or_default());
        self.usage = usage::tokens(&event["usageMetadata"]).or(self.usage);
        let blocked = answer::block(&event);
        for (index, mut said) in answer::candidates_of(&mut event) {
            let candidate = self.candidates.entry(index).or_default();
            tell(index, candidate.read(&mut said), out);
        }
        if let Some(words) = blocked.filter(|_| self.candidates.is_empty()) {
            // There is one choice, and it ends here.
            let mut ended = serde_json::json!({"finishReason": "SAFETY"});
            self.candidates.entry(0).or_default().read(&mut ended);
            out.refusal(0, &words);
            out.finish(0, Finish::ContentFilter);
            self.asked = 1;
        }
        let are_finished = self.candidates.values().all(Candidate::is_finished);
        if self.candidates.len() >= self.asked && are_finished {
            // Whatever breaks now, the answer is whole.
            self.tell_usage(out);
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Events) -> Result<(), Error> {
        if !self.candidates.is_empty() {
            self.tell_usage(out);
        }
        out.done();
        Ok(())
    }
}

fn tell(index: u64, choice: Choice, out: &mut Events) {
    out.reasoning(index, &choice.reasoning);
    out.text(index, &choice.content);
    if !choice.images.is_empty() {
        out.other(index, "images", choice.images.into());
    }
    if let Some(audio) = choice.audio {
        out.other(index, "audio", audio);
    }
    for call in choice.tool_calls {
        let number = out.call_with(index, &call.id, &call.name, call.extra);
        out.arguments(index, number, &call.arguments);
    }
    if !choice.annotations.is_empty() {
        out.other(index, "annotations", choice.annotations.into());
    }
    if let Some(extra) = choice.extra {
        out.other(index, "provider_specific_fields", extra);
    }
    if let Some(logprobs) = choice.logprobs {
        out.logprobs(index, logprobs);
    }
    if choice.finish != Finish::Unknown {
        out.finish(index, choice.finish);
    }
}
