//! A stream of Responses, as a provider writes it, read as OpenAI's chat.

use std::sync::Arc;

use serde_json::{Value, json};
use ziggurat_core::{Deployment, Error};

use super::whole::{end, failure, list, tokens};
use crate::{
    chat::{Events, Finish},
    dialect::{
        Decoder,
        sse::{OnEvent, SseDecoder},
    },
};

/// What reads the stream of a deployment.
pub(crate) fn decoder(deployment: &Arc<Deployment>) -> Box<dyn Decoder> {
    let deployment = Arc::clone(deployment);
    Box::new(SseDecoder::new(ResponsesEvents {
        deployment,
        said: None,
        calls: Vec::new(),
        has_content: false,
        is_over: false,
    }))
}

/// How many calls of an answer are told apart.
const MAX_CALLS: usize = 1024;

#[derive(Debug)]
struct ResponsesEvents {
    deployment: Arc<Deployment>,
    /// The part that said something last.
    said: Option<(u64, u64)>,
    calls: Vec<Call>,
    /// Whether anything was told.
    has_content: bool,
    is_over: bool,
}

#[derive(Debug)]
struct Call {
    index: u64,
    number: u64,
    /// Whether arguments came.
    is_told: bool,
}

impl ResponsesEvents {
    fn content(&mut self, event: &Value, text: &str, out: &mut Events, is_refusal: bool) {
        self.has_content = true;
        let place = (count(event, "output_index"), count(event, "content_index"));
        self.said = Some(place);
        match is_refusal {
            true => out.refusal(0, text),
            false => out.text(0, text),
        }
    }

    /// Content that is said as a whole counts only if it was not said in pieces.
    fn done(&mut self, event: &Value, text: &str, out: &mut Events, is_refusal: bool) {
        let place = (count(event, "output_index"), count(event, "content_index"));
        if self.said != Some(place) {
            self.content(event, text, out, is_refusal);
        }
    }

    fn added(&mut self, event: &Value, out: &mut Events) {
        let item = &event["item"];
        match item["type"].as_str() {
            // They have content when they say something.
            None | Some("message" | "reasoning") => {}
            Some("function_call") => {
                self.has_content = true;
                if self.calls.len() < MAX_CALLS {
                    let text = |name: &str| item[name].as_str().unwrap_or_default();
                    self.calls.push(Call {
                        index: count(event, "output_index"),
                        number: out.call(0, text("call_id"), text("name")),
                        is_told: false,
                    });
                }
            }
            // A call of another kind has been made now, and must not be made again.
            Some(kind) => self.other(kind, out),
        }
    }

    fn other(&mut self, kind: &str, out: &mut Events) {
        self.has_content = true;
        out.other(0, "images", json!([{ "type": kind }]));
    }

    fn arguments(&mut self, event: &Value, text: &str, is_piece: bool, out: &mut Events) {
        let index = count(event, "output_index");
        let mut calls = self.calls.iter_mut();
        let Some(call) = calls.rfind(|call| call.index == index) else {
            return;
        };
        if is_piece || !call.is_told {
            call.is_told = true;
            out.arguments(0, call.number, text);
        }
    }

    fn over(&mut self, response: &Value, out: &mut Events) -> Result<(), Error> {
        let finish = end(response, &self.deployment)?;
        if !self.has_content {
            self.all(response, out);
        }
        self.is_over = true;
        out.finish(
            0,
            match finish {
                Finish::Stop if !self.calls.is_empty() => Finish::ToolCalls,
                finish => finish,
            },
        );
        if let Some(usage) = tokens(&response["usage"]) {
            out.usage(usage);
        }
        out.done();
        Ok(())
    }

    /// All of an answer of which no piece was told.
    fn all(&mut self, response: &Value, out: &mut Events) {
        for (index, item) in list(&response["output"]).enumerate() {
            let event = json!({"output_index": index, "item": item});
            self.added(&event, out);
            self.arguments(
                &event,
                item["arguments"].as_str().unwrap_or_default(),
                false,
                out,
            );
            for part in list(&item["content"]).chain(list(&item["summary"])) {
                let text = part["text"].as_str().unwrap_or_default();
                match item["type"] == "reasoning" {
                    true => out.reasoning(0, text),
                    false => out.text(0, text),
                }
                out.refusal(0, part["refusal"].as_str().unwrap_or_default());
            }
        }
    }
}

impl OnEvent for ResponsesEvents {
    fn event(&mut self, data: &[u8], out: &mut Events) -> Result<(), Error> {
        let Ok(event) = serde_json::from_slice::<Value>(data) else {
            out.skip();
            return Ok(());
        };
        let kind = event["type"].as_str().unwrap_or_default();
        let text = |name: &str| event[name].as_str().unwrap_or_default();
        if self.is_over {
            return Ok(());
        }
        match kind {
            "response.created" | "response.queued" | "response.in_progress" => {
                let head = &event["response"];
                out.set_id(head["id"].as_str().unwrap_or_default());
                out.set_model(head["model"].as_str().unwrap_or_default());
            }
            "response.output_text.delta" => self.content(&event, text("delta"), out, false),
            "response.output_text.done" => self.done(&event, text("text"), out, false),
            "response.refusal.delta" => self.content(&event, text("delta"), out, true),
            "response.refusal.done" => self.done(&event, text("refusal"), out, true),
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                out.reasoning(0, text("delta"));
            }
            "response.output_item.added" => self.added(&event, out),
            "response.function_call_arguments.delta" => {
                self.arguments(&event, text("delta"), true, out);
            }
            "response.function_call_arguments.done" => {
                self.arguments(&event, text("arguments"), false, out);
            }
            "response.completed"
            | "response.incomplete"
            | "response.failed"
            | "response.cancelled" => {
                self.over(&event["response"], out)?;
            }
            // Both forms are about: with the members in an object of their own, and without it.
            "error" => {
                let inner = event.get("error").filter(|error| error.is_object());
                let mut error = inner.unwrap_or(&event).clone();
                if error["type"] == "error" {
                    error["type"] = Value::Null;
                }
                return Err(failure(&error, &self.deployment));
            }
            _ if event["error"].is_object() => {
                return Err(failure(&event["error"], &self.deployment));
            }
            _ => {}
        }
        Ok(())
    }
}

fn count(event: &Value, name: &str) -> u64 {
    event[name].as_u64().unwrap_or_default()
}
