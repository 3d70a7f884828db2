//! What a request is charged to who asks.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use ziggurat_config::{BudgetDuration, CallerLimits, LimitSubject, ModelLimits, Plan};
use ziggurat_core::{Asked, Caller, Deployments, Extract, Group, LlmRequest, Param as _, Snapshot};
use ziggurat_mirror::IsMirrored;
use ziggurat_rate_limit::{Charges, LimitKey, Limits, Measure, Subject};

use super::{ClientAddress, Rules, amounts, money};

/// Says what a request is charged to its caller: to the key, the team and the user, to its tags, to the
/// address that it comes from, and to all requests together; and what the application has put among
/// its extensions. What it is charged to them for a model is said where it is sent to the group.
#[derive(Clone, Debug)]
pub(crate) struct CallerCharges(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    keys: Callers,
    teams: Callers,
    users: Callers,
    /// Of each user of keys that has no entry, and of each `user` of requests.
    each_user: Limits,
    each_end_user: Limits,
    everybody: Limits,
    rules: Rules,
    /// Whether somebody's share of a model is limited.
    limits_models: bool,
    /// Whether there is nothing but what applications put into requests.
    is_empty: bool,
    deployments: Deployments,
}

/// The limits of all keys, teams or users that have some.
#[derive(Debug, Default)]
struct Callers(HashMap<Arc<str>, Own>);

#[derive(Debug, Default)]
struct Own {
    limits: Limits,
    models: BTreeMap<Arc<str>, Limits>,
}

impl Callers {
    fn new<'a>(all: impl Iterator<Item = (&'a Arc<str>, &'a CallerLimits)>) -> Self {
        let own = |limits: &CallerLimits| {
            let time = limits.budget_duration;
            let models = limits.models.iter();
            Own {
                limits: amounts::of_caller(limits),
                models: models.map(|(name, it)| of_model(name, it, time)).collect(),
            }
        };
        Self(all.map(|(name, it)| (Arc::clone(name), own(it))).collect())
    }
}

fn of_model(
    name: &Arc<str>,
    limits: &ModelLimits,
    time: Option<BudgetDuration>,
) -> (Arc<str>, Limits) {
    (Arc::clone(name), amounts::of_model(limits, time))
}

impl CallerCharges {
    pub(crate) fn new(plan: &Plan, deployments: &Deployments) -> Self {
        let callers = &plan.callers;
        let rules = Rules::new(&plan.limits.rules);
        let all = rules.of(LimitSubject::All, "").cloned().unwrap_or_default();
        let everybody = amounts::of_caller(&callers.everybody);
        let everybody = amounts::both(everybody, &all);
        let each = [&callers.each_user, &callers.each_end_user];
        let has_callers = [callers.keys.len(), callers.teams.len(), callers.users.len()] != [0; 3];
        let is_empty = !has_callers
            && everybody.is_none()
            && each.iter().all(|limits| limits.is_none())
            && plan.limits.rules.is_empty();
        let keys = Callers::new(callers.keys.iter().map(|it| (&it.name, &it.limits)));
        let teams = Callers::new(callers.teams.iter().map(|it| (&it.name, &it.limits)));
        let users = Callers::new(callers.users.iter().map(|it| (&it.name, &it.limits)));
        Self(Arc::new(Inner {
            limits_models: [&keys, &teams, &users].iter().any(|it| it.limit_models()),
            keys,
            teams,
            users,
            each_user: amounts::of_caller(&callers.each_user),
            each_end_user: amounts::of_caller(&callers.each_end_user),
            everybody,
            rules,
            is_empty,
            deployments: deployments.clone(),
        }))
    }

    /// Whether a request is charged to nobody: nobody is limited, or nobody asked for it, since it
    /// is a copy.
    pub(crate) fn has_none_for(&self, request: &LlmRequest) -> bool {
        let extensions = request.extensions();
        let has_none = self.0.is_empty && extensions.get::<Charges>().is_none();
        has_none || extensions.get::<IsMirrored>().is_some()
    }

    /// Whether addresses are limited.
    pub(crate) fn limits_addresses(&self) -> bool {
        self.0.rules.has(LimitSubject::Ip)
    }

    /// Whether the share of a model that somebody may use is limited.
    pub(crate) fn limits_models(&self) -> bool {
        self.0.limits_models
    }

    /// To whom requests of a caller are charged, whatever they ask for, each model by itself.
    pub(crate) fn of_caller(&self, caller: &Caller) -> Charges {
        let mut charges = self.caller(Charges::none(), caller);
        for (subject, name, own) in self.entries(Some(caller), None) {
            let models = own.models.iter();
            charges = models.fold(charges, |charges, (model, limits)| {
                let key = LimitKey::on_group(subject, name, Arc::clone(model));
                charges.on(key, limits.clone())
            });
        }
        let tags = caller.tags.iter();
        let charges = tags.fold(charges, |charges, tag| self.tag(charges, tag));
        charges.on(everybody(), self.0.everybody.clone())
    }

