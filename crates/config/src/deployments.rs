//! `model_list` → deployments.

use std::{collections::HashMap, sync::Arc};

use ziggurat_core::Deployment;

use crate::{
    defaults::Defaults,
    environment::Environment,
    id::Ids,
    named_credentials::Credentials,
    problem::Report,
    read::{self, Found, Range, Section},
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

/// What deployments have that do not say it themselves.
pub(crate) struct Shared<'a> {
    pub(crate) environment: &'a Environment<'a>,
    pub(crate) credentials: &'a Credentials,
    pub(crate) defaults: &'a Defaults,
    pub(crate) max_parallel: Option<Found<u32>>,
    /// Whether what a provider cannot take is left out of requests.
    pub(crate) drops_params: bool,
}

impl<'a> Shared<'a> {
    /// Of these, and of `router_settings` and `litellm_settings`.
    pub(crate) fn read(
        [router, litellm]: [&Section<'_>; 2],
        environment: &'a Environment<'a>,
        credentials: &'a Credentials,
        defaults: &'a Defaults,
        report: &mut Report,
    ) -> Self {
        let key = "default_max_parallel_requests";
        let drops_params = litellm.flag("drop_params", report);
        Self {
            environment,
            credentials,
            defaults,
            max_parallel: router.whole(key, Range::OverZero, report),
            drops_params: drops_params.is_some_and(|found| found.value),
        }
    }
}

/// Reads `model_list`.
pub(crate) fn read(nodes: Option<&[Node]>, shared: &Shared<'_>, report: &mut Report) -> Listed {
    let mut listed = Listed::default();
    let Some(nodes) = nodes else {
        return listed;
    };
    if nodes.is_empty() {
        report.warning(None, "`model_list` is empty: no model can be asked for");
    }
    let mut ids = Ids::given(nodes, report);
    for node in nodes {
        one(node, shared, &mut ids, &mut listed, report);
    }
    listed
}

/// Reads one entry.
pub(crate) fn one(
    node: &Node,
    shared: &Shared<'_>,
    ids: &mut Ids,
    listed: &mut Listed,
    report: &mut Report,
) {
    let node = shared.credentials.fill(node, report);
    let node = &*shared.defaults.fill(&node);
    let Some(entry) = Section::open(node, &tables::ENTRY, report) else {
        return;
    };
    let reader = Reader {
        node,
        entry,
        params: entry.child("litellm_params", &tables::PARAMS, report),
        info: entry.child("model_info", &tables::INFO, report),
        environment: shared.environment,
        max_parallel: shared.max_parallel.as_ref(),
        drops_params: shared.drops_params,
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
    pub(crate) drops_params: bool,
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
            self.region(None, report);
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
        let account = self.account(&target, report);
        let region = self.region(target.place.as_ref(), report);
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
            let (given, organized) = (given.as_ref(), organization.as_ref());
            let id = target.id(ids, &group, given, organized, account.project());
            let mut facts = Facts::default();
            target.tell(&mut facts);
            let mut deployment =
                Deployment::new(id.clone(), Arc::clone(&group), Arc::clone(&target.model))
                    .with_provider(target.provider.name)
                    .with_base_url(Arc::clone(&target.base_url));
            deployment = account.add(deployment, &mut facts);
            if let Some(region) = facts.take("region", region.clone()) {
                deployment = deployment.with_region(region);
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
