//! Every key that is said to be acted on changes the plan, and no other does.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use ziggurat_config::{Plan, RedisNodes, Severity, Support, keys};

/// A section, a key in it and a value.
type Line = (&'static str, &'static str, &'static str);

/// Deployments that need more than a model and a key.
const BEDROCK: &[Line] = &[
    ("litellm_params", "model", "bedrock/m"),
    ("litellm_params", "aws_region_name", "us-east-1"),
    ("litellm_params", "api_key", "~"),
    ("litellm_params", "aws_access_key_id", "a"),
    ("litellm_params", "aws_secret_access_key", "s"),
];
const ENTRA: &[Line] = &[
    ("litellm_params", "model", "azure/m"),
    ("litellm_params", "api_key", "~"),
    ("litellm_params", "tenant_id", "t"),
    ("litellm_params", "client_id", "c"),
    ("litellm_params", "client_secret", "s"),
];
const VERTEX: &[Line] = &[
    ("litellm_params", "model", "vertex_ai/m"),
    ("litellm_params", "vertex_location", "us-east1"),
    ("litellm_params", "vertex_project", "p"),
    ("litellm_params", "api_key", "~"),
    (
        "litellm_params",
        "vertex_credentials",
        "{type: authorized_user, client_id: a, client_secret: b, refresh_token: c}",
    ),
];

/// Callers, to say more of.
const HASH: &str = "sha256:abababababababababababababababababababababababababababababababab";
const A_KEY: &[Line] = &[("keys", "name", "a"), ("keys", "hash", HASH)];
const A_TEAM: &[Line] = &[("teams", "name", "a")];
const A_USER: &[Line] = &[("users", "name", "a")];
/// A class of the queue.
const A_CLASS: &[Line] = &[("classes", "name", "a"), ("classes", "up_to", "0")];
/// Files with a cache.
const CACHED: &[Line] = &[("litellm_settings", "cache", "true")];
const REDIS: &[Line] = &[
    ("litellm_settings", "cache", "true"),
    ("cache_params", "type", "redis"),
    ("cache_params", "host", "a"),
];
const SEMANTIC: &[Line] = &[
    ("litellm_settings", "cache", "true"),
    ("semantic", "model", "gpt"),
    ("semantic", "threshold", "0.9"),
];

/// A limit and a quota that say something.
const A_LIMIT: &[Line] = &[
    ("limit", "for", "key"),
    ("limit", "max_budget", "5"),
    ("limit", "requests", "5"),
];
const A_QUOTA: &[Line] = &[
    ("quotas", "name", "q"),
    ("quotas", "models", "gpt"),
    ("quotas", "max_budget", "5"),
    ("quotas", "requests", "5"),
];

/// The key under test, and what must hold before and after for it to matter.
#[rustfmt::skip]
const CASES: &[(Line, &[Line])] = &[
    (("the file", "credential_list", "[{credential_name: c, credential_values: {rpm: 7}}]"), &[("the file", "credential_list", "[{credential_name: c}]"), ("litellm_params", "litellm_credential_name", "c")]),
    (("credential_list", "credential_name", "b"), &[("credential_list", "credential_values", "{rpm: 7}"), ("litellm_params", "litellm_credential_name", "b")]),
    (("credential_list", "credential_values", "{rpm: 7}"), &[("litellm_params", "litellm_credential_name", "a")]),
    (("litellm_params", "litellm_credential_name", "b"), &[]),
    (("litellm_params", "api_version", "2024-10-21"), &[("litellm_params", "model", "azure/m")]),
    (("litellm_params", "aws_access_key_id", "other"), BEDROCK),
    (("litellm_params", "aws_bedrock_runtime_endpoint", "http://other"), &[("litellm_params", "model", "bedrock/m"), ("litellm_params", "aws_region_name", "us-east-1"), ("litellm_params", "api_base", "~")]),
    (("litellm_params", "aws_secret_access_key", "other"), BEDROCK),
    (("litellm_params", "aws_session_token", "other"), BEDROCK),
    (("litellm_params", "azure_ad_token", "other"), &[("litellm_params", "model", "azure/m"), ("litellm_params", "api_key", "~"), ("litellm_params", "azure_ad_token", "t")]),
    (("litellm_params", "azure_authority_host", "https://other"), ENTRA),
    (("litellm_params", "azure_scope", "other"), ENTRA),
    (("litellm_params", "client_id", "other"), ENTRA),
    (("litellm_params", "client_secret", "other"), ENTRA),
    (("litellm_params", "drop_params", "true"), &[]),
    (("litellm_params", "model_id", "other"), BEDROCK),
    (("litellm_params", "tenant_id", "other"), ENTRA),
    (("litellm_params", "vertex_credentials", "{type: authorized_user, client_id: other, client_secret: b, refresh_token: c}"), VERTEX),
    (("litellm_params", "vertex_project", "other"), VERTEX),
    (("the file", "environment_variables", "{OPENAI_API_KEY: other}"), &[("litellm_params", "api_key", "~")]),
    (("the file", "general_settings", "{master_key: other}"), &[]),
    (("the file", "litellm_settings", "{num_retries: 7}"), &[]),
    (("the file", "model_list", "[]"), &[("router_settings", "model_group_alias", "~")]),
    (("the file", "router_settings", "{num_retries: 7}"), &[]),
    (("the file", "ziggurat_settings", "{deadline: 7}"), &[]),
    (("model_list", "litellm_params", "{model: openai/other, api_key: k}"), &[]),
    (("model_list", "model_info", "{id: other}"), &[]),
    (("model_list", "model_name", "other"), &[("model_group_alias", "model", "backup")]),
    (("model_list", "rpm", "7"), &[]),
    (("model_list", "tpm", "7"), &[]),
    (("litellm_params", "api_base", "http://other/v1"), &[]),
    (("litellm_params", "api_key", "other"), &[]),
    (("litellm_params", "base_url", "http://other/v1"), &[("litellm_params", "api_base", "~")]),
    (("litellm_params", "cache_read_input_token_cost", "0.1"), &[]),
    (("litellm_params", "cooldown_time", "7"), &[]),
    (("litellm_params", "custom_llm_provider", "groq"), &[]),
    (("litellm_params", "extra_headers", "{x-a: b}"), &[]),
    (("litellm_params", "headers", "{x-a: b}"), &[]),
    (("litellm_params", "input_cost_per_token", "0.1"), &[]),
    (("litellm_params", "max_parallel_requests", "7"), &[]),
    (("litellm_params", "model", "openai/other"), &[]),
    (("litellm_params", "num_retries", "7"), &[]),
    (("litellm_params", "order", "7"), &[]),
    (("litellm_params", "organization", "acme"), &[]),
    (("litellm_params", "output_cost_per_token", "0.1"), &[]),
    (("litellm_params", "request_timeout", "7"), &[]),
    (("litellm_params", "rpm", "7"), &[]),
    (("litellm_params", "stream_timeout", "7"), &[]),
    (("litellm_params", "tags", "[paid]"), &[]),
    (("litellm_params", "timeout", "7"), &[]),
    (("litellm_params", "tpm", "7"), &[]),
    (("litellm_params", "weight", "7"), &[]),
    (("model_info", "blocked", "true"), &[]),
    (("model_info", "cache_read_input_token_cost", "0.1"), &[]),
    (("model_info", "cooldown_time", "7"), &[]),
    (("model_info", "first_token_timeout", "7"), &[]),
    (("model_info", "id", "other"), &[]),
    (("model_info", "idle_timeout", "7"), &[]),
    (("model_info", "input_cost_per_token", "0.1"), &[]),
    (("model_info", "max_input_tokens", "7"), &[]),
    (("model_info", "order", "7"), &[]),
    (("model_info", "output_cost_per_token", "0.1"), &[]),
    (("model_info", "rpm", "7"), &[]),
    (("model_info", "tpm", "7"), &[]),
    (("litellm_params", "cache_creation_input_token_cost", "0.1"), &[]),
    (("litellm_params", "output_cost_per_reasoning_token", "0.1"), &[]),
    (("litellm_params", "input_cost_per_token_above_128k_tokens", "0.1"), &[]),
    (("litellm_params", "output_cost_per_token_above_128k_tokens", "0.1"), &[]),
    (("litellm_params", "cache_read_input_token_cost_above_128k_tokens", "0.1"), &[]),
    (("litellm_params", "cache_creation_input_token_cost_above_128k_tokens", "0.1"), &[]),
    (("litellm_params", "input_cost_per_token_above_200k_tokens", "0.1"), &[]),
    (("litellm_params", "output_cost_per_token_above_200k_tokens", "0.1"), &[]),
    (("litellm_params", "cache_read_input_token_cost_above_200k_tokens", "0.1"), &[]),
    (("litellm_params", "cache_creation_input_token_cost_above_200k_tokens", "0.1"), &[]),
    (("litellm_params", "input_cost_per_token_above_272k_tokens", "0.1"), &[]),
    (("litellm_params", "output_cost_per_token_above_272k_tokens", "0.1"), &[]),
    (("litellm_params", "cache_read_input_token_cost_above_272k_tokens", "0.1"), &[]),
    (("litellm_params", "cache_creation_input_token_cost_above_272k_tokens", "0.1"), &[]),
    (("litellm_params", "cache_creation_input_token_cost_above_1hr", "0.1"), &[]),
    (("litellm_params", "cache_read_input_token_cost_batches", "0.1"), &[]),
    (("litellm_params", "cache_read_input_token_cost_flex", "0.1"), &[]),
    (("litellm_params", "cache_read_input_token_cost_priority", "0.1"), &[]),
    (("litellm_params", "input_cost_per_audio_token", "0.1"), &[]),
    (("litellm_params", "input_cost_per_character", "0.1"), &[]),
    (("litellm_params", "input_cost_per_image", "0.1"), &[]),
    (("litellm_params", "input_cost_per_image_token", "0.1"), &[]),
    (("litellm_params", "input_cost_per_query", "0.1"), &[]),
    (("litellm_params", "input_cost_per_request", "0.1"), &[]),
    (("litellm_params", "input_cost_per_second", "0.1"), &[]),
    (("litellm_params", "input_cost_per_token_batches", "0.1"), &[]),
    (("litellm_params", "input_cost_per_token_flex", "0.1"), &[]),
    (("litellm_params", "input_cost_per_token_priority", "0.1"), &[]),
    (("litellm_params", "output_cost_per_audio_token", "0.1"), &[]),
    (("litellm_params", "output_cost_per_image", "0.1"), &[]),
    (("litellm_params", "output_cost_per_image_token", "0.1"), &[]),
    (("litellm_params", "output_cost_per_second", "0.1"), &[]),
    (("litellm_params", "output_cost_per_token_batches", "0.1"), &[]),
    (("litellm_params", "output_cost_per_token_flex", "0.1"), &[]),
    (("litellm_params", "output_cost_per_token_priority", "0.1"), &[]),
    (("litellm_params", "audio", "7"), &[]),
    (("litellm_params", "dimensions", "7"), &[]),
    (("litellm_params", "encoding_format", "7"), &[]),
    (("litellm_params", "frequency_penalty", "7"), &[]),
    (("litellm_params", "function_call", "7"), &[]),
    (("litellm_params", "functions", "7"), &[]),
    (("litellm_params", "input_type", "7"), &[]),
    (("litellm_params", "logit_bias", "7"), &[]),
    (("litellm_params", "logprobs", "7"), &[]),
    (("litellm_params", "max_completion_tokens", "7"), &[]),
    (("litellm_params", "max_output_tokens", "7"), &[]),
    (("litellm_params", "max_tokens", "7"), &[]),
    (("litellm_params", "min_p", "7"), &[]),
    (("litellm_params", "modalities", "7"), &[]),
    (("litellm_params", "n", "7"), &[]),
    (("litellm_params", "parallel_tool_calls", "7"), &[]),
    (("litellm_params", "prediction", "7"), &[]),
    (("litellm_params", "presence_penalty", "7"), &[]),
    (("litellm_params", "prompt_cache_key", "7"), &[]),
    (("litellm_params", "reasoning", "7"), &[]),
    (("litellm_params", "reasoning_effort", "7"), &[]),
    (("litellm_params", "repetition_penalty", "7"), &[]),
    (("litellm_params", "response_format", "7"), &[]),
    (("litellm_params", "safety_identifier", "7"), &[]),
    (("litellm_params", "seed", "7"), &[]),
    (("litellm_params", "service_tier", "7"), &[]),
    (("litellm_params", "stop", "7"), &[]),
    (("litellm_params", "store", "7"), &[]),
    (("litellm_params", "temperature", "7"), &[]),
    (("litellm_params", "thinking", "7"), &[]),
    (("litellm_params", "tool_choice", "7"), &[]),
    (("litellm_params", "tools", "7"), &[]),
    (("litellm_params", "top_k", "7"), &[]),
    (("litellm_params", "top_logprobs", "7"), &[]),
    (("litellm_params", "top_p", "7"), &[]),
    (("litellm_params", "truncation", "7"), &[]),
    (("litellm_params", "use_chat_completions_api", "true"), &[]),
    (("litellm_params", "use_in_pass_through", "true"), &[]),
    (("litellm_params", "user", "7"), &[]),
    (("litellm_params", "verbosity", "7"), &[]),
    (("litellm_params", "voice", "7"), &[]),
    (("litellm_params", "web_search_options", "7"), &[]),
    (("litellm_params", "metadata", "7"), &[]),
    (("litellm_params", "best_of", "7"), &[]),
    (("litellm_params", "echo", "7"), &[]),
    (("litellm_params", "suffix", "7"), &[]),
    (("litellm_params", "aws_region_name", "eu"), &[]),
    (("litellm_params", "region_name", "eu"), &[]),
    (("litellm_params", "vertex_location", "eu"), &[]),
    (("litellm_params", "base_model", "gpt-4o"), &[]),
    (("litellm_params", "configurable_clientside_auth_params", "[api_base]"), &[]),
    (("litellm_params", "silent_model", "backup"), &[]),
    (("litellm_params", "tag_regex", "curl"), &[]),
    (("model_info", "cache_creation_input_token_cost", "0.1"), &[]),
    (("model_info", "output_cost_per_reasoning_token", "0.1"), &[]),
    (("model_info", "input_cost_per_token_above_128k_tokens", "0.1"), &[]),
    (("model_info", "output_cost_per_token_above_128k_tokens", "0.1"), &[]),
    (("model_info", "cache_read_input_token_cost_above_128k_tokens", "0.1"), &[]),
    (("model_info", "cache_creation_input_token_cost_above_128k_tokens", "0.1"), &[]),
    (("model_info", "input_cost_per_token_above_200k_tokens", "0.1"), &[]),
    (("model_info", "output_cost_per_token_above_200k_tokens", "0.1"), &[]),
    (("model_info", "cache_read_input_token_cost_above_200k_tokens", "0.1"), &[]),
    (("model_info", "cache_creation_input_token_cost_above_200k_tokens", "0.1"), &[]),
    (("model_info", "input_cost_per_token_above_272k_tokens", "0.1"), &[]),
    (("model_info", "output_cost_per_token_above_272k_tokens", "0.1"), &[]),
    (("model_info", "cache_read_input_token_cost_above_272k_tokens", "0.1"), &[]),
    (("model_info", "cache_creation_input_token_cost_above_272k_tokens", "0.1"), &[]),
    (("model_info", "cache_creation_input_token_cost_above_1hr", "0.1"), &[]),
    (("model_info", "cache_read_input_token_cost_batches", "0.1"), &[]),
    (("model_info", "cache_read_input_token_cost_flex", "0.1"), &[]),
    (("model_info", "cache_read_input_token_cost_priority", "0.1"), &[]),
    (("model_info", "input_cost_per_audio_token", "0.1"), &[]),
    (("model_info", "input_cost_per_character", "0.1"), &[]),
    (("model_info", "input_cost_per_image", "0.1"), &[]),
    (("model_info", "input_cost_per_image_token", "0.1"), &[]),
    (("model_info", "input_cost_per_query", "0.1"), &[]),
    (("model_info", "input_cost_per_request", "0.1"), &[]),
    (("model_info", "input_cost_per_second", "0.1"), &[]),
    (("model_info", "input_cost_per_token_batches", "0.1"), &[]),
    (("model_info", "input_cost_per_token_flex", "0.1"), &[]),
    (("model_info", "input_cost_per_token_priority", "0.1"), &[]),
    (("model_info", "output_cost_per_audio_token", "0.1"), &[]),
    (("model_info", "output_cost_per_image", "0.1"), &[]),
    (("model_info", "output_cost_per_image_token", "0.1"), &[]),
    (("model_info", "output_cost_per_second", "0.1"), &[]),
    (("model_info", "output_cost_per_token_batches", "0.1"), &[]),
    (("model_info", "output_cost_per_token_flex", "0.1"), &[]),
    (("model_info", "output_cost_per_token_priority", "0.1"), &[]),
    (("model_info", "supports_function_calling", "false"), &[]),
    (("model_info", "supports_parallel_function_calling", "false"), &[]),
    (("model_info", "supports_tool_choice", "false"), &[]),
    (("model_info", "supports_vision", "false"), &[]),
    (("model_info", "supports_audio_input", "false"), &[]),
    (("model_info", "supports_audio_output", "false"), &[]),
    (("model_info", "supports_pdf_input", "false"), &[]),
    (("model_info", "supports_video_input", "false"), &[]),
    (("model_info", "supports_response_schema", "false"), &[]),
    (("model_info", "supports_reasoning", "false"), &[]),
    (("model_info", "supports_web_search", "false"), &[]),
    (("model_info", "supports_prompt_caching", "false"), &[]),
    (("model_info", "supports_system_messages", "false"), &[]),
    (("model_info", "supports_assistant_prefill", "false"), &[]),
    (("model_info", "supports_computer_use", "false"), &[]),
    (("model_info", "access_groups", "[beta]"), &[]),
    (("model_info", "access_windows", "[{start: '08:00', end: '18:00', team_ids: [a]}]"), &[]),
    (("model_info", "base_model", "gpt-4o"), &[]),
    (("model_info", "enable_tag_filtering", "true"), &[]),
    (("model_info", "max_output_tokens", "7"), &[]),
    (("model_info", "max_tokens", "7"), &[]),
    (("model_info", "mode", "embedding"), &[]),
    (("model_info", "supported_environments", "[staging]"), &[]),
    (("model_info", "supported_openai_params", "[temperature]"), &[]),
    (("model_info", "team_id", "red"), &[]),
    (("model_info", "team_public_model_name", "big"), &[("model_info", "team_id", "red")]),
    (("access_windows", "start", "'09:00'"), &[("access_windows", "start", "'08:00'"), ("access_windows", "end", "'18:00'"), ("access_windows", "team_ids", "[a]")]),
    (("access_windows", "end", "'17:00'"), &[("access_windows", "start", "'08:00'"), ("access_windows", "end", "'18:00'"), ("access_windows", "team_ids", "[a]")]),
    (("access_windows", "team_ids", "[b]"), &[("access_windows", "start", "'08:00'"), ("access_windows", "end", "'18:00'"), ("access_windows", "team_ids", "[a]")]),
    (("access_windows", "timezone", "Europe/Berlin"), &[("access_windows", "start", "'08:00'"), ("access_windows", "end", "'18:00'"), ("access_windows", "team_ids", "[a]")]),
    (("router_settings", "allowed_fails", "7"), &[]),
    (("router_settings", "content_policy_fallbacks", "[{gpt: [backup]}]"), &[]),
    (("router_settings", "context_window_fallbacks", "[{gpt: [backup]}]"), &[]),
    (("router_settings", "cooldown_time", "0.5"), &[]),
    (("router_settings", "default_fallbacks", "[backup]"), &[]),
    (("router_settings", "default_max_parallel_requests", "7"), &[]),
    (("router_settings", "default_priority", "-7"), &[]),
    (("router_settings", "disable_cooldowns", "true"), &[]),
    (("router_settings", "enable_pre_call_checks", "true"), &[]),
    (("router_settings", "enable_tag_filtering", "true"), &[]),
    (("router_settings", "fallbacks", "[{gpt: [backup]}]"), &[]),
    (("router_settings", "max_fallbacks", "7"), &[]),
    (("router_settings", "model_group_alias", "{other: gpt}"), &[]),
    (("router_settings", "num_retries", "7"), &[]),
    (("router_settings", "optional_pre_call_checks", "[enforce_model_rate_limits]"), &[]),
    (("router_settings", "retry_after", "7"), &[]),
    (("router_settings", "routing_strategy", "least-busy"), &[]),
    (("router_settings", "stream_timeout", "7"), &[]),
    (("router_settings", "tag_filtering_match_any", "false"), &[]),
    (("router_settings", "timeout", "7"), &[]),
    (("router_settings", "default_litellm_params", "{temperature: 0.5}"), &[]),
    (("router_settings", "deployment_affinity_ttl_seconds", "7"), &[]),
    (("router_settings", "model_group_affinity_config", "{gpt: [prompt_caching]}"), &[]),
    (("router_settings", "routing_groups", "[{group_name: both, models: [gpt, backup]}]"), &[]),
    (("router_settings", "routing_strategy_args", "{ttl: 7}"), &[]),
    (("router_settings", "tag_routing_prefix", "route-"), &[]),
    (("routing_strategy_args", "ttl", "7"), &[]),
    (("routing_strategy_args", "lowest_latency_buffer", "0.7"), &[]),
    (("routing_strategy_args", "max_latency_list_size", "7"), &[]),
    (("routing_strategy_args", "ttft_percentile", "0.7"), &[]),
    (("routing_strategy_args", "decay", "7"), &[]),
    (("routing_strategy_args", "quantile", "0.7"), &[]),
    (("routing_strategy_args", "load_factor", "7"), &[]),
    (("routing_strategy_args", "key", "session"), &[]),
    (("routing_groups", "group_name", "other"), &[("routing_groups", "group_name", "both"), ("routing_groups", "models", "[gpt, backup]")]),
    (("routing_groups", "models", "[gpt]"), &[("routing_groups", "group_name", "both"), ("routing_groups", "models", "[gpt, backup]")]),
    (("routing_groups", "model_priorities", "{gpt: 1}"), &[("routing_groups", "group_name", "both"), ("routing_groups", "models", "[gpt, backup]")]),
    (("routing_groups", "routing_strategy", "p2c"), &[("routing_groups", "group_name", "both"), ("routing_groups", "models", "[gpt, backup]")]),
    (("routing_groups", "routing_strategy_args", "{ttl: 7}"), &[("routing_groups", "group_name", "both"), ("routing_groups", "models", "[gpt, backup]")]),
    (("litellm_settings", "drop_params", "true"), &[]),
    (("litellm_settings", "cache", "true"), &[]),
    (("litellm_settings", "cache_params", "{ttl: 7}"), CACHED),
    (("litellm_settings", "default_in_memory_ttl", "7"), CACHED),
    (("litellm_settings", "default_redis_ttl", "7"), REDIS),
    (("router_settings", "cache_responses", "true"), &[]),
    (("router_settings", "cache_kwargs", "{ttl: 7}"), CACHED),
    (("router_settings", "caching_groups", "[[gpt, backup]]"), CACHED),
    (("cache_params", "default_in_memory_ttl", "7"), CACHED),
    (("cache_params", "default_in_redis_ttl", "7"), REDIS),
    (("cache_params", "max_size_in_memory", "7"), CACHED),
    (("cache_params", "mode", "default_off"), CACHED),
    (("cache_params", "namespace", "n"), CACHED),
    (("cache_params", "redis_semantic_cache_embedding_model", "backup"), &[("litellm_settings", "cache", "true"), ("cache_params", "type", "redis-semantic"), ("cache_params", "host", "a"), ("cache_params", "similarity_threshold", "0.8"), ("cache_params", "redis_semantic_cache_embedding_model", "gpt")]),
    (("cache_params", "similarity_threshold", "0.7"), &[("litellm_settings", "cache", "true"), ("cache_params", "type", "redis-semantic"), ("cache_params", "host", "a"), ("cache_params", "similarity_threshold", "0.8"), ("cache_params", "redis_semantic_cache_embedding_model", "gpt")]),
    (("cache_params", "supported_call_types", "[embedding]"), CACHED),
    (("cache_params", "ttl", "7"), CACHED),
    (("cache_params", "type", "redis"), &[("litellm_settings", "cache", "true"), ("cache_params", "type", "local"), ("cache_params", "host", "a")]),
    (("ziggurat_settings", "cache", "{max_bytes: 7}"), CACHED),
    (("cache", "exclude", "[user]"), CACHED),
    (("cache", "max_bytes", "7"), CACHED),
    (("cache", "max_entry_bytes", "7"), CACHED),
    (("cache", "semantic", "{model: gpt, threshold: 0.9}"), CACHED),
    (("cache", "single_flight", "true"), CACHED),
    (("cache", "tenants", "team"), CACHED),
    (("cache", "two_tier", "false"), REDIS),
    (("semantic", "max_bytes", "7"), SEMANTIC),
    (("semantic", "max_entries", "7"), SEMANTIC),
    (("semantic", "model", "backup"), SEMANTIC),
    (("semantic", "threshold", "0.7"), SEMANTIC),
    (("semantic", "timeout", "2"), SEMANTIC),
    (("general_settings", "allow_client_side_credentials", "true"), &[]),
    (("ziggurat_settings", "affinity", "{load_factor: 7}"), &[]),
    (("ziggurat_settings", "auto_route", "{splits: [{model: s, to: {gpt: 1}}]}"), &[]),
    (("ziggurat_settings", "mirror", "{queue: 7}"), &[]),
    (("affinity", "load_factor", "7"), &[]),
    (("affinity", "prompt_cache_ttl", "7"), &[]),
    (("mirror", "max_in_flight", "7"), &[]),
    (("mirror", "queue", "7"), &[]),
    (("mirror", "share", "0.7"), &[]),
    (("auto_route", "rules", "[{name: r, to: gpt}]"), &[]),
    (("auto_route", "bandits", "[{model: b, among: [gpt, backup]}]"), &[]),
    (("auto_route", "splits", "[{model: s, to: {gpt: 1}}]"), &[]),
    (("rules", "name", "other"), &[("rules", "name", "r"), ("rules", "to", "gpt")]),
    (("rules", "to", "backup"), &[("rules", "name", "r"), ("rules", "to", "gpt")]),
    (("rules", "models", "[auto]"), &[("rules", "name", "r"), ("rules", "to", "gpt")]),
    (("rules", "min_input_tokens", "7"), &[("rules", "name", "r"), ("rules", "to", "gpt")]),
    (("rules", "max_input_tokens", "7"), &[("rules", "name", "r"), ("rules", "to", "gpt")]),
    (("rules", "needs", "[reasoning]"), &[("rules", "name", "r"), ("rules", "to", "gpt")]),
    (("rules", "lacks", "[reasoning]"), &[("rules", "name", "r"), ("rules", "to", "gpt")]),
    (("rules", "images", "true"), &[("rules", "name", "r"), ("rules", "to", "gpt")]),
    (("rules", "tools", "false"), &[("rules", "name", "r"), ("rules", "to", "gpt")]),
    (("rules", "stream", "true"), &[("rules", "name", "r"), ("rules", "to", "gpt")]),
    (("rules", "keywords", "[code]"), &[("rules", "name", "r"), ("rules", "to", "gpt")]),
    (("rules", "tags", "[a]"), &[("rules", "name", "r"), ("rules", "to", "gpt")]),
    (("rules", "all_tags", "[a]"), &[("rules", "name", "r"), ("rules", "to", "gpt")]),
    (("rules", "users", "[a]"), &[("rules", "name", "r"), ("rules", "to", "gpt")]),
    (("bandits", "model", "other"), &[("bandits", "model", "b"), ("bandits", "among", "[gpt, backup]")]),
    (("bandits", "among", "[gpt]"), &[("bandits", "model", "b"), ("bandits", "among", "[gpt, backup]")]),
    (("bandits", "weights", "{cost: 7}"), &[("bandits", "model", "b"), ("bandits", "among", "[gpt, backup]")]),
    (("bandits", "explore", "0.7"), &[("bandits", "model", "b"), ("bandits", "among", "[gpt, backup]")]),
    (("weights", "success", "7"), &[("bandits", "model", "b"), ("bandits", "among", "[gpt, backup]")]),
    (("weights", "latency", "7"), &[("bandits", "model", "b"), ("bandits", "among", "[gpt, backup]")]),
    (("weights", "cost", "7"), &[("bandits", "model", "b"), ("bandits", "among", "[gpt, backup]")]),
    (("weights", "outcome", "7"), &[("bandits", "model", "b"), ("bandits", "among", "[gpt, backup]")]),
    (("splits", "model", "other"), &[("splits", "model", "s"), ("splits", "to", "{gpt: 1}")]),
    (("splits", "to", "{gpt: 1, backup: 1}"), &[("splits", "model", "s"), ("splits", "to", "{gpt: 1}")]),
    (("model_group_alias", "hidden", "true"), &[]),
    (("model_group_alias", "model", "backup"), &[]),
    (("litellm_settings", "allowed_fails", "7"), &[]),
    (("litellm_settings", "content_policy_fallbacks", "[{gpt: [backup]}]"), &[]),
    (("litellm_settings", "context_window_fallbacks", "[{gpt: [backup]}]"), &[]),
    (("litellm_settings", "cooldown_time", "7"), &[]),
    (("litellm_settings", "default_fallbacks", "[backup]"), &[]),
    (("litellm_settings", "fallbacks", "[{gpt: [backup]}]"), &[]),
    (("litellm_settings", "max_fallbacks", "7"), &[]),
    (("litellm_settings", "num_retries", "7"), &[]),
    (("litellm_settings", "request_timeout", "7"), &[]),
    (("general_settings", "dangerously_allow_mock_testing_request_params", "true"), &[]),
    (("general_settings", "master_key", "other"), &[]),
    (("general_settings", "settlement_log", "rows.jsonl"), &[]),
    (("ziggurat_settings", "connect_timeout", "7"), &[]),
    (("ziggurat_settings", "deadline", "7"), &[]),
    (("ziggurat_settings", "first_token_timeout", "7"), &[]),
    (("ziggurat_settings", "idle_timeout", "7"), &[]),
    (("ziggurat_settings", "max_attempts", "7"), &[]),
    (("ziggurat_settings", "queue", "{capacity: 7}"), &[]),
    (("ziggurat_settings", "retry_budget", "{percent: 7}"), &[]),
    (("queue", "aging", "7"), &[]),
    (("queue", "capacity", "7"), &[]),
    (("queue", "classes", "[{name: a, up_to: 7}]"), &[]),
    (("queue", "count", "tokens"), &[]),
    (("queue", "max_cost", "7"), &[]),
    (("queue", "max_in_flight_per_tenant", "7"), &[]),
    (("queue", "max_wait", "7"), &[]),
    (("queue", "max_waiting", "7"), &[]),
    (("queue", "max_waiting_bytes", "7"), &[]),
    (("queue", "max_waiting_per_tenant", "7"), &[]),
    (("queue", "order", "weighted"), &[]),
    (("queue", "per", "group"), &[]),
    (("queue", "shared", "false"), &[]),
    (("queue", "tenant", "team"), &[]),
    (("classes", "max_wait", "7"), A_CLASS),
    (("classes", "name", "b"), A_CLASS),
    (("classes", "up_to", "7"), A_CLASS),
    (("classes", "weight", "7"), A_CLASS),
    (("keys", "share", "7"), A_KEY),
    (("teams", "share", "7"), A_TEAM),
    (("retry_budget", "min_per_second", "7"), &[]),
    (("retry_budget", "percent", "7"), &[]),
    (("litellm_params", "mock_response", "hello"), &[]),
    (("model_info", "accept_any_answer", "true"), &[]),
    (("model_info", "allowed_fails", "7"), &[]),
    (("model_info", "allowed_fails_policy", "{TimeoutErrorAllowedFails: 7}"), &[]),
    (("model_info", "disable_background_health_check", "true"), &[]),
    (("model_info", "health_check_max_tokens", "7"), &[]),
    (("model_info", "health_check_model", "small"), &[]),
    (("model_info", "health_check_params", "{a: b}"), &[]),
    (("model_info", "health_check_timeout", "7"), &[]),
    (("model_info", "supports_continuation", "true"), &[]),
    (("router_settings", "background_health_check_model_groups", "[gpt]"), &[]),
    (("router_settings", "enable_health_check_routing", "true"), &[]),
    (("router_settings", "health_check_ignore_transient_errors", "true"), &[]),
    (("router_settings", "health_check_staleness_threshold", "7"), &[]),
    (("router_settings", "allowed_fails_policy", "{TimeoutErrorAllowedFails: 7}"), &[]),
    (("router_settings", "enable_weighted_failover", "true"), &[]),
    (("router_settings", "model_group_retry_policy", "{gpt: {TimeoutErrorRetries: 7}}"), &[]),
    (("router_settings", "retry_policy", "{TimeoutErrorRetries: 7}"), &[]),
    (("litellm_settings", "num_retries_per_request", "7"), &[]),
    (("general_settings", "background_health_check_model_groups", "[gpt]"), &[]),
    (("general_settings", "enable_health_check_routing", "true"), &[]),
    (("general_settings", "health_check_ignore_transient_errors", "true"), &[]),
    (("general_settings", "health_check_staleness_threshold", "7"), &[]),
    (("general_settings", "background_health_checks", "true"), &[]),
    (("general_settings", "alerting", "[slack]"), &[]),
    (("general_settings", "alert_types", "[llm_too_slow]"), &[("general_settings", "alerting", "[webhook]")]),
    (("general_settings", "alert_to_webhook_url", "{llm_too_slow: 'http://b'}"), &[("general_settings", "alerting", "[slack]")]),
    (("general_settings", "alerting_args", "{budget_alert_ttl: 7}"), &[]),
    (("general_settings", "alerting_threshold", "7"), &[]),
    (("alerting_args", "budget_alert_ttl", "7"), &[]),
    (("alerting_args", "major_outage_alert_threshold", "7"), &[]),
    (("alerting_args", "minor_outage_alert_threshold", "7"), &[]),
    (("alerting_args", "outage_alert_ttl", "7"), &[]),
    (("router_settings", "alerting_config", "{alerting_threshold: 7}"), &[]),
    (("alerting_config", "alerting_threshold", "7"), &[]),
    (("alerting_config", "webhook_url", "http://a"), &[]),
    (("ziggurat_settings", "alerts", "{storm: 7}"), &[]),
    (("alerts", "budget_interval", "7"), &[]),
    (("alerts", "interval", "7"), &[]),
    (("alerts", "major_outage", "7"), &[]),
    (("alerts", "minor_outage", "7"), &[]),
    (("alerts", "outage_window", "7"), &[]),
    (("alerts", "per_minute", "7"), &[]),
    (("alerts", "storm", "7"), &[]),
    (("alerts", "threshold", "7"), &[]),
    (("alerts", "webhooks", "[{url: 'http://a'}]"), &[]),
    (("webhooks", "events", "[group_out]"), &[("webhooks", "url", "http://a")]),
    (("webhooks", "format", "json"), &[("webhooks", "url", "http://a"), ("webhooks", "format", "slack")]),
    (("webhooks", "url", "http://b"), &[("webhooks", "url", "http://a")]),
    (("general_settings", "health_check_concurrency", "7"), &[]),
    (("general_settings", "health_check_interval", "7"), &[]),
    (("ziggurat_settings", "cooldown", "{window: 7}"), &[]),
    (("ziggurat_settings", "fallbacks_for", "{teams: {red: {default_fallbacks: [gpt]}}}"), &[]),
    (("ziggurat_settings", "groups", "{gpt: {timeout: 7}}"), &[]),
    (("ziggurat_settings", "hedge", "true"), &[]),
    (("ziggurat_settings", "concurrency", "7"), &[]),
    (("concurrency", "mode", "gradient"), &[]),
    (("concurrency", "min", "7"), &[]),
    (("concurrency", "initial", "7"), &[]),
    (("concurrency", "max", "7"), &[]),
    (("model_info", "concurrency", "7"), &[]),
    (("ziggurat_settings", "streams", "{keep_alive: 7}"), &[]),
    (("retry_policy", "AuthenticationErrorRetries", "7"), &[]),
    (("retry_policy", "BadRequestErrorRetries", "7"), &[]),
    (("retry_policy", "ContentPolicyViolationErrorRetries", "7"), &[]),
    (("retry_policy", "InternalServerErrorRetries", "7"), &[]),
    (("retry_policy", "NotFoundErrorRetries", "7"), &[]),
    (("retry_policy", "RateLimitErrorRetries", "7"), &[]),
    (("retry_policy", "ServiceUnavailableErrorRetries", "7"), &[]),
    (("retry_policy", "TimeoutErrorRetries", "7"), &[]),
    (("retry_policy", "DefaultRetries", "7"), &[]),
    (("allowed_fails_policy", "AuthenticationErrorAllowedFails", "7"), &[]),
    (("allowed_fails_policy", "BadRequestErrorAllowedFails", "7"), &[]),
    (("allowed_fails_policy", "ContentPolicyViolationErrorAllowedFails", "7"), &[]),
    (("allowed_fails_policy", "InternalServerErrorAllowedFails", "7"), &[]),
    (("allowed_fails_policy", "NotFoundErrorAllowedFails", "7"), &[]),
    (("allowed_fails_policy", "RateLimitErrorAllowedFails", "7"), &[]),
    (("allowed_fails_policy", "ServiceUnavailableErrorAllowedFails", "7"), &[]),
    (("allowed_fails_policy", "TimeoutErrorAllowedFails", "7"), &[]),
    (("allowed_fails_policy", "BadGatewayErrorAllowedFails", "7"), &[]),
    (("ziggurat_settings", "overload", "{connections: 7}"), &[]),
    (("overload", "body_bytes", "7"), &[]),
    (("overload", "body_timeout", "7"), &[]),
    (("overload", "connections", "7"), &[]),
    (("overload", "connections_per_address", "7"), &[]),
    (("ziggurat_settings", "shutdown", "{grace: 7}"), &[]),
    (("shutdown", "grace", "7"), &[]),
    (("shutdown", "limit", "7"), &[]),
    (("streams", "on_break", "fail"), &[]),
    (("streams", "hold_back", "all"), &[]),
    (("streams", "keep_alive", "off"), &[]),
    (("streams", "drain_on_cancel", "true"), &[]),
    (("groups", "timeout", "7"), &[]),
    (("groups", "stream_timeout", "7"), &[]),
    (("groups", "first_token_timeout", "7"), &[]),
    (("groups", "idle_timeout", "7"), &[]),
    (("groups", "on_break", "continue"), &[]),
    (("groups", "hold_back", "0"), &[]),
    (("groups", "hedge", "false"), &[]),
    (("hedge", "percentile", "70"), &[("hedge", "budget", "3")]),
    (("hedge", "budget", "7"), &[("hedge", "percentile", "70")]),
    (("hedge", "min_delay", "7"), &[("hedge", "percentile", "70")]),
    (("cooldown", "failure_share", "0.7"), &[]),
    (("cooldown", "min_requests", "7"), &[]),
    (("cooldown", "window", "7"), &[]),
    (("cooldown", "max_retry_after", "7"), &[]),
    (("cooldown", "slow_start", "7"), &[]),
    (("fallbacks_for", "teams", "{red: {default_fallbacks: [gpt]}}"), &[]),
    (("fallbacks_for", "keys", "{batch: {default_fallbacks: [gpt]}}"), &[]),
    (("caller", "fallbacks", "[{gpt: [backup]}]"), &[]),
    (("caller", "context_window_fallbacks", "[{gpt: [backup]}]"), &[]),
    (("caller", "content_policy_fallbacks", "[{gpt: [backup]}]"), &[]),
    (("caller", "default_fallbacks", "[backup]"), &[]),
    (("keys", "rpm_limit", "7"), A_KEY),
    (("teams", "rpm_limit", "7"), A_TEAM),
    (("users", "rpm_limit", "7"), A_USER),
    (("keys", "tpm_limit", "7"), A_KEY),
    (("teams", "tpm_limit", "7"), A_TEAM),
    (("users", "tpm_limit", "7"), A_USER),
    (("keys", "itpm_limit", "7"), A_KEY),
    (("teams", "itpm_limit", "7"), A_TEAM),
    (("users", "itpm_limit", "7"), A_USER),
    (("keys", "otpm_limit", "7"), A_KEY),
    (("teams", "otpm_limit", "7"), A_TEAM),
    (("users", "otpm_limit", "7"), A_USER),
    (("keys", "max_parallel_requests", "7"), A_KEY),
    (("teams", "max_parallel_requests", "7"), A_TEAM),
    (("users", "max_parallel_requests", "7"), A_USER),
    (("keys", "max_budget", "7"), A_KEY),
    (("teams", "max_budget", "7"), A_TEAM),
    (("users", "max_budget", "7"), A_USER),
    (("keys", "soft_budget", "7"), A_KEY),
    (("teams", "soft_budget", "7"), A_TEAM),
    (("users", "soft_budget", "7"), A_USER),
    (("keys", "budget_duration", "7d"), A_KEY),
    (("teams", "budget_duration", "7d"), A_TEAM),
    (("users", "budget_duration", "7d"), A_USER),
    (("keys", "model_rpm_limit", "{gpt: 7}"), A_KEY),
    (("teams", "model_rpm_limit", "{gpt: 7}"), A_TEAM),
    (("users", "model_rpm_limit", "{gpt: 7}"), A_USER),
    (("keys", "model_tpm_limit", "{gpt: 7}"), A_KEY),
    (("teams", "model_tpm_limit", "{gpt: 7}"), A_TEAM),
    (("users", "model_tpm_limit", "{gpt: 7}"), A_USER),
    (("keys", "model_max_budget", "{gpt: 7}"), A_KEY),
    (("teams", "model_max_budget", "{gpt: 7}"), A_TEAM),
    (("users", "model_max_budget", "{gpt: 7}"), A_USER),
    (("keys", "blocked", "true"), A_KEY),
    (("keys", "expires", "2027-01-01"), A_KEY),
    (("keys", "models", "[gpt]"), A_KEY),
    (("keys", "priority", "7"), A_KEY),
    (("keys", "tags", "[x]"), A_KEY),
    (("keys", "user", "u"), A_KEY),
    (("keys", "user_id", "u"), A_KEY),
    (("keys", "team", "red"), &[("keys", "name", "a"), ("keys", "hash", HASH), ("teams", "name", "red")]),
    (("keys", "team_id", "red"), &[("keys", "name", "a"), ("keys", "hash", HASH), ("teams", "name", "red")]),
    (("keys", "name", "b"), A_KEY),
    (("keys", "hash", "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"), A_KEY),
    (("teams", "name", "b"), A_TEAM),
    (("teams", "models", "[gpt]"), A_TEAM),
    (("users", "models", "[gpt]"), A_USER),
    (("teams", "blocked", "true"), A_TEAM),
    (("users", "name", "b"), A_USER),
    (("keys", "key", "fedcba9876543210"), &[("keys", "name", "a"), ("keys", "key", "0123456789abcdef")]),
    (("keys", "key_alias", "b"), &[("keys", "name", "~"), ("keys", "hash", HASH), ("keys", "key_alias", "a")]),
    (("teams", "team_id", "b"), &[("teams", "name", "~"), ("teams", "team_id", "a")]),
    (("users", "user_id", "b"), &[("users", "name", "~"), ("users", "user_id", "a")]),
    (("model_max_budget", "budget_limit", "7"), &[("keys", "name", "a"), ("keys", "hash", HASH), ("model_max_budget", "budget_limit", "5")]),
    (("model_max_budget", "max_budget", "7"), &[("keys", "name", "a"), ("keys", "hash", HASH), ("model_max_budget", "max_budget", "5")]),
    (("model_max_budget", "time_period", "7d"), &[("keys", "name", "a"), ("keys", "hash", HASH), ("model_max_budget", "budget_limit", "5")]),
    (("model_max_budget", "budget_duration", "7d"), &[("keys", "name", "a"), ("keys", "hash", HASH), ("model_max_budget", "budget_limit", "5")]),
    (("ziggurat_settings", "keys", "[{name: a, key: 0123456789abcdef}]"), &[]),
    (("ziggurat_settings", "teams", "[{name: a}]"), &[]),
    (("ziggurat_settings", "trusted_proxies", "[10.0.0.0/8]"), &[]),
    (("ziggurat_settings", "users", "[{name: a}]"), &[]),
    (("general_settings", "global_max_parallel_requests", "7"), &[]),
    (("litellm_settings", "max_budget", "7"), &[]),
    (("litellm_settings", "max_end_user_budget", "7"), &[]),
    (("litellm_settings", "max_internal_user_budget", "7"), &[]),
    (("litellm_settings", "budget_duration", "7d"), &[]),
    (("litellm_settings", "internal_user_budget_duration", "7d"), &[]),
    (("model_list", "itpm", "7"), &[]),
    (("model_list", "otpm", "7"), &[]),
    (("litellm_params", "itpm", "7"), &[]),
    (("litellm_params", "otpm", "7"), &[]),
    (("litellm_params", "max_budget", "7"), &[]),
    (("litellm_params", "budget_duration", "7d"), &[("litellm_params", "max_budget", "7")]),
    (("model_info", "itpm", "7"), &[]),
    (("model_info", "otpm", "7"), &[]),
    (("router_settings", "provider_budget_config", "{openai: {budget_limit: 7, time_period: 1d}}"), &[]),
    (("litellm_settings", "tag_budget_config", "{a: {max_budget: 7, budget_duration: 1d}}"), &[]),
    (("ziggurat_settings", "limits", "{pacing: 7}"), &[]),
    (("ziggurat_settings", "quotas", "[{name: q, models: gpt, rpm: 7}]"), &[]),
    (("limits", "heed_providers", "true"), &[]),
    (("limits", "pacing", "7"), &[]),
    (("limits", "rules", "[{for: all, rpm: 7}]"), &[]),
    (("limit", "budget_duration", "7d"), A_LIMIT),
    (("limit", "for", "team"), A_LIMIT),
    (("limit", "itpm", "7"), A_LIMIT),
    (("limit", "max_budget", "7"), A_LIMIT),
    (("limit", "max_parallel_requests", "7"), A_LIMIT),
    (("limit", "name", "a"), A_LIMIT),
    (("limit", "otpm", "7"), A_LIMIT),
    (("limit", "per", "7"), A_LIMIT),
    (("limit", "requests", "7"), A_LIMIT),
    (("limit", "rpm", "7"), A_LIMIT),
    (("limit", "soft", "0.7"), A_LIMIT),
    (("limit", "tokens", "7"), A_LIMIT),
    (("limit", "tpm", "7"), A_LIMIT),
    (("limit", "window", "smooth"), A_LIMIT),
    (("quotas", "budget_duration", "7d"), A_QUOTA),
    (("quotas", "deployments", "a"), A_QUOTA),
    (("quotas", "itpm", "7"), A_QUOTA),
    (("quotas", "max_budget", "7"), A_QUOTA),
    (("quotas", "max_parallel_requests", "7"), A_QUOTA),
    (("quotas", "models", "backup"), A_QUOTA),
    (("quotas", "name", "other"), A_QUOTA),
    (("quotas", "otpm", "7"), A_QUOTA),
    (("quotas", "per", "7"), A_QUOTA),
    (("quotas", "requests", "7"), A_QUOTA),
    (("quotas", "rpm", "7"), A_QUOTA),
    (("quotas", "soft", "0.7"), A_QUOTA),
    (("quotas", "tokens", "7"), A_QUOTA),
    (("quotas", "tpm", "7"), A_QUOTA),
    (("quotas", "window", "smooth"), A_QUOTA),
    (("router_settings", "redis_db", "7"), &[("router_settings", "redis_host", "a")]),
    (("router_settings", "redis_host", "b"), &[("router_settings", "redis_host", "a")]),
    (("router_settings", "redis_password", "p"), &[("router_settings", "redis_host", "a")]),
    (("router_settings", "redis_port", "7"), &[("router_settings", "redis_host", "a")]),
    (("router_settings", "redis_url", "redis://b"), &[]),
    (("ziggurat_settings", "redis", "{url: 'redis://a'}"), &[]),
    (("redis", "ca_file", "c"), &[("redis", "url", "redis://a")]),
    (("redis", "cluster", "true"), &[("redis", "nodes", "[a]")]),
    (("redis", "connect_timeout", "7"), &[("redis", "url", "redis://a")]),
    (("redis", "db", "7"), &[("redis", "url", "redis://a")]),
    (("redis", "deadline_ms", "7"), &[("redis", "url", "redis://a")]),
    (("redis", "failures", "7"), &[("redis", "url", "redis://a")]),
    (("redis", "cert_file", "c"), &[("redis", "url", "redis://a"), ("redis", "cert_file", "b"), ("redis", "key_file", "k")]),
    (("redis", "key_file", "c"), &[("redis", "url", "redis://a"), ("redis", "cert_file", "b"), ("redis", "key_file", "k")]),
    (("redis", "namespace", "n"), &[("redis", "url", "redis://a")]),
    (("redis", "nodes", "[b]"), &[("redis", "nodes", "[a]")]),
    (("redis", "outage", "closed"), &[("redis", "url", "redis://a")]),
    (("redis", "password", "p"), &[("redis", "url", "redis://a")]),
    (("redis", "sentinel_password", "p"), &[("redis", "sentinels", "[a]"), ("redis", "service_name", "s")]),
    (("redis", "sentinels", "[b]"), &[("redis", "sentinels", "[a]"), ("redis", "service_name", "s")]),
    (("redis", "service_name", "t"), &[("redis", "sentinels", "[a]"), ("redis", "service_name", "s")]),
    (("redis", "tls", "true"), &[("redis", "url", "redis://a")]),
    (("redis", "url", "redis://b"), &[("redis", "url", "redis://a")]),
    (("redis", "username", "u"), &[("redis", "url", "redis://a")]),
    (("cache_params", "db", "7"), &[("litellm_settings", "cache", "true"), ("cache_params", "host", "a")]),
    (("cache_params", "host", "b"), &[("litellm_settings", "cache", "true"), ("cache_params", "host", "a")]),
    (("cache_params", "password", "p"), &[("litellm_settings", "cache", "true"), ("cache_params", "host", "a")]),
    (("cache_params", "port", "7"), &[("litellm_settings", "cache", "true"), ("cache_params", "host", "a")]),
    (("cache_params", "redis_startup_nodes", "[{host: b, port: 7}]"), &[("litellm_settings", "cache", "true"), ("cache_params", "host", "a")]),
    (("cache_params", "startup_nodes", "[{host: b, port: 7}]"), &[("litellm_settings", "cache", "true"), ("cache_params", "host", "a")]),
    (("cache_params", "sentinel_nodes", "[[b, 7]]"), &[("litellm_settings", "cache", "true"), ("cache_params", "sentinel_nodes", "[[a, 1]]"), ("cache_params", "service_name", "s")]),
    (("cache_params", "sentinel_password", "p"), &[("litellm_settings", "cache", "true"), ("cache_params", "sentinel_nodes", "[[a, 1]]"), ("cache_params", "service_name", "s")]),
    (("cache_params", "service_name", "t"), &[("litellm_settings", "cache", "true"), ("cache_params", "sentinel_nodes", "[[a, 1]]"), ("cache_params", "service_name", "s")]),
    (("cache_params", "ssl", "true"), &[("litellm_settings", "cache", "true"), ("cache_params", "host", "a")]),
    (("cache_params", "ssl_ca_certs", "c"), &[("litellm_settings", "cache", "true"), ("cache_params", "host", "a")]),
    (("cache_params", "ssl_certfile", "c"), &[("litellm_settings", "cache", "true"), ("cache_params", "host", "a"), ("cache_params", "ssl_certfile", "b"), ("cache_params", "ssl_keyfile", "k")]),
    (("cache_params", "ssl_keyfile", "c"), &[("litellm_settings", "cache", "true"), ("cache_params", "host", "a"), ("cache_params", "ssl_certfile", "b"), ("cache_params", "ssl_keyfile", "k")]),
    (("cache_params", "url", "redis://b"), &[("litellm_settings", "cache", "true"), ("cache_params", "host", "a")]),
    (("cache_params", "username", "u"), &[("litellm_settings", "cache", "true"), ("cache_params", "host", "a")]),
];

/// Where a section stands, and in which key of it.
const NESTED: &[(&str, &str, &str)] = &[
    ("access_windows", "model_info", "access_windows"),
    ("routing_groups", "router_settings", "routing_groups"),
    (
        "routing_strategy_args",
        "router_settings",
        "routing_strategy_args",
    ),
    ("retry_policy", "router_settings", "retry_policy"),
    (
        "allowed_fails_policy",
        "router_settings",
        "allowed_fails_policy",
    ),
    ("caller", "fallbacks_for", "teams"),
    ("semantic", "cache", "semantic"),
    ("cache", "ziggurat_settings", "cache"),
    ("cache_params", "litellm_settings", "cache_params"),
    ("fallbacks_for", "ziggurat_settings", "fallbacks_for"),
    ("groups", "ziggurat_settings", "groups"),
    ("model_max_budget", "keys", "model_max_budget"),
    ("keys", "ziggurat_settings", "keys"),
    ("teams", "ziggurat_settings", "teams"),
    ("users", "ziggurat_settings", "users"),
    ("limit", "limits", "rules"),
    ("limits", "ziggurat_settings", "limits"),
    ("quotas", "ziggurat_settings", "quotas"),
    ("streams", "ziggurat_settings", "streams"),
    ("overload", "ziggurat_settings", "overload"),
    ("shutdown", "ziggurat_settings", "shutdown"),
    ("hedge", "ziggurat_settings", "hedge"),
    ("concurrency", "ziggurat_settings", "concurrency"),
    ("cooldown", "ziggurat_settings", "cooldown"),
    ("weights", "bandits", "weights"),
    ("bandits", "auto_route", "bandits"),
    ("rules", "auto_route", "rules"),
    ("splits", "auto_route", "splits"),
    ("auto_route", "ziggurat_settings", "auto_route"),
    ("affinity", "ziggurat_settings", "affinity"),
    ("mirror", "ziggurat_settings", "mirror"),
    ("redis", "ziggurat_settings", "redis"),
    ("cache_params", "litellm_settings", "cache_params"),
    ("classes", "queue", "classes"),
    ("queue", "ziggurat_settings", "queue"),
    ("retry_budget", "ziggurat_settings", "retry_budget"),
    ("webhooks", "alerts", "webhooks"),
    ("alerts", "ziggurat_settings", "alerts"),
    ("alerting_args", "general_settings", "alerting_args"),
    ("alerting_config", "router_settings", "alerting_config"),
    ("model_info", "model_list", "model_info"),
    ("litellm_params", "model_list", "litellm_params"),
    ("credential_list", "the file", "credential_list"),
    ("model_list", "the file", "model_list"),
    ("router_settings", "the file", "router_settings"),
    ("litellm_settings", "the file", "litellm_settings"),
    ("general_settings", "the file", "general_settings"),
    ("ziggurat_settings", "the file", "ziggurat_settings"),
];

/// The sections that are entries of a list.
const ENTRIES: &[&str] = &[
    "access_windows",
    "bandits",
    "classes",
    "credential_list",
    "limit",
    "quotas",
    "routing_groups",
    "rules",
    "keys",
    "splits",
    "teams",
    "users",
    "webhooks",
];

/// The sections that stand under a name, and one such.
const NAMED: &[(&str, &str)] = &[
    ("groups", "gpt"),
    ("caller", "red"),
    ("model_max_budget", "gpt"),
];

/// A small valid file with these lines added, or put in the place of what was there.
fn file(lines: &[Line]) -> String {
    let mut sections: BTreeMap<&str, BTreeMap<&str, String>> = BTreeMap::new();
    let base = [
        ("model_list", "model_name", "gpt"),
        ("litellm_params", "model", "openai/m"),
        ("litellm_params", "api_base", "http://a/v1"),
        ("litellm_params", "api_key", "k"),
        ("model_group_alias", "model", "gpt"),
        ("credential_list", "credential_name", "a"),
    ];
    for (section, key, value) in base.iter().chain(lines) {
        sections
            .entry(section)
            .or_default()
            .insert(key, (*value).to_owned());
    }
    let flow = |keys: &BTreeMap<&str, String>| {
        let mut flow = String::from("{");
        for (key, value) in keys {
            write!(flow, "{key}: {value}, ").expect("a string takes all");
        }
        flow + "}"
    };
    let alias = format!("{{chat: {}}}", flow(&sections["model_group_alias"]));
    sections
        .entry("router_settings")
        .or_default()
        .entry("model_group_alias")
        .or_insert(alias);
    for (section, parent, key) in NESTED {
        if let Some(keys) = sections.get(section) {
            let mut value = flow(keys);
            if ENTRIES.contains(section) {
                let second = match *section {
                    "credential_list" => ", {credential_name: b, credential_values: {rpm: 9}}",
                    _ => "",
                };
                value = format!("[{value}{second}]");
            }
            if let Some((_, name)) = NAMED.iter().find(|(named, _)| named == section) {
                value = format!("{{{name}: {value}}}");
            }
            if *section == "model_list" {
                let second = "{model_name: backup, litellm_params: {model: groq/m, api_key: k}}";
                value = format!("[{value}, {second}]");
            }
            let parent = sections.entry(parent).or_default();
            parent.entry(key).or_insert(value);
        }
    }
    flow(&sections["the file"])
}

fn plan(lines: &[Line]) -> Plan {
    let text = file(lines);
    let environment = |name: &str| match name {
        "OPENAI_API_KEY" => Some("env".to_owned()),
        "LITELLM_ENVIRONMENT" => Some("production".to_owned()),
        "SLACK_WEBHOOK_URL" | "WEBHOOK_URL" => Some("https://hooks.example.com".to_owned()),
        _ => None,
    };
    Plan::parse(&text, "config.yaml", environment).unwrap_or_else(|e| panic!("{e}\nin {text}"))
}

/// All that a plan says, secrets included.
fn content(plan: &Plan) -> String {
    let keys = plan
        .deployments
        .iter()
        .map(|d| d.credential().map(|c| c.expose()));
    let params = ziggurat_config::keys().filter(|(section, _, _)| *section == "litellm_params");
    let params = params.flat_map(|(_, key, _)| {
        let deployments = plan.deployments.iter();
        deployments.filter_map(move |deployment| deployment.param(key))
    });
    let Plan {
        deployments,
        aliases,
        routing_groups,
        tag_filtering,
        fallbacks,
        router,
        general,
        own,
        callers,
        cache,
        alerts,
        limits,
        redis,
        ..
    } = plan;
    let webhooks = alerts.webhooks.iter().map(|webhook| webhook.url.expose());
    let hashes = callers.keys.iter().map(|key| key.hash.reveal());
    format!(
        "{:?} {:?} {callers:?} {cache:?} {alerts:?} {limits:?} {redis:?} {:?} {:?} {:?} {:?} {deployments:?} {aliases:?} {routing_groups:?} {tag_filtering:?} {fallbacks:?} {router:?} {general:?} {own:?}",
        hashes.collect::<Vec<_>>(),
        webhooks.collect::<Vec<_>>(),
        keys.collect::<Vec<_>>(),
        params.collect::<Vec<_>>(),
        plan.general.master_key.as_ref().map(|key| key.expose()),
        redis_secrets(plan),
    )
}

fn redis_secrets(plan: &Plan) -> Vec<String> {
    let Some(redis) = &plan.redis else {
        return Vec::new();
    };
    let of_sentinel = match &redis.nodes {
        RedisNodes::Sentinel { password, .. } => password.as_ref(),
        _ => None,
    };
    let both = [redis.password.as_ref(), of_sentinel].into_iter().flatten();
    both.map(|it| it.expose().to_owned()).collect()
}

#[test]
fn every_key_that_is_acted_on_changes_the_plan() {
    for (line, context) in CASES {
        let before = plan(context);
        let after = plan(&[*context, &[*line][..]].concat());
        assert_ne!(content(&before), content(&after), "{line:?}");
    }
}

/// Keys of which one value is right and changes nothing, and the others are errors.
const CHECKED: &[(&str, &str)] = &[("cache_params", "ssl_cert_reqs")];

#[test]
fn every_key_that_is_acted_on_is_tried_above() {
    let tried = CASES.iter().map(|((section, key, _), _)| (*section, *key));
    let tried: BTreeSet<_> = tried.chain(CHECKED.iter().copied()).collect();
    let acted: BTreeSet<_> = keys()
        .filter(|(_, _, support)| *support == Support::Acted)
        .map(|(section, key, _)| (section, key))
        .collect();
    assert_eq!(tried, acted);
    assert_eq!(
        tried.len(),
        CASES.len() + CHECKED.len(),
        "none is tried twice"
    );
}

#[test]
fn every_key_that_only_litellm_knows_is_a_warning_and_changes_nothing() {
    let before = content(&plan(&[]));
    for (section, key, _) in keys().filter(|(_, _, support)| *support == Support::Known) {
        let plan = plan(&[(section, key, "1")]);
        let expected = format!("`{key}` is known to LiteLLM, not acted on yet");
        let told = plan
            .warnings()
            .iter()
            .any(|warning| warning.message() == expected);
        assert!(told, "{section}.{key}: {:?}", plan.warnings());
        assert_eq!(content(&plan), before, "{section}.{key}");
    }
}

#[test]
fn every_key_that_must_not_be_ignored_is_an_error() {
    for (section, key, support) in keys() {
        if let Support::Refused(why) = support {
            let text = file(&[(section, key, "1")]);
            let problems = Plan::parse(&text, "config.yaml", |_| None).expect_err("is refused");
            let expected = format!("`{key}` {why}");
            let told = problems
                .iter()
                .any(|p| p.severity() == Severity::Error && p.message() == expected);
            assert!(told, "{problems}");
        }
    }
}

#[test]
fn no_key_stands_twice_in_a_section() {
    let all: Vec<_> = keys().map(|(section, key, _)| (section, key)).collect();
    let unique: BTreeSet<_> = all.iter().collect();
    assert_eq!(unique.len(), all.len());
}
