//! What stands before a model's name, in LiteLLM's way, to say how it is asked.

use crate::{
    provider::{Kind, Provider},
    read::name,
};

/// Ways to ask a model of Bedrock that are, or come to the same as, ours.
const CONVERSE: [&str; 2] = ["converse/", "converse_like/"];

/// The way that stays with the name: models of one maker are asked in their own words.
pub(crate) const INVOKE: &str = "invoke/";

/// Other ways, which take other requests.
const OTHERS: [&str; 7] = [
    "agent/",
    "agentcore/",
    "async_invoke/",
    "deepseek_r1/",
    "llama/",
    "mantle/",
    "openai/",
];

/// What LiteLLM wants to be told of a deployment whose name does not say it.
const SERIES: [&str; 2] = ["gpt5_series/", "o_series/"];

/// The model without it.
pub(crate) fn without<'a>(provider: &Provider, model: &'a str) -> Result<&'a str, String> {
    let cut = |ways: &[&str]| {
        let mut ways = ways.iter();
        ways.find_map(|way| model.strip_prefix(way))
    };
    let rest = match provider.kind {
        Kind::Azure => cut(&SERIES),
        Kind::Bedrock => {
            let other = cut(&OTHERS);
            let invoked = cut(&[INVOKE]).filter(|rest| !rest.contains("claude"));
            if let Some(rest) = other.or(invoked) {
                let told = name(&format!("{}/{model}", provider.name));
                let instead = name(&format!("{}/converse/{rest}", provider.name));
                return Err(format!(
                    "{told}: this way to ask is not supported; write {instead} if the model knows Converse"
                ));
            }
            cut(&CONVERSE)
        }
        _ => None,
    };
    let rest = rest.unwrap_or(model);
    if rest.is_empty() {
        let told = name(&format!("{}/{model}", provider.name));
        return Err(format!("{told} names no model"));
    }
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::split;

    fn told(model: &str) -> Result<String, String> {
        let (provider, rest) = split(model, None)?;
        without(provider, rest).map(str::to_owned)
    }

    #[test]
    fn a_model_is_named_without_the_way_to_ask_it() {
        for (model, expected) in [
            (
                "bedrock/converse/us.amazon.nova-lite-v1:0",
                "us.amazon.nova-lite-v1:0",
            ),
            (
                "bedrock/us-west-2/anthropic.claude-v2",
                "us-west-2/anthropic.claude-v2",
            ),
            ("azure/o_series/mine", "mine"),
            (
                "bedrock/invoke/anthropic.claude-v2",
                "invoke/anthropic.claude-v2",
            ),
            ("openai/converse/m", "converse/m"),
        ] {
            assert_eq!(told(model), Ok(expected.to_owned()));
        }
    }

    #[test]
    fn a_way_that_is_not_ours_is_refused_with_the_way_out() {
        let told = |model| told(model).expect_err("is refused");
        assert!(told("bedrock/invoke/a.b").contains("write `bedrock/converse/a.b`"));
        assert_eq!(
            told("bedrock/converse/"),
            "`bedrock/converse/` names no model"
        );
    }
}
