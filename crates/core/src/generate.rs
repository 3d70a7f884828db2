//! What is read of a body in Google's shape. Google takes every name `likeThis` and `like_this`.

use std::ops::Range;

use crate::{
    Capability, Error, ErrorKind,
    head::Reader,
    scan::{Member, Scanner, Shape},
    value::{Wrong, boolean, integer, string},
};

/// That there is nothing to answer.
pub(crate) fn no_contents() -> Error {
    let error = Error::new(ErrorKind::BadRequest, "the body has no `contents`");
    error
        .with_param("contents")
        .with_code("missing_required_parameter")
}

/// The name that a field has in OpenAI's requests, where models are given and denied such.
fn usual_name(key: &str) -> &str {
    match key {
        "candidateCount" | "candidate_count" => "n",
        "frequencyPenalty" => "frequency_penalty",
        "maxOutputTokens" | "max_output_tokens" => "max_tokens",
        "presencePenalty" => "presence_penalty",
        "responseLogprobs" | "response_logprobs" => "logprobs",
        "logprobs" => "top_logprobs",
        "responseMimeType" | "response_mime_type" => "response_format",
        "responseModalities" | "response_modalities" => "modalities",
        "stopSequences" | "stop_sequences" => "stop",
        "thinkingConfig" | "thinking_config" => "reasoning_effort",
        "toolConfig" | "tool_config" => "tool_choice",
        "topK" => "top_k",
        "topP" => "top_p",
        other => other,
    }
}

impl Reader {
    pub(crate) fn generate_member(
        &mut self,
        s: &mut Scanner<'_>,
        key: &str,
        cuts: &mut Vec<Range<usize>>,
    ) -> Result<Member, Wrong> {
        self.head.fields.insert(usual_name(key));
        match key {
            "contents" => self.prompt(s)?,
            "systemInstruction" | "system_instruction" => self.head.text_bytes += s.tally()?.text,
            "generationConfig" | "generation_config" if s.shape()? == Shape::Object => {
                s.object(cuts, |s, key, _| self.generation(s, key))?;
            }
            "tools" => {
                let start = s.position();
                self.generate_tools(s)?;
                self.offered(start..s.here());
            }
            "toolConfig" | "tool_config" => {
                let raw = s.raw()?;
                if raw.contains("\"ANY\"") || raw.contains("\"any\"") {
                    self.need(Capability::ToolChoice);
                }
            }
            // The path says both; so may the body of one that was not read for a path.
            "model" if self.is_given => {
                s.skip()?;
                return Ok(Member::Cut);
            }
            "model" => {
                let model = string(s, key)?.unwrap_or_default();
                self.named(model, 0..0)?;
                return Ok(Member::Cut);
            }
            "stream" if !self.is_given => {
                self.head.stream = boolean(s, key)?.unwrap_or(false);
                return Ok(Member::Cut);
            }
            // Google has neither.
            "user" => {
                self.head.user = string(s, key)?.or(self.head.user.take());
                return Ok(Member::Cut);
            }
            "metadata" | "litellm_metadata" => {
                if s.shape()? == Shape::Object {
                    s.object(&mut Vec::new(), |s, key, _| self.metadata(s, key))?;
                } else {
                    s.skip()?;
                }
                return Ok(Member::Cut);
            }
            _ => return self.control(s, key),
        }
        Ok(Member::Keep)
    }

    /// Reads a field of `generationConfig`.
    fn generation(&mut self, s: &mut Scanner<'_>, key: &str) -> Result<Member, Wrong> {
        self.head.fields.insert(usual_name(key));
        match key {
            "maxOutputTokens" | "max_output_tokens" => {
                let most = integer(s, "generationConfig.maxOutputTokens")?;
                self.head.max_output_tokens = self.head.max_output_tokens.max(most);
            }
            "candidateCount" | "candidate_count" => {
                let count = integer(s, "generationConfig.candidateCount")?;
                self.head.choices = count.unwrap_or(1).max(1);
            }
            "responseSchema"
            | "response_schema"
            | "responseJsonSchema"
            | "response_json_schema"
            | "_responseJsonSchema" => {
                if s.raw()? != "null" {
                    self.head.fields.insert("response_format");
                    self.need(Capability::JsonSchema);
                }
            }
            "responseModalities" | "response_modalities" => {
                if s.raw()?.to_ascii_uppercase().contains("\"AUDIO\"") {
                    self.need(Capability::AudioOutput);
                }
            }
            "thinkingConfig" | "thinking_config" => self.thinking(s)?,
            _ => s.skip()?,
        }
        Ok(Member::Keep)
    }

