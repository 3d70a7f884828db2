//! How a deployment of a group is chosen.

use std::fmt;

use crate::{
    keys,
    problem::Report,
    read::{self, Section},
    source::Facts,
};

/// How a deployment of a group is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// At random, by weight.
    SimpleShuffle,
    /// The one with the fewest requests in flight.
    LeastBusy,
    /// The one that used the fewest tokens in this minute.
    UsageBased,
    /// The same, in the version that LiteLLM recommends.
    UsageBasedV2,
}

const STRATEGIES: [(&str, Strategy); 4] = [
    ("simple-shuffle", Strategy::SimpleShuffle),
    ("least-busy", Strategy::LeastBusy),
    ("usage-based-routing", Strategy::UsageBased),
    ("usage-based-routing-v2", Strategy::UsageBasedV2),
];

const OTHER_STRATEGIES: [&str; 4] = [
    "latency-based-routing",
    "cost-based-routing",
    "provider-budget-routing",
    "lar1",
];

impl Strategy {
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
pub(crate) fn read(router: &Section<'_>, facts: &mut Facts, report: &mut Report) -> Strategy {
    let found = router.text("routing_strategy", report).and_then(|found| {
        if let Some((_, strategy)) = STRATEGIES.iter().find(|(name, _)| **name == *found.value) {
            return Some(found.map(|_| *strategy));
        }
        let told = read::name(&found.value);
        let ours = STRATEGIES.map(|(name, _)| name);
        let message = if OTHER_STRATEGIES.contains(&&*found.value) {
            format!(
                "{told} is not supported yet; use one of {}",
                ours.join(", ")
            )
        } else if let Some(near) =
            keys::near(&found.value, ours.into_iter().chain(OTHER_STRATEGIES))
        {
            format!("unknown strategy {told}; did you mean `{near}`?")
        } else {
            format!("unknown strategy {told}; use one of {}", ours.join(", "))
        };
        report.error(found.at, message);
        None
    });
    facts.settle("routing_strategy", found, Strategy::SimpleShuffle)
}
