//! Tools as Responses write them.
//!
//! A custom tool takes any text. Chat has functions only, so it becomes one with a single argument,
//! [`INPUT`], and its calls become calls of a custom tool again.

use serde_json::{Map, Value, json};
use ziggurat_core::Error;

use super::request::unsupported;
use crate::chat::{Fields, unsupported::Fit, wrong};

/// The argument that holds what a custom tool is given.
pub(super) const INPUT: &str = "input";

/// What is said of tools, as chat says it.
#[derive(Debug, Default)]
pub(super) struct Tools {
    pub(super) functions: Vec<Value>,
    pub(super) choice: Option<Value>,
    pub(super) web_search: Option<Value>,
}

impl Tools {
    pub(super) fn read(tools: Vec<Value>, choice: Option<Value>, fit: Fit) -> Result<Self, Error> {
        let mut read = Self::default();
        for (index, tool) in tools.into_iter().enumerate() {
            read.tool(tool, &format!("tools[{index}]"), fit)?;
        }
        if let Some(choice) = choice {
            read.choose(choice, fit)?;
        }
        Ok(read)
    }

    fn tool(&mut self, tool: Value, at: &str, fit: Fit) -> Result<(), Error> {
        let mut tool = Fields::of(Some(tool), at)?;
        let kind = tool.text("type")?;
        match kind.as_deref() {
            // As chat writes it; some clients do.
            Some("function") | None => match tool.take("function") {
                Some(function) => self.function(Fields::of(Some(function), at)?, at),
                None => self.function(tool, at),
            },
            Some("custom") => self.custom(tool, at),
            Some(kind) if kind.starts_with("web_search") => self.web_search(tool, at, fit),
            Some(kind) => fit.without(|| unsupported(at, &format!("a tool of type `{kind}`"))),
        }
    }

    fn function(&mut self, mut tool: Fields, at: &str) -> Result<(), Error> {
        let mut function = Map::new();
        function.insert("name".to_owned(), name(&mut tool, at)?.into());
        for name in ["description", "parameters", "strict"] {
            if let Some(value) = tool.take(name) {
                function.insert(name.to_owned(), value);
            }
        }
        let mut written = json!({"type": "function", "function": function});
        if let Some(cache) = tool.take("cache_control") {
            written["cache_control"] = cache;
        }
        self.functions.push(written);
        Ok(())
    }

    fn custom(&mut self, mut tool: Fields, at: &str) -> Result<(), Error> {
        let mut format = Fields::of(tool.take("format"), &format!("{at}.format"))?;
        let rule = match format.text("definition")? {
            None => "Any text.".to_owned(),
            Some(grammar) => {
                let syntax = format.text("syntax")?.unwrap_or_else(|| "lark".to_owned());
                format!("A text that follows this {syntax} grammar:\n{grammar}")
            }
        };
        let mut function = json!({
            "name": name(&mut tool, at)?,
            "parameters": {
                "type": "object",
                "properties": {INPUT: {"type": "string", "description": rule}},
                "required": [INPUT],
                "additionalProperties": false,
            },
        });
        if let Some(description) = tool.take("description") {
            function["description"] = description;
        }
        self.functions
            .push(json!({"type": "function", "function": function}));
        Ok(())
    }

    fn web_search(&mut self, mut tool: Fields, at: &str, fit: Fit) -> Result<(), Error> {
        for name in ["filters", "external_web_access"] {
            let asks = tool.take(name).is_some_and(|value| value != true);
            if asks {
                fit.without(|| unsupported(&format!("{at}.{name}"), "this"))?;
            }
        }
        let mut options = Map::new();
        if let Some(size) = tool.take("search_context_size") {
            options.insert("search_context_size".to_owned(), size);
        }
        if let Some(Value::Object(mut place)) = tool.take("user_location") {
            place.remove("type");
            place.retain(|_, value| !value.is_null());
            let place = json!({"type": "approximate", "approximate": place});
            options.insert("user_location".to_owned(), place);
        }
        self.web_search = Some(options.into());
        Ok(())
    }

    fn choose(&mut self, choice: Value, fit: Fit) -> Result<(), Error> {
        const AT: &str = "tool_choice";
        if choice.is_string() {
            self.choice = Some(choice);
            return Ok(());
        }
        let mut choice = Fields::of(Some(choice), AT)?;
        match choice.text("type")?.as_deref() {
            Some("function" | "custom") => {
                let mut named = match choice.take("function") {
                    Some(function) => Fields::of(Some(function), AT)?,
                    None => choice,
                };
                let name = name(&mut named, AT)?;
                self.choice = Some(json!({"type": "function", "function": {"name": name}}));
            }
            // The others need not be offered, then.
            Some("allowed_tools") => {
                let allowed = choice.list("tools")?;
                let allowed: Vec<_> = allowed
                    .iter()
                    .filter_map(|it| it["name"].as_str())
                    .collect();
                self.functions.retain(|tool| {
                    let name = tool["function"]["name"].as_str();
                    name.is_some_and(|name| allowed.contains(&name))
                });
                self.choice = choice.take("mode");
            }
            Some(kind) => fit.without(|| unsupported(AT, &format!("the type `{kind}`")))?,
            None => return Err(wrong(AT, "a string, or an object with a type")),
        }
        Ok(())
    }
}

