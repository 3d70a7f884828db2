//! Limits of deployments that only the strict mode heeds.

use ziggurat_core::Deployment;

use crate::{problem::Report, yaml::Node};

const KEYS: [&str; 2] = ["itpm", "otpm"];

/// Warns of limits on input or output tokens where nothing heeds them: unlike `rpm` and `tpm`, they are
/// no weights either.
pub(crate) fn check_strict(nodes: &[Node], deployments: &[Deployment], report: &mut Report) {
    let is_limited = |it: &&Deployment| it.itpm().or(it.otpm()).is_some();
    let count = deployments.iter().filter(is_limited).count();
    if count == 0 {
        return;
    }
    let places = nodes.iter().flat_map(|entry| {
        let within = ["litellm_params", "model_info"].map(|part| entry.get(part));
        [Some(entry)].into_iter().chain(within).flatten()
    });
    let mut limits = places.flat_map(|place| KEYS.iter().filter_map(|key| place.get(key)));
    let at = limits.find(|limit| !limit.is_null()).map(|limit| limit.at);
    let message = format!(
        "`itpm` and `otpm` limit nothing as it is ({count} deployments); write `router_settings: {{optional_pre_call_checks: [enforce_model_rate_limits]}}`, which makes `rpm` and `tpm` limits too, or a quota with them in `ziggurat_settings.quotas`"
    );
    report.warning(at, message);
}
