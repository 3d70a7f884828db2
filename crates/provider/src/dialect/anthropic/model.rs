//! What the name of a model tells of what it takes.

/// A model of Claude's family, by its version. A name without one is taken for an old model's,
/// which asks for less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Model {
    version: (u32, u32),
    is_opus: bool,
}

impl Model {
    /// Reads names such as `claude-3-7-sonnet-20250219`, `claude-opus-4-1@20250805` or
    /// `claude-sonnet-5`.
    pub(crate) fn of(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let family = name.rsplit_once("claude").map_or("", |(_, family)| family);
        let words = family.split(|c: char| !c.is_ascii_alphanumeric());
        // Longer numbers are dates.
        let number = |word: &str| match word.len() {
            1 | 2 => word.parse().ok(),
            _ => None,
        };
        let mut words = words.map(number).skip_while(Option::is_none);
        let mut next = || words.next().flatten().unwrap_or(0);
        Self {
            version: (next(), next()),
            is_opus: family.contains("opus"),
        }
    }

    /// Whether it answers by a schema.
    pub(crate) fn takes_schemas(self) -> bool {
        self.version >= (4, 5) || self.is_opus && self.version == (4, 1)
    }

    /// Whether it decides itself how much to think, within an effort.
    pub(crate) fn adapts(self) -> bool {
        self.version >= (4, 6)
    }

    /// Whether it can be told how many tokens to think.
    pub(crate) fn takes_budgets(self) -> bool {
        self.version < (4, 7)
    }

    /// Whether it takes temperature, `top_p` and `top_k`.
    pub(crate) fn takes_sampling(self) -> bool {
        self.version < (4, 7)
    }

    /// Whether it refuses a temperature and a `top_p` together.
    pub(crate) fn takes_one_of_sampling(self) -> bool {
        self.version >= (4, 1)
    }

    /// Its own word for the greatest effort but one.
    pub(crate) fn xhigh(self) -> &'static str {
        match self.version {
            (4, 6) if self.is_opus => "max",
            (4, 6) => "high",
            _ => "xhigh",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_wherever_it_stands() {
        for (name, version) in [
            ("claude-3-opus-20240229", (3, 0)),
            ("claude-3-7-sonnet@20250219", (3, 7)),
            ("claude-3-5-sonnet-v2@20241022", (3, 5)),
            ("claude-sonnet-4-20250514", (4, 0)),
            ("claude-opus-4-1@20250805", (4, 1)),
            ("Claude-Sonnet-4.5", (4, 5)),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", (4, 5)),
            ("claude-fable-5", (5, 0)),
            ("claude-instant-1.2", (1, 2)),
            ("my-model-7", (0, 0)),
            ("claude", (0, 0)),
            ("", (0, 0)),
        ] {
            assert_eq!(Model::of(name).version, version, "{name}");
        }
    }

    #[test]
    fn a_newer_model_takes_other_things_than_an_older_one() {
        let of = |name| Model::of(name);
        assert!(!of("claude-sonnet-4-20250514").takes_schemas());
        assert!(of("claude-opus-4-1").takes_schemas());
        assert!(of("claude-haiku-4-5").takes_schemas() && !of("claude-haiku-4-5").adapts());
        assert!(of("claude-opus-4-6").adapts() && of("claude-opus-4-6").takes_budgets());
        assert!(!of("claude-opus-4-7").takes_budgets());
        assert!(!of("claude-sonnet-5").takes_sampling());
        let unknown = of("my-deployment");
        assert!(unknown.takes_budgets() && unknown.takes_sampling() && !unknown.takes_schemas());
    }
}
