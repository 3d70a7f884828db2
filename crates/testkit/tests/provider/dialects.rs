//! The same answers and the same faults in every dialect.

use serde_json::{Value, json};
use ziggurat_testkit::provider::{Simulator, Step, healthy_text};

use super::support::{Answer, post};

/// A dialect, and where its answers say something.
struct Dialect {
    name: &'static str,
    path: &'static str,
    stream_path: &'static str,
    /// The members of a request: of a question, of a result after it, of tools, of a schema.
    question: fn() -> Value,
    result: fn() -> Value,
    tools: fn() -> Value,
    schema: fn() -> Value,
    text: &'static str,
    event_text: &'static str,
    /// The name of the tool in a whole answer; the arguments stand beside it.
    tool: &'static str,
    arguments: &'static str,
    finish: &'static str,
    output_tokens: &'static str,
    error: &'static str,
}

fn parameters() -> Value {
    let city = json!({"type": "string"});
    json!({"type": "object", "properties": {"city": city}, "required": ["city"]})
}

fn function_tools() -> Value {
    let function = json!({"name": "weather", "parameters": parameters()});
    json!({"tools": [{"type": "function", "function": function}]})
}

fn messages() -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
}

fn tool_message() -> Value {
    json!({"model": "m", "messages": [{"role": "tool", "tool_call_id": "c", "content": "20"}]})
}

const OPENAI: Dialect = Dialect {
    name: "openai",
    path: "/v1/chat/completions",
    stream_path: "/v1/chat/completions",
    question: messages,
    result: tool_message,
    tools: function_tools,
    schema: || {
        let schema = json!({"name": "s", "schema": parameters()});
        json!({"response_format": {"type": "json_schema", "json_schema": schema}})
    },
    text: "/choices/0/message/content",
    event_text: "/choices/0/delta/content",
    tool: "/choices/0/message/tool_calls/0/function/name",
    arguments: "/choices/0/message/tool_calls/0/function/arguments",
    finish: "/choices/0/finish_reason",
    output_tokens: "/usage/completion_tokens",
    error: "/error/message",
};

const AZURE: Dialect = Dialect {
    name: "azure",
    path: "/openai/deployments/d/chat/completions?api-version=1",
    stream_path: "/openai/v1/chat/completions",
    ..OPENAI
};

const RESPONSES: Dialect = Dialect {
    name: "responses",
    path: "/v1/responses",
    stream_path: "/v1/responses",
    question: || json!({"model": "m", "input": "hi"}),
    result: || {
        let output = json!({"type": "function_call_output", "call_id": "c", "output": "20"});
        json!({"model": "m", "input": [output]})
    },
    tools: || json!({"tools": [{"type": "function", "name": "weather", "parameters": parameters()}]}),
    schema: || {
        let format = json!({"type": "json_schema", "name": "s", "schema": parameters()});
        json!({"text": {"format": format}})
    },
    text: "/output/0/content/0/text",
    event_text: "/delta",
    tool: "/output/0/name",
    arguments: "/output/0/arguments",
    finish: "/status",
    output_tokens: "/usage/output_tokens",
    ..OPENAI
};

const ANTHROPIC: Dialect = Dialect {
    name: "anthropic",
    path: "/v1/messages",
    stream_path: "/v1/messages",
    result: || {
        let result = json!({"type": "tool_result", "tool_use_id": "c", "content": "20"});
        json!({"model": "m", "messages": [{"role": "user", "content": [result]}]})
    },
    tools: || json!({"tools": [{"name": "weather", "input_schema": parameters()}]}),
    schema: || {
        let format = json!({"type": "json_schema", "schema": parameters()});
        json!({"output_config": {"format": format}})
    },
    text: "/content/0/text",
    event_text: "/delta/text",
    tool: "/content/0/name",
    arguments: "/content/0/input",
    finish: "/stop_reason",
    output_tokens: "/usage/output_tokens",
    ..OPENAI
};

