//! Prices, context windows, modes and capabilities of a few thousand models, and token estimates.
//!
//! ```
//! use ziggurat_catalog::{find, tokens};
//! use ziggurat_core::{Capability, Usage};
//!
//! let model = find("openai", "gpt-4o").expect("is in the table");
//! assert_eq!(model.max_input_tokens(), Some(128_000));
//! assert_eq!(model.supports(Capability::Vision), Some(true));
//!
//! let prompt = "Why is the sky blue?";
//! let usage = Usage::new(tokens::estimate(prompt), 200);
//! let cost = model.cost(&usage).expect("both prices are known");
//! assert!((0.002..0.003).contains(&cost.dollars()));
//! ```
//!
//! # Lookups
//!
//! [`get`] takes the name of an entry as it stands; [`find`] takes a provider and its name of a
//! model and tries the ways in which configurations write them. Both search the embedded text and
//! allocate nothing, but for the first call, which notes where the lines begin (16 kB); nothing is
//! parsed at start. A lookup takes 0.1 to 0.4 µs. A [`Model`] is two slices of that text: keep it,
//! and read a field when it is needed.
//!
//! What the table does not say is `None`. It never stands for zero, and no price is guessed from a
//! similar model.
//!
//! # The data
//!
//! `src/models.tsv` has one line per model. It is written by `crates/catalog/refresh`, a Python
//! script without dependencies, from the price map that the `litellm` package on PyPI ships (MIT
//! licence; the first line of the table says which release). Only facts are taken from it. To
//! refresh:
//!
//! ```text
//! pip download --no-deps litellm
//! crates/catalog/refresh litellm-*.whl
//! ```
//!
//! The columns:
//!
//! | column | holds |
//! | --- | --- |
//! | `model` | the name of the entry; lines are sorted by it |
//! | `provider` | the provider, without what names an interface or a maker (`vertex_ai`, not `vertex_ai-llama_models`) |
//! | `mode` | what the model is for |
//! | `max_input`, `max_output` | tokens |
//! | `capabilities` | words; `!` before those it has not |
//! | `prices` | `in`, `out`, `cached`, `write`, `write-1h`, `think`: dollars per million tokens; after `>N` those that hold for the whole request if its input is longer than N tokens |
//! | `deprecated` | the day the provider gives, `YYYY-MM-DD` |
//! | `cache_min` | the shortest prompt, in tokens, that the provider caches |
//! | `dimensions` | of an embedding |
//! | `units` | other prices: per million audio or image tokens, or per image, second, character, query and request |
//! | `batch`, `flex`, `priority` | as `prices`, for these service tiers |
//!
//! Left out are models that are billed in more than two steps of input length (their price would
//! be wrong for one of them, so it is unknown), and discounts by the time of day (the full price
//! stands).
//!
//! # Features
//!
//! `exact` (off by default) adds `exact::count`: counts with OpenAI's own encodings.

#[cfg(feature = "exact")]
pub mod exact;
mod find;
mod model;
mod table;
pub mod tokens;

pub use self::{
    find::{find, get},
    model::{Model, Unit},
    table::models,
};
