//! What says where the requests of a deployment go, and so identifies it.

use std::sync::Arc;

use ziggurat_core::DeploymentId;

use crate::{
    deployments::Reader,
    describe::check_header,
    endpoint,
    id::{self, Ids},
    problem::Report,
    provider::{self, Provider},
    read::{self, Found},
    route,
    source::{Facts, Source},
    yaml::{Pos, Value},
};

/// Whom to ask for what.
pub(crate) struct Target {
    pub(crate) provider: &'static Provider,
    pub(crate) model: Arc<str>,
    pub(crate) model_source: Source,
    pub(crate) base_url: Arc<str>,
    pub(crate) base_source: Source,
    /// The region, where the provider has several.
    pub(crate) place: Option<Found<Arc<str>>>,
    /// Where its model stands.
    pub(crate) at: Pos,
}

impl Target {
    /// The one that is given, else one derived from where requests go.
    pub(crate) fn id(
        &self,
        ids: &mut Ids,
        group: &str,
        given: Option<&Found<Arc<str>>>,
        organization: Option<&Found<Arc<str>>>,
        project: Option<&str>,
    ) -> DeploymentId {
        if let Some(given) = given {
            return ids.next(&given.value, true);
        }
        let base_url = endpoint::shown(&self.base_url);
        let organization = organization.map_or("", |found| &*found.value);
        let provider = self.provider.name;
        let mut identity = vec![group, provider, &self.model, &base_url, organization];
        identity.extend(project);
        ids.next(&id::derived(group, &identity), false)
    }

    pub(crate) fn tell(&self, facts: &mut Facts) {
        let model = format!("{}/{}", self.provider.name, self.model);
        facts.note("model", &Arc::from(model), self.model_source.clone());
        let base_url = Arc::from(endpoint::shown(&self.base_url));
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
        let split = provider::split(&model.value, custom.as_ref().map(|found| &*found.value))
            .and_then(|(provider, name)| Ok((provider, route::without(provider, name)?)));
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
        let name: Arc<str> = Arc::from(name);
        let named = model.clone().map(|_| Arc::clone(&name));
        let place = self.place(provider, &named, report);
        let (environment, region) = (self.environment, place.as_ref());
        let base = endpoint::read(
            &self.params,
            provider,
            region,
            environment,
            model.at,
            report,
        );
        let (base_url, base_source) = base?;
        if place.is_none() && provider.kind.place_key().is_some() {
            return None;
        }
        Some(Target {
            provider,
            model: name,
            model_source: model.source,
            base_url,
            base_source,
            place,
            at: model.at,
        })
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