const GOOGLE: Dialect = Dialect {
    name: "google",
    path: "/v1beta/models/g:generateContent",
    stream_path: "/v1beta/models/g:streamGenerateContent?alt=sse",
    question: || json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
    result: || {
        let result = json!({"functionResponse": {"name": "weather", "response": {"x": 20}}});
        json!({"contents": [{"role": "user", "parts": [result]}]})
    },
    tools: || {
        let function = json!({"name": "weather", "parameters": parameters()});
        json!({"tools": [{"functionDeclarations": [function]}]})
    },
    schema: || {
        let mime = "application/json";
        json!({"generationConfig": {"responseMimeType": mime, "responseSchema": parameters()}})
    },
    text: "/candidates/0/content/parts/0/text",
    event_text: "/candidates/0/content/parts/0/text",
    tool: "/candidates/0/content/parts/0/functionCall/name",
    arguments: "/candidates/0/content/parts/0/functionCall/args",
    finish: "/candidates/0/finishReason",
    output_tokens: "/usageMetadata/candidatesTokenCount",
    ..OPENAI
};

const BEDROCK: Dialect = Dialect {
    name: "bedrock",
    path: "/model/a.b%3A0/converse",
    stream_path: "/model/a.b%3A0/converse-stream",
    question: || json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}),
    result: || {
        let result = json!({"toolResult": {"toolUseId": "c", "content": [{"text": "20"}]}});
        json!({"messages": [{"role": "user", "content": [result]}]})
    },
    tools: || {
        let tool = json!({"name": "weather", "inputSchema": {"json": parameters()}});
        json!({"toolConfig": {"tools": [{"toolSpec": tool}]}})
    },
    schema: || {
        let schema = json!({"name": "s", "schema": parameters().to_string()});
        json!({"outputConfig": {"textFormat": {"structure": {"jsonSchema": schema}}}})
    },
    text: "/output/message/content/0/text",
    event_text: "/delta/text",
    tool: "/output/message/content/0/toolUse/name",
    arguments: "/output/message/content/0/toolUse/input",
    finish: "/stopReason",
    output_tokens: "/usage/outputTokens",
    error: "/message",
};

const COHERE: Dialect = Dialect {
    name: "cohere",
    path: "/v2/chat",
    stream_path: "/v2/chat",
    schema: || json!({"response_format": {"type": "json_object", "json_schema": parameters()}}),
    text: "/message/content/0/text",
    event_text: "/delta/message/content/text",
    tool: "/message/tool_calls/0/function/name",
    arguments: "/message/tool_calls/0/function/arguments",
    finish: "/finish_reason",
    output_tokens: "/usage/tokens/output_tokens",
    error: "/message",
    ..OPENAI
};

const OLLAMA: Dialect = Dialect {
    name: "ollama",
    path: "/api/chat",
    stream_path: "/api/chat",
    schema: || json!({"format": parameters()}),
    text: "/message/content",
    event_text: "/message/content",
    tool: "/message/tool_calls/0/function/name",
    arguments: "/message/tool_calls/0/function/arguments",
    finish: "/done_reason",
    output_tokens: "/eval_count",
    error: "/error",
    ..OPENAI
};

const ALL: [&Dialect; 8] = [
    &OPENAI, &AZURE, &RESPONSES, &ANTHROPIC, &GOOGLE, &BEDROCK, &COHERE, &OLLAMA,
];

impl Dialect {
    async fn ask(&self, sim: &Simulator, question: Value, more: Value) -> Answer {
        let mut body = question;
        let members = body.as_object_mut().unwrap();
        members.insert("stream".to_owned(), false.into());
        members.extend(more.as_object().unwrap().clone());
        post(sim, "a", self.path, &body).await
    }

    async fn stream(&self, sim: &Simulator, more: Value) -> Answer {
        let mut body = (self.question)();
        let members = body.as_object_mut().unwrap();
        members.insert("stream".to_owned(), true.into());
        members.extend(more.as_object().unwrap().clone());
        post(sim, "a", self.stream_path, &body).await
    }

    fn said(&self, events: &[Value]) -> String {
        let texts = events
            .iter()
            .filter_map(|event| event.pointer(self.event_text));
        texts.filter_map(Value::as_str).collect()
    }
}

