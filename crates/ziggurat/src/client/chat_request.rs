//! Builds a chat request.

use std::fmt;

use serde::{Serialize, Serializer, ser::Error as _};
use serde_json::{Map, Value, json};

/// A chat request in OpenAI's shape.
///
/// It has methods for what most requests say; everything else is a [`field`](Self::field).
///
/// ```
/// use serde_json::json;
/// use ziggurat::ChatRequest;
///
/// let request = ChatRequest::new("gpt")
///     .system("Be brief.")
///     .user("What is the weather in Ur?")
///     .temperature(0.2)
///     .max_tokens(100)
///     .tool("weather", "Tells the weather of a town.", json!({
///         "type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"],
///     }))
///     .field("num_retries", 1);
/// assert_eq!(json!(request)["messages"][1]["content"], "What is the weather in Ur?");
/// ```
#[derive(Clone)]
pub struct ChatRequest {
    messages: Vec<Value>,
    tools: Vec<Value>,
    fields: Map<String, Value>,
    /// What could not be serialised.
    wrong: Option<String>,
}

impl ChatRequest {
    /// A request to that model group, without messages.
    #[must_use]
    pub fn new(model: &str) -> Self {
        Self {
            messages: Vec::new(),
            tools: Vec::new(),
            fields: Map::from_iter([("model".to_owned(), model.into())]),
            wrong: None,
        }
    }

    /// Adds what the model is told beforehand.
    #[must_use]
    pub fn system(self, text: &str) -> Self {
        self.says("system", text)
    }

    /// Adds a message of the user.
    #[must_use]
    pub fn user(self, text: &str) -> Self {
        self.says("user", text)
    }

    /// Adds a message of the model's.
    #[must_use]
    pub fn assistant(self, text: &str) -> Self {
        self.says("assistant", text)
    }

    /// Adds what a tool gave back, by the id of its call.
    #[must_use]
    pub fn tool_result(mut self, id: &str, result: &str) -> Self {
        self.messages
            .push(json!({"role": "tool", "tool_call_id": id, "content": result}));
        self
    }

    /// Adds any message, in OpenAI's shape: the model's own as it came, or one with images.
    #[must_use]
    pub fn message(mut self, message: impl Serialize) -> Self {
        let place = format!("messages[{}]", self.messages.len());
        if let Some(message) = self.value(&place, &message) {
            self.messages.push(message);
        }
        self
    }

    /// Offers a function that the model may call; `parameters` is a JSON schema.
    #[must_use]
    pub fn tool(mut self, name: &str, description: &str, parameters: impl Serialize) -> Self {
        let place = format!("tools[{}].function.parameters", self.tools.len());
        if let Some(parameters) = self.value(&place, &parameters) {
            self.tools.push(json!({
                "type": "function",
                "function": {"name": name, "description": description, "parameters": parameters},
            }));
        }
        self
    }

    /// Asks for JSON of that schema.
    #[must_use]
    pub fn json_schema(self, name: &str, schema: impl Serialize) -> Self {
        #[derive(Serialize)]
        struct Format<'a, T> {
            r#type: &'static str,
            json_schema: Named<'a, T>,
        }
        #[derive(Serialize)]
        struct Named<'a, T> {
            name: &'a str,
            strict: bool,
            schema: T,
        }
        let format = Format {
            r#type: "json_schema",
            json_schema: Named {
                name,
                strict: true,
                schema,
            },
        };
        self.field("response_format", format)
    }

    /// How much chance there is in the answer.
    #[must_use]
    pub fn temperature(self, temperature: f64) -> Self {
        self.field("temperature", temperature)
    }

    /// How long the answer may be.
    #[must_use]
    pub fn max_tokens(self, tokens: u64) -> Self {
        self.field("max_tokens", tokens)
    }

    /// How much the model may think: `low`, `medium`, `high`, …
    #[must_use]
    pub fn reasoning_effort(self, effort: &str) -> Self {
        self.field("reasoning_effort", effort)
    }

    /// Sets any field of the body, of the provider's or of the router's. It replaces what was said
    /// of it before.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl Serialize) -> Self {
        if let Some(value) = self.value(name, &value) {
            self.fields.insert(name.to_owned(), value);
        }
        self
    }

    fn says(mut self, role: &str, text: &str) -> Self {
        self.messages.push(json!({"role": role, "content": text}));
        self
    }

    /// By way of its text, in which numbers stay as short as they are.
    fn value(&mut self, place: &str, value: &impl Serialize) -> Option<Value> {
        let text = serde_json::to_string(value);
        match text.and_then(|text| serde_json::from_str(&text)) {
            Ok(value) => Some(value),
            Err(error) => {
                self.wrong
                    .get_or_insert_with(|| format!("`{place}`: {error}"));
                None
            }
        }
    }
}

impl Serialize for ChatRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(wrong) = &self.wrong {
            return Err(S::Error::custom(wrong));
        }
        let lists = [("messages", &self.messages), ("tools", &self.tools)];
        let lists = lists.into_iter().filter(|(name, list)| {
            let is_said = *name == "messages" || !list.is_empty();
            is_said && !self.fields.contains_key(*name)
        });
        let lists: Vec<_> = lists.collect();
        let fields = self
            .fields
            .iter()
            .map(|(name, value)| (name.as_str(), Member::One(value)));
        let lists = lists
            .into_iter()
            .map(|(name, list)| (name, Member::List(list)));
        serializer.collect_map(fields.chain(lists))
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Member<'a> {
    One(&'a Value),
    List(&'a [Value]),
}

impl fmt::Debug for ChatRequest {
    /// Shows what is asked for, not what is said.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatRequest")
            .field("model", &self.fields.get("model"))
            .field("messages", &self.messages.len())
            .field("tools", &self.tools.len())
            .finish_non_exhaustive()
    }
}
