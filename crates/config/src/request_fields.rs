//! Fields of requests that a deployment fills in.

use serde_json::Value as Json;
use ziggurat_core::{DefaultField, Deployment, FieldSet};

use crate::{
    deployments::Reader,
    json,
    problem::Report,
    source::{Facts, Source},
};

impl Reader<'_> {
    /// Adds the fields that `litellm_params` sets for requests which do not have them.
    pub(crate) fn request_fields(
        &self,
        mut deployment: Deployment,
        facts: &mut Facts,
        report: &mut Report,
    ) -> Deployment {
        for (key, node) in self.params.acted() {
            if FieldSet::of(&key.text).is_none() {
                continue;
            }
            let Some(value) = json::of(node, &key.text, report) else {
                continue;
            };
            if let Some(field) = DefaultField::new(&key.text, &value) {
                // A text or what is nested may hold what is nobody's business.
                let told = match &value {
                    Json::Bool(_) | Json::Number(_) => value.to_string(),
                    _ => "set".to_owned(),
                };
                facts.note(field.name(), &told, Source::of(node, None));
                deployment = deployment.with_default_field(field);
            }
        }
        deployment
    }
}
