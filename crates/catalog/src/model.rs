//! One model of the table.

use std::fmt;

use ziggurat_core::{
    Capabilities, Capability, CapabilitySet, LongContext, Mode, Money, Prices, ServiceTier,
    Support, UnitPrices, Usage,
};

use crate::table::decimal;

/// What is known of one model.
///
/// It is two slices of the embedded table, so copying it is free; a getter reads its column when
/// it is called, without allocation. What the table does not say is `None`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Model {
    key: &'static str,
    columns: &'static str,
    priced: bool,
}

macro_rules! units {
    ($($(#[$doc:meta])+ $name:ident = $word:literal / $shift:literal,)+) => {
        /// What a price is for, besides text tokens.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Unit {
            $($(#[$doc])+ $name,)+
        }

        impl Unit {
            /// Every unit.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its word in the table, and the power of ten that its price is given for.
            const fn word(self) -> (&'static str, usize) {
                match self {
                    $(Self::$name => ($word, $shift),)+
                }
            }
        }
    };
}

units! {
    /// One audio token heard.
    InputAudioToken = "audio-token-in" / 6,
    /// One audio token spoken.
    OutputAudioToken = "audio-token-out" / 6,
    /// One token of an image that is read.
    InputImageToken = "image-token-in" / 6,
    /// One token of an image that is made.
    OutputImageToken = "image-token-out" / 6,
    /// One image that is read.
    InputImage = "image-in" / 0,
    /// One image that is made.
    OutputImage = "image-out" / 0,
    /// One second heard.
    InputSecond = "second-in" / 0,
    /// One second made.
    OutputSecond = "second-out" / 0,
    /// One character read.
    InputCharacter = "character-in" / 0,
    /// One character written.
    OutputCharacter = "character-out" / 0,
    /// One query.
    Query = "query" / 0,
    /// One request.
    Request = "request" / 0,
}

/// The columns after the name.
#[derive(Clone, Copy)]
enum Column {
    Provider,
    Mode,
    MaxInput,
    MaxOutput,
    Capabilities,
    Prices,
    Deprecated,
    CacheMin,
    Dimensions,
    Units,
    Batch,
    Flex,
    Priority,
}

impl Model {
    pub(crate) fn of_line(line: &'static str) -> Option<Self> {
        let (key, columns) = line.split_once('\t')?;
        Some(Self {
            key,
            columns,
            priced: true,
        })
    }

    /// The same without its prices: what is known of a variant that is billed differently.
    pub(crate) const fn without_prices(self) -> Self {
        Self {
            priced: false,
            ..self
        }
    }

    /// What a column holds; empty if it holds nothing. The provider and the mode are never empty.
    fn column(&self, column: Column) -> &'static str {
        let mut columns = self.columns.split('\t');
        columns.nth(column as usize).unwrap_or_default()
    }

    fn count(&self, column: Column) -> Option<u64> {
        self.column(column).parse().ok()
    }

    /// Its name in the table, such as `gpt-4o`, `azure/eu/gpt-4o` or `groq/openai/gpt-oss-120b`.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        self.key
    }

    /// The provider, such as `openai`, `bedrock` or `vertex_ai`.
    #[must_use]
    pub fn provider(&self) -> &'static str {
        self.column(Column::Provider)
    }

    /// What it is for.
    #[must_use]
    pub fn mode(&self) -> Option<Mode> {
        Mode::parse(self.column(Column::Mode))
    }

    /// The largest input, in tokens.
    #[must_use]
    pub fn max_input_tokens(&self) -> Option<u64> {
        self.count(Column::MaxInput)
    }

    /// The longest output, in tokens.
    #[must_use]
    pub fn max_output_tokens(&self) -> Option<u64> {
        self.count(Column::MaxOutput)
    }

    /// What its answers cost.
    #[must_use]
    pub fn prices(&self) -> Prices {
        Prices {
            units: self.unit_prices(),
            ..self.prices_in(Column::Prices)
        }
    }

    fn unit_prices(&self) -> UnitPrices {
        let either = |a, b| self.price_of(a).or_else(|| self.price_of(b));
        let is_made = matches!(self.mode(), Some(Mode::ImageGeneration | Mode::ImageEdit));
        let image_input = self.price_of(Unit::InputImage).filter(|_| is_made);
        UnitPrices {
            audio_input: self.price_of(Unit::InputAudioToken),
            audio_output: self.price_of(Unit::OutputAudioToken),
            image_input: self.price_of(Unit::InputImageToken),
            image_output: self.price_of(Unit::OutputImageToken),
            // Some entries of models that make images have that price as one of the input.
            image: self.price_of(Unit::OutputImage).or(image_input),
            // Where both are told, they are the same.
            second: either(Unit::InputSecond, Unit::OutputSecond),
            character: self.price_of(Unit::InputCharacter),
            query: self.price_of(Unit::Query),
            request: self.price_of(Unit::Request),
        }
    }

    /// What a usage costs, in the class of service that it names; `None` if a price that it needs
    /// is unknown. [`Prices::cost`] has the rules.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Option<Money> {
        let prices = self.prices();
        match usage.tier {
            None => prices.cost(usage),
            Some(tier) => prices.cost_in(tier, Some(&self.tier_prices(tier)), usage),
        }
    }

    /// What tokens cost in a class of service. A price that the table does not give for that class
    /// is `None`, not the usual one.
    #[must_use]
    pub fn tier_prices(&self, tier: ServiceTier) -> Prices {
        match tier {
            ServiceTier::Batch => self.prices_in(Column::Batch),
            ServiceTier::Flex => self.prices_in(Column::Flex),
            ServiceTier::Priority => self.prices_in(Column::Priority),
            _ => Prices::default(),
        }
    }

    fn prices_in(&self, column: Column) -> Prices {
        if self.priced {
            prices(self.column(column))
        } else {
            Prices::default()
        }
    }

    /// What one of something else than text tokens costs, in dollars.
    #[must_use]
    pub fn price_of(&self, unit: Unit) -> Option<f64> {
        let (word, shift) = unit.word();
        let mut pairs = self.column(Column::Units).split(' ').filter_map(pair);
        let (_, number) = pairs.find(|(name, _)| self.priced && *name == word)?;
        decimal(number, shift)
    }

    /// What it can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        let column = self.column(Column::Capabilities);
        if column.is_empty() {
            return Capabilities::default();
        }
        let (mut yes, mut no) = (CapabilitySet::default(), CapabilitySet::default());
        for word in column.split(' ') {
            let (set, word) = match word.strip_prefix('!') {
                Some(word) => (&mut no, word),
                None => (&mut yes, word),
            };
            if let Some(capability) = capability(word) {
                *set = set.with(capability);
            }
        }
        Capabilities::listed(yes, no)
    }

    /// Whether it has a capability, if the table says so or denies it.
    #[must_use]
    pub fn supports(&self, capability: Capability) -> Option<bool> {
        match self.capabilities().get(capability) {
            Support::Yes => Some(true),
            Support::No => Some(false),
            Support::Unlisted | Support::Unknown => None,
        }
    }

    /// The day on which the provider withdraws it, as `YYYY-MM-DD`; it may have passed.
    #[must_use]
    pub fn deprecated_on(&self) -> Option<&'static str> {
        Some(self.column(Column::Deprecated)).filter(|date| !date.is_empty())
    }

    /// The shortest prompt that the provider caches, in tokens.
    #[must_use]
    pub fn min_cached_tokens(&self) -> Option<u64> {
        self.count(Column::CacheMin)
    }

    /// How many numbers one of its embeddings has.
    #[must_use]
    pub fn dimensions(&self) -> Option<u64> {
        self.count(Column::Dimensions)
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("key", &self.key)
            .field("provider", &self.provider())
            .field("prices", &self.prices())
            .finish_non_exhaustive()
    }
}

