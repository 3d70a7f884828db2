//! What a deployment needs beyond a model and a key, and where it comes from.

use std::{collections::HashMap, fs, path::PathBuf};

use serde_json::json;
use ziggurat_config::{Plan, Problems};
use ziggurat_core::{Capability, Mode};

fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Plan, Problems> {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    Plan::parse(text, "config.yaml", |name| {
        variables.get(name).map(|value| (*value).to_owned())
    })
}

/// One deployment with these `litellm_params`, in an environment.
fn one(params: &str, variables: &[(&str, &str)]) -> Plan {
    let text = format!("model_list: [{{model_name: gpt, litellm_params: {{{params}}}}}]");
    parse(&text, variables).unwrap_or_else(|e| panic!("{e}\nin {text}"))
}

/// The only error of such a file.
fn error(params: &str, variables: &[(&str, &str)]) -> String {
    let text = format!("model_list: [{{model_name: gpt, litellm_params: {{{params}}}}}]");
    let problems = parse(&text, variables).expect_err(&text);
    let messages: Vec<_> = problems.iter().map(|it| it.message().to_owned()).collect();
    assert_eq!(messages.len(), 1, "{problems}");
    messages.concat()
}

fn warnings(plan: &Plan) -> Vec<&str> {
    plan.warnings().iter().map(|it| it.message()).collect()
}

/// The key of the only deployment.
fn key(plan: &Plan) -> Option<&str> {
    plan.deployments[0].credential().map(|key| key.expose())
}

/// A parameter of the only deployment.
fn param<'a>(plan: &'a Plan, name: &str) -> Option<&'a str> {
    plan.deployments[0].param(name)
}

/// What the explanation says of a value: the value, and its source.
fn told(plan: &Plan, name: &str) -> Option<(String, String)> {
    let entries = plan.explanation().entries();
    let entry = entries.iter().find(|entry| entry.name() == name)?;
    let line = plan.explanation().to_string();
    let line = line
        .lines()
        .find(|line| line.trim_start().starts_with(name))?;
    let source = line.split_once(entry.value())?.1.trim().to_owned();
    Some((entry.value().to_owned(), source))
}

#[test]
fn each_provider_is_known_by_its_prefix_and_lives_where_it_lives() {
    for (params, provider, model, base) in [
        (
            "model: anthropic/claude-sonnet-4-5, api_key: k",
            "anthropic",
            "claude-sonnet-4-5",
            "https://api.anthropic.com/v1",
        ),
        (
            "model: gemini/gemini-2.5-pro, api_key: k",
            "gemini",
            "gemini-2.5-pro",
            "https://generativelanguage.googleapis.com/v1beta",
        ),
        (
            "model: vertex_ai/gemini-2.5-pro, api_key: k, vertex_project: p, vertex_location: us-east1",
            "vertex_ai",
            "gemini-2.5-pro",
            "https://us-east1-aiplatform.googleapis.com/v1",
        ),
        (
            "model: vertex_ai_beta/m, api_key: k, vertex_project: p, vertex_location: global",
            "vertex_ai_beta",
            "m",
            "https://aiplatform.googleapis.com/v1beta1",
        ),
        (
            "model: bedrock/converse/us.amazon.nova-lite-v1:0, api_key: k, aws_region_name: us-east-1",
            "bedrock",
            "us.amazon.nova-lite-v1:0",
            "https://bedrock-runtime.us-east-1.amazonaws.com",
        ),
        (
            "model: bedrock_converse/a.b, api_key: k, aws_region_name: cn-north-1",
            "bedrock_converse",
            "a.b",
            "https://bedrock-runtime.cn-north-1.amazonaws.com.cn",
        ),
        (
            "model: cohere/command-r, api_key: k",
            "cohere",
            "command-r",
            "https://api.cohere.com",
        ),
        (
            "model: cohere_chat/command-r, api_key: k",
            "cohere_chat",
            "command-r",
            "https://api.cohere.com",
        ),
        (
            "model: ollama/llama3",
            "ollama",
            "llama3",
            "http://localhost:11434",
        ),
        (
            "model: ollama_chat/llama3",
            "ollama_chat",
            "llama3",
            "http://localhost:11434",
        ),
        (
            "model: azure/mine, api_key: k, api_base: 'https://x.openai.azure.com/'",
            "azure",
            "mine",
            "https://x.openai.azure.com",
        ),
        (
            "model: azure_text/mine, api_key: k, api_base: 'https://x.openai.azure.com'",
            "azure_text",
            "mine",
            "https://x.openai.azure.com",
        ),
        (
            "model: azure_ai/mistral-large-3, api_key: k, api_base: 'https://x.services.ai.azure.com'",
            "azure_ai",
            "mistral-large-3",
            "https://x.services.ai.azure.com",
        ),
        (
            "model: voyage/voyage-3.5, api_key: k",
            "voyage",
            "voyage-3.5",
            "https://api.voyageai.com/v1",
        ),
        (
            "model: jina_ai/jina-embeddings-v3, api_key: k",
            "jina_ai",
            "jina-embeddings-v3",
            "https://api.jina.ai/v1",
        ),
    ] {
        let plan = one(params, &[]);
        assert_eq!(warnings(&plan), [""; 0], "{params}");
        let deployment = &plan.deployments[0];
        assert_eq!(
            (
                deployment.provider(),
                deployment.model(),
                deployment.base_url()
            ),
            (provider, model, Some(base)),
        );
    }
}

