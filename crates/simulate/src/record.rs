//! What became of the requests.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use smallvec::SmallVec;
use ziggurat::{DeploymentId, Error, Ledger, Outcome};

use crate::{line::Line, series::Series, spec::Class};

/// What became of one request, for its client.
#[derive(Debug)]
pub(crate) enum Ending {
    Answered,
    Failed(Error),
    HungUp,
}

/// How a request went.
#[derive(Debug)]
pub(crate) struct Sent<'a> {
    pub(crate) class: Option<usize>,
    pub(crate) session: Option<u32>,
    pub(crate) first: Option<Duration>,
    pub(crate) took: Duration,
    /// When it ended, in seconds since the beginning.
    pub(crate) at: f64,
    pub(crate) ending: Ending,
    pub(crate) ledger: &'a Ledger,
}

/// Counts of a run.
#[derive(Debug, Default)]
pub(crate) struct Records {
    ids: HashMap<DeploymentId, usize>,
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    pub(crate) hung_up: u64,
    pub(crate) failed: BTreeMap<String, u64>,
    pub(crate) first: Vec<f32>,
    pub(crate) total: Vec<f32>,
    /// Seconds that all requests took together, failed ones too.
    pub(crate) seconds: f64,
    pub(crate) attempts: u64,
    pub(crate) most_attempts: u64,
    pub(crate) retries: u64,
    pub(crate) fallbacks: u64,
    pub(crate) errors: Series,
    pub(crate) deployments: Vec<Served>,
    pub(crate) lines: Vec<Line>,
    sessions: Vec<SmallVec<[(u16, u32); 2]>>,
}

/// What one deployment did for clients.
#[derive(Clone, Debug, Default)]
pub(crate) struct Served {
    pub(crate) attempts: u64,
    pub(crate) served: u64,
    pub(crate) failures: BTreeMap<&'static str, u64>,
}

impl Records {
    pub(crate) fn new<'a>(ids: impl Iterator<Item = &'a DeploymentId>, classes: &[Class]) -> Self {
        let ids: HashMap<_, _> = ids.enumerate().map(|(i, id)| (id.clone(), i)).collect();
        Self {
            deployments: vec![Served::default(); ids.len()],
            lines: classes.iter().map(Line::new).collect(),
            ids,
            ..Self::default()
        }
    }

    /// How many requests have ended.
    pub(crate) fn ended(&self) -> u64 {
        self.answered + self.hung_up + self.failed.values().sum::<u64>()
    }

    /// Enters a request that has ended.
    pub(crate) fn enter(&mut self, sent: &Sent<'_>) {
        self.seconds += sent.took.as_secs_f64();
        if let Some(line) = sent.class.and_then(|class| self.lines.get_mut(class)) {
            line.enter(sent);
        }
        let mut is_answered = false;
        match &sent.ending {
            Ending::Answered => {
                is_answered = true;
                self.answered += 1;
                self.first
                    .push(sent.first.unwrap_or(sent.took).as_secs_f32());
                self.total.push(sent.took.as_secs_f32());
            }
            Ending::HungUp => self.hung_up += 1,
            Ending::Failed(error) => {
                *self.failed.entry(kind(error)).or_default() += 1;
            }
        }
        self.retries += u64::from(sent.ledger.retries());
        self.fallbacks += u64::from(sent.ledger.fallbacks());
        let served = sent.ledger.with_trail(|trail| {
            let attempts = trail.entries().len() as u64;
            self.attempts += attempts;
            self.most_attempts = self.most_attempts.max(attempts);
            for entry in trail.entries() {
                let Some(index) = self.ids.get(entry.deployment().id()) else {
                    continue;
                };
                let deployment = &mut self.deployments[*index];
                deployment.attempts += 1;
                if let Outcome::Failed(kind) = entry.outcome() {
                    *deployment.failures.entry(kind.as_str()).or_default() += 1;
                    self.errors.add(sent.at, 1.0);
                }
            }
            let served = trail.served().filter(|_| is_answered)?;
            self.ids.get(served.deployment().id()).copied()
        });
        if let Some(served) = served {
            self.deployments[served].served += 1;
            if let Some(session) = sent.session {
                self.enter_turn(session as usize, served as u16);
            }
        }
    }

    fn enter_turn(&mut self, session: usize, served: u16) {
        if self.sessions.len() <= session {
            self.sessions.resize_with(session + 1, SmallVec::new);
        }
        let turns = &mut self.sessions[session];
        match turns
            .iter_mut()
            .find(|(deployment, _)| *deployment == served)
        {
            Some((_, count)) => *count += 1,
            None => turns.push((served, 1)),
        }
    }

    /// The share of requests that went where most of their session did, over all sessions of more
    /// than one turn.
    pub(crate) fn stickiness(&self) -> Option<f64> {
        let (mut main, mut all) = (0_u64, 0_u64);
        for turns in &self.sessions {
            let count: u64 = turns.iter().map(|(_, count)| u64::from(*count)).sum();
            if count > 1 {
                all += count;
                main += u64::from(turns.iter().map(|(_, count)| *count).max().unwrap_or(0));
            }
        }
        (all > 0).then(|| main as f64 / all as f64)
    }
}

/// What an error is called in a report.
fn kind(error: &Error) -> String {
    match error.rejection() {
        Some(rejection) => format!("rejected: {}", rejection.reason()),
        None => error.kind().as_str().to_owned(),
    }
}
