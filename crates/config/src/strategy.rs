//! How a deployment of a group is chosen.

use std::fmt;

use crate::{
    keys,
    problem::Report,
    read::{self, Found, Section},
};

/// How a deployment of a group is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// At random, by weight.
    SimpleShuffle,
    /// The one with the fewest requests in flight.
    LeastBusy,
    /// The one that used the smallest part of its `tpm` and `rpm`.
    UsageBased,
    /// The same, by the name that LiteLLM recommends.
    UsageBasedV2,
    /// The one that was fastest of late.
    LatencyBased,
    /// The cheapest for the request.
    CostBased,
    /// One after the other.
    RoundRobin,
    /// The better of two that are drawn at random, by latency and load.
    P2c,
    /// By requests in flight and latency, as Google's Prequal does it.
    Prequal,
    /// The one that had the session, or the beginning of the prompt, before; unless it is too busy.
    Affinity,
    /// The one whose provider has the most left of its limits.
    Headroom,
}

pub(crate) const STRATEGIES: [(&str, Strategy); 11] = [
    ("simple-shuffle", Strategy::SimpleShuffle),
    ("least-busy", Strategy::LeastBusy),
    ("usage-based-routing", Strategy::UsageBased),
    ("usage-based-routing-v2", Strategy::UsageBasedV2),
    ("latency-based-routing", Strategy::LatencyBased),
    ("cost-based-routing", Strategy::CostBased),
    ("round-robin", Strategy::RoundRobin),
    ("p2c", Strategy::P2c),
    ("prequal", Strategy::Prequal),
    ("affinity", Strategy::Affinity),
    ("headroom", Strategy::Headroom),
];

impl Strategy {
    /// Every strategy.
    pub fn all() -> impl Iterator<Item = Self> {
        STRATEGIES.iter().map(|(_, strategy)| *strategy)
    }

    /// The strategy of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let mut all = STRATEGIES.iter();
        all.find(|(n, _)| *n == name).map(|(_, strategy)| *strategy)
    }

    /// Its name in `routing_strategy`.
    #[must_use]
    pub fn name(self) -> &'static str {
        STRATEGIES
            .iter()
            .find(|(_, strategy)| *strategy == self)
            .map_or("", |(name, _)| name)
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads `routing_strategy`.
pub(crate) fn read(section: &Section<'_>, report: &mut Report) -> Option<Found<Strategy>> {
    let found = section.text("routing_strategy", report)?;
    if let Some(strategy) = Strategy::parse(&found.value) {
        return Some(found.map(|_| strategy));
    }
    let told = read::name(&found.value);
    let ours = STRATEGIES.map(|(name, _)| name);
    let message = match &*found.value {
        "provider-budget-routing" => {
            let message = "`provider-budget-routing` chooses as `simple-shuffle` does; budgets come with `provider_budget_config`, whatever the strategy";
            report.warning(found.at, message);
            return Some(found.map(|_| Strategy::SimpleShuffle));
        }
        "lar1" => {
            "`lar1` is not supported: choose among model groups by `ziggurat_settings.auto_route`"
                .to_owned()
        }
        name => match keys::near(name, ours) {
            Some(near) => format!("unknown strategy {told}; did you mean `{near}`?"),
            None => format!("unknown strategy {told}; use one of {}", ours.join(", ")),
        },
    };
    report.error(found.at, message);
    None
}
