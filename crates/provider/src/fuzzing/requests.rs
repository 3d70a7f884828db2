use std::sync::Arc;

use http::Uri;
use ziggurat_core::{Deployment, Error, LlmRequest, Operation, ReadOptions};

use super::{
    input::Input,
    subject::{self, assert_is_bounded, assert_is_json},
};
use crate::dialect::{self, openai};

/// Providers and models, of which each is asked in its own way.
const SUBJECTS: [(&str, &str); 25] = [
    ("openai", "gpt-4o"),
    ("openai", "gpt-5"),
    ("azure", "gpt-4o"),
    ("azure_ai", "claude-sonnet-4-5"),
    ("mistral", "mistral-large"),
    ("deepseek", "deepseek-chat"),
    ("hosted_vllm", "llama"),
    ("anthropic", "claude-3-5-sonnet-20241022"),
    ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-opus-4-6"),
    ("gemini", "gemini-2.0-flash"),
    ("gemini", "gemini-2.5-pro"),
    ("gemini", "gemini-3-pro"),
    ("vertex_ai", "gemini-2.5-flash"),
    ("vertex_ai", "claude-sonnet-4-5"),
    ("bedrock", "anthropic.claude-sonnet-4-5-v1:0"),
    ("bedrock", "amazon.nova-pro-v1:0"),
    ("bedrock", "openai.gpt-oss-120b"),
    ("bedrock", "meta.llama3"),
    ("bedrock", "invoke/anthropic.claude-sonnet-4-5-v1:0"),
    ("bedrock", "amazon.titan-embed-text-v2:0"),
    ("bedrock", "cohere.embed-english-v3"),
    ("cohere", "command-a"),
    ("ollama", "llama"),
    ("voyage", "voyage-3"),
];

/// The writers of requests: whatever a client sends is refused, or becomes a request that is JSON,
/// for every provider and model.
///
/// The first line chooses the operation, whether what a provider cannot take is dropped, and who is
/// asked: all of them, or one. The rest is the body.
pub fn requests(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let operation = Operation::ALL.get(input.choice(1 + Operation::ALL.len()));
    let operation = operation.copied().unwrap_or(Operation::GenerateContent);
    let drops = input.flag();
    let asked = match input.choice(1 + SUBJECTS.len()) {
        0 => &SUBJECTS[..],
        one => &SUBJECTS[one - 1..one],
    };
    let body = input.rest();
    let options = ReadOptions::new();
    let read = match operation {
        Operation::GenerateContent => {
            LlmRequest::read_for(operation, body.to_vec(), "m", drops, options)
        }
        _ => LlmRequest::read(operation, body.to_vec(), options),
    };
    let request = match read {
        Ok(request) => request,
        Err(error) => return assert_is_bounded(&error),
    };
    for &(provider, model) in asked {
        let deployment = subject::deployment(provider, model);
        let deployment = Arc::new(Deployment::clone(&deployment).with_drop_params(drops));
        if let Err(error) = ask(&request, &deployment) {
            assert_is_bounded(&error);
        }
    }
}

/// What is sent to a provider.
fn ask(request: &LlmRequest, deployment: &Arc<Deployment>) -> Result<(), Error> {
    let marked = openai::marked(request, deployment.provider());
    let request = marked.as_ref().unwrap_or(request);
    let model = deployment.model();
    let asks_usage = request.is_stream();
    let body = request.upstream_parts(model, asks_usage, &[]).concat();
    assert_is_json(&body);
    let client = subject::client(request, deployment);
    let Some(dialect) = dialect::of_deployment(deployment) else {
        if let Some(client) = &client {
            let chat = client.to_openai(&body, deployment, asks_usage)?;
            assert!(assert_is_json(&chat)["messages"].is_array());
        }
        return Ok(());
    };
    if dialect.speaks(request.operation(), model) {
        let call = subject::call(deployment, request, b"");
        assert_can_be_sent(&dialect.native(&call, body.clone().into())?);
    }
    if request.operation() == Operation::CountTokens {
        let call = subject::call(deployment, request, &body);
        assert_can_be_sent(&dialect.count(&call)?);
        return Ok(());
    }
    let (body, operation) = match &client {
        Some(client) => (
            client.to_chat(&body, deployment)?,
            Operation::ChatCompletions,
        ),
        None => (body, request.operation()),
    };
    let call = dialect::Call {
        operation,
        ..subject::call(deployment, request, &body)
    };
    let outgoing = dialect.request(&call)?;
    assert_can_be_sent(&outgoing);
    // What is asked for each of the documents of a client is asked once.
    let most = 64 * 1024 + 64 * body.len();
    assert!(
        outgoing.body.len() <= most,
        "{} bytes of {}",
        outgoing.body.len(),
        body.len()
    );
    Ok(())
}

fn assert_can_be_sent(outgoing: &dialect::Outgoing) {
    assert!(assert_is_json(&outgoing.body).is_object());
    let address = format!("https://provider.example{}", outgoing.path);
    assert!(address.parse::<Uri>().is_ok(), "{address}");
}
