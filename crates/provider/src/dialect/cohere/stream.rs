//! The stream of an answer.

use std::sync::Arc;

use serde_json::Value;
use ziggurat_core::{Deployment, Error};

use super::{annotations, arguments, finish, logprobs, usage};
use crate::{
    chat::Events,
    dialect::{openai, sse::OnEvent},
};

/// How long the beginning of arguments may be before it is clear that they are not `null`.
const MAX_HELD: usize = 64;

/// What has been read of an answer.
#[derive(Debug)]
pub(super) struct Stream {
    deployment: Arc<Deployment>,
    /// The call whose arguments come.
    call: Option<Call>,
}

#[derive(Debug)]
struct Call {
    number: u64,
    /// Whether any of its arguments were passed on.
    said: bool,
    /// What may turn out to be `null`.
    held: String,
}

impl Call {
    fn arguments(&mut self, text: &str, out: &mut Events) {
        if self.said {
            return out.arguments(0, self.number, text);
        }
        self.held.push_str(text);
        if self.held.len() > MAX_HELD || !"null".starts_with(self.held.trim()) {
            self.said = true;
            out.arguments(0, self.number, &std::mem::take(&mut self.held));
        }
    }

    fn end(self, out: &mut Events) {
        if !self.said {
            out.arguments(0, self.number, arguments(&self.held));
        }
    }
}

impl Stream {
    pub(super) fn new(deployment: &Arc<Deployment>) -> Self {
        Self {
            deployment: Arc::clone(deployment),
            call: None,
        }
    }

    fn end_call(&mut self, out: &mut Events) {
        if let Some(call) = self.call.take() {
            call.end(out);
        }
    }
}

impl OnEvent for Stream {
    fn event(&mut self, data: &[u8], out: &mut Events) -> Result<(), Error> {
        let Ok(event) = serde_json::from_slice::<Value>(data) else {
            return Ok(());
        };
        let delta = &event["delta"];
        let message = &delta["message"];
        let kind = event["type"].as_str().unwrap_or_default();
        match kind {
            "message-start" => {
                out.set_id(event["id"].as_str().unwrap_or_default());
                out.begin();
            }
            "content-start" | "content-delta" => {
                let content = &message["content"];
                out.text(0, content["text"].as_str().unwrap_or_default());
                out.reasoning(0, content["thinking"].as_str().unwrap_or_default());
                if let Some(logprobs) = logprobs(&event["logprobs"]) {
                    out.logprobs(0, logprobs);
                }
            }
            "tool-plan-delta" => {
                out.reasoning(0, message["tool_plan"].as_str().unwrap_or_default())
            }
            "tool-call-start" | "tool-call-delta" => {
                let call = &message["tool_calls"];
                let function = &call["function"];
                if kind == "tool-call-start" {
                    self.end_call(out);
                    let id = call["id"].as_str().unwrap_or_default();
                    let name = function["name"].as_str().unwrap_or_default();
                    self.call = Some(Call {
                        number: out.call(0, id, name),
                        said: false,
                        held: String::new(),
                    });
                }
                let text = function["arguments"].as_str().unwrap_or_default();
                if let Some(call) = &mut self.call {
                    call.arguments(text, out);
                }
            }
            "tool-call-end" => self.end_call(out),
            "citation-start" => {
                let citations = &message["citations"];
                let list = citations
                    .as_array()
                    .map_or(std::slice::from_ref(citations), |list| list);
                let annotations: Vec<_> = list.iter().flat_map(annotations).collect();
                if !annotations.is_empty() {
                    out.other(0, "annotations", annotations.into());
                }
            }
            "message-end" => {
                self.end_call(out);
                if delta["error"].is_string() {
                    return Err(openai::in_band(
                        delta.to_string().as_bytes(),
                        &self.deployment,
                    ));
                }
                out.finish(0, finish(&delta["finish_reason"]));
                if let Some(usage) = usage(&delta["usage"]) {
                    out.usage(usage);
                }
                out.done();
            }
            // An error has no type of the above, but words.
            _ if event["message"].is_string() || event["error"].is_string() => {
                return Err(openai::in_band(data, &self.deployment));
            }
            _ => {}
        }
        Ok(())
    }
}
