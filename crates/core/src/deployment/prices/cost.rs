//! What a usage costs.

use super::{LongContext, Prices, UnitPrices};
use crate::{Money, ServiceTier, Usage};

/// Nanoseconds in a second.
const SECOND: u128 = 1_000_000_000;

impl Prices {
    /// What a usage costs, to the picodollar, or `None` if a price that it needs is unknown.
    ///
    /// Tokens are counted by what they are: each kind that has no price of its own costs as much as
    /// the other tokens of its side, tokens written to the cache for an hour as much as those written
    /// for five minutes. If the input is longer than the threshold of [`long`](Self::long), the prices
    /// there hold for all tokens of the request; one that is missing there is the usual one, but for
    /// reasoning, which costs as much as other output there.
    ///
    /// Images, seconds and characters are billed where no tokens were counted, or where tokens have no
    /// price; otherwise they are billed by their tokens. Searches and the price of a request come on
    /// top.
    ///
    /// The class of service is not looked at: that is for
    /// [`Deployment::cost`](crate::Deployment::cost).
    ///
    /// ```
    /// use ziggurat_core::{Prices, Usage};
    ///
    /// let prices = Prices {
    ///     input: Some(2.5e-6),
    ///     output: Some(1e-5),
    ///     cached_input: Some(1.25e-6),
    ///     ..Prices::default()
    /// };
    /// let usage = Usage { cached_input: 600, ..Usage::new(1_000, 100) };
    /// // 400 × 0.0000025 + 600 × 0.00000125 + 100 × 0.00001
    /// assert_eq!(prices.cost(&usage).expect("prices are known").to_string(), "0.00275");
    /// ```
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Option<Money> {
        let by_tokens = usage.counts_tokens.then(|| self.of_tokens(usage)).flatten();
        let used = by_tokens.or_else(|| self.units.of_units(usage));
        let searched = usage.queries.and_then(|queries| {
            let price = amount(self.units.query)?;
            Some(price.times(queries))
        });
        let used = match (used, searched) {
            (Some(used), Some(searched)) => used + searched,
            (used, searched) => used.or(searched)?,
        };
        Some(used + amount(self.units.request).unwrap_or_default())
    }

    /// The same in a class of service that has these prices of its own. One that it has not is the
    /// usual one; in a batch without any price, everything costs half.
    #[must_use]
    pub fn cost_in(&self, tier: ServiceTier, own: Option<&Self>, usage: &Usage) -> Option<Money> {
        match own.filter(|own| !own.is_empty()) {
            Some(own) => own.or(self).cost(usage),
            None if tier == ServiceTier::Batch => Some(self.cost(usage)?.part(1, 2)),
            None => self.cost(usage),
        }
    }

    fn of_tokens(&self, usage: &Usage) -> Option<Money> {
        let mut at = *self;
        if let Some(long) = self.long.filter(|long| usage.input > long.above) {
            at.lengthen(&long);
        }
        let (input, output) = (at.input, at.output);
        let units = &at.units;
        let write = at.cache_write.or(input);
        // Hostile counts may say that the parts are more than the whole.
        let mut left = usage.input;
        let cached = take(&mut left, usage.cached_input);
        let mut written = take(&mut left, usage.cache_write);
        let for_an_hour = take(&mut written, usage.cache_write_1h);
        let heard = take(&mut left, usage.audio_input);
        let seen = take(&mut left, usage.image_input);
        let mut said = usage.output;
        let reasoning = take(&mut said, usage.reasoning);
        let spoken = take(&mut said, usage.audio_output);
        let drawn = take(&mut said, usage.image_output);
        let parts = [
            (left, input),
            (cached, at.cached_input.or(input)),
            (written, write),
            (for_an_hour, at.cache_write_1h.or(write)),
            (heard, units.audio_input.or(input)),
            (seen, units.image_input.or(input)),
            (said, output),
            (reasoning, at.reasoning.or(output)),
            (spoken, units.audio_output.or(output)),
            (drawn, units.image_output.or(output)),
        ];
        parts
            .into_iter()
            .try_fold(Money::ZERO, |sum, part| match part {
                (0, _) => Some(sum),
                (tokens, price) => Some(sum + amount(price)?.times(tokens)),
            })
    }

    fn lengthen(&mut self, long: &LongContext) {
        self.input = long.input.or(self.input);
        self.cached_input = long.cached_input.or(self.cached_input);
        self.cache_write_1h = match long.cache_write {
            // That of an hour is never less than that of five minutes.
            Some(_) => long.cache_write_1h,
            None => long.cache_write_1h.or(self.cache_write_1h),
        };
        self.cache_write = long.cache_write.or(self.cache_write);
        self.output = long.output.or(self.output);
        self.reasoning = long.output.or(self.reasoning);
    }
}

impl UnitPrices {
    /// Of whatever was counted that has a price.
    fn of_units(&self, usage: &Usage) -> Option<Money> {
        let images = usage.images.zip(amount(self.image));
        let images = images.map(|(count, price)| price.times(count));
        let heard = usage.audio_time.zip(amount(self.second));
        let heard = heard.map(|(time, price)| price.part(time.as_nanos(), SECOND));
        let read = usage.characters.zip(amount(self.character));
        let read = read.map(|(count, price)| price.times(count));
        [images, heard, read]
            .into_iter()
            .flatten()
            .reduce(|a, b| a + b)
    }
}

/// A price; what is none is not known.
fn amount(price: Option<f64>) -> Option<Money> {
    price.and_then(Money::from_dollars)
}

fn take(left: &mut u64, part: u64) -> u64 {
    let part = part.min(*left);
    *left -= part;
    part
}

#[cfg(test)]
mod tests;
