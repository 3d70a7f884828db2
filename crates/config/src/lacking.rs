//! What is said of a deployment of which nothing proves who asks.

use crate::{
    deployments::Reader, problem::Report, provider::Kind, read, source::Source, target::Target,
};

/// Headers that prove by themselves who asks.
const HEADERS: [&str; 4] = ["api-key", "authorization", "x-api-key", "x-goog-api-key"];

impl Reader<'_> {
    /// Tells that nothing proves who asks.
    pub(crate) fn lacks(&self, target: &Target, report: &mut Report) {
        let provider = target.provider;
        let is_openai = provider.kind == Kind::OpenAi;
        if !is_openai && self.is_excused(report) {
            return;
        }
        if provider.needs_key && (is_openai || target.base_source != Source::Default) {
            let message = format!(
                "there is no `api_key` and no environment variable {}: requests go without a credential",
                read::name(provider.key_variables[0])
            );
            report.warning(self.key_at(), message);
            return;
        }
        if !provider.needs_key && provider.ways().is_empty() {
            return;
        }
        let list = |names: &mut dyn Iterator<Item = &str>, and: &str| {
            let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
            names.join(and)
        };
        let ways = provider.ways().iter();
        let ways =
            ways.map(|way| format!(", or {}", list(&mut way.iter().map(|it| it.0), " and ")));
        let last = provider.ways().last().and_then(|way| way.last());
        let variables = match (provider.key_variables, last) {
            ([], Some((_, variables))) => variables,
            (variables, _) => variables,
        };
        let message = format!(
            "provider `{}` needs `api_key`{}, or the environment variable {}",
            provider.name,
            ways.collect::<String>(),
            list(&mut variables.iter().copied(), " or ")
        );
        report.error(target.at, message);
    }

    /// Whether requests need no credential of the deployment, or bring one.
    fn is_excused(&self, report: &mut Report) -> bool {
        let keys = ["mock_response", "configurable_clientside_auth_params"];
        keys.iter().any(|key| self.params.field(key).is_some())
            || ["extra_headers", "headers"].iter().any(|key| {
                let field = self.params.field(key);
                let headers = field.and_then(|field| read::map(field.node, key, report));
                let mut headers = headers.unwrap_or_default().iter();
                headers.any(|(name, _)| HEADERS.contains(&&*name.text.to_ascii_lowercase()))
            })
    }
}