/// The data of the events, in whatever frames they came; what is no JSON is null.
fn events(answer: &Answer) -> Vec<Value> {
    let read = |text: &str| serde_json::from_str(text).unwrap_or_default();
    match answer.headers["content-type"].to_str().unwrap() {
        "application/vnd.amazon.eventstream" => {
            let mut bytes = &answer.bytes()[..];
            let mut events = Vec::new();
            while let Some((lengths, _)) = bytes.split_first_chunk::<8>() {
                let [total, headers] = [&lengths[..4], &lengths[4..]]
                    .map(|it| u32::from_be_bytes(it.try_into().unwrap()) as usize);
                let payload = &bytes[12 + headers..total - 4];
                events.push(serde_json::from_slice(payload).unwrap_or_default());
                bytes = &bytes[total..];
            }
            events
        }
        "application/x-ndjson" => answer.text().lines().map(read).collect(),
        _ => {
            let text = answer.text();
            let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
            data.filter(|data| *data != "[DONE]").map(read).collect()
        }
    }
}

#[tokio::test]
async fn every_dialect_says_the_same() {
    for dialect in ALL {
        let sim = Simulator::start().await.unwrap();
        let json = dialect
            .ask(&sim, (dialect.question)(), json!({}))
            .await
            .json();
        assert_eq!(json.pointer(dialect.text), Some(&json!("from a")), "{json}");
        assert_eq!(
            json.pointer(dialect.output_tokens),
            Some(&json!(5)),
            "{json}"
        );
        assert!(
            json.pointer(dialect.finish).is_some_and(Value::is_string),
            "{json}"
        );
        let answer = dialect.stream(&sim, json!({})).await;
        let said = dialect.said(&events(&answer));
        assert_eq!(said, healthy_text("a", 4), "{}", dialect.name);
    }
}

#[tokio::test]
async fn the_first_tool_is_called_until_there_is_a_result() {
    for dialect in ALL {
        let sim = Simulator::start().await.unwrap();
        let tools = (dialect.tools)();
        let json = dialect
            .ask(&sim, (dialect.question)(), tools.clone())
            .await
            .json();
        assert_eq!(
            json.pointer(dialect.tool),
            Some(&json!("weather")),
            "{json}"
        );
        let arguments = json.pointer(dialect.arguments).unwrap();
        let arguments = match arguments.as_str() {
            Some(text) => serde_json::from_str(text).unwrap(),
            None => arguments.clone(),
        };
        assert_eq!(arguments, json!({"city": "text"}), "{json}");
        let json = dialect
            .ask(&sim, (dialect.result)(), tools.clone())
            .await
            .json();
        assert_eq!(json.pointer(dialect.text), Some(&json!("from a")), "{json}");

        let answer = dialect.stream(&sim, tools.clone()).await;
        let events = events(&answer);
        let all = events.iter().map(Value::to_string).collect::<String>();
        assert!(all.contains("\"weather\"") && all.contains("city"), "{all}");
        sim.script("a", Step::ok().text("no"));
        let json = dialect.ask(&sim, (dialect.question)(), tools).await.json();
        assert_eq!(json.pointer(dialect.text), Some(&json!("no")), "{json}");
    }
}

#[tokio::test]
async fn an_answer_fits_the_schema_that_is_demanded() {
    for dialect in ALL {
        let sim = Simulator::start().await.unwrap();
        let schema = (dialect.schema)();
        let json = dialect
            .ask(&sim, (dialect.question)(), schema.clone())
            .await
            .json();
        let expected = json!({"city": "text"}).to_string();
        assert_eq!(json.pointer(dialect.text), Some(&json!(expected)), "{json}");
        let answer = dialect.stream(&sim, schema).await;
        assert_eq!(dialect.said(&events(&answer)), expected, "{}", dialect.name);
    }
}