    /// Adds what a request is charged to its caller for the model, where it is sent to a group: under
    /// the name that it asked for, what that means, and the name of the group. After a fallback it asks
    /// for that one.
    pub(crate) fn for_model(
        &self,
        mut charges: Charges,
        request: &LlmRequest,
        snapshot: &Snapshot,
        group: &Group,
    ) -> Charges {
        if !self.0.limits_models || request.extensions().get::<IsMirrored>().is_some() {
            return charges;
        }
        let Asked(asked) = request.param();
        let sent = request.group().as_str();
        let asked = asked.as_ref().map_or(sent, |asked| asked.as_str());
        let names = [
            asked,
            snapshot.unalias(asked),
            snapshot.unalias(sent),
            group.name(),
        ];
        let caller = request.caller().map(|caller| &**caller);
        for (subject, name, own) in self.entries(caller, request.user()) {
            let found = names.iter().enumerate();
            let found = found.filter(|(at, it)| !names[..*at].contains(it));
            let found = found.filter_map(|(_, it)| own.models.get_key_value(*it));
            charges = found.fold(charges, |charges, (model, limits)| {
                let key = LimitKey::on_group(subject, name, Arc::clone(model));
                charges.on(key, limits.clone())
            });
        }
        charges
    }

    /// The entries of a caller, and that of the user that a request names.
    fn entries<'a>(
        &'a self,
        caller: Option<&'a Caller>,
        user: Option<&'a str>,
    ) -> impl Iterator<Item = (Subject, &'a str, &'a Own)> {
        let inner = &*self.0;
        let key = caller.and_then(|it| it.key.as_deref());
        let team = caller.and_then(|it| it.team.as_deref());
        let key_s_user = caller.and_then(|it| it.user.as_deref());
        let all = [
            (Subject::Key, &inner.keys, key),
            (Subject::Team, &inner.teams, team),
            (Subject::User, &inner.users, key_s_user),
            (
                Subject::User,
                &inner.users,
                user.filter(|user| Some(*user) != key_s_user),
            ),
        ];
        let named = all
            .into_iter()
            .filter_map(|(subject, of, name)| Some((subject, of, name?)));
        named.filter_map(|(subject, of, name)| Some((subject, name, of.0.get(name)?)))
    }

    /// To whom a request is charged.
    pub(crate) fn of_request(&self, request: &LlmRequest) -> Charges {
        let inner = &*self.0;
        let extensions = request.extensions();
        let mut charges = extensions.get::<Charges>().cloned().unwrap_or_default();
        let caller = request.caller();
        if let Some(caller) = caller {
            charges = self.caller(charges, caller);
        }
        let key_s_user = caller.and_then(|caller| caller.user.as_deref());
        if let Some(user) = request.user().filter(|user| Some(*user) != key_s_user) {
            let rule = match key_s_user {
                None => inner.rules.of(LimitSubject::User, user),
                Some(_) => None,
            };
            let each = &inner.each_end_user;
            charges = inner.users.charge(charges, Subject::User, user, each, rule);
        }
        for tag in request.tags() {
            charges = self.tag(charges, tag);
        }
        if inner.rules.has(LimitSubject::Ip)
            && let Some(ClientAddress(address)) = extensions.get()
        {
            let address = address.to_canonical().to_string();
            if let Some(limits) = inner.rules.of(LimitSubject::Ip, &address) {
                charges = charges.on(LimitKey::of(Subject::Ip, address), limits.clone());
            }
        }
        charges.on(everybody(), inner.everybody.clone())
    }

    fn caller(&self, mut charges: Charges, caller: &Caller) -> Charges {
        let inner = &*self.0;
        let none = Limits::none();
        let kinds = [
            (
                &inner.keys,
                Subject::Key,
                LimitSubject::Key,
                &caller.key,
                &none,
            ),
            (
                &inner.teams,
                Subject::Team,
                LimitSubject::Team,
                &caller.team,
                &none,
            ),
            (
                &inner.users,
                Subject::User,
                LimitSubject::User,
                &caller.user,
                &inner.each_user,
            ),
        ];
        for (all, subject, rule, name, each) in kinds {
            if let Some(name) = name {
                let rule = inner.rules.of(rule, name);
                charges = all.charge(charges, subject, name, each, rule);
            }
        }
        charges
    }

    fn tag(&self, charges: Charges, tag: &Arc<str>) -> Charges {
        match self.0.rules.of(LimitSubject::Tag, tag) {
            Some(limits) => charges.on(LimitKey::of(Subject::Tag, tag.clone()), limits.clone()),
            None => charges,
        }
    }
}

fn everybody() -> LimitKey {
    LimitKey::of(Subject::All, "all")
}

impl Callers {
    /// Adds the charges of one of them: of its entry, or of each that has none, and of a rule.
    fn charge(
        &self,
        charges: Charges,
        subject: Subject,
        name: &str,
        each: &Limits,
        rule: Option<&Limits>,
    ) -> Charges {
        let limits = self.0.get(name).map_or(each, |own| &own.limits);
        let limits = match rule {
            None if limits.is_none() => return charges,
            None => limits.clone(),
            Some(rule) => amounts::both(limits.clone(), rule),
        };
        charges.on(LimitKey::of(subject, name), limits)
    }

    fn limit_models(&self) -> bool {
        self.0.values().any(|own| !own.models.is_empty())
    }
}

impl Extract<Charges, LlmRequest> for CallerCharges {
    fn extract(&self, request: &LlmRequest) -> Charges {
        if self.has_none_for(request) {
            return Charges::none();
        }
        let charges = self.of_request(request);
        if charges.is_none() || !charges.limit(&[Measure::Money]) {
            return money::of_request(charges, request, std::iter::empty());
        }
        let snapshot = self.0.deployments.load();
        let group = snapshot.resolve(request.group().as_str());
        let members = group.map(|group| group.members()).unwrap_or_default();
        money::of_request(charges, request, members.iter().map(|member| &**member))
    }
}
