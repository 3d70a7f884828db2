//! What the name of a model says.

use ziggurat_core::Deployment;

use crate::dialect::anthropic;

/// The parts of a name that say how a model is asked, in LiteLLM's way.
const ROUTES: &[&str] = &["bedrock/", "converse/", "converse_like/", INVOKE];
/// The one that says InvokeModel. Only Claude is asked in that way.
const INVOKE: &str = "invoke/";

/// A model of Bedrock's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Model<'a> {
    /// What Bedrock knows it by: a name, or an ARN.
    pub(super) id: &'a str,
    name: &'a str,
    pub(super) family: Family,
    /// Whether it is asked with InvokeModel, in the words of its maker.
    pub(super) is_invoked: bool,
}

/// Whose model it is, where that makes a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Claude(anthropic::model::Model),
    Nova,
    /// The second generation of Nova.
    Nova2,
    GptOss,
    Other,
}

impl<'a> Model<'a> {
    /// The model of a call. An ARN that says nothing of the model may come as the deployment's
    /// `model_id`, next to a name that does.
    pub(super) fn of(name: &'a str, deployment: &'a Deployment) -> Self {
        let (mut name, mut is_invoked) = (name, false);
        let route = |name: &'a str| {
            let mut routes = ROUTES.iter();
            routes.find_map(|route| Some((*route, name.strip_prefix(route)?)))
        };
        while let Some((route, rest)) = route(name) {
            is_invoked |= route == INVOKE;
            name = rest;
        }
        if let Some((_, rest)) = with_region(name) {
            name = rest;
        }
        let family = Family::of(name);
        Self {
            id: deployment.param("model_id").map_or(name, str::trim),
            name,
            family,
            is_invoked: is_invoked && family.is_claude(),
        }
    }

    /// Whether the name has these words in it.
    pub(super) fn is(&self, words: &str) -> bool {
        self.name.contains(words)
    }

    /// Whether it keeps to a schema by itself: `outputConfig`, and `strict` of a tool.
    pub(super) fn keeps_schemas(&self) -> bool {
        matches!(self.family, Family::Claude(model) if model.takes_schemas())
    }

    /// Whether it can mark what is to be cached.
    pub(super) fn caches(&self) -> bool {
        matches!(
            self.family,
            Family::Claude(..) | Family::Nova | Family::Nova2
        )
    }
}

impl Family {
    fn of(name: &str) -> Self {
        if name.contains("claude") {
            Self::Claude(anthropic::model::Model::of(name))
        } else if name.contains("nova-2") {
            Self::Nova2
        } else if name.contains("amazon.nova") {
            Self::Nova
        } else if name.contains("gpt-oss") {
            Self::GptOss
        } else {
            Self::Other
        }
    }

    pub(super) fn is_claude(self) -> bool {
        matches!(self, Self::Claude(..))
    }
}

/// The region in a name like `us-west-2/anthropic.claude…`, and the rest of the name.
fn with_region(name: &str) -> Option<(&str, &str)> {
    let (region, rest) = name.split_once('/')?;
    (is_region(region) && region.matches('-').count() > 1).then_some((region, rest))
}

/// Whether a text may stand for a region in the name of a host.
fn is_region(text: &str) -> bool {
    let mut bytes = text.bytes();
    let is_safe = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.len() < 40 && bytes.all(is_safe)
}

/// Where a deployment is: what its parameters say, else its region, else what the name of the model
/// says, else the host of its address.
pub(super) fn region(deployment: &Deployment) -> Option<&str> {
    let given = deployment.param("aws_region_name");
    let name = ROUTES.iter().fold(deployment.model(), |name, route| {
        name.strip_prefix(route).unwrap_or(name)
    });
    let arn = deployment.param("model_id").unwrap_or(name);
    let region = given
        .or_else(|| deployment.region())
        .or_else(|| with_region(name).map(|(region, _)| region))
        .or_else(|| arn.strip_prefix("arn:")?.split(':').nth(2))
        .or_else(|| {
            let host = super::given_base(deployment)?;
            host.split_once("bedrock-runtime.")?.1.split('.').next()
        });
    region.map(str::trim).filter(|region| is_region(region))
}

