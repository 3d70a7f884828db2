//! A made-up answer as events.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;
use serde_json::{Value, json};
use ziggurat_core::{Error, Item, Usage};

use crate::answer::{Frame, Kind, usage_json};

/// The events of an answer, one choice after the other, made as they are read: an event for the
/// role, one for each word, one for the finish reason, then the usage if that is wanted.
#[derive(Debug)]
pub(crate) struct Events {
    frame: Frame,
    text: Arc<str>,
    choices: u64,
    usage: Usage,
    wants_usage: bool,
    choice: u64,
    next: Step,
}

#[derive(Debug)]
enum Step {
    Role,
    /// The word that begins at this byte.
    Word(usize),
    Finish,
    Usage,
    Done,
    End,
}

impl Events {
    pub(crate) fn new(
        frame: Frame,
        text: Arc<str>,
        choices: u64,
        usage: Usage,
        wants_usage: bool,
    ) -> Self {
        Self {
            frame,
            text,
            choices,
            usage,
            wants_usage,
            choice: 0,
            next: Step::Role,
        }
    }

    /// An event with a piece of a choice.
    fn piece(&self, delta: &Value, finish: Option<&str>) -> Value {
        let name = match self.frame.kind {
            Kind::Chat => "delta",
            Kind::Text => "text",
        };
        let index = self.choice;
        self.event(&json!([{
            "index": index, name: delta, "logprobs": null, "finish_reason": finish
        }]))
    }

    fn event(&self, choices: &Value) -> Value {
        let object = match self.frame.kind {
            Kind::Chat => "chat.completion.chunk",
            Kind::Text => "text_completion",
        };
        let mut event = self.frame.object(object, choices);
        if self.wants_usage {
            event["usage"] = Value::Null;
        }
        event
    }

    /// The word that begins at a byte, with the blank after it.
    fn word(&self, at: usize) -> Option<&str> {
        self.text[at..].split_inclusive(char::is_whitespace).next()
    }
}

impl Iterator for Events {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        let is_chat = self.frame.kind == Kind::Chat;
        loop {
            let (event, next) = match self.next {
                Step::Role => {
                    let role = json!({"role": "assistant", "content": ""});
                    (is_chat.then(|| self.piece(&role, None)), Step::Word(0))
                }
                Step::Word(at) => match self.word(at) {
                    Some(word) => {
                        let delta = if is_chat {
                            json!({"content": word})
                        } else {
                            json!(word)
                        };
                        (Some(self.piece(&delta, None)), Step::Word(at + word.len()))
                    }
                    None => (None, Step::Finish),
                },
                Step::Finish => {
                    let delta = if is_chat { json!({}) } else { json!("") };
                    let event = self.piece(&delta, Some("stop"));
                    self.choice += 1;
                    let is_last = self.choice == self.choices;
                    (Some(event), if is_last { Step::Usage } else { Step::Role })
                }
                Step::Usage => {
                    let event = self.wants_usage.then(|| {
                        let mut event = self.event(&json!([]));
                        event["usage"] = usage_json(&self.usage);
                        event
                    });
                    (event, Step::Done)
                }
                Step::Done => {
                    self.next = Step::End;
                    return Some(Item {
                        bytes: Bytes::from_static(b"data: [DONE]\n\n"),
                        events: 1,
                        usage: Some(self.usage),
                        ..Item::default()
                    });
                }
                Step::End => return None,
            };
            self.next = next;
            if let Some(event) = event {
                return Some(Item {
                    bytes: format!("data: {event}\n\n").into(),
                    events: 1,
                    usage: None,
                    ..Item::default()
                });
            }
        }
    }
}

impl Stream for Events {
    type Item = Result<Item, Error>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.next().map(Ok))
    }
}
