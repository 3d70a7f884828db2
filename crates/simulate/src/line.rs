//! How the requests of one class waited for their turn.

use crate::{
    record::{Ending, Sent},
    series::Series,
    spec::Class,
};

/// What became of the requests of a class.
#[derive(Debug, Default)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) key: Option<String>,
    pub(crate) requests: u64,
    pub(crate) answered: u64,
    pub(crate) refused: u64,
    /// How long those waited whose turn came, in seconds.
    pub(crate) waits: Vec<f32>,
    /// How many wait.
    pub(crate) waiting: Series,
    /// The waits that ended, summed up, and how many they were.
    pub(crate) waited: Series,
    pub(crate) turns: Series,
    /// How many have their turn.
    pub(crate) running: Series,
}

impl Line {
    pub(crate) fn new(class: &Class) -> Self {
        let named = class.name.clone().or_else(|| class.key.clone());
        let name = named.unwrap_or_else(|| match class.priority {
            Some(priority) => format!("{}, priority {priority}", class.model),
            None => class.model.clone(),
        });
        Self {
            name,
            key: class.key.clone(),
            ..Self::default()
        }
    }

    /// Enters a request that has ended.
    pub(crate) fn enter(&mut self, sent: &Sent<'_>) {
        self.requests += 1;
        let took = sent.took.as_secs_f64();
        let has_begun = sent.ledger.with_trail(|trail| !trail.entries().is_empty());
        let refused = matches!(&sent.ending, Ending::Failed(error) if error.rejection().is_some());
        self.answered += u64::from(matches!(sent.ending, Ending::Answered));
        self.refused += u64::from(refused && !has_begun);
        let has_left = matches!(sent.ending, Ending::HungUp) && !has_begun;
        let waited = match has_left {
            // Nobody noted how long.
            true => took,
            false => sent.ledger.queued().as_secs_f64().min(took),
        };
        let arrived = sent.at - took;
        let turn = arrived + waited;
        self.waiting.add_level(arrived, turn, 1.0);
        if has_begun {
            self.waits.push(waited as f32);
            self.waited.add(turn, waited);
            self.turns.add(turn, 1.0);
            self.running.add_level(turn, sent.at, 1.0);
        }
    }
}