fn name(tool: &mut Fields, at: &str) -> Result<String, Error> {
    let name = tool.text("name")?;
    name.ok_or_else(|| wrong(&format!("{at}.name"), "a string"))
}

/// The arguments of a call that gives a custom tool this input.
pub(super) fn arguments(input: &str) -> String {
    json!({ INPUT: input }).to_string()
}

/// What a call with these arguments gives a custom tool.
pub(super) fn input(arguments: &str) -> String {
    let read = serde_json::from_str::<Value>(arguments);
    match read.as_ref().map(|arguments| &arguments[INPUT]) {
        Ok(Value::String(input)) => input.clone(),
        _ => arguments.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tools: Value, choice: Value) -> Result<Tools, Error> {
        let Value::Array(tools) = tools else {
            panic!("a list")
        };
        let choice = Some(choice).filter(|choice| !choice.is_null());
        Tools::read(tools, choice, Fit::default())
    }

    #[test]
    fn functions_become_those_of_chat() {
        let tools = read(
            json!([
                {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": true, "description": null},
                {"type": "function", "function": {"name": "g"}},
            ]),
            json!({"type": "function", "name": "f"}),
        )
        .expect("is valid");
        assert_eq!(
            tools.functions,
            [
                json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": true}}),
                json!({"type": "function", "function": {"name": "g"}}),
            ]
        );
        let chosen = json!({"type": "function", "function": {"name": "f"}});
        assert_eq!(tools.choice, Some(chosen));
    }

    #[test]
    fn a_custom_tool_is_a_function_that_takes_a_text() {
        let grammar = json!({"type": "grammar", "syntax": "regex", "definition": "a+"});
        let tools = read(
            json!([{"type": "custom", "name": "sh", "description": "runs it", "format": grammar}]),
            json!({"type": "custom", "name": "sh"}),
        )
        .expect("is valid");
        let function = &tools.functions[0]["function"];
        assert_eq!(function["description"], "runs it");
        let rule = &function["parameters"]["properties"]["input"]["description"];
        assert!(
            rule.as_str()
                .expect("is text")
                .contains("regex grammar:\na+")
        );
        for text in ["ls \"x\"\n", ""] {
            assert_eq!(input(&arguments(text)), text);
        }
        assert_eq!(input("not JSON"), "not JSON");
    }

    #[test]
    fn a_search_is_an_option_of_chat() {
        let place = json!({"type": "approximate", "city": "Berlin", "region": null});
        let tools = read(
            json!([{"type": "web_search_preview", "search_context_size": "low", "user_location": place}]),
            Value::Null,
        )
        .expect("is valid");
        assert_eq!(
            tools.web_search,
            Some(json!({
                "search_context_size": "low",
                "user_location": {"type": "approximate", "approximate": {"city": "Berlin"}},
            }))
        );
        assert!(tools.functions.is_empty());
    }

    #[test]
    fn only_allowed_tools_are_offered() {
        let offered = json!([{"type": "function", "name": "f"}, {"type": "function", "name": "g"}]);
        let allowed = json!([{"type": "function", "name": "g"}]);
        let choice = json!({"type": "allowed_tools", "mode": "required", "tools": allowed});
        let tools = read(offered, choice).expect("is valid");
        assert_eq!(tools.functions.len(), 1);
        assert_eq!(tools.functions[0]["function"]["name"], "g");
        assert_eq!(tools.choice, Some(json!("required")));
    }

    #[test]
    fn tools_of_the_provider_are_refused_by_name() {
        for (tool, choice, at) in [
            (json!({"type": "file_search"}), Value::Null, "tools[0]"),
            (
                json!({"type": "mcp", "server_url": "x"}),
                Value::Null,
                "tools[0]",
            ),
            (
                json!({"type": "web_search", "filters": {"allowed_domains": ["x"]}}),
                Value::Null,
                "tools[0].filters",
            ),
            (json!({"type": "function"}), Value::Null, "tools[0].name"),
            (
                json!({"type": "web_search"}),
                json!({"type": "web_search"}),
                "tool_choice",
            ),
        ] {
            let error = read(json!([tool]), choice).expect_err("is refused");
            assert_eq!(error.param(), Some(at), "{error}");
        }
    }
}