#[test]
fn keys_and_addresses_are_found_under_litellms_variables() {
    for (params, variables, expected_key, expected_base) in [
        (
            "model: anthropic/m",
            &[
                ("ANTHROPIC_API_KEY", "k"),
                ("ANTHROPIC_BASE_URL", "http://a"),
            ][..],
            Some("k"),
            "http://a/v1",
        ),
        (
            "model: gemini/m",
            &[
                ("GEMINI_API_KEY", "k"),
                ("GOOGLE_API_KEY", "g"),
                ("GEMINI_API_BASE", "http://g"),
            ],
            Some("g"),
            "http://g/v1beta",
        ),
        (
            "model: cohere/m",
            &[("CO_API_KEY", "k")],
            Some("k"),
            "https://api.cohere.com",
        ),
        (
            "model: ollama_chat/m",
            &[("OLLAMA_API_BASE", "http://o:11434/")],
            None,
            "http://o:11434",
        ),
        (
            "model: azure/m",
            &[("AZURE_API_KEY", "k"), ("AZURE_API_BASE", "https://z")],
            Some("k"),
            "https://z",
        ),
        (
            "model: azure_ai/m",
            &[
                ("AZURE_AI_API_KEY", "k"),
                ("AZURE_AI_API_BASE", "https://z"),
            ],
            Some("k"),
            "https://z",
        ),
        (
            "model: bedrock/m",
            &[
                ("AWS_BEARER_TOKEN_BEDROCK", "k"),
                ("AWS_REGION", "eu-west-1"),
            ],
            Some("k"),
            "https://bedrock-runtime.eu-west-1.amazonaws.com",
        ),
        (
            "model: voyage/m",
            &[("VOYAGE_API_KEY", "k")],
            Some("k"),
            "https://api.voyageai.com/v1",
        ),
    ] {
        let plan = one(params, variables);
        assert_eq!(warnings(&plan), [""; 0], "{params}");
        assert_eq!(key(&plan), expected_key, "{params}");
        assert_eq!(
            plan.deployments[0].base_url(),
            Some(expected_base),
            "{params}"
        );
    }
}

#[test]
fn a_provider_at_its_own_place_needs_a_key_and_elsewhere_perhaps_none() {
    let message =
        "provider `anthropic` needs `api_key`, or the environment variable `ANTHROPIC_API_KEY`";
    assert_eq!(error("model: anthropic/m", &[]), message);
    let message = "provider `gemini` needs `api_key`, or the environment variable `GOOGLE_API_KEY` or `GEMINI_API_KEY`";
    assert_eq!(error("model: gemini/m, api_key: ''", &[]), message);
    for excuse in [
        "mock_response: hello",
        "extra_headers: {X-Api-Key: k}",
        "configurable_clientside_auth_params: [api_base, api_key]",
    ] {
        let plan = one(&format!("model: anthropic/m, {excuse}"), &[]);
        assert!(key(&plan).is_none());
        assert_eq!(warnings(&plan), [""; 0], "{excuse}");
    }
    let plan = one("model: anthropic/m, api_base: 'http://a'", &[]);
    assert!(warnings(&plan)[0].ends_with("requests go without a credential"));
    let plan = one(
        "model: anthropic/m, api_base: 'http://a'",
        &[("ANTHROPIC_API_KEY", "k")],
    );
    let message = "there is no `api_key`: `ANTHROPIC_API_KEY` goes to `http://a/v1`";
    assert_eq!(warnings(&plan), [message]);
}

