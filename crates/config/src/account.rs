//! Who asks, and what else only the provider knows.

use std::sync::Arc;

use http::HeaderValue;
use ziggurat_core::{Deployment, Secret};

use crate::{
    deployments::Reader,
    endpoint, google_file,
    problem::Report,
    provider::{Kind, Provider},
    provider_params::{KEYS, Part, SESSION, Way},
    read::{self, Found},
    source::{Facts, Source},
    target::Target,
    yaml::{Pos, Value},
};

/// Who asks.
#[derive(Debug, Default)]
pub(crate) struct Account {
    key: Option<Found<Secret>>,
    params: Vec<(&'static str, Found<Secret>)>,
    is_by_params: bool,
}

impl Account {
    fn param(&self, key: &str) -> Option<&str> {
        let found = self.params.iter().find(|(name, _)| *name == key);
        found.map(|(_, found)| found.value.expose())
    }

    /// Whose models are asked.
    pub(crate) fn project(&self) -> Option<&str> {
        self.param("vertex_project")
    }

    /// Adds it to a deployment.
    pub(crate) fn add(&self, mut deployment: Deployment, facts: &mut Facts) -> Deployment {
        let key = match self.is_by_params {
            true => facts.take("api_key", self.key.clone()),
            false => facts.maybe("api_key", self.key.clone()),
        };
        if let Some(secret) = key {
            deployment = deployment.with_credential(secret);
        }
        for (key, found) in &self.params {
            let Found { value, source, .. } = found.clone();
            match *key {
                "api_version" | "aws_region_name" | "model_id" | "vertex_location"
                | "vertex_project" => facts.note(key, &Arc::<str>::from(value.expose()), source),
                _ => facts.note(key, &value, source),
            }
            deployment = deployment.with_param(*key, value);
        }
        deployment
    }
}

impl Reader<'_> {
    /// Who asks: a credential that the file gives, of whatever kind, else one of the environment.
    pub(crate) fn account(&self, target: &Target, report: &mut Report) -> Account {
        let provider = target.provider;
        let mut account = Account::default();
        let key = self.params.secret("api_key", report);
        // What is wrong with it has been told.
        let is_broken = key.is_none() && self.params.field("api_key").is_some();
        let key = key.filter(|found| !found.value.expose().is_empty());
        let mut ways = provider.ways().iter();
        let begun = |way: &&Way| way.iter().any(|(key, _)| self.says(key));
        match (key, ways.clone().find(begun)) {
            (Some(key), _) => account.key = Some(key),
            (None, Some(way)) => self.prove(way, target, &mut account, report),
            (None, None) if is_broken => {}
            (None, None) => {
                let is_set = |(_, variables): &Part| self.environment.found(variables).is_some();
                account.key = self.key_of_environment(target, report);
                if account.key.is_none() {
                    match ways.find(|way| way.iter().all(is_set)) {
                        Some(way) => self.prove(way, target, &mut account, report),
                        None => self.lacks(target, report),
                    }
                }
            }
        }
        check(&account, self.node.at, report);
        for part in provider.others() {
            let found = self.part(*part, true, target, report);
            account.params.extend(found.map(|found| (part.0, found)));
        }
        if provider.kind == Kind::Vertex {
            self.project(&mut account, target, report);
        }
        self.without_effect(&account, provider, report);
        if let (Some(key), Some(place)) = (provider.kind.place_key(), &target.place) {
            let place = place.clone().map(Secret::new);
            account.params.push((key, place));
        }
        account
    }

    /// Whether there is something under a key. An empty text is nothing.
    fn says(&self, key: &'static str) -> bool {
        self.params
            .field(key)
            .is_some_and(|field| match &field.node.value {
                Value::Scalar(scalar) => !scalar.text.is_empty(),
                _ => true,
            })
    }

    /// A parameter, from the file, else perhaps from the environment.
    fn part(
        &self,
        (key, variables): Part,
        may_be_set: bool,
        target: &Target,
        report: &mut Report,
    ) -> Option<Found<Secret>> {
        let is_file = key == "vertex_credentials";
        if self.says(key) {
            return match is_file {
                true => google_file::given(self.params.field(key)?, report),
                false => self.params.secret(key, report),
            };
        }
        let found = self.environment.found(variables).filter(|_| may_be_set)?;
        let found = found.map(Secret::new);
        match is_file {
            true => google_file::read(found, target.at, report),
            false => Some(found),
        }
    }