    /// A budget of nothing asks for none.
    fn thinking(&mut self, s: &mut Scanner<'_>) -> Result<(), Wrong> {
        if s.shape()? != Shape::Object {
            return Ok(s.skip()?);
        }
        let mut asks = false;
        s.object(&mut Vec::new(), |s, key, _| {
            let raw = s.raw()?;
            asks |= match key {
                "thinkingBudget" | "thinking_budget" => !matches!(raw, "0" | "null"),
                "thinkingLevel" | "thinking_level" => raw != "null",
                _ => raw == "true",
            };
            Ok::<_, Wrong>(Member::Keep)
        })?;
        if asks {
            self.need(Capability::Reasoning);
        }
        Ok(())
    }

    /// Functions, and tools that Google runs, each under its name.
    fn generate_tools(&mut self, s: &mut Scanner<'_>) -> Result<(), Wrong> {
        let mut one = |s: &mut Scanner<'_>| {
            if s.shape()? != Shape::Object {
                return Ok(s.skip()?);
            }
            s.object(&mut Vec::new(), |s, key, _| {
                let is_empty = matches!(s.raw()?, "null" | "[]");
                if !is_empty {
                    self.need(match key {
                        "googleSearch"
                        | "google_search"
                        | "googleSearchRetrieval"
                        | "google_search_retrieval" => Capability::WebSearch,
                        _ => Capability::Tools,
                    });
                }
                Ok::<_, Wrong>(Member::Keep)
            })?;
            Ok::<_, Wrong>(())
        };
        match s.shape()? {
            Shape::Array => s.array(one).map(drop),
            _ => one(s),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        Capability, CapabilitySet, DefaultField, Error, FieldSet, LlmRequest, Operation, Overrides,
        ReadOptions, Redirect,
    };

    const OPERATION: Operation = Operation::GenerateContent;

    fn read(body: &str) -> Result<LlmRequest, Error> {
        LlmRequest::read_for(OPERATION, body.to_owned(), "g", false, ReadOptions::new())
    }