#[test]
fn the_credentials_of_the_file_keep_out_those_of_the_environment() {
    let environment = [
        ("AWS_BEARER_TOKEN_BEDROCK", "bearer"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_SESSION_TOKEN", "session"),
        ("AWS_REGION_NAME", "us-east-1"),
    ];
    let names = [
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_session_token",
    ];
    let who = |params: &str, variables: &[(&str, &str)]| {
        let plan = one(&format!("model: bedrock/m, {params}"), variables);
        let params = names.map(|name| param(&plan, name).map(str::to_owned));
        (key(&plan).map(str::to_owned), params)
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(who("", &environment), (some("bearer"), [None, None, None]));
    let all = [some("id"), some("secret"), some("session")];
    assert_eq!(who("", &environment[1..]), (None, all));
    let own = "aws_access_key_id: a, aws_secret_access_key: b";
    assert_eq!(who(own, &environment), (None, [some("a"), some("b"), None]));
    let temporary = "aws_access_key_id: a, aws_secret_access_key: b, aws_session_token: c";
    let expected = [some("a"), some("b"), some("c")];
    assert_eq!(who(temporary, &environment), (None, expected));
    assert_eq!(
        who("api_key: k", &environment),
        (some("k"), [None, None, None])
    );
}

#[test]
fn what_the_file_begins_the_environment_may_complete() {
    let azure = "model: azure/m, api_base: 'https://z', tenant_id: t, client_id: c";
    let variables = [
        ("AZURE_CLIENT_SECRET", "s"),
        ("AZURE_API_KEY", "k"),
        ("AZURE_SCOPE", "x"),
    ];
    let plan = one(azure, &variables);
    assert_eq!(key(&plan), None);
    assert_eq!(param(&plan, "client_secret"), Some("s"));
    assert_eq!(param(&plan, "azure_scope"), Some("x"));
    let message = "`client_secret` is missing beside `tenant_id`: write it, or set the environment variable `AZURE_CLIENT_SECRET`";
    assert_eq!(error(azure, &[]), message);
}

#[test]
fn azure_has_its_version_from_the_file_or_the_environment() {
    let variables = [("AZURE_API_VERSION", "2024-10-21")];
    let version = |params: &str| {
        let plan = one(
            &format!("{params}, api_base: 'https://z', api_key: k"),
            &variables,
        );
        param(&plan, "api_version").map(str::to_owned)
    };
    assert_eq!(version("model: azure/m").as_deref(), Some("2024-10-21"));
    assert_eq!(
        version("model: azure/m, api_version: 2025-01-01").as_deref(),
        Some("2025-01-01")
    );
    assert_eq!(version("model: azure_ai/m"), None);
}

#[test]
fn the_address_that_azures_portal_shows_works_as_it_is() {
    let url = "https://user:hunter2@z.openai.azure.com/openai/deployments/d/chat/completions?api-version=1&code=hunter2";
    let plan = one(
        &format!("model: azure/d, api_key: k, api_base: '{url}'"),
        &[],
    );
    assert_eq!(warnings(&plan), [""; 0]);
    let base = plan.deployments[0].base_url().expect("is given");
    assert!(
        base.ends_with("/openai/deployments/d?api-version=1&code=hunter2"),
        "{base}"
    );
    let shown = format!("{} {plan:?}", plan.explanation());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_region_is_found_wherever_it_is_said() {
    let environment = [
        ("AWS_REGION_NAME", "us-east-1"),
        ("AWS_DEFAULT_REGION", "us-east-2"),
    ];
    let arn = "arn:aws:bedrock:eu-west-3:1:application-inference-profile/x";
    for (params, variables, region, source) in [
        ("model: bedrock/a.b, aws_region_name: eu-west-1".to_owned(), &environment[..], "eu-west-1", "config.yaml:1"),
        ("model: bedrock/a.b, region_name: eu-west-2".to_owned(), &environment, "eu-west-2", "config.yaml:1"),
        ("model: bedrock/us-west-2/a.b".to_owned(), &environment, "us-west-2", "config.yaml:1"),
        (format!("model: 'bedrock/{arn}'"), &environment, "eu-west-3", "config.yaml:1"),
        (format!("model: bedrock/a.b, model_id: '{arn}'"), &environment, "eu-west-3", "config.yaml:1"),
        ("model: bedrock/a.b, api_base: 'https://vpce.bedrock-runtime.us-west-1.vpce.amazonaws.com'".to_owned(), &environment, "us-west-1", "config.yaml:1"),
        ("model: bedrock/a.b".to_owned(), &environment, "us-east-1", "env AWS_REGION_NAME"),
        ("model: bedrock/a.b".to_owned(), &environment[1..], "us-east-2", "env AWS_DEFAULT_REGION"),
    ] {
        let plan = one(&format!("{params}, api_key: k"), variables);
        assert_eq!(param(&plan, "aws_region_name"), Some(region), "{params}");
        assert_eq!(plan.deployments[0].region(), Some(region), "{params}");
        let expected = Some((region.to_owned(), source.to_owned()));
        assert_eq!(told(&plan, "aws_region_name"), expected, "{params}");
    }
    let message = "provider `bedrock` needs `aws_region_name`, or the environment variable `AWS_REGION_NAME`; LiteLLM would take `us-west-2`";
    assert_eq!(error("model: bedrock/a.b, api_key: k", &[]), message);
}

#[test]
fn a_region_by_which_requests_choose_need_not_be_the_provider_s() {
    let plan = one(
        "model: bedrock/a.b, api_key: k, region_name: eu, aws_region_name: eu-west-1",
        &[],
    );
    assert_eq!(warnings(&plan), [""; 0]);
    assert_eq!(plan.deployments[0].region(), Some("eu"));
    assert_eq!(param(&plan, "aws_region_name"), Some("eu-west-1"));
    let plan = one(
        "model: bedrock/a.b, api_key: k, region_name: eu",
        &[("AWS_REGION", "eu-west-2")],
    );
    assert_eq!(param(&plan, "aws_region_name"), Some("eu-west-2"));
    let vertex = "model: vertex_ai/m, api_key: k, vertex_project: p, region_name: europe-west4";
    let plan = one(vertex, &[("VERTEXAI_LOCATION", "us-east1")]);
    assert_eq!(param(&plan, "vertex_location"), Some("europe-west4"));
}

fn credentials(name: &str, content: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).expect("can be written");
    path.display().to_string()
}

const ACCOUNT: &str = r#"{"type": "service_account", "client_email": "a@p-1.iam.gserviceaccount.com", "private_key": "hunter2", "project_id": "p-1"}"#;

#[test]
fn credentials_of_google_are_a_text_a_mapping_or_the_path_of_a_file() {
    let path = credentials("account.json", ACCOUNT);
    let mapping = "{type: service_account, client_email: a, private_key: hunter2, project_id: p-1}";
    let vertex = "model: vertex_ai/m, vertex_location: eu";
    let given = [
        one(&format!("{vertex}, vertex_credentials: '{path}'"), &[]),
        one(&format!("{vertex}, vertex_credentials: '{ACCOUNT}'"), &[]),
        one(&format!("{vertex}, vertex_credentials: {mapping}"), &[]),
        one(vertex, &[("GOOGLE_APPLICATION_CREDENTIALS", &path)]),
        one(
            vertex,
            &[
                ("VERTEXAI_CREDENTIALS", ACCOUNT),
                ("GOOGLE_APPLICATION_CREDENTIALS", "none"),
            ],
        ),
    ];
    for plan in &given {
        assert_eq!(warnings(plan), [""; 0]);
        let text = param(plan, "vertex_credentials").expect("is given");
        assert!(text.starts_with('{') && text.contains("hunter2"), "{text}");
        assert_eq!(param(plan, "vertex_project"), Some("p-1"));
        let shown = format!("{} {plan:?}", plan.explanation());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let source = "env GOOGLE_APPLICATION_CREDENTIALS".to_owned();
    assert_eq!(
        told(&given[3], "vertex_credentials"),
        Some(("set".to_owned(), source))
    );
    let environment = [
        ("VERTEXAI_PROJECT", "p-2"),
        ("VERTEXAI_CREDENTIALS", ACCOUNT),
    ];
    assert_eq!(
        param(&one(vertex, &environment), "vertex_project"),
        Some("p-2")
    );
}

#[test]
fn credentials_of_google_that_cannot_be_used_are_told_without_them() {
    let long = credentials("long.json", &format!("{ACCOUNT}{}", " ".repeat(64 << 10)));
    let folder = env!("CARGO_TARGET_TMPDIR");
    for (given, why) in [
        (long.as_str(), "is longer than 65536 bytes"),
        (folder, "names no file"),
        ("/dev/zero", "names no file"),
        (
            "hunter2",
            "names a file that cannot be read: No such file or directory",
        ),
        ("{hunter2", "is no credential file, which is JSON"),
    ] {
        let vertex = "model: vertex_ai/m, vertex_location: eu";
        let message = error(&format!("{vertex}, vertex_credentials: '{given}'"), &[]);
        assert!(
            message.contains(why) && !message.contains("hunter2"),
            "{message}"
        );
        let message = error(vertex, &[("VERTEXAI_CREDENTIALS", given)]);
        assert!(message.starts_with("`VERTEXAI_CREDENTIALS`"), "{message}");
    }
}

#[test]
fn at_run_time_no_file_is_read() {
    let path = credentials("runtime.json", ACCOUNT);
    let plan = parse("", &[]).expect("is fine");
    let add = |credentials: serde_json::Value| {
        let params = json!({
            "model": "vertex_ai/m", "vertex_location": "eu", "vertex_credentials": credentials,
        });
        let entry = json!({"model_name": "gpt", "litellm_params": params});
        plan.deployment(&entry, &plan.snapshot(), |_| None)
    };
    let problems = add(json!(path)).expect_err("is a path").to_string();
    assert!(
        problems.contains("must be the text of a credential file"),
        "{problems}"
    );
    assert!(add(json!(ACCOUNT)).is_ok());
    let mapping: serde_json::Value = serde_json::from_str(ACCOUNT).expect("is JSON");
    assert!(add(mapping).is_ok());
}

#[test]
fn a_deployment_of_another_project_has_another_id() {
    let id = |project: &str| {
        let params = "model: vertex_ai/m, vertex_location: eu, api_key: k";
        let plan = one(&format!("{params}, vertex_project: {project}"), &[]);
        plan.deployments[0].id().clone()
    };
    assert_eq!(id("p-1"), id("p-1"));
    assert_ne!(id("p-1"), id("p-2"));
}

#[test]
fn a_parameter_of_another_provider_or_one_that_is_beaten_is_a_warning() {
    let plan = one(
        "model: openai/m, api_key: k, vertex_project: p, api_version: 1",
        &[],
    );
    assert_eq!(
        warnings(&plan),
        [
            "`litellm_params.vertex_project` has no effect: provider `openai` does not know it",
            "`litellm_params.api_version` has no effect: provider `openai` does not know it",
        ]
    );
    assert_eq!(param(&plan, "vertex_project"), None);
    let plan = one(
        "model: azure/m, api_base: 'https://z', api_key: k, azure_ad_token: t",
        &[],
    );
    let message = "`litellm_params.azure_ad_token` has no effect: `litellm_params.api_key` wins";
    assert_eq!(warnings(&plan), [message]);
}

#[test]
fn chat_may_be_asked_where_the_provider_speaks_responses_too() {
    let key = "use_chat_completions_api";
    for (more, expected) in [
        ("", None),
        (", use_chat_completions_api: false", None),
        (", use_chat_completions_api: true", Some("true")),
    ] {
        let plan = one(&format!("model: openai/m, api_key: k{more}"), &[]);
        assert_eq!(param(&plan, key), expected, "{more}");
        assert!(plan.warnings().is_empty(), "{more}");
    }
}

#[test]
fn fields_are_dropped_where_the_deployment_says_so_or_else_the_settings() {
    let text = "litellm_settings: {drop_params: true}\n\
        model_list:\n\
        - {model_name: a, litellm_params: {model: openai/m, api_key: k}}\n\
        - {model_name: b, litellm_params: {model: openai/m, api_key: k, drop_params: false}}\n";
    let plan = parse(text, &[]).expect("is valid");
    let drops: Vec<_> = plan
        .deployments
        .iter()
        .map(|it| it.drops_params())
        .collect();
    assert_eq!(drops, [true, false]);
    assert!(plan.router.drop_params);
    let entry = json!({"model_name": "c", "litellm_params": {"model": "openai/m", "api_key": "k"}});
    let added = plan.deployment(&entry, &plan.snapshot(), |_| None);
    assert!(added.expect("is valid").drops_params());
    assert!(!one("model: openai/m, api_key: k", &[]).deployments[0].drops_params());
}

#[test]
fn deployments_share_a_credential_by_its_name() {
    let text = "router_settings: {default_litellm_params: {api_key: default, timeout: 9}}\n\
        credential_list:\n\
        - {credential_name: eu, credential_info: {custom_llm_provider: azure}, credential_values: {api_key: os.environ/KEY, api_base: 'https://z', api_version: 2024-10-21}}\n\
        - {credential_name: eu, credential_values: {api_key: second}}\n\
        model_list:\n\
        - {model_name: a, litellm_params: {model: azure/m, litellm_credential_name: eu}}\n\
        - {model_name: b, litellm_params: {model: azure/m, litellm_credential_name: eu, base_url: 'https://own', api_key: own}}\n";
    let plan = parse(text, &[("KEY", "hunter2")]).expect("is valid");
    let [a, b] = &plan.deployments[..] else {
        panic!("two deployments");
    };
    let who = |it: &ziggurat_core::Deployment| {
        let key = it.credential().map(|key| key.expose().to_owned());
        (
            key,
            it.base_url().map(str::to_owned),
            it.param("api_version").map(str::to_owned),
        )
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        who(a),
        (some("hunter2"), some("https://z"), some("2024-10-21"))
    );
    assert_eq!(
        who(b),
        (some("own"), some("https://own"), some("2024-10-21"))
    );
    assert!(warnings(&plan).contains(&"the credential `eu` stands twice: the first counts"));
    assert_eq!(
        told(&plan, "api_key"),
        Some(("set".to_owned(), "env KEY".to_owned()))
    );
    let shown = format!("{} {plan:?}", plan.explanation());
    assert!(!shown.contains("hunter2"), "{shown}");

    let entry = json!({"model_name": "c", "litellm_params": {"model": "azure/m", "litellm_credential_name": "eu"}});
    let added = plan
        .deployment(&entry, &plan.snapshot(), |_| None)
        .expect("is valid");
    assert_eq!(added.credential().map(|key| key.expose()), Some("hunter2"));
    let entry = json!({"model_name": "c", "litellm_params": {"model": "azure/m", "litellm_credential_name": "us"}});
    assert!(plan.deployment(&entry, &plan.snapshot(), |_| None).is_err());
}

#[test]
fn the_catalog_knows_the_models_of_each_provider() {
    for (params, mode, has) in [
        (
            "model: anthropic/claude-sonnet-4-5, api_key: k",
            Mode::Chat,
            Capability::Vision,
        ),
        (
            "model: gemini/gemini-2.5-pro, api_key: k",
            Mode::Chat,
            Capability::Vision,
        ),
        (
            "model: vertex_ai/gemini-2.5-pro, api_key: k, vertex_project: p, vertex_location: eu",
            Mode::Chat,
            Capability::Vision,
        ),
        (
            "model: vertex_ai_beta/gemini-2.5-pro, api_key: k, vertex_project: p, vertex_location: eu",
            Mode::Chat,
            Capability::Vision,
        ),
        (
            "model: bedrock/converse/anthropic.claude-sonnet-4-5-20250929-v1:0, api_key: k, aws_region_name: us-east-1",
            Mode::Chat,
            Capability::Vision,
        ),
        (
            "model: azure/o_series/mine, api_key: k, api_base: 'https://z', base_model: azure/o1",
            Mode::Chat,
            Capability::Vision,
        ),
        (
            "model: azure_ai/claude-sonnet-4-6, api_key: k, api_base: 'https://z'",
            Mode::Chat,
            Capability::Vision,
        ),
        (
            "model: cohere_chat/command-r-plus-08-2024, api_key: k",
            Mode::Chat,
            Capability::Tools,
        ),
    ] {
        let plan = one(params, &[]);
        let deployment = &plan.deployments[0];
        assert_eq!(deployment.mode(), Some(mode), "{params}");
        assert!(deployment.prices().input.is_some(), "{params}");
        assert!(deployment.max_input_tokens().is_some(), "{params}");
        assert!(deployment.capabilities().yes().contains(has), "{params}");
    }
    for (params, mode) in [
        ("model: voyage/rerank-2, api_key: k", Mode::Rerank),
        ("model: voyage/voyage-code-2, api_key: k", Mode::Embedding),
        (
            "model: bedrock/cohere.embed-v4:0, api_key: k, aws_region_name: us-east-1",
            Mode::Embedding,
        ),
        ("model: ollama/llama3", Mode::Chat),
    ] {
        assert_eq!(
            one(params, &[]).deployments[0].mode(),
            Some(mode),
            "{params}"
        );
    }
}
