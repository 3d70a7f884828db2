//! In which region a deployment is, where its provider has several.

use std::sync::Arc;

use crate::{
    deployments::Reader,
    problem::Report,
    provider::{Kind, Provider},
    read::{self, Found, first},
    route::INVOKE,
};

const AWS: [&str; 3] = ["AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"];
const VERTEX: [&str; 2] = ["VERTEXAI_LOCATION", "VERTEX_LOCATION"];

impl Kind {
    /// The parameter that says in which region it is.
    pub(crate) fn place_key(self) -> Option<&'static str> {
        match self {
            Self::Bedrock => Some("aws_region_name"),
            Self::Vertex => Some("vertex_location"),
            _ => None,
        }
    }
}

impl Reader<'_> {
    /// The region of a deployment on Bedrock or Vertex AI. If there is none, that is reported.
    pub(crate) fn place(
        &self,
        provider: &Provider,
        model: &Found<Arc<str>>,
        report: &mut Report,
    ) -> Option<Found<Arc<str>>> {
        let key = provider.kind.place_key()?;
        let (variables, fallback) = match provider.kind {
            Kind::Bedrock => (&AWS[..], "us-west-2"),
            _ => (&VERTEX[..], "us-central1"),
        };
        let is_aws = provider.kind == Kind::Bedrock;
        let found = self.params.text(key, report).or_else(|| {
            let named = self.params.text("region_name", report);
            // It may be no more than a label, like `eu`.
            named.filter(|found| !is_aws || is_aws_region(&found.value))
        });
        let found = match found {
            None if is_aws => self.told(model, report),
            found => found,
        };
        let Some(found) = found.or_else(|| self.environment.found(variables)) else {
            if self.params.field(key).is_none() {
                let message = format!(
                    "provider `{}` needs `{key}`, or the environment variable `{}`; LiteLLM would take `{fallback}`",
                    provider.name, variables[0]
                );
                report.error(model.at, message);
            }
            return None;
        };
        if !is_region(&found.value) {
            let told = read::name(&found.value);
            report.error(
                found.at_or(model.at),
                format!("`{}`: {told} is no region", found.path),
            );
            return None;
        }
        Some(found)
    }

    /// The region that the name of a model of Bedrock says, or its ARN, or the address.
    fn told(&self, model: &Found<Arc<str>>, report: &mut Report) -> Option<Found<Arc<str>>> {
        let of = |found: &Found<Arc<str>>, region: &str| found.clone().map(|_| Arc::from(region));
        let arn = self.params.text("model_id", report);
        for found in [arn.as_ref(), Some(model)].into_iter().flatten() {
            if let Some(region) = in_name(&found.value) {
                return Some(of(found, region));
            }
        }
        let keys = ["aws_bedrock_runtime_endpoint", "api_base", "base_url"];
        let bases = keys.map(|key| self.params.text(key, report));
        bases.into_iter().flatten().find_map(|base| {
            let (_, rest) = base.value.split_once("bedrock-runtime.")?;
            let region = rest.split('.').next().filter(|it| is_aws_region(it))?;
            Some(of(&base, region))
        })
    }

    /// The region that requests may ask for: `region_name`, else where it is.
    pub(crate) fn region(
        &self,
        place: Option<&Found<Arc<str>>>,
        report: &mut Report,
    ) -> Option<Found<Arc<str>>> {
        let Some(place) = place else {
            let keys = ["region_name", "aws_region_name", "vertex_location"];
            return first(keys.map(|key| self.params.text(key, report)), report);
        };
        let named = self.params.text("region_name", report);
        Some(named.unwrap_or_else(|| place.clone()))
    }
}

/// Where a provider answers in a region.
pub(crate) fn base(provider: &Provider, region: &str) -> String {
    if provider.kind == Kind::Bedrock {
        let china = if region.starts_with("cn-") { ".cn" } else { "" };
        return format!("https://bedrock-runtime.{region}.amazonaws.com{china}");
    }
    let version = match provider.name {
        "vertex_ai_beta" => "v1beta1",
        _ => "v1",
    };
    let server = match region {
        "global" => "aiplatform.googleapis.com".to_owned(),
        // Regions that span several.
        "us" | "eu" => format!("aiplatform.{region}.rep.googleapis.com"),
        _ => format!("{region}-aiplatform.googleapis.com"),
    };
    format!("https://{server}/{version}")
}

/// The region in `us-west-2/anthropic.claude…` or in an ARN.
fn in_name(model: &str) -> Option<&str> {
    let model = model.strip_prefix(INVOKE).unwrap_or(model);
    let region = match model.strip_prefix("arn:") {
        Some(rest) => rest.split(':').nth(2)?,
        None => model.split_once('/')?.0,
    };
    is_aws_region(region).then_some(region)
}

/// Whether a text may stand in the name of a host.
fn is_region(text: &str) -> bool {
    let is_safe = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_whole = !text.is_empty() && !text.starts_with('-') && !text.ends_with('-');
    is_whole && text.len() < 40 && text.bytes().all(is_safe)
}

/// Whether it looks like `eu-west-1`.
fn is_aws_region(text: &str) -> bool {
    let number = text.rsplit('-').next().unwrap_or_default();
    is_region(text) && number.parse::<u8>().is_ok() && text.matches('-').count() > 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::split;

    #[test]
    fn a_region_has_its_own_server() {
        let base = |model: &str, region: &str| {
            let (provider, _) = split(model, None).expect("is known");
            base(provider, region)
        };
        for (model, region, expected) in [
            (
                "bedrock/m",
                "eu-west-1",
                "https://bedrock-runtime.eu-west-1.amazonaws.com",
            ),
            (
                "bedrock/m",
                "cn-north-1",
                "https://bedrock-runtime.cn-north-1.amazonaws.com.cn",
            ),
            (
                "vertex_ai/m",
                "europe-west4",
                "https://europe-west4-aiplatform.googleapis.com/v1",
            ),
            (
                "vertex_ai/m",
                "global",
                "https://aiplatform.googleapis.com/v1",
            ),
            (
                "vertex_ai_beta/m",
                "eu",
                "https://aiplatform.eu.rep.googleapis.com/v1beta1",
            ),
        ] {
            assert_eq!(base(model, region), expected);
        }
    }

    #[test]
    fn only_what_is_surely_a_region_is_taken_from_a_name() {
        for (model, expected) in [
            ("us-west-2/anthropic.claude-v2", Some("us-west-2")),
            ("invoke/us-west-2/anthropic.claude-v2", Some("us-west-2")),
            ("us-gov-west-1/a.b", Some("us-gov-west-1")),
            (
                "arn:aws:bedrock:eu-west-3:1:inference-profile/x",
                Some("eu-west-3"),
            ),
            ("arn:aws:bedrock::1:x", None),
            ("arn:", None),
            ("us.anthropic.claude-v2", None),
            ("mine/a.b", None),
            ("x.evil.test-1-1/a", None),
        ] {
            assert_eq!(in_name(model), expected, "{model}");
        }
    }

    #[test]
    fn a_region_cannot_lead_elsewhere() {
        for bad in ["", "-", "a.b", "a/b", "A-1", "eu-west-1 ", &"a".repeat(40)] {
            assert!(!is_region(bad), "{bad}");
        }
    }
}
