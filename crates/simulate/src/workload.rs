//! Who asks for what, and when.

use std::sync::Arc;

use fastrand::Rng;
use ziggurat::{Caller, config::Callers};

use crate::{
    distribution::{Distribution, exponential},
    numbers::LONGEST,
    spec::{Arrival, Class},
    trace::Entry,
};

/// A conversation does not grow beyond this.
const MAX_PROMPT: u64 = 1_000_000;

/// One request, before it is written down.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// The number of its class, if it has one.
    pub(crate) class: Option<usize>,
    /// Whose key it presents.
    pub(crate) caller: Option<Arc<Caller>>,
    pub(crate) model: Arc<str>,
    pub(crate) stream: bool,
    pub(crate) demand: Demand,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) user: Option<Arc<str>>,
    pub(crate) tags: Arc<[Arc<str>]>,
    pub(crate) priority: Option<i64>,
    pub(crate) tools: bool,
    pub(crate) images: bool,
    /// After how many seconds the client leaves.
    pub(crate) patience: Option<f64>,
}

/// What a request costs whoever serves it; the provider finds it among the extensions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Demand {
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) session: Option<u32>,
}

impl From<&Entry> for Ask {
    fn from(entry: &Entry) -> Self {
        Self {
            class: None,
            caller: None,
            model: Arc::clone(&entry.model),
            stream: entry.stream,
            demand: Demand {
                input: entry.input,
                output: entry.output,
                session: entry.session,
            },
            max_tokens: None,
            user: entry.user.clone(),
            tags: Arc::clone(&entry.tags),
            priority: None,
            tools: false,
            images: false,
            patience: None,
        }
    }
}

/// The kinds of requests, each with its share.
#[derive(Debug)]
pub(crate) struct Mix {
    kinds: Vec<(f64, Arc<Kind>)>,
    shares: f64,
    sessions: u32,
}

#[derive(Debug)]
struct Kind {
    number: usize,
    class: Class,
    caller: Option<Arc<Caller>>,
    model: Arc<str>,
    tags: Arc<[Arc<str>]>,
}

impl Mix {
    pub(crate) fn new(classes: &[Class], callers: &Callers) -> Self {
        let kinds = classes.iter().enumerate().map(|(number, class)| {
            let key = class.key.as_deref().and_then(|name| callers.key(name));
            let kind = Kind {
                number,
                caller: key.map(|key| Arc::new(callers.caller(key))),
                model: Arc::from(class.model.as_str()),
                tags: class
                    .tags
                    .iter()
                    .map(|tag| Arc::from(tag.as_str()))
                    .collect(),
                class: class.clone(),
            };
            (class.share.0, Arc::new(kind))
        });
        Self {
            kinds: kinds.collect(),
            shares: classes.iter().map(|class| class.share.0).sum(),
            sessions: 0,
        }
    }

    /// Somebody comes: with one request, or with all those of a session.
    pub(crate) fn visit(&mut self, rng: &mut Rng) -> Visit {
        let mut at = rng.f64() * self.shares;
        let chosen = self.kinds.iter().find(|(share, _)| {
            at -= share;
            at < 0.0
        });
        let (_, kind) = chosen.or(self.kinds.last()).expect("a mix has classes");
        let mut rng = rng.fork();
        let users = kind.class.users;
        let user = users.map(|users| Arc::from(format!("user-{}", rng.u32(..users))));
        let session = kind.class.session.map(|_| {
            self.sessions += 1;
            self.sessions - 1
        });
        let turns = kind
            .class
            .session
            .map_or(1, |s| s.turns.draw_whole(&mut rng));
        Visit {
            kind: Arc::clone(kind),
            rng,
            user,
            session,
            turns,
            said: 0,
            begun: false,
        }
    }
}

/// The requests of one visitor, in order.
#[derive(Debug)]
pub(crate) struct Visit {
    kind: Arc<Kind>,
    rng: Rng,
    user: Option<Arc<str>>,
    session: Option<u32>,
    turns: u64,
    /// Tokens said so far.
    said: u64,
    begun: bool,
}

impl Visit {
    /// The next request, and how many seconds of thought come before it.
    pub(crate) fn next(&mut self) -> Option<(f64, Ask)> {
        self.turns = self.turns.checked_sub(1)?;
        let class = &self.kind.class;
        let rng = &mut self.rng;
        let pause = match &class.session {
            Some(session) if self.begun => session.think_time.draw(rng).min(LONGEST),
            _ => 0.0,
        };
        self.begun = true;
        let input = class.input().draw_whole(rng).saturating_add(self.said);
        let input = input.min(MAX_PROMPT);
        let output = class.output().draw_whole(rng).min(MAX_PROMPT);
        let output = class
            .max_tokens
            .map_or(output, |most| output.min(most.max(1)));
        let leaves = class.hang_up.filter(|hang_up| rng.f64() < hang_up.share.0);
        let patience = leaves.map(|hang_up| hang_up.after.draw(rng));
        self.said = input + output;
        let ask = Ask {
            class: Some(self.kind.number),
            caller: self.kind.caller.clone(),
            model: Arc::clone(&self.kind.model),
            stream: class.stream,
            demand: Demand {
                input,
                output,
                session: self.session,
            },
            max_tokens: class.max_tokens,
            user: self.user.clone(),
            tags: Arc::clone(&self.kind.tags),
            priority: class.priority,
            tools: class.tools,
            images: class.images,
            patience,
        };
        Some((pause, ask))
    }
}

