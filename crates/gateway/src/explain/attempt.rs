//! The attempts of a request, and what followed from each.

use std::fmt;

use serde_json::{Value, json};
use tokio::time::Instant;
use ziggurat::{
    Blame, Cooling, DeploymentId, Error, ErrorKind, FallbackList, Ledger, Outcome, Retry,
    TrailEntry,
    cooldown::{Health, State},
};

use super::{
    leaf::{Call, Seen, since},
    story::{Ends, rounded},
};

/// An attempt, and what followed from it.
pub(super) struct Attempt {
    at: f64,
    took: Option<f64>,
    group: String,
    deployment: String,
    model: String,
    /// Why it was made.
    why: String,
    /// What the provider was told to do.
    provider: String,
    outcome: Outcome,
    /// Whether its answer began.
    has_begun: bool,
    error: Option<Error>,
    /// What the layers have noted before the next one.
    changes: Vec<String>,
}

/// The attempts of a request: those of its trail, with what was seen when providers were called.
pub(super) fn attempts(ledger: &Ledger, ends: Ends, origin: Instant) -> Vec<Attempt> {
    let trail = ledger.trail();
    let Ends { health, mut calls } = ends;
    // What a deployment plays itself is in the trail, and no call.
    let called = |entry: &TrailEntry| {
        let id = entry.deployment().public_id();
        let at = calls.iter().position(|call| call.deployment == *id)?;
        Some(calls.remove(at))
    };
    let calls: Vec<_> = trail.entries().iter().map(called).collect();
    let mut attempts = Vec::new();
    for (at, entry) in trail.entries().iter().enumerate() {
        let call = calls[at].as_ref();
        let next = calls[at + 1..].iter().flatten().next();
        let after = next.map_or(&health, |next| &next.before.health);
        let before = call.map(|call| &call.before.health);
        let deployment = entry.deployment();
        attempts.push(Attempt {
            at: since(origin, entry.began()),
            took: entry.took().map(|took| took.as_secs_f64()),
            group: call.map_or_else(
                || deployment.group().to_owned(),
                |call| call.before.group.clone(),
            ),
            deployment: deployment.public_id().to_string(),
            model: format!("{}/{}", deployment.provider(), deployment.model()),
            why: match at.checked_sub(1) {
                Some(last) => why(trail.entries().get(last), calls[last].as_ref(), entry, call),
                None => why(None, None, entry, call),
            },
            provider: call.map_or_else(|| "a mock answer".into(), |call| call.fault.clone()),
            outcome: entry.outcome(),
            has_begun: call.is_some_and(has_begun),
            error: call.and_then(|call| match &call.answer {
                Some(Err(error)) => Some(error.duplicate()),
                _ => None,
            }),
            changes: before.map_or_else(Vec::new, |before| changes(before, after, origin)),
        });
    }
    attempts
}

fn has_begun(call: &Call) -> bool {
    matches!(call.answer, Some(Ok(())))
}

/// Why an attempt was made after the last one, if there was one.
fn why(
    last: Option<&TrailEntry>,
    last_call: Option<&Call>,
    entry: &TrailEntry,
    call: Option<&Call>,
) -> String {
    let none = Seen::default();
    let before = last_call.map_or(&none, |call| &call.before);
    let now = call.map_or(&none, |call| &call.before);
    let ended = last.and_then(|last| Some(last.began() + last.took()?));
    let had_begun = last_call.is_some_and(has_begun);
    let pause = ended.map_or(0.0, |ended| since(ended, entry.began()));
    let waited = match pause >= 0.001 && !had_begun {
        true => format!(" after a pause of {pause:.3} s"),
        false => ", at once".into(),
    };
    let has_failed = |last: &TrailEntry| matches!(last.outcome(), Outcome::Failed(_));
    if had_begun && last.is_some_and(has_failed) {
        let elsewhere = if now.fallbacks > before.fallbacks {
            ", in a fallback"
        } else {
            ""
        };
        return format!("goes on with the answer that broke off{elsewhere}");
    }
    if now.fallbacks > before.fallbacks {
        let kind = now.failure.map_or_else(String::new, |kind| {
            format!(", since the group before failed with {kind}")
        });
        return format!("fallback {}{waited}{kind}", now.fallbacks);
    }
    if now.retries > before.retries {
        let untried = match before.untried {
            0 => "",
            _ => ": another deployment of the group was untried",
        };
        return format!("retry {}{waited}{untried}", now.retries);
    }
    let failed = match last_call.and_then(|call| call.answer.as_ref()) {
        Some(Err(error)) => Some(error.scope()),
        _ => None,
    };
    match failed {
        _ if last.is_none() => "the first choice".into(),
        _ if ended.is_none_or(|ended| ended > entry.began()) => {
            "hedge: the first token of the one before is late".into()
        }
        Some(Blame::Credential) => {
            "the key of the one before is dead, which uses up no retry".into()
        }
        _ => format!("another try{waited}"),
    }
}

