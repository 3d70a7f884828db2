//! What tokens cost.

/// What tokens cost. `None` means unknown; zero means free.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Prices {
    /// Dollars for one input token.
    pub input: Option<f64>,
    /// Dollars for one output token.
    pub output: Option<f64>,
    /// Dollars for one input token that the provider had cached.
    pub cached_input: Option<f64>,
    /// Dollars for one input token that the provider writes to its cache.
    pub cache_write: Option<f64>,
    /// Dollars for one output token of reasoning; as `output` if not set.
    pub reasoning: Option<f64>,
    /// What holds instead for requests with a long input.
    pub long: Option<LongContext>,
}

/// The prices of a request whose input is longer than a threshold: of all its tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LongContext {
    /// Input tokens up to which the usual prices hold.
    pub above: u64,
    /// Dollars for one input token.
    pub input: Option<f64>,
    /// Dollars for one output token.
    pub output: Option<f64>,
    /// Dollars for one cached input token.
    pub cached_input: Option<f64>,
    /// Dollars for one input token that is written to the cache.
    pub cache_write: Option<f64>,
}
