//! How many failures of which kind are forgiven before a deployment rests.

use serde_json::Value as Json;
use ziggurat_core::{Clock, Deployment, ErrorKind};

use crate::{
    deployments::Reader,
    error_classes::{self, Fields},
    problem::Report,
    read::{Range, Section},
    source::Facts,
    tables::ALLOWED_FAILS_POLICY,
};

const KEY: &str = "allowed_fails_policy";

const FIELDS: &Fields = &[
    ("AuthenticationErrorAllowedFails", ErrorKind::Authentication),
    // A 502 of a provider is `Internal`; what has this status here is ours to say.
    ("BadGatewayErrorAllowedFails", ErrorKind::BadAnswer),
    ("BadRequestErrorAllowedFails", ErrorKind::BadRequest),
    (
        "ContentPolicyViolationErrorAllowedFails",
        ErrorKind::ContentPolicy,
    ),
    ("InternalServerErrorAllowedFails", ErrorKind::Internal),
    ("NotFoundErrorAllowedFails", ErrorKind::NotFound),
    ("RateLimitErrorAllowedFails", ErrorKind::RateLimited),
    (
        "ServiceUnavailableErrorAllowedFails",
        ErrorKind::Unavailable,
    ),
    (
        "TimeoutErrorAllowedFails",
        ErrorKind::Timeout(Clock::Attempt),
    ),
];

/// Reads `allowed_fails_policy`: for each kind that it says something of, how many are forgiven.
pub(crate) fn policy(section: &Section<'_>, report: &mut Report) -> Option<Vec<(ErrorKind, u32)>> {
    section.field(KEY)?;
    let policy = section.child(KEY, &ALLOWED_FAILS_POLICY, report);
    Some(error_classes::read(&policy, FIELDS, report))
}

/// Reads that of all deployments.
pub(crate) fn of_router(
    router: &Section<'_>,
    facts: &mut Facts,
    report: &mut Report,
) -> Vec<(ErrorKind, u32)> {
    let policy = policy(router, report);
    let told = policy.as_deref().map(error_classes::told);
    let found = router.field(KEY).zip(told);
    facts.maybe(KEY, found.map(|(field, told)| field.found(told, None)));
    policy.unwrap_or_default()
}

/// The policy as a configuration writes it.
pub(crate) fn to_json(policy: &[(ErrorKind, u32)]) -> Json {
    Json::Object(error_classes::to_json(policy, FIELDS))
}

impl Reader<'_> {
    /// Adds what the deployment says for itself.
    pub(crate) fn allowed_fails(
        &self,
        mut deployment: Deployment,
        facts: &mut Facts,
        report: &mut Report,
    ) -> Deployment {
        let key = "allowed_fails";
        let allowed = self.info.whole(key, Range::NotNegative, report);
        if let Some(allowed) = facts.take(key, allowed) {
            deployment = deployment.with_allowed_fails(allowed);
        }
        let policy = policy(&self.info, report).unwrap_or_default();
        let told = error_classes::told(&policy);
        let field = self.info.field(KEY);
        facts.take(KEY, field.map(|field| field.found(told, None)));
        for (kind, allowed) in policy {
            deployment = deployment.with_allowed_fails_of(kind, allowed);
        }
        deployment
    }
}
