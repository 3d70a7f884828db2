//! A file as a whole.

use std::{io::Read, path::Path, sync::Arc};

use ziggurat_core::{Deployment, Snapshot};

use crate::{
    AlertSettings, Alias, CacheSettings, Callers, Explanation, FallbackMaps, GeneralSettings,
    OwnSettings, Problem, Problems, RedisSettings, RouterSettings, RoutingGroupPlan, Strategy,
    StrategyArgs, alerts,
    callers::{self, Models},
    defaults::Defaults,
    deployments::{self, Shared},
    environment::Environment,
    limits::{self, LimitSettings},
    named_credentials::Credentials,
    origin::Origin,
    problem::Report,
    queue,
    read::{self, Section},
    redis,
    routing::{self, Routing},
    settings,
    source::{Facts, Subject},
    tables::{GENERAL, LITELLM, OWN, ROUTER, TOP},
    yaml,
};

/// The longest file that is read, in bytes.
pub const MAX_FILE: usize = 10 << 20;

/// A configuration without an error: what it says, and where each value came from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Plan {
    /// The deployments, in the order of the file.
    pub deployments: Vec<Deployment>,
    /// Other names for groups. None leads to itself or into the void.
    pub aliases: Vec<Alias>,
    /// Groups of groups.
    pub routing_groups: Vec<RoutingGroupPlan>,
    /// Groups that say, by `model_info.enable_tag_filtering`, whether tags choose in them.
    pub tag_filtering: Vec<(Arc<str>, bool)>,
    /// Where requests go next.
    pub fallbacks: FallbackMaps,
    /// `router_settings`.
    pub router: RouterSettings,
    /// `general_settings`.
    pub general: GeneralSettings,
    /// `ziggurat_settings`.
    pub own: OwnSettings,
    /// Who may ask for what.
    pub callers: Callers,
    /// Whether and how answers are given again.
    pub cache: Option<CacheSettings>,
    /// Who is told when something is wrong.
    pub alerts: AlertSettings,
    /// What else may be used up how far.
    pub limits: LimitSettings,
    /// Where several instances share what they know. `None` if each is by itself.
    pub redis: Option<RedisSettings>,
    pub(crate) warnings: Vec<Problem>,
    pub(crate) explanation: Explanation,
    pub(crate) origin: Origin,
}