/// Where Bedrock answers in a region.
pub(super) fn base(region: &str) -> String {
    let china = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://bedrock-runtime.{region}.amazonaws.com{china}")
}

#[cfg(test)]
mod tests {
    use ziggurat_core::Secret;

    use super::*;

    fn deployment(model: &str) -> Deployment {
        Deployment::new("a", "gpt", model).with_provider("bedrock")
    }

    #[test]
    fn a_name_tells_the_family() {
        let family = |name: &str| Model::of(name, &deployment("m")).family;
        for (name, expected) in [
            ("us.amazon.nova-lite-v1:0", Family::Nova),
            ("us.amazon.nova-2-lite-v1:0", Family::Nova2),
            ("openai.gpt-oss-120b-1:0", Family::GptOss),
            ("meta.llama3-3-70b-instruct-v1:0", Family::Other),
        ] {
            assert_eq!(family(name), expected, "{name}");
        }
        for (name, keeps_schemas) in [
            ("anthropic.claude-v2:1", false),
            ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", false),
            ("converse/eu.anthropic.claude-sonnet-4-20250514-v1:0", false),
            ("global.anthropic.claude-haiku-4-5-20251001-v1:0", true),
            ("us.anthropic.claude-opus-4-6-v1", true),
        ] {
            let (deployment, family) = (deployment("m"), family(name));
            assert!(family.is_claude(), "{name}");
            assert_eq!(
                Model::of(name, &deployment).keeps_schemas(),
                keeps_schemas,
                "{name}"
            );
        }
    }

    #[test]
    fn what_is_no_part_of_the_name_is_taken_off() {
        for (name, id) in [
            ("anthropic.claude-v2:1", "anthropic.claude-v2:1"),
            ("invoke/anthropic.claude-v2:1", "anthropic.claude-v2:1"),
            ("bedrock/converse/us-gov-west-1/a.b", "a.b"),
            (
                "arn:aws:bedrock:us-east-1:1:inference-profile/x",
                "arn:aws:bedrock:us-east-1:1:inference-profile/x",
            ),
        ] {
            assert_eq!(Model::of(name, &deployment("m")).id, id);
        }
        let arn = deployment("m").with_param("model_id", Secret::new("arn:aws:x"));
        let model = Model::of("anthropic.claude-sonnet-4-5", &arn);
        assert!(model.id == "arn:aws:x" && model.family.is_claude() && !model.is_invoked);
        assert!(Model::of("invoke/anthropic.claude-v2:1", &arn).is_invoked);
        assert!(!Model::of("invoke/meta.llama3-3-70b-instruct-v1:0", &arn).is_invoked);
    }

    #[test]
    fn the_region_is_found_wherever_it_is_said() {
        let arn = "arn:aws:bedrock:eu-west-3:1:application-inference-profile/x";
        let plain = || deployment("us.amazon.nova-lite-v1:0");
        for (deployment, expected) in [
            (plain(), None),
            (plain().with_region("eu-west-1"), Some("eu-west-1")),
            (
                plain()
                    .with_region("eu-west-1")
                    .with_param("aws_region_name", Secret::new("us-east-2")),
                Some("us-east-2"),
            ),
            (plain().with_region("x.evil.test/"), None),
            (deployment("converse/us-west-2/a.b"), Some("us-west-2")),
            (deployment(arn), Some("eu-west-3")),
            (
                plain().with_param("model_id", Secret::new(arn)),
                Some("eu-west-3"),
            ),
            (
                plain()
                    .with_base_url("https://vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com"),
                Some("us-east-1"),
            ),
            (plain().with_base_url("http://localhost:1"), None),
        ] {
            assert_eq!(region(&deployment), expected, "{deployment:?}");
        }
        assert_eq!(
            base("cn-north-1"),
            "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"
        );
    }
}
