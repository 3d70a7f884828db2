//! What answers cost.

mod cost;

/// What answers cost. `None` means unknown; zero means free.
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
    /// Dollars for one that is to stay there for an hour; as `cache_write` if not set.
    pub cache_write_1h: Option<f64>,
    /// Dollars for one output token of reasoning; as `output` if not set.
    pub reasoning: Option<f64>,
    /// What holds instead for requests with a long input.
    pub long: Option<LongContext>,
    /// What is not billed as a text token.
    pub units: UnitPrices,
}

/// The prices of a request whose input is longer than a threshold: of all its tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
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
    /// Dollars for one that is to stay there for an hour.
    pub cache_write_1h: Option<f64>,
}

/// Dollars for what is not a text token.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UnitPrices {
    /// One input token of audio; as other input if not set.
    pub audio_input: Option<f64>,
    /// One output token of audio; as other output if not set.
    pub audio_output: Option<f64>,
    /// One input token of an image; as other input if not set.
    pub image_input: Option<f64>,
    /// One output token of an image; as other output if not set.
    pub image_output: Option<f64>,
    /// One image that is made.
    pub image: Option<f64>,
    /// One second of audio that is listened to.
    pub second: Option<f64>,
    /// One character that is read out.
    pub character: Option<f64>,
    /// One search.
    pub query: Option<f64>,
    /// One request, whatever it uses: on top of all else.
    pub request: Option<f64>,
}

impl UnitPrices {
    fn or(mut self, others: &Self) -> Self {
        for (price, other) in [
            (&mut self.audio_input, others.audio_input),
            (&mut self.audio_output, others.audio_output),
            (&mut self.image_input, others.image_input),
            (&mut self.image_output, others.image_output),
            (&mut self.image, others.image),
            (&mut self.second, others.second),
            (&mut self.character, others.character),
            (&mut self.query, others.query),
            (&mut self.request, others.request),
        ] {
            *price = price.or(other);
        }
        self
    }
}

impl Prices {
    /// These prices, and the others where these are not known.
    ///
    /// Prices of long inputs are taken as a whole.
    #[must_use]
    pub fn or(mut self, others: &Self) -> Self {
        for (price, other) in [
            (&mut self.input, others.input),
            (&mut self.output, others.output),
            (&mut self.cached_input, others.cached_input),
            (&mut self.cache_write, others.cache_write),
            (&mut self.cache_write_1h, others.cache_write_1h),
            (&mut self.reasoning, others.reasoning),
        ] {
            *price = price.or(other);
        }
        self.long = self.long.or(others.long);
        self.units = self.units.or(&others.units);
        self
    }

    /// Whether no price is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