#[tokio::test]
async fn an_error_has_the_envelope_of_the_dialect() {
    for dialect in ALL {
        let sim = Simulator::start().await.unwrap();
        sim.script(
            "a",
            Step::status(429).error_message("slow down").retry_after(7),
        );
        for answer in [
            dialect.ask(&sim, (dialect.question)(), json!({})).await,
            dialect.stream(&sim, json!({})).await,
        ] {
            assert_eq!(answer.status, 429, "{}", dialect.name);
            let json = answer.json();
            assert_eq!(
                json.pointer(dialect.error),
                Some(&json!("slow down")),
                "{json}"
            );
            let is_in_body = answer.text().contains(r#""retryDelay":"7s""#);
            assert!(is_in_body != answer.headers.contains_key("retry-after"));
        }
        sim.script("a", Step::ok().error_in_200().error_message("not today"));
        let answer = dialect.ask(&sim, (dialect.question)(), json!({})).await;
        assert_eq!(answer.status, 200, "{}", dialect.name);
        assert!(answer.text().contains("not today"), "{}", dialect.name);
    }
}

#[tokio::test]
async fn codes_are_told_by_words_where_there_are_none() {
    let sim = Simulator::start().await.unwrap();
    sim.script("a", Step::status(400).error_code("context_length_exceeded"));
    for (dialect, words) in [
        (&OPENAI, "context_length_exceeded"),
        (&ANTHROPIC, "prompt is too long"),
        (&GOOGLE, "exceeds the maximum number of tokens allowed"),
        (&BEDROCK, "Input is too long"),
        (&COHERE, "TOO_MANY_TOKENS"),
        (&OLLAMA, "exceeded max context length"),
    ] {
        let answer = dialect.ask(&sim, (dialect.question)(), json!({})).await;
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains(words), "{}", answer.text());
    }
    sim.script(
        "a",
        Step::status(400).error_code("content_policy_violation"),
    );
    for (dialect, status, words) in [
        (&OPENAI, 400, "content_policy_violation"),
        (&AZURE, 400, "ResponsibleAIPolicyViolation"),
        (&ANTHROPIC, 400, "content filtering policy"),
        (&GOOGLE, 200, "PROHIBITED_CONTENT"),
        (&BEDROCK, 200, "guardrail_intervened"),
        (&COHERE, 498, "blocked"),
    ] {
        let answer = dialect.ask(&sim, (dialect.question)(), json!({})).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.text().contains(words), "{}", answer.text());
    }
    sim.script("a", Step::status(503));
    let answer = ANTHROPIC.ask(&sim, messages(), json!({})).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["type"]),
        (529, &json!("overloaded_error"))
    );
    let answer = BEDROCK.ask(&sim, (BEDROCK.question)(), json!({})).await;
    let kind = answer.headers["x-amzn-errortype"].to_str().unwrap();
    assert!(kind.starts_with("ServiceUnavailableException:"), "{kind}");
}

#[tokio::test]
async fn a_stream_breaks_where_the_step_says() {
    let error = json!({"code": "rate_limit_exceeded", "message": "slow down"});
    for dialect in ALL {
        let sim = Simulator::start().await.unwrap();
        sim.script("a", Step::ok().end_after(2));
        let said = dialect.said(&events(&dialect.stream(&sim, json!({})).await));
        assert_eq!(said, "from a w1", "{}", dialect.name);

        sim.script("a", Step::ok().stream_error_after(1, error.clone()));
        let events_of = events(&dialect.stream(&sim, json!({})).await);
        assert_eq!(dialect.said(&events_of), "from a", "{}", dialect.name);
        let last = events_of.iter().rev().take(2).map(Value::to_string);
        let last: String = last.collect();
        assert!(last.contains("slow down"), "{last}");

        sim.script("a", Step::ok().malformed_at(2));
        let events_of = events(&dialect.stream(&sim, json!({})).await);
        assert_eq!(
            dialect.said(&events_of),
            healthy_text("a", 4),
            "{}",
            dialect.name
        );
        let broken = events_of.iter().filter(|event| event.is_null());
        assert_eq!(broken.count(), 1, "{}", dialect.name);

        sim.script("a", Step::ok().without_finish());
        let answer = dialect.stream(&sim, json!({})).await;
        let whole = answer.text();
        for end in [
            "\"stop\"",
            "end_turn",
            "STOP",
            "COMPLETE",
            "response.completed",
        ] {
            assert!(!whole.contains(end), "{whole}");
        }
    }
}

#[tokio::test]
async fn a_text_that_was_begun_is_gone_on_with() {
    for (dialect, begun) in [
        (
            &ANTHROPIC,
            json!({"messages": [{"role": "assistant", "content": "from b w1"}]}),
        ),
        (
            &COHERE,
            json!({"messages": [{"role": "assistant", "content": "from b w1"}]}),
        ),
        (
            &GOOGLE,
            json!({"contents": [{"role": "model", "parts": [{"text": "from b w1"}]}]}),
        ),
        (
            &BEDROCK,
            json!({"messages": [{"role": "assistant", "content": [{"text": "from b w1"}]}]}),
        ),
    ] {
        let sim = Simulator::start().await.unwrap();
        sim.script("a", Step::ok().words(4).continues());
        let said = dialect.said(&events(&dialect.stream(&sim, begun).await));
        assert_eq!(said, " w2 w3", "{}", dialect.name);
    }
}

