//! The ways in which configurations name models.

use crate::{Model, table::lookup};

/// The model with exactly that name in the table.
#[must_use]
pub fn get(key: &str) -> Option<Model> {
    lookup(&[key])
}

/// The model that a provider calls by that name.
///
/// Tried are, in this order, each only among the provider's own models:
///
/// 1. `provider/model`, then `model` as it stands, which may begin with the provider's name;
/// 2. of Bedrock: without the route (`converse/`, `invoke/`) and as the last part of an ARN;
///    of fine-tuned models (`ft:base:organisation::id`): the entry of the fine-tuned base;
/// 3. without the region: `eu.anthropic.…` and `eu-west-1/anthropic.…` of Bedrock,
///    `eu/gpt-…` of Azure. A region may have a price of its own, so what is found this way has
///    windows and capabilities, but no prices.
///
/// A date in a name is never cut off: another version may have other prices and another window.
#[must_use]
pub fn find(provider: &str, model: &str) -> Option<Model> {
    let family = family(provider);
    let rest = model.strip_prefix(provider);
    let model = rest.and_then(|it| it.strip_prefix('/')).unwrap_or(model);
    exact(provider, family, model)
        .or_else(|| exact(provider, family, plain(family, model)?))
        .or_else(|| {
            let model = plain(family, model).unwrap_or(model);
            let found = exact(provider, family, without_region(family, model)?)?;
            Some(found.without_prices())
        })
}

/// The provider without what names an interface: the table has one name for each.
fn family(provider: &str) -> &str {
    match provider {
        "azure_text" => "azure",
        "bedrock_converse" => "bedrock",
        "cohere_chat" => "cohere",
        "ollama_chat" => "ollama",
        "vertex_ai_beta" => "vertex_ai",
        other => other.strip_prefix("text-completion-").unwrap_or(other),
    }
}

fn exact(provider: &str, family: &str, model: &str) -> Option<Model> {
    let own = |found: &Model| found.provider() == family;
    let alias = (provider != family).then_some(provider);
    let prefixed = |prefix| lookup(&[prefix, "/", model]).filter(own);
    alias
        .and_then(prefixed)
        .or_else(|| prefixed(family))
        .or_else(|| lookup(&[model]).filter(own))
}

/// The name without what is said for routing or ownership only.
fn plain<'a>(family: &str, model: &'a str) -> Option<&'a str> {
    if family == "bedrock" {
        if model.starts_with("arn:") {
            return Some(model.rsplit_once('/')?.1);
        }
        let converse = model.strip_prefix("converse/");
        return converse.or_else(|| model.strip_prefix("invoke/"));
    }
    let tuned = model.strip_prefix("ft:")?;
    let base = tuned.split(':').next()?;
    Some(&model[..3 + base.len()])
}

/// The name without its region.
fn without_region<'a>(family: &str, model: &'a str) -> Option<&'a str> {
    match family {
        "azure" => {
            let (region, rest) = model.split_once('/')?;
            matches!(region, "apac" | "eu" | "global" | "global-standard" | "us").then_some(rest)
        }
        "bedrock" => {
            let (path, name) = model.split_once('/').unzip();
            if let Some(region) = path
                && !is_aws_region(region)
            {
                return None;
            }
            let name = name.unwrap_or(model);
            let (area, rest) = name.split_once('.')?;
            let known = matches!(
                area,
                "apac" | "au" | "ca" | "eu" | "global" | "jp" | "us" | "us-gov"
            );
            match (known, path) {
                (true, _) => Some(rest),
                (false, Some(_)) => Some(name),
                (false, None) => None,
            }
        }
        _ => None,
    }
}

/// Whether it looks like `eu-west-1`.
fn is_aws_region(text: &str) -> bool {
    let mut parts = text.rsplit('-');
    parts.next().is_some_and(|it| it.parse::<u8>().is_ok())
        && parts.clone().count() >= 2
        && parts.all(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use ziggurat_core::Prices;

    use super::*;

    fn key(provider: &str, model: &str) -> Option<&'static str> {
        find(provider, model).map(|found| found.key())
    }

    #[test]
    fn the_usual_ways_to_name_a_model_lead_to_its_entry() {
        for (provider, model, expected) in [
            ("openai", "gpt-4o", "gpt-4o"),
            ("openai", "openai/gpt-4o", "gpt-4o"),
            ("anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5"),
            ("gemini", "gemini-2.5-pro", "gemini/gemini-2.5-pro"),
            ("vertex_ai", "gemini-2.5-pro", "gemini-2.5-pro"),
            ("vertex_ai_beta", "gemini-2.5-pro", "gemini-2.5-pro"),
            ("azure", "gpt-4o", "azure/gpt-4o"),
            ("azure", "eu/gpt-4o", "azure/eu/gpt-4o"),
            ("azure", "azure/eu/gpt-4o", "azure/eu/gpt-4o"),
            ("groq", "openai/gpt-oss-120b", "groq/openai/gpt-oss-120b"),
            (
                "text-completion-openai",
                "gpt-3.5-turbo-instruct",
                "gpt-3.5-turbo-instruct",
            ),
            (
                "openai",
                "ft:gpt-4o-2024-08-06:acme::a1b2",
                "ft:gpt-4o-2024-08-06",
            ),
            (
                "bedrock",
                "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
                "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
            ),
            (
                "bedrock",
                "converse/anthropic.claude-sonnet-4-5-20250929-v1:0",
                "anthropic.claude-sonnet-4-5-20250929-v1:0",
            ),
            (
                "bedrock_converse",
                "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
                "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
            ),
        ] {
            assert_eq!(key(provider, model), Some(expected), "{provider} {model}");
            assert_ne!(get(expected).expect("is there").prices(), Prices::default());
        }
    }

    #[test]
    fn a_region_without_an_entry_has_windows_but_no_prices() {
        for (provider, model) in [
            ("bedrock", "ca.anthropic.claude-sonnet-4-5-20250929-v1:0"),
            (
                "bedrock",
                "eu-south-2/anthropic.claude-sonnet-4-5-20250929-v1:0",
            ),
            ("azure", "apac/gpt-4o"),
        ] {
            assert_eq!(get(model), None, "choose another example");
            let found = find(provider, model).expect(model);
            assert!(found.max_input_tokens().is_some(), "{model}");
            assert!(found.capabilities().is_listed(), "{model}");
            assert_eq!(found.prices(), Prices::default(), "{model}");
        }
    }

    #[test]
    fn what_is_not_certain_is_not_found() {
        for (provider, model) in [
            ("openai", "gpt-4o-2099-01-01"),
            ("openai", "gemini-2.5-pro"),
            ("my-provider", "gpt-4o"),
            ("azure", "my-deployment"),
            ("openai", "eu/gpt-4o"),
            (
                "bedrock",
                "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/a1b2",
            ),
            (
                "bedrock",
                "nowhere/anthropic.claude-sonnet-4-5-20250929-v1:0",
            ),
            ("openai", "# Written"),
            ("openai", "gpt-4o\topenai"),
            ("openai", "ft:"),
            ("", ""),
        ] {
            assert_eq!(key(provider, model), None, "{provider} {model}");
        }
    }
}
