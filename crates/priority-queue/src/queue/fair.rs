//! Shares by weight.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
};

/// A time that passes as service is given, in parts of a unit.
pub(super) type Virtual = u128;

/// So many bits of a [`Virtual`] time are less than a unit.
const FRACTION: u32 = 20;

/// How long that much service takes one of that weight.
pub(super) fn time_of(units: usize, weight: u32) -> Virtual {
    ((units as Virtual) << FRACTION) / Virtual::from(weight.max(1))
}

/// How much service that time is for one of that weight.
pub(super) fn units_in(time: Virtual, weight: u32) -> usize {
    let units = time.saturating_mul(Virtual::from(weight)) >> FRACTION;
    usize::try_from(units).unwrap_or(usize::MAX)
}

/// Start-time fair queuing (Goyal, Vin and Cheng, "Start-time fair queuing: a scheduling algorithm
/// for integrated services packet switching networks", 1996).
///
/// Each flow has a virtual time at which its next service starts; it advances by what it is given,
/// divided by its weight, and the flow that is furthest behind is next. The time of all is the start
/// of what was given last: a flow that comes back begins there, so nobody saves up what it did not
/// use, and whoever is alone gets everything.
#[derive(Debug)]
pub(super) struct Fair<F> {
    now: Virtual,
    flows: HashMap<F, Flow>,
    waiting: BTreeSet<(Virtual, F)>,
    /// Flows that want nothing, and that were given something the others have not had yet.
    ahead: BTreeSet<(Virtual, F)>,
}

#[derive(Debug)]
struct Flow {
    start: Virtual,
    weight: u32,
}

impl<F: Copy + Ord + Hash> Fair<F> {
    pub(super) fn new() -> Self {
        Self {
            now: 0,
            flows: HashMap::new(),
            waiting: BTreeSet::new(),
            ahead: BTreeSet::new(),
        }
    }

    /// A flow wants service from now on.
    pub(super) fn begin(&mut self, flow: F, weight: u32) {
        let start = self.start(flow);
        if let Some(known) = self.flows.insert(flow, Flow { start, weight }) {
            self.ahead.remove(&(known.start, flow));
            self.waiting.remove(&(known.start, flow));
        }
        self.waiting.insert((start, flow));
    }

    /// A flow wants nothing any more.
    pub(super) fn end(&mut self, flow: F) {
        let Some(known) = self.flows.get(&flow) else {
            return;
        };
        self.waiting.remove(&(known.start, flow));
        if self.waiting.is_empty() {
            // Nobody is ahead of anybody.
            *self = Self::new();
        } else if known.start > self.now {
            self.ahead.insert((known.start, flow));
        } else {
            self.flows.remove(&flow);
        }
    }

    /// The flow whose turn it is.
    pub(super) fn first(&self) -> Option<F> {
        self.waiting.first().map(|(_, flow)| *flow)
    }

    /// A flow that wants service was given that much.
    pub(super) fn charge(&mut self, flow: F, units: usize) {
        let (Some(known), Some((least, _))) = (self.flows.get_mut(&flow), self.waiting.first())
        else {
            return;
        };
        // Of whoever is furthest behind, should another be served out of turn.
        self.now = self.now.max(*least);
        self.waiting.remove(&(known.start, flow));
        known.start += time_of(units, known.weight);
        self.waiting.insert((known.start, flow));
        while let Some(&(start, behind)) = self.ahead.first()
            && start <= self.now
        {
            self.ahead.pop_first();
            self.flows.remove(&behind);
        }
    }

    /// When the next service of a flow starts.
    pub(super) fn start(&self, flow: F) -> Virtual {
        let start = self.flows.get(&flow).map(|flow| flow.start);
        start.unwrap_or(self.now).max(self.now)
    }

    /// Forgets a flow that wants nothing.
    pub(super) fn forget(&mut self, flow: F) {
        if let Some(known) = self.flows.get(&flow)
            && self.ahead.remove(&(known.start, flow))
        {
            self.flows.remove(&flow);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each of the flows is served, all of which always want something.
    fn served(weights: &[u32], costs: &[usize], rounds: usize) -> Vec<usize> {
        let mut fair = Fair::new();
        for (flow, weight) in weights.iter().enumerate() {
            fair.begin(flow, *weight);
        }
        let mut units = vec![0; weights.len()];
        for _ in 0..rounds {
            let flow = fair.first().expect("all want something");
            units[flow] += costs[flow];
            fair.charge(flow, costs[flow]);
        }
        units
    }

    #[test]
    fn service_is_given_by_weight_whatever_it_costs() {
        assert_eq!(served(&[7, 3], &[1, 1], 1_000), [700, 300]);
        let [a, b] = served(&[1, 1], &[10, 1], 1_100)[..] else {
            unreachable!("there are two")
        };
        assert!(a.abs_diff(b) <= 10, "{a} and {b}");
    }

    #[test]
    fn who_is_alone_gets_everything_and_owes_nothing_for_it() {
        let mut fair = Fair::new();
        fair.begin('a', 1);
        for _ in 0..1_000 {
            assert_eq!(fair.first(), Some('a'));
            fair.charge('a', 1);
        }
        fair.begin('b', 1);
        let mut order = String::new();
        for _ in 0..6 {
            let flow = fair.first().expect("two wait");
            order.push(flow);
            fair.charge(flow, 1);
        }
        assert_eq!(order, "bababa");
    }

    #[test]
    fn who_comes_back_at_once_is_not_before_those_who_stayed() {
        let mut fair = Fair::new();
        fair.begin('a', 1);
        fair.begin('b', 1);
        let mut order = String::new();
        for _ in 0..6 {
            let flow = fair.first().expect("two wait");
            order.push(flow);
            fair.charge(flow, 1);
            if flow == 'a' {
                fair.end('a');
                fair.begin('a', 1);
            }
        }
        assert_eq!(order, "ababab");
        assert!(fair.ahead.is_empty());
    }

    #[test]
    fn it_remembers_nobody_who_is_not_ahead_of_the_others() {
        let mut fair = Fair::new();
        fair.begin(0, 1);
        for flow in 1..1_000 {
            fair.begin(flow, 1);
            while fair.first() != Some(flow) {
                fair.charge(fair.first().expect("one waits"), 1);
            }
            fair.charge(flow, 1);
            fair.end(flow);
        }
        fair.charge(0, 1);
        fair.charge(0, 1);
        assert!(fair.flows.len() < 5, "{}", fair.flows.len());
    }
}
