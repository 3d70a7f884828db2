//! What became of a request.

use std::{fmt, sync::Arc};

use serde_json::{Value, json};
use tokio::time::Instant;
use ziggurat::{DeploymentId, Ledger, cooldown::Health};

use super::{
    attempt::{Attempt, attempts},
    client::Client,
    describe::Description,
    leaf::Call,
};

/// How the stack stands at the end.
pub(crate) struct Ends {
    pub(crate) health: Vec<(DeploymentId, Health)>,
    pub(crate) calls: Vec<Call>,
}

/// What became of a request.
pub(crate) struct Story {
    applies: Arc<Description>,
    attempts: Vec<Attempt>,
    calls: usize,
    retries: u32,
    fallbacks: u32,
    /// Why nobody else was asked, if it failed.
    stopped: Option<String>,
    client: Client,
}

impl Story {
    pub(crate) fn new(
        applies: Arc<Description>,
        ledger: &Ledger,
        ends: Ends,
        client: Client,
    ) -> Self {
        let calls = ends.calls.len();
        let attempts = attempts(ledger, ends, client.origin);
        let failed = client.error().is_some();
        let has_attempts = !attempts.is_empty();
        Self {
            applies,
            stopped: failed.then(|| stopped(ledger, has_attempts)),
            attempts,
            calls,
            retries: ledger.retries(),
            fallbacks: ledger.fallbacks(),
            client,
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let client = &self.client;
        let headers = client.headers.iter();
        let headers: serde_json::Map<_, _> = headers
            .map(|(name, it)| (name.clone(), json!(it)))
            .collect();
        let attempts = self.attempts.iter().enumerate();
        let attempts = attempts.map(|(number, attempt)| attempt.to_json(number + 1));
        let mut story = self.applies.to_json();
        story.insert("replay".into(), attempts.collect());
        story.insert(
            "outcome".into(),
            json!({
                "status": client.status.as_u16(),
                "error": client.error(),
                "stopped": self.stopped,
                "first_after": client.first.map(rounded),
                "took": rounded(client.took),
                "attempts": self.attempts.len(),
                "provider_calls": self.calls,
                "retries": self.retries,
                "fallbacks": self.fallbacks,
                "headers": headers,
            }),
        );
        story.into()
    }
}

/// Seconds, to a millisecond.
pub(super) fn rounded(seconds: f64) -> f64 {
    (seconds * 1_000.0).round() / 1_000.0
}

/// Why nobody else was asked.
fn stopped(ledger: &Ledger, has_attempts: bool) -> String {
    let (retries, left, fallbacks) = (
        ledger.retries(),
        ledger.attempts_left(),
        ledger.fallbacks_left(),
    );
    let facts =
        format!("retries made: {retries}, fallbacks left: {fallbacks}, attempts left: {left}");
    if !has_attempts {
        return "no deployment could be asked".into();
    }
    match ledger.allows(Instant::now()) {
        true => facts,
        false => format!("the deadline has passed; {facts}"),
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}", self.applies, self.applies.deployments())?;
        f.write_str("what becomes of it, in seconds after it came\n")?;
        for (number, attempt) in self.attempts.iter().enumerate() {
            attempt.write(f, number + 1)?;
        }
        let client = &self.client;
        let status = client.status.as_u16();
        write!(f, "  {:>9.3}  the client has ", client.took)?;
        match client.error() {
            Some(error) => writeln!(f, "{status}, and the error {error}")?,
            None => writeln!(f, "{status}, and the whole answer")?,
        }
        if let Some(stopped) = &self.stopped {
            writeln!(f, "{:13}nobody else is asked: {stopped}", "")?;
        }
        let comments = client.comments();
        if comments > 0 {
            writeln!(
                f,
                "{:13}comments that kept its connection alive: {comments}",
                ""
            )?;
        }
        let (attempts, calls) = (self.attempts.len(), self.calls);
        let (retries, fallbacks) = (self.retries, self.fallbacks);
        writeln!(
            f,
            "\nattempts: {attempts}, calls of providers: {calls}, retries: {retries}, fallbacks: {fallbacks}"
        )?;
        f.write_str("\nheaders for the client\n")?;
        for (name, value) in &client.headers {
            writeln!(f, "  {name}: {value}")?;
        }
        Ok(())
    }
}