impl Plan {
    /// Reads a file, with the environment of the process.
    ///
    /// # Errors
    ///
    /// All that is wrong with it; also if it cannot be read or is longer than [`MAX_FILE`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Problems> {
        let name = path.as_ref().display().to_string();
        let mut bytes = Vec::new();
        let limit = MAX_FILE as u64 + 1;
        let read =
            std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
        if let Err(error) = read {
            return refuse(&name, format!("cannot be read: {error}"));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Self::parse(&text, &name, |variable| std::env::var(variable).ok()),
            Err(error) => {
                let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
                refuse(&name, format!("line {line} is not UTF-8"))
            }
        }
    }

    /// Reads a text that problems call `name`, with an environment.
    ///
    /// # Errors
    ///
    /// All that is wrong with it; also if it is longer than [`MAX_FILE`].
    pub fn parse(
        text: &str,
        name: &str,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Problems> {
        if text.len() > MAX_FILE {
            return refuse(name, format!("is longer than {MAX_FILE} bytes"));
        }
        let mut report = Report::new(name);
        let root = yaml::parse(text, &mut report);
        let mut root = root.filter(|root| !root.is_null());
        let mut environment = Environment::new(&environment);
        if let Some(root) = &mut root {
            environment.resolve(root, &mut report);
        }
        let top = match &root {
            Some(root) => Section::open(root, &TOP, &mut report),
            None => (!report.has_failed()).then(|| Section::empty(&TOP)),
        };
        let Some(top) = top else {
            return refuse_with(report);
        };
        let router = top.child("router_settings", &ROUTER, &mut report);
        let litellm = top.child("litellm_settings", &LITELLM, &mut report);
        let general_section = top.child("general_settings", &GENERAL, &mut report);
        let own = top.child("ziggurat_settings", &OWN, &mut report);

        let nodes = match top.field("model_list") {
            Some(field) => read::list(field.node, "model_list", &mut report),
            None => Some(&[][..]),
        };
        let count = nodes.map_or(0, <[_]>::len);
        let credentials = Arc::new(Credentials::read(&top, count, &mut report));
        let listed = {
            let defaults = Defaults::read(&router, count, &mut report);
            let sections = [&router, &litellm];
            let shared = Shared::read(sections, &environment, &credentials, &defaults, &mut report);
            deployments::read(nodes, &shared, &mut report)
        };
        let mut facts = Facts::default();
        let (groups, team_models) = (&listed.groups, &listed.team_models);
        let general = settings::general(
            &general_section,
            &router,
            groups,
            &environment,
            &mut facts,
            &mut report,
        );
        let alerts = alerts::read(
            [&general_section, &router, &own],
            &environment,
            &mut facts,
            &mut report,
        );
        let sections = [&router, &litellm, &own];
        let redis = redis::read(sections, &environment, &mut facts, &mut report);
        let routing = routing::read(
            [&router, &litellm, &own],
            groups,
            team_models,
            &listed.mirrors,
            &mut report,
        );

        let mut of_callers = Facts::default();
        let callers = callers::read(
            [&own, &litellm, &general_section],
            &Models::new(&routing.names, &listed.deployments),
            general.master_key.as_ref(),
            &mut of_callers,
            &mut report,
        );
        let mut of_limits = Facts::default();
        let limits = limits::read(
            [&own, &router, &litellm],
            &routing.names,
            &listed.deployments,
            &mut of_limits,
            &mut report,
        );
        if !routing.router.enforces_tpm() {
            limits::check_strict(nodes.unwrap_or_default(), &listed.deployments, &mut report);
        }
        let (queue, concurrency) = (&routing.own.queue, routing.own.concurrency);
        queue::check(&own, queue, concurrency, &listed.deployments, &mut report);
        let variables = environment.into_file();
        let origin = Origin::new(root, report.file(), variables, credentials, &listed.groups);
        let Routing {
            aliases,
            routing_groups,
            fallbacks,
            router,
            own,
            cache,
            entries,
            ..
        } = routing;
        let mut entries = [listed.entries, entries].concat();
        entries.extend(of_callers.about(&Subject::Callers));
        entries.extend(of_limits.about(&Subject::Limits));
        entries.extend(facts.about(&Subject::Settings));
        let file = Arc::clone(report.file());
        let warnings = report.finish()?;
        let explanation = Explanation::new(file, &listed.deployments, entries, warnings.len());
        Ok(Self {
            deployments: listed.deployments,
            aliases,
            routing_groups,
            tag_filtering: listed.tag_filtering,
            fallbacks,
            router,
            general,
            own,
            callers,
            cache,
            alerts,
            limits,
            redis,
            warnings,
            explanation,
            origin,
        })
    }

    /// What is not wrong, and may not be what was meant; the first 200.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Each effective value and its source.
    #[must_use]
    pub fn explanation(&self) -> &Explanation {
        &self.explanation
    }

    /// The deployments, routing groups and aliases, as the stack wants them.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let aliases = self
            .aliases
            .iter()
            .map(|alias| (alias.name.clone(), alias.target.clone(), alias.hidden));
        let groups = self.routing_groups.iter().map(RoutingGroupPlan::to_core);
        Snapshot::new(self.deployments.iter().cloned())
            .with_routing_groups(groups)
            .with_aliases(aliases)
            .expect("an alias that leads to itself is refused")
    }

    /// How a deployment is chosen for a group, or for the name of a routing group.
    #[must_use]
    pub fn strategy_of(&self, group: &str) -> (Strategy, &StrategyArgs) {
        let groups = || self.routing_groups.iter();
        let named = groups().find(|it| *it.name == *group);
        let found = named.or_else(|| {
            groups()
                .filter(|it| it.priorities.is_empty())
                .find(|it| it.models.iter().any(|model| **model == *group))
        });
        match found {
            Some(found) => (found.strategy, &found.args),
            None => (self.router.strategy, &self.router.strategy_args),
        }
    }

    /// Whether a deployment's `rpm` is a limit; otherwise it is a weight.
    #[must_use]
    pub fn enforces_rpm(&self) -> bool {
        self.enforces_tpm() || self.router.enable_pre_call_checks
    }

    /// Whether a deployment's `tpm` is a limit; otherwise it is a weight.
    #[must_use]
    pub fn enforces_tpm(&self) -> bool {
        self.router.enforces_tpm()
    }
}

fn refuse(name: &str, message: String) -> Result<Plan, Problems> {
    let mut report = Report::new(name);
    report.error(None, message);
    refuse_with(report)
}

fn refuse_with(report: Report) -> Result<Plan, Problems> {
    let problems = report.finish().expect_err("an error was reported");
    Err(problems)
}