    /// Takes what proves together who asks, and tells what is missing of it.
    fn prove(&self, way: &Way, target: &Target, account: &mut Account, report: &mut Report) {
        account.is_by_params = true;
        for part in *way {
            let (key, variables) = *part;
            let is_set = self.says(key) || self.environment.found(variables).is_some();
            if !is_set {
                let other = way.iter().find(|(other, _)| self.says(other));
                let message = format!(
                    "`{key}` is missing beside `{}`: write it, or set the environment variable `{}`",
                    other.map_or("", |(other, _)| other),
                    variables[0]
                );
                report.error(target.at, message);
            }
            let found = self.part(*part, true, target, report);
            account.params.extend(found.map(|found| (key, found)));
        }
        if target.provider.kind == Kind::Bedrock {
            // That of the environment belongs to the key of the environment.
            let may_be_set = !self.says("aws_secret_access_key");
            let token = self.part(SESSION, may_be_set, target, report);
            account.params.extend(token.map(|token| (SESSION.0, token)));
        }
    }

    /// The key that a variable holds.
    fn key_of_environment(&self, target: &Target, report: &mut Report) -> Option<Found<Secret>> {
        let provider = target.provider;
        let found = self.environment.found(provider.key_variables)?;
        // A resource of Azure is always somebody's own.
        let is_own = provider.kind != Kind::Azure;
        if is_own && matches!(target.base_source, Source::File { .. }) {
            let url = endpoint::shown(&target.base_url);
            let message = format!(
                "there is no `api_key`: {} goes to {}",
                read::name(&found.path),
                read::name(&url)
            );
            report.warning(self.key_at(), message);
        }
        Some(found.map(Secret::new))
    }

    /// Where its key stands, or would.
    pub(crate) fn key_at(&self) -> Pos {
        let field = self.params.field("api_key");
        field.map_or(self.node.at, |field| field.node.at)
    }

    /// Makes sure of the project. One that nobody names is that of the credentials.
    fn project(&self, account: &mut Account, target: &Target, report: &mut Report) {
        let key = "vertex_project";
        if account.project().is_none() {
            let mut params = account.params.iter();
            let file = params.find(|(key, _)| *key == "vertex_credentials");
            let project = file.and_then(|(_, file)| {
                let project = google_file::project(file.value.expose())?;
                Some((key, file.clone().map(|_| Secret::new(project))))
            });
            account.params.extend(project);
        }
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let is_named = |found: &Found<Secret>| {
            let name = found.value.expose();
            name.bytes().all(is_safe) && !name.bytes().all(|byte| byte == b'.')
        };
        let mut params = account.params.iter();
        if let Some((_, wrong)) = params.find(|(name, it)| *name == key && !is_named(it)) {
            let at = wrong.at_or(target.at);
            report.error(at, format!("`{}` names no project", wrong.path));
        }
        let is_broken = account.is_by_params && account.param("vertex_credentials").is_none();
        if account.project().is_none() && !is_broken && !self.says(key) {
            let message = format!(
                "provider `{}` needs `{key}`, or the environment variable `VERTEXAI_PROJECT`, or a `project_id` in its credentials",
                target.provider.name
            );
            report.error(target.at, message);
        }
    }

    /// Tells of what stands in the file and is not used.
    fn without_effect(&self, account: &Account, provider: &Provider, report: &mut Report) {
        for key in KEYS.into_iter().filter(|key| self.says(key)) {
            let is_base = key == "aws_bedrock_runtime_endpoint" && provider.kind == Kind::Bedrock;
            if is_base || account.param(key).is_some() {
                continue;
            }
            let parts = provider.ways().iter().copied().flatten();
            let mut parts = parts.chain(provider.others());
            let is_known = key == SESSION.0 && provider.kind == Kind::Bedrock
                || parts.any(|(name, _)| *name == key);
            let why = match (is_known, &account.key) {
                (true, Some(winner)) => format!("`{}` wins", winner.path),
                (true, None) => continue,
                (false, _) => format!("provider `{}` does not know it", provider.name),
            };
            let at = self.params.field(key).map(|field| field.node.at);
            report.warning(at, format!("`litellm_params.{key}` has no effect: {why}"));
        }
    }
}

/// Whether what goes into headers can.
fn check(account: &Account, at: Pos, report: &mut Report) {
    const SENT: [&str; 3] = ["aws_access_key_id", "aws_session_token", "azure_ad_token"];
    let params = account.params.iter();
    let params = params.filter(|(key, _)| SENT.contains(key));
    for found in account.key.iter().chain(params.map(|(_, found)| found)) {
        if HeaderValue::from_str(found.value.expose()).is_err() {
            let message = format!(
                "`{}` holds a character that no header can carry, a line break perhaps",
                found.path
            );
            report.error(found.at_or(at), message);
        }
    }
    let mut params = account.params.iter();
    let token = params.find(|(key, _)| *key == "azure_ad_token");
    if let Some((_, token)) = token.filter(|(_, it)| it.value.expose().starts_with("oidc/")) {
        let message = format!(
            "`{}`: tokens of OIDC are not supported; write `tenant_id`, `client_id` and `client_secret`",
            token.path
        );
        report.error(token.at_or(at), message);
    }
}
