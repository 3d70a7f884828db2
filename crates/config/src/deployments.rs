//! `model_list` → deployments.

use std::sync::Arc;

use ziggurat_core::Deployment;

use crate::{
    environment::Environment,
    id::Ids,
    problem::Report,
    read::{self, Found, Section},
    source::{Entry, Facts, Subject},
    tables,
    yaml::Node,
};

/// What `model_list` gives.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    pub(crate) deployments: Vec<Deployment>,
    /// The model groups in order, those of broken and blocked deployments included.
    pub(crate) groups: Vec<Arc<str>>,
    pub(crate) entries: Vec<Entry>,
}

/// Reads `model_list`. A deployment that sets no `max_parallel_requests` gets `max_parallel`.
pub(crate) fn read(
    top: &Section<'_>,
    max_parallel: Option<&Found<u32>>,
    environment: &Environment<'_>,
    report: &mut Report,
) -> Listed {
    let key = "model_list";
    let mut listed = Listed::default();
    let nodes = match top.field(key) {
        Some(field) => read::list(field.node, key, report),
        None => Some(&[][..]),
    };
    let Some(nodes) = nodes else {
        return listed;
    };
    if nodes.is_empty() {
        report.warning(None, "`model_list` is empty: no model can be asked for");
    }
    let mut ids = Ids::given(nodes, report);
    for node in nodes {
        let Some(entry) = Section::open(node, &tables::ENTRY, report) else {
            continue;
        };
        let reader = Reader {
            node,
            entry,
            params: entry.child("litellm_params", &tables::PARAMS, report),
            info: entry.child("model_info", &tables::INFO, report),
            environment,
            max_parallel,
        };
        reader.read(&mut ids, &mut listed, report);
    }
    listed
}

/// One entry of the list.
pub(crate) struct Reader<'a> {
    pub(crate) node: &'a Node,
    pub(crate) entry: Section<'a>,
    pub(crate) params: Section<'a>,
    pub(crate) info: Section<'a>,
    pub(crate) environment: &'a Environment<'a>,
    pub(crate) max_parallel: Option<&'a Found<u32>>,
}

impl Reader<'_> {
    fn read(&self, ids: &mut Ids, listed: &mut Listed, report: &mut Report) {
        let group = self
            .need(&self.entry, "model_name", report)
            .map(|found| found.value);
        listed.groups.extend(group.clone());
        let target = self.target(report);
        let given = self.info.text("id", report);
        let blocked = self
            .info
            .flag("blocked", report)
            .is_some_and(|found| found.value);
        let organizations = self.organizations(report);
        let (Some(group), Some(target)) = (group, target) else {
            // What else is wrong with it is told as well.
            self.params.secret("api_key", report);
            self.describe(Deployment::new("", "", ""), &mut Facts::default(), report);
            return;
        };
        if blocked {
            let message = format!(
                "a deployment of {} is blocked: it gets no requests",
                read::name(&group)
            );
            report.warning(self.node.at, message);
        }
        let credential = self.credential(&target, report);
        for organization in organizations {
            let id = target.id(ids, &group, given.as_ref(), organization.as_ref());
            let mut facts = Facts::default();
            target.tell(&mut facts);
            let mut deployment =
                Deployment::new(id.clone(), Arc::clone(&group), Arc::clone(&target.model))
                    .with_provider(target.provider.name)
                    .with_base_url(Arc::clone(&target.base_url));
            if let Some(secret) = facts.maybe("api_key", credential.clone()) {
                deployment = deployment.with_credential(secret);
            }
            if let Some(value) = facts.take("organization", organization) {
                deployment = deployment.with_header("OpenAI-Organization", value);
            }
            let deployment = self.describe(deployment, &mut facts, report);
            if !blocked {
                listed.deployments.push(deployment);
                listed.entries.extend(facts.about(&Subject::Deployment(id)));
            }
        }
    }

    pub(crate) fn need(
        &self,
        section: &Section<'_>,
        key: &'static str,
        report: &mut Report,
    ) -> Option<Found<Arc<str>>> {
        if section.field(key).is_none() {
            report.error(self.node.at, format!("a deployment needs a `{key}`"));
        }
        section.text(key, report)
    }
}