/// What is known of deployments now and was not before.
fn changes(
    before: &[(DeploymentId, Health)],
    after: &[(DeploymentId, Health)],
    origin: Instant,
) -> Vec<String> {
    let both = before.iter().zip(after);
    let told = both.filter_map(|((id, before), (_, after))| {
        let is_new = before.state != after.state;
        match after.state {
            State::Resting { until, because } if is_new => Some(format!(
                "`{id}` rests until {:.3} after {because}",
                since(origin, until)
            )),
            State::HalfOpen { .. } if is_new => {
                Some(format!("`{id}` has rested, and may be probed"))
            }
            State::Closed if is_new => Some(format!("`{id}` serves again")),
            State::Closed if after.failures > before.failures => Some(format!(
                "`{id}` does not rest; failures in a row: {}",
                after.failures
            )),
            _ => None,
        }
    });
    told.collect()
}

/// What the table of failures says of a kind.
fn meaning(kind: ErrorKind, blame: Blame) -> String {
    let rule = kind.rule();
    let blamed = match blame {
        Blame::Request => "the request",
        Blame::Credential => "the credential",
        Blame::Quota => "the quota",
        Blame::Provider => "the provider",
        _ => "the deployment",
    };
    let retried = match rule.retry {
        Retry::Never => "is not retried",
        Retry::Elsewhere => "is retried elsewhere",
        _ => "is retried anywhere",
    };
    let cooled = match rule.cooling {
        Cooling::AtOnce => "rests at once",
        Cooling::Counted => "counts towards a rest",
        _ => "rests nobody",
    };
    let list = match rule.fallback {
        FallbackList::General => "fallbacks",
        FallbackList::ContextWindow => "context_window_fallbacks",
        FallbackList::ContentPolicy => "content_policy_fallbacks",
        _ => "no list",
    };
    format!("{kind} speaks against {blamed}, {retried}, {cooled}, falls back by {list}")
}

impl Attempt {
    fn what_came(&self) -> String {
        let failed = match self.outcome {
            Outcome::Failed(kind) => kind,
            Outcome::Abandoned => return "given up".into(),
            _ => return "answers".into(),
        };
        let Some(error) = &self.error else {
            let begins = if self.has_begun {
                "begins to answer, then "
            } else {
                ""
            };
            return format!("{begins}fails with {failed}");
        };
        let wait = error
            .retry_after()
            .map(|wait| format!(", and wants {} s", wait.as_secs_f64()));
        let (status, message) = (error.status().as_u16(), error.message());
        format!(
            "fails with {failed} ({status}: {message}){}",
            wait.unwrap_or_default()
        )
    }

    fn means(&self) -> Option<String> {
        let Outcome::Failed(kind) = self.outcome else {
            return None;
        };
        let blame = self.error.as_ref().map_or(kind.rule().blame, Error::scope);
        Some(meaning(kind, blame))
    }

    pub(super) fn to_json(&self, number: usize) -> Value {
        let error = self.error.as_ref().map(|error| {
            json!({
                "status": error.status().as_u16(),
                "code": error.code(),
                "message": error.message(),
                "retry_after": error.retry_after().map(|wait| rounded(wait.as_secs_f64())),
            })
        });
        json!({
            "attempt": number,
            "at": rounded(self.at),
            "took": self.took.map(rounded),
            "group": self.group,
            "deployment": self.deployment,
            "model": self.model,
            "why": self.why,
            "provider": self.provider,
            "outcome": self.outcome.as_str(),
            "error": error,
            "means": self.means(),
            "changes": self.changes,
        })
    }

    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>, number: usize) -> fmt::Result {
        let Self {
            at,
            group,
            deployment,
            model,
            why,
            provider,
            ..
        } = self;
        writeln!(
            f,
            "  {at:>9.3}  attempt {number} at `{deployment}` ({model}) of `{group}`: {why}"
        )?;
        writeln!(f, "{:13}the provider plays {provider}", "")?;
        let ended = at + self.took.unwrap_or_default();
        writeln!(f, "  {ended:>9.3}  {}", self.what_came())?;
        let means = self.means();
        for line in means.iter().chain(&self.changes) {
            writeln!(f, "{:13}{line}", "")?;
        }
        Ok(())
    }
}