/// Times of arrival at a rate that changes: a Poisson process, by thinning (Lewis and Shedler,
/// 1979). Times are seconds since the beginning.
#[derive(Debug)]
pub(crate) struct Arrivals<'a> {
    arrival: &'a Arrival,
    top: f64,
    at: f64,
}

impl<'a> Arrivals<'a> {
    pub(crate) fn new(arrival: &'a Arrival) -> Self {
        Self {
            arrival,
            top: arrival.top_rate(),
            at: 0.0,
        }
    }

    /// The next arrival before `end`.
    pub(crate) fn next(&mut self, rng: &mut Rng, end: f64) -> Option<f64> {
        loop {
            self.at += exponential(rng) / self.top;
            if self.at >= end {
                return None;
            }
            if rng.f64() * self.top < self.arrival.rate_at(self.at) {
                return Some(self.at);
            }
        }
    }
}

impl Arrival {
    pub(crate) const fn steady(rate: crate::numbers::Rate) -> Self {
        Self {
            rate: Some(rate),
            shape: crate::spec::Shape::Steps,
            profile: Vec::new(),
            clients: None,
            think_time: None,
        }
    }

    /// Between two visits of a client of a closed loop. It takes a moment at least, so that time goes
    /// on where everything is refused at once.
    pub(crate) fn think(&self, rng: &mut Rng) -> f64 {
        let think = self.think_time.unwrap_or(Distribution::Fixed(0.0));
        think.draw(rng).clamp(0.001, LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'de, T: serde::Deserialize<'de>>(text: &'de str) -> T {
        serde_saphyr::from_str(text).expect("is valid")
    }

    fn count(arrival: &Arrival, from: f64, to: f64) -> usize {
        let mut rng = Rng::with_seed(5);
        let mut arrivals = Arrivals::new(arrival);
        std::iter::from_fn(|| arrivals.next(&mut rng, to))
            .filter(|at| *at >= from)
            .count()
    }

    fn near(got: usize, want: f64) {
        // Four standard deviations of a Poisson number.
        assert!(
            (got as f64 - want).abs() < 4.0 * want.sqrt(),
            "{got} is not near {want}"
        );
    }

    #[test]
    fn arrivals_come_at_the_rate_of_their_profile() {
        let steps: Arrival = read(
            "{rate: 10, profile: [{at: 100, rate: 50}, {at: 200, rate: 0}, {at: 300, rate: 10}]}",
        );
        near(count(&steps, 0.0, 100.0), 1_000.0);
        near(count(&steps, 100.0, 200.0), 5_000.0);
        assert_eq!(count(&steps, 200.0, 300.0), 0);
        near(count(&steps, 300.0, 500.0), 2_000.0);
        let ramp: Arrival =
            read("{shape: ramp, profile: [{at: 0, rate: 0}, {at: 100, rate: 100}]}");
        near(count(&ramp, 0.0, 50.0), 1_250.0);
        near(count(&ramp, 50.0, 100.0), 3_750.0);
    }

    #[test]
    fn a_session_sends_all_that_was_said_before() {
        let class: Class = read(
            "{model: m, input_tokens: 10, output_tokens: 5, users: 3, session: {turns: 3, think_time: 2}}",
        );
        let mut visit = Mix::new(&[class], &Callers::default()).visit(&mut Rng::with_seed(1));
        let asks: Vec<_> = std::iter::from_fn(|| visit.next()).collect();
        let inputs: Vec<_> = asks
            .iter()
            .map(|(pause, ask)| (*pause, ask.demand.input))
            .collect();
        assert_eq!(inputs, [(0.0, 10), (2.0, 25), (2.0, 40)]);
        assert!(
            asks.iter()
                .all(|(_, ask)| ask.user == asks[0].1.user && ask.demand.session == Some(0))
        );
    }

    #[test]
    fn classes_come_in_their_shares() {
        let class = |text| read::<Class>(text);
        let classes = [class("{model: a, share: 3}"), class("{model: b, share: 1}")];
        let mut mix = Mix::new(&classes, &Callers::default());
        let mut rng = Rng::with_seed(2);
        let visits = (0..4_000).filter_map(|_| mix.visit(&mut rng).next());
        near(
            visits.filter(|(_, ask)| &*ask.model == "b").count(),
            1_000.0,
        );
    }
}