#[tokio::test]
async fn frames_are_of_the_kind_that_the_dialect_has() {
    let sim = Simulator::start().await.unwrap();
    sim.script("a", Step::ok().comments());
    let text = ANTHROPIC.stream(&sim, json!({})).await.text();
    assert!(
        text.contains("event: ping\ndata: {\"type\": \"ping\"}\n\n"),
        "{text}"
    );
    let text = GOOGLE.stream(&sim, json!({})).await.text();
    assert!(
        text.contains("}\r\n\r\n") && !text.contains("event:"),
        "{text}"
    );
    sim.script("a", Step::ok());
    let array = post(
        &sim,
        "a",
        "/v1/models/g:streamGenerateContent",
        &(GOOGLE.question)(),
    )
    .await;
    assert_eq!(array.json().as_array().unwrap().len(), 5);
    sim.script("a", Step::ok().error_in_200());
    let bytes = BEDROCK.stream(&sim, json!({})).await.bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert!(
        text.contains("internalServerException") && text.contains("exception"),
        "{text}"
    );
}

#[tokio::test]
async fn numbers_come_in_every_dialect() {
    let sim = Simulator::start().await.unwrap();
    let two = json!([[0.0, 0.5, -0.5], [1.0, 0.5, -0.5]]);
    let ask = async |path: &str, body: Value| post(&sim, "a", path, &body).await.json();
    let texts = json!(["x", "y"]);
    let cohere = ask(
        "/v2/embed",
        json!({"texts": texts, "embedding_types": ["float", "base64"]}),
    )
    .await;
    assert_eq!(cohere["embeddings"]["float"], two);
    assert_eq!(cohere["embeddings"]["base64"][1], "AACAPwAAAD8AAAC/");
    let ollama = ask("/api/embed", json!({"model": "m", "input": texts})).await;
    assert_eq!(
        (&ollama["embeddings"], &ollama["prompt_eval_count"]),
        (&two, &json!(10))
    );
    let google = ask(
        "/v1beta/models/g:batchEmbedContents",
        json!({"requests": [{}, {}]}),
    )
    .await;
    assert_eq!(google["embeddings"][1]["values"], two[1]);
    let google = ask("/v1beta/models/g:embedContent", json!({})).await;
    assert_eq!(google["embedding"]["values"], two[0]);
    let titan = ask("/model/t/invoke", json!({"inputText": "x"})).await;
    assert_eq!(
        (&titan["embedding"], &titan["inputTextTokenCount"]),
        (&two[0], &json!(10))
    );
    let ranked = ask(
        "/v2/rerank",
        json!({"documents": ["x", "y", "z"], "top_n": 2}),
    )
    .await;
    let results = ranked["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    assert_eq!(results[0], json!({"index": 2, "relevance_score": 1.0}));
    for (path, member) in [
        ("/v1/messages/count_tokens", "input_tokens"),
        ("/v1beta/models/g:countTokens", "totalTokens"),
        ("/model/m/count-tokens", "inputTokens"),
        ("/v1/responses/input_tokens", "input_tokens"),
    ] {
        let [few, more] = ["one", "one and two"].map(|text| json!({"contents": text}));
        let few = ask(path, few).await[member].as_u64().unwrap();
        assert!(
            ask(path, more).await[member].as_u64().unwrap() > few,
            "{path}"
        );
    }
}

#[tokio::test]
async fn claude_is_served_by_others_in_their_frames() {
    let sim = Simulator::start().await.unwrap();
    let body = json!({"anthropic_version": "x", "messages": [{"role": "user", "content": "hi"}]});
    let path = "/v1/projects/p/locations/l/publishers/anthropic/models/claude:streamRawPredict";
    let answer = post(&sim, "a", path, &body).await;
    assert_eq!(ANTHROPIC.said(&events(&answer)), healthy_text("a", 4));
    assert!(answer.text().contains(r#""model":"claude""#));
    let answer = post(&sim, "a", "/model/c/invoke-with-response-stream", &body).await;
    let events = events(&answer);
    let first = events[0]["bytes"].as_str().unwrap();
    assert!(
        first.starts_with("eyJ"),
        "it is an object in base64: {first}"
    );
    assert_eq!(events.len(), 10);
}