fn pair(text: &'static str) -> Option<(&'static str, &'static str)> {
    text.split_once('=')
}

/// Reads `in=2.5 out=15 >272000 in=5 out=22.5`.
fn prices(column: &'static str) -> Prices {
    let mut prices = Prices::default();
    let mut words = column.split(' ');
    for word in words.by_ref() {
        if let Some(above) = word.strip_prefix('>') {
            prices.long = above.parse().ok().map(|above| LongContext {
                above,
                ..LongContext::default()
            });
            break;
        }
        let Some((name, number)) = pair(word) else {
            continue;
        };
        let price = decimal(number, 6);
        match name {
            "in" => prices.input = price,
            "out" => prices.output = price,
            "cached" => prices.cached_input = price,
            "write" => prices.cache_write = price,
            "write-1h" => prices.cache_write_1h = price,
            "think" => prices.reasoning = price,
            _ => {}
        }
    }
    if let Some(long) = &mut prices.long {
        for (name, number) in words.filter_map(pair) {
            let price = decimal(number, 6);
            match name {
                "in" => long.input = price,
                "out" => long.output = price,
                "cached" => long.cached_input = price,
                "write" => long.cache_write = price,
                "write-1h" => long.cache_write_1h = price,
                _ => {}
            }
        }
    }
    prices
}

fn capability(word: &str) -> Option<Capability> {
    Some(match word {
        "tools" => Capability::Tools,
        "parallel" => Capability::ParallelTools,
        "choice" => Capability::ToolChoice,
        "vision" => Capability::Vision,
        "audio-in" => Capability::AudioInput,
        "audio-out" => Capability::AudioOutput,
        "pdf" => Capability::Pdf,
        "video" => Capability::Video,
        "schema" => Capability::JsonSchema,
        "reasoning" => Capability::Reasoning,
        "web" => Capability::WebSearch,
        "cache" => Capability::PromptCaching,
        "system" => Capability::SystemMessages,
        "prefill" => Capability::AssistantPrefill,
        "computer" => Capability::ComputerUse,
        _ => return None,
    })
}
