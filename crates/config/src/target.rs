//! What says where the requests of a deployment go, and so identifies it.

use std::sync::Arc;

use http::HeaderValue;
use ziggurat_core::{DeploymentId, Secret};

use crate::{
    deployments::Reader,
    describe::check_header,
    endpoint,
    id::{self, Ids},
    problem::Report,
    provider::{self, Provider},
    read::{self, Found},
    source::{Facts, Source},
    yaml::Value,
};

/// Whom to ask for what.
pub(crate) struct Target {
    pub(crate) provider: &'static Provider,
    pub(crate) model: Arc<str>,
    pub(crate) model_source: Source,
    pub(crate) base_url: Arc<str>,
    pub(crate) base_source: Source,
}

impl Target {
    /// The one that is given, else one derived from where requests go.
    pub(crate) fn id(
        &self,
        ids: &mut Ids,
        group: &str,
        given: Option<&Found<Arc<str>>>,
        organization: Option<&Found<Arc<str>>>,
    ) -> DeploymentId {
        if let Some(given) = given {
            return ids.next(&given.value, true);
        }
        let base_url = endpoint::without_userinfo(&self.base_url);
        let organization = organization.map_or("", |found| &*found.value);
        let identity = [
            group,
            self.provider.name,
            &self.model,
            &base_url,
            organization,
        ];
        ids.next(&id::derived(group, &identity), false)
    }

    pub(crate) fn tell(&self, facts: &mut Facts) {
        let model = format!("{}/{}", self.provider.name, self.model);
        facts.note("model", &Arc::from(model), self.model_source.clone());
        let base_url = Arc::from(endpoint::without_userinfo(&self.base_url));
        facts.note("api_base", &base_url, self.base_source.clone());
    }
}

impl Reader<'_> {
    pub(crate) fn target(&self, report: &mut Report) -> Option<Target> {
        let model = match self.entry.field("litellm_params") {
            Some(_) => self.need(&self.params, "model", report),
            None => {
                report.error(self.node.at, "a deployment needs `litellm_params`");
                None
            }
        };
        let custom = self.params.text("custom_llm_provider", report);
        let model = model?;
        let split = provider::split(&model.value, custom.as_ref().map(|found| &*found.value));
        let (provider, name) = match split {
            Ok(split) => split,
            Err(message) => {
                report.error(model.at, message);
                return None;
            }
        };
        if name == "*" && name == &*model.value && custom.is_none() {
            let message = "LiteLLM would take the provider from the requested name; here it is OpenAI for all: write `openai/*`";
            report.warning(model.at, message);
        }
        let (base_url, base_source) =
            endpoint::read(&self.params, provider, self.environment, model.at, report)?;
        Some(Target {
            provider,
            model: Arc::from(name),
            model_source: model.source,
            base_url,
            base_source,
        })
    }

    /// The one that is given, else the provider's from the environment.
    pub(crate) fn credential(&self, target: &Target, report: &mut Report) -> Option<Found<Secret>> {
        let given = self.params.secret("api_key", report);
        let at = match &given {
            Some(found) => found.at,
            // What is wrong with it has been told.
            None if self.params.field("api_key").is_some() => return None,
            None => self.node.at,
        };
        let given = given.filter(|found| !found.value.expose().is_empty());
        let provider = target.provider;
        let credential = given.or_else(|| {
            let found = self.environment.found(provider.key_variables)?;
            if matches!(target.base_source, Source::File { .. }) {
                let url = endpoint::without_userinfo(&target.base_url);
                let message = format!(
                    "there is no `api_key`: {} goes to {}",
                    read::name(&found.path),
                    read::name(&url)
                );
                report.warning(at, message);
            }
            Some(found.map(Secret::new))
        });
        match &credential {
            None if provider.needs_key => {
                let message = format!(
                    "there is no `api_key` and no environment variable {}: requests go without a credential",
                    read::name(provider.key_variables[0])
                );
                report.warning(at, message);
            }
            Some(found) if HeaderValue::from_str(found.value.expose()).is_err() => {
                let message = format!(
                    "`{}` holds a character that no header can carry, a line break perhaps",
                    found.path
                );
                report.error(at, message);
            }
            _ => {}
        }
        credential
    }

    /// One deployment for each; one without if there is none.
    pub(crate) fn organizations(&self, report: &mut Report) -> Vec<Option<Found<Arc<str>>>> {
        let key = "organization";
        let Some(field) = self.params.field(key) else {
            return vec![None];
        };
        let nodes = match &field.node.value {
            Value::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(field.node),
        };
        let mut found: Vec<_> = nodes
            .iter()
            .map(|node| read::text(node, key, report))
            .collect();
        for organization in found.iter().flatten() {
            check_header(&organization.value, key, organization.at, report);
        }
        if found.is_empty() {
            found.push(None);
        }
        found
    }
}
