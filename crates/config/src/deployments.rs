//! `model_list` → deployments.

use std::{collections::HashMap, sync::Arc};

use ziggurat_core::Deployment;

use crate::{
    defaults::Defaults,
    environment::Environment,
    id::Ids,
    problem::Report,
    read::{self, Found, Section},
    source::{Entry, Facts, Subject},
    tables,
    yaml::{self, Node},
};

/// What `model_list` gives.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    pub(crate) deployments: Vec<Deployment>,
    /// The model groups in order, those of broken and left out deployments included.
    pub(crate) groups: Vec<Arc<str>>,
    pub(crate) entries: Vec<Entry>,
    /// The names that teams ask for.
    pub(crate) team_models: Vec<Arc<str>>,
    /// The groups that say whether their tags are asked for.
    pub(crate) tag_filtering: Vec<(Arc<str>, bool)>,
    tag_filtering_of: HashMap<Arc<str>, bool>,
    /// The groups that get copies of requests.
    pub(crate) mirrors: Vec<Found<Arc<str>>>,
}

/// Reads `model_list`. What a deployment does not set it has from `router`.
pub(crate) fn read(
    top: &Section<'_>,
    router: &Section<'_>,
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
    let defaults = Defaults::read(router, nodes.len(), report);
    let mut ids = Ids::given(nodes, report);
    for node in nodes {
        let filled = defaults.fill(node);
        one(
            &filled,
            max_parallel,
            environment,
            &mut ids,
            &mut listed,
            report,
        );
    }
    listed
}

/// Reads one entry.
pub(crate) fn one(
    node: &Node,
    max_parallel: Option<&Found<u32>>,
    environment: &Environment<'_>,
    ids: &mut Ids,
    listed: &mut Listed,
    report: &mut Report,
) {
    let Some(entry) = Section::open(node, &tables::ENTRY, report) else {
        return;
    };
    let reader = Reader {
        node,
        entry,
        params: entry.child("litellm_params", &tables::PARAMS, report),
        info: entry.child("model_info", &tables::INFO, report),
        environment,
        max_parallel,
    };
    reader.read(ids, listed, report);
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
        let blocked = self.info.flag("blocked", report);
        let blocked = blocked.filter(|found| found.value);
        let organizations = self.organizations(report);
        let elsewhere = self.is_elsewhere(report);
        let mirrors = self.mirrors(report);
        let (Some(group), Some(target)) = (group, target) else {
            // What else is wrong with it is told as well.
            self.params.secret("api_key", report);
            self.describe(Deployment::new("", "", ""), &mut Facts::default(), report);
            return;
        };
        if blocked.is_some() {
            let message = format!(
                "a deployment of {} is blocked: it gets no requests",
                read::name(&group)
            );
            report.warning(self.node.at, message);
        }
        self.tag_filtering(&group, listed, report);
        let credential = self.credential(&target, report);
        listed.mirrors.extend(mirrors.iter().cloned());
        if !yaml::fits(self.node.size().saturating_mul(organizations.len())) {
            let message = format!(
                "a deployment for each `organization` is {}",
                yaml::too_many()
            );
            report.error(self.node.at, message);
            return;
        }
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
            let mut deployment = self.describe(deployment, &mut facts, report);
            if facts.take("blocked", blocked.clone()).is_some() {
                deployment = deployment.with_blocked(true);
            }
            if let [first, ..] = &mirrors[..] {
                let names = mirrors.iter().map(|found| Arc::clone(&found.value));
                let names: Vec<_> = names.collect();
                facts.note("silent_model", &names, first.source.clone());
                deployment = deployment.with_mirrors(names);
            }
            if !elsewhere {
                listed.team_models.extend(deployment.team_model().cloned());
                listed.deployments.push(deployment);
                listed.entries.extend(facts.about(&Subject::Deployment(id)));
            }
        }
    }

    /// Whether tags are asked for in its group: what the first says that says something.
    fn tag_filtering(&self, group: &Arc<str>, listed: &mut Listed, report: &mut Report) {
        let key = "enable_tag_filtering";
        let Some(found) = self.info.flag(key, report) else {
            return;
        };
        match listed.tag_filtering_of.get(group) {
            None => {
                let name = format!("{key} of {}", group.escape_debug());
                let mut facts = Facts::default();
                facts.note(&name, &found.value, found.source);
                listed.entries.extend(facts.about(&Subject::Settings));
                listed.tag_filtering.push((Arc::clone(group), found.value));
                let of = &mut listed.tag_filtering_of;
                of.insert(Arc::clone(group), found.value);
            }
            Some(first) if *first != found.value => {
                let message = format!(
                    "`{}` has no effect: another deployment of {} says otherwise first",
                    found.path,
                    read::name(group)
                );
                report.warning(found.at, message);
            }
            Some(_) => {}
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
