//! Configurations.

/// A group of one deployment with another to fall back to.
pub(crate) const WITH_SPARE: &str = r#"
model_list:
  - {model_name: m, litellm_params: {model: openai/real, api_base: "{a}", api_key: key-a}, model_info: {id: a}}
  - {model_name: spare, litellm_params: {model: openai/other, api_base: "{b}", api_key: key-b}, model_info: {id: b}}
router_settings: {num_retries: 1, fallbacks: [{m: [spare]}]}
"#;