    fn with(more: &str) -> LlmRequest {
        read(&format!(r#"{{"contents":[]{more}}}"#)).expect("is valid")
    }

    #[test]
    fn what_routing_needs_is_read_in_either_spelling() {
        for (system, config, most, count, schema, tools, functions, search, inline, mime) in [
            (
                "systemInstruction",
                "generationConfig",
                "maxOutputTokens",
                "candidateCount",
                "responseSchema",
                "toolConfig",
                "functionDeclarations",
                "googleSearch",
                "inlineData",
                "mimeType",
            ),
            (
                "system_instruction",
                "generation_config",
                "max_output_tokens",
                "candidate_count",
                "response_schema",
                "tool_config",
                "function_declarations",
                "google_search",
                "inline_data",
                "mime_type",
            ),
        ] {
            let data = |kind: &str| json!({inline: {mime: kind, "data": "A".repeat(10_000)}});
            let body = json!({
                system: {"parts": [{"text": "be kind"}]},
                "contents": [{"role": "user", "parts": [
                    {"text": "hello"}, data("image/png"), data("audio/wav"),
                    data("application/pdf"), data("video/mp4"), data("text/plain"),
                ]}],
                config: {most: 9, count: 2, schema: {"type": "OBJECT"}, "thinkingConfig": {"thinkingLevel": "LOW"}},
                "tools": [{functions: [{"name": "f"}]}, {search: {}}],
                tools: {"functionCallingConfig": {"mode": "ANY"}},
            });
            let request = read(&body.to_string()).expect("is valid");
            assert_eq!(
                (request.max_output_tokens(), request.choices()),
                (Some(9), 2)
            );
            let needs = [
                Capability::Vision,
                Capability::AudioInput,
                Capability::Pdf,
                Capability::Video,
                Capability::Tools,
                Capability::WebSearch,
                Capability::ToolChoice,
                Capability::JsonSchema,
                Capability::Reasoning,
            ];
            let needs = needs
                .into_iter()
                .fold(CapabilitySet::default(), CapabilitySet::with);
            assert_eq!(request.needs(), needs);
            let estimate = request.estimated_input_tokens();
            assert!((5..100).contains(&estimate), "{estimate}");
            assert!(request.prompt().starts_with('['));
        }
    }

    #[test]
    fn what_asks_for_nothing_needs_nothing() {
        for more in [
            "",
            r#","tools":[]"#,
            r#","tools":[{"functionDeclarations":[]}]"#,
            r#","toolConfig":{"functionCallingConfig":{"mode":"AUTO"}}"#,
            r#","generationConfig":{"thinkingConfig":{"thinkingBudget":0,"includeThoughts":false}}"#,
            r#","generationConfig":{"responseModalities":["TEXT"]},"generation_config":null"#,
        ] {
            assert!(with(more).needs().is_empty(), "{more}");
        }
        let file = read(r#"{"contents":{"parts":{"file_data":{"file_uri":"gs://x"}}}}"#);
        assert!(file.expect("is valid").needs().is_empty());
    }

    #[test]
    fn a_thought_that_only_its_maker_can_read_is_seen() {
        let body = r#"{"contents":[{"parts":[{"text":"x","thoughtSignature":"abc"}]}]}"#;
        assert!(read(body).expect("is valid").is_signed());
        assert!(!with("").is_signed());
    }

    #[test]
    fn a_model_that_is_called_gets_the_bytes_without_what_is_not_google_s() {
        let body = r#"{ "contents" : [],"labels":{"a":"b"} }"#;
        assert_eq!(read(body).expect("is valid").upstream_body("x", true), body);
        let request = with(
            r#", "model":"models/other","tags":["t"],"metadata":{"session_id":"s","user_id":"u","x":1},
            "num_retries":2,"fallbacks":["b"],"user":"v","future":{"y":[1]}"#,
        );
        let sent = request.upstream_body("x", true);
        assert_eq!(sent, r#"{"contents":[],"future":{"y":[1]}}"#);
        assert_eq!((request.model(), request.is_stream()), ("g", false));
        assert_eq!((request.session(), request.user()), (Some("s"), Some("v")));
        assert_eq!(request.tags().len(), 1);
        assert_eq!(request.controls().num_retries, Some(2));
        assert!(request.controls().fallbacks.is_some());
    }

    #[test]
    fn without_a_path_the_body_says_the_model() {
        let body = r#"{"model":"g","stream":true,"contents":[]}"#;
        let request = LlmRequest::from_bytes(OPERATION, body).expect("is valid");
        assert_eq!((request.model(), request.is_stream()), ("g", true));
        assert_eq!(request.upstream_body("m", true), r#"{"contents":[]}"#);
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (body, param) in [
            ("{}", "contents"),
            (r#"{"tags":["x"]}"#, "contents"),
            (
                r#"{"contents":[],"generationConfig":{"maxOutputTokens":"x"}}"#,
                "generationConfig.maxOutputTokens",
            ),
            (r#"{"contents":[],"num_retries":-1}"#, "num_retries"),
            (r#"{"contents":[],"api_key":"x"}"#, "api_key"),
        ] {
            let error = read(body).expect_err("is refused");
            assert_eq!((error.status().as_u16(), error.param()), (400, Some(param)));
        }
        let named = LlmRequest::from_bytes(OPERATION, r#"{"contents":[]}"#);
        assert_eq!(named.expect_err("names none").param(), Some("model"));
        let empty = LlmRequest::read_for(OPERATION, "{}", "", false, ReadOptions::new());
        assert_eq!(empty.expect_err("names none").param(), Some("model"));
        let chat = Operation::ChatCompletions;
        assert!(LlmRequest::read_for(chat, "{}", "m", false, ReadOptions::new()).is_err());
    }

    #[test]
    fn fields_have_their_usual_names_for_what_a_deployment_adds() {
        let request =
            with(r#","generationConfig":{"temperature":1,"topP":0.5,"stopSequences":["x"]}"#);
        let expected = ["temperature", "top_p", "stop"];
        assert_eq!(request.fields(), expected.into_iter().collect::<FieldSet>());
        let defaults: Vec<_> = [("temperature", json!(0)), ("seed", json!(7))]
            .iter()
            .filter_map(|(name, value)| DefaultField::new(name, value))
            .collect();
        let parts = request.upstream_parts("m", false, &defaults).concat();
        let sent: Value = serde_json::from_slice(&parts).expect("is JSON");
        assert_eq!((&sent["seed"], sent.get("temperature")), (&json!(7), None));
    }

    #[test]
    fn an_override_leaves_what_the_path_says() {
        let body = r#"{"contents":[],"generationConfig":{"topP":1}}"#;
        let request = LlmRequest::read_for(OPERATION, body, "g", true, ReadOptions::new());
        let mut fields = serde_json::Map::new();
        fields.insert("temperature".to_owned(), json!(0));
        let overrides = Overrides::new(fields, ReadOptions::new()).expect("is valid");
        let other = request
            .expect("is valid")
            .with_overrides(&overrides)
            .expect("is valid");
        assert_eq!((other.model(), other.is_stream()), ("g", true));
        let sent: Value = serde_json::from_slice(other.body()).expect("is JSON");
        assert_eq!(
            sent,
            json!({"contents": [], "generationConfig": {"topP": 1}, "temperature": 0})
        );
    }
}
