//! Requests as clients write them.

use std::{io::Write as _, sync::Arc};

use ziggurat::{Error, LlmRequest, Operation};

use crate::workload::Ask;

/// The longest prompt that is written out, in bytes; a longer one is as good as this.
const MAX_TEXT: usize = 1 << 20;

/// How much of a conversation is one message, in bytes.
const TURN: usize = 1_024;

const FILLER: &str = "the quick brown fox jumps over the lazy dog and runs away again ";

/// Writes requests: their prompts have four bytes for each token, which is what the router reckons.
#[derive(Debug, Default)]
pub(crate) struct Bodies {
    filler: String,
}

impl Bodies {
    /// The request that asks for this; `number` makes its prompt differ from all others, up to the
    /// turns of a session, which begin alike.
    pub(crate) fn request(&mut self, ask: &Ask, number: u64) -> Result<LlmRequest, Error> {
        let body = self.write(ask, number);
        let mut request = LlmRequest::from_bytes(Operation::ChatCompletions, body)?;
        request.extensions_mut().insert(ask.demand);
        if let Some(caller) = &ask.caller {
            request = request.with_caller(Arc::clone(caller));
        }
        Ok(request)
    }

    fn write(&mut self, ask: &Ask, number: u64) -> Vec<u8> {
        let text = usize::try_from(ask.demand.input.saturating_mul(4)).unwrap_or(MAX_TEXT);
        let text = text.min(MAX_TEXT);
        while self.filler.len() < text {
            self.filler.push_str(FILLER);
        }
        let mut out = Vec::with_capacity(text + 320);
        let mut put = |text: &str| out.extend_from_slice(text.as_bytes());
        put(r#"{"model":"#);
        put(&quoted(&*ask.model));
        put(r#","messages":["#);
        let mut head = match ask.demand.session {
            Some(session) => format!("session {session}: "),
            None => format!("request {number}: "),
        };
        let mut rest = &self.filler[..text.saturating_sub(head.len())];
        // A conversation grows by whole messages, so that its turns begin alike.
        while ask.demand.session.is_some() && rest.len() > TURN {
            let (turn, after) = rest.split_at(TURN);
            put(r#"{"role":"user","content":""#);
            put(&head);
            put(turn);
            put(r#""},"#);
            head.clear();
            rest = after;
        }
        put(r#"{"role":"user","content":"#);
        if ask.images {
            put(
                r#"[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},{"type":"text","text":"#,
            );
        }
        put("\"");
        put(&head);
        put(rest);
        put(if ask.images { "\"}]}]" } else { "\"}]" });
        if ask.stream {
            put(r#","stream":true"#);
        }
        if ask.tools {
            put(
                r#","tools":[{"type":"function","function":{"name":"look_up","parameters":{"type":"object"}}}]"#,
            );
        }
        if let Some(user) = &ask.user {
            put(r#","user":"#);
            put(&quoted(&**user));
        }
        if let Some(tokens) = ask.max_tokens {
            put(&format!(r#","max_tokens":{tokens}"#));
        }
        if let Some(priority) = ask.priority {
            put(&format!(r#","priority":{priority}"#));
        }
        if ask.demand.session.is_some() || !ask.tags.is_empty() {
            put(&format!(r#","metadata":{{"tags":{}"#, quoted(&*ask.tags)));
            if let Some(session) = ask.demand.session {
                put(&format!(r#","session_id":"session-{session}""#));
            }
            put("}");
        }
        let _ = out.write_all(b"}");
        out
    }
}

fn quoted(value: &(impl serde::Serialize + ?Sized)) -> String {
    serde_json::to_string(value).expect("strings always serialise")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Demand;

    fn ask() -> Ask {
        Ask {
            class: None,
            caller: None,
            model: "a \"model\"".into(),
            stream: true,
            demand: Demand {
                input: 1_000,
                output: 7,
                session: Some(3),
            },
            max_tokens: Some(50),
            user: Some("user-1".into()),
            tags: ["a".into(), "b\\".into()].into(),
            priority: Some(-2),
            tools: true,
            images: true,
            patience: None,
        }
    }

    #[test]
    fn the_router_reads_what_was_meant() {
        let request = Bodies::default().request(&ask(), 0).expect("is valid");
        assert_eq!(request.model(), "a \"model\"");
        assert!(request.is_stream() && request.uses_tools() && request.has_images());
        assert_eq!(request.max_output_tokens(), Some(50));
        assert_eq!(
            (request.user(), request.session()),
            (Some("user-1"), Some("session-3"))
        );
        assert_eq!(
            request.tags().iter().map(|tag| &**tag).collect::<Vec<_>>(),
            ["a", "b\\"]
        );
        assert_eq!(request.controls().priority, Some(-2));
        assert_eq!(request.extensions().get(), Some(&ask().demand));
        let tokens = request.estimated_input_tokens();
        // The tools that are offered come on top.
        assert!((1_000..1_040).contains(&tokens), "{tokens}");
    }

    #[test]
    fn a_request_without_anything_special_is_plain() {
        let mut plain = ask();
        plain.demand.session = None;
        plain.demand.input = 1;
        (plain.tags, plain.user, plain.max_tokens, plain.priority) = ([].into(), None, None, None);
        (plain.tools, plain.images, plain.stream) = (false, false, false);
        let body = Bodies::default().write(&plain, 5);
        assert_eq!(
            String::from_utf8(body).expect("is text"),
            r#"{"model":"a \"model\"","messages":[{"role":"user","content":"request 5: "}]}"#
        );
    }
}
