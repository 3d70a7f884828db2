//! What is asked for and what is answered, whatever the dialect.

use serde_json::Value;

/// What a request for words wants.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(super) model: String,
    pub(super) streamed: bool,
    /// The name and the schema of the tool that is to be called, if one is.
    pub(super) tool: Option<(String, Value)>,
    /// The schema that the answer is to fit.
    pub(super) schema: Option<Value>,
    /// What the assistant has said already.
    pub(super) begun: Option<String>,
    /// Whether usage at the end of a stream is wanted, where that is asked for.
    pub(super) usage_asked: bool,
}

/// A call of a tool.
#[derive(Debug)]
pub(crate) struct Called {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: Value,
}

impl Called {
    /// The arguments as text, in two pieces.
    pub(super) fn fragments(&self) -> [String; 2] {
        let mut text = self.arguments.to_string();
        let rest = text.split_off(text.floor_char_boundary(text.len() / 2));
        [text, rest]
    }
}

/// What a provider says.
#[derive(Debug)]
pub(crate) struct Said<'a> {
    /// Of the provider and the call; a dialect puts something in front of it.
    pub(super) id: String,
    pub(super) model: &'a str,
    pub(super) text: &'a str,
    /// The same text, a piece for each event.
    pub(super) pieces: Vec<&'a str>,
    /// A call in the place of the text.
    pub(super) call: Option<Called>,
    pub(super) usage: (u64, u64),
    pub(super) usage_asked: bool,
    /// Whether it is told why the answer ends.
    pub(super) finish: bool,
    /// Whether the last event is sent, which tells nothing.
    pub(super) done: bool,
}

impl Said<'_> {
    /// Why the answer ends: one word for a text, another for a call.
    pub(super) fn reason(&self, text: &'static str, call: &'static str) -> Value {
        match (self.finish, &self.call) {
            (false, _) => Value::Null,
            (true, None) => text.into(),
            (true, Some(_)) => call.into(),
        }
    }

    pub(super) fn total(&self) -> u64 {
        self.usage.0.saturating_add(self.usage.1)
    }
}

/// What is asked in messages that are OpenAI's, or nearly: those of chats.
pub(super) fn read_messages(body: &Value) -> Asked {
    let messages = body["messages"].as_array();
    let last = messages.and_then(|messages| messages.last());
    let role = last.and_then(|last| last["role"].as_str());
    let tool = first_function(&body["tools"], "parameters", |tool| &tool["function"]);
    Asked {
        model: text_of(&body["model"]),
        streamed: body["stream"] == true,
        tool: tool.filter(|_| role == Some("user") && !is_none(&body["tool_choice"])),
        schema: None,
        begun: last
            .filter(|_| role == Some("assistant"))
            .map(|last| texts(&last["content"])),
        usage_asked: body["stream_options"]["include_usage"] == true,
    }
}

/// The name and the schema of the first function in a list of tools.
pub(super) fn first_function(
    tools: &Value,
    schema: &str,
    function: impl Fn(&Value) -> &Value,
) -> Option<(String, Value)> {
    let mut tools = tools.as_array()?.iter().map(function);
    tools.find_map(|tool| Some((tool["name"].as_str()?.to_owned(), tool[schema].clone())))
}

/// Whether a choice of tools is that of none.
pub(super) fn is_none(choice: &Value) -> bool {
    let mode = choice.as_str().or(choice["type"].as_str());
    mode.is_some_and(|mode| mode.eq_ignore_ascii_case("none"))
}

/// A content as text: it is one, or a list of parts that have one.
pub(super) fn texts(content: &Value) -> String {
    if let Some(text) = content.as_str() {
        return text.to_owned();
    }
    let parts = content.as_array().into_iter().flatten();
    parts.filter_map(|part| part["text"].as_str()).collect()
}

/// A member that is a text, or empty.
pub(super) fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Whether a list has something with that member.
pub(super) fn any_has(list: &Value, member: &str) -> bool {
    let mut list = list.as_array().into_iter().flatten();
    list.any(|it| it.get(member).is_some())
}
