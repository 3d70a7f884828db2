//! Answers LLM requests again from a cache: [`CacheLayer`].
//!
//! *Deferring*: always ready, because an answer that is there needs nobody beneath. It stands above
//! the limits of tenants and above the queue: a hit takes no permit, no place and no counter of
//! routing, and reaches no deployment.
//!
//! - The [name](Keys) of an answer is a hash of the whole body, whatever the order of its members, with the
//!   group that is asked and the caller who asks. Fields that nobody knows are a part of it. What is left
//!   out is listed.
//! - Only complete answers are kept, never failures and streams that broke, and each under the group that
//!   gave it: what a fallback answered is not taken for the first group's.
//! - A stream is kept piece by piece, and played again with the same bytes.
//! - Clients have a say by `cache`: `no-cache`, `no-store`, `ttl`, `s-maxage`, `namespace`, `use-cache`.
//! - [`single_flight`](CacheLayer::single_flight) makes one call for all who ask the same at the same
//!   time.
//!
//! [`EmbeddingCacheLayer`] does the same for embeddings text by text: only what is new is asked for.
//! [`SemanticCacheLayer`] answers questions that mean the same as one before.
//!
//! An answer of the cache is made by [`Maker::Cache`](ziggurat_core::Maker::Cache), and has the headers
//! [`CACHE_KEY`] and [`AGE`]; one that is new has the first.
//!
//! # Example
//!
//! ```
//! use std::{sync::atomic::{AtomicU32, Ordering::Relaxed}, time::Duration};
//!
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//! use ziggurat_cache::{CacheLayer, Keys, MemoryStore, Tenants};
//! use ziggurat_core::{Error, LlmRequest, LlmResponse};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! static CALLS: AtomicU32 = AtomicU32::new(0);
//!
//! let mut service = ServiceBuilder::new()
//!     .layer(
//!         CacheLayer::new(MemoryStore::new(64 << 20))
//!             .with_keys(Keys::new().tenants(Tenants::Teams))
//!             .with_ttl(Duration::from_secs(60))
//!             .single_flight(),
//!     )
//!     // Rate limit, queue, fallback, …
//!     .service(service_fn(|_: LlmRequest| async {
//!         CALLS.fetch_add(1, Relaxed);
//!         Ok::<_, Error>(LlmResponse::complete(r#"{"choices":[]}"#, None))
//!     }));
//!
//! for _ in 0..2 {
//!     let answer = service.ready().await?.call(LlmRequest::chat("gpt", "hi")).await?;
//!     assert!(answer.headers().contains_key("x-litellm-cache-key"));
//! }
//! assert_eq!(CALLS.load(Relaxed), 1);
//! # Ok(())
//! # }
//! ```

mod asked;
mod embeddings;
mod entry;
mod flight;
pub mod future;
mod kept;
mod key;
mod keys;
mod layer;
mod memory;
mod record;
mod semantic;
mod service;
mod shared;
mod store;
mod strict;
mod tiered;

pub use self::{
    asked::{Asked, Produced},
    embeddings::{EmbeddingCacheLayer, EmbeddingCacheService, EmbeddingFuture},
    entry::{AGE, CACHE_KEY, Entry, Found},
    key::CacheKey,
    keys::{Beside, Keys, Tenants},
    layer::CacheLayer,
    memory::MemoryStore,
    semantic::{
        BadThreshold, MemorySemanticStore, Near, SIMILARITY, SemanticCacheLayer,
        SemanticCacheService, SemanticFuture, SemanticStore, SharedSemanticStore, Threshold,
        Vector,
    },
    service::CacheService,
    shared::SharedStore,
    store::CacheStore,
    tiered::{Tiered, TieredGet},
};
