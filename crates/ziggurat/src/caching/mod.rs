//! How answers are given again: the layers of a plan, and what stays when it changes.

mod embedder;
mod hits;
mod store;

use std::sync::Arc;

use parking_lot::Mutex;
use ziggurat_cache::{
    CacheLayer, CacheStore, EmbeddingCacheLayer, Keys, MemorySemanticStore, MemoryStore,
    SemanticCacheLayer, SemanticStore, SharedSemanticStore, SharedStore, Tenants, Threshold,
};
use ziggurat_config::{CacheSettings, CacheStoreName, CacheTenants, Plan, SemanticSettings};
use ziggurat_core::{Deployments, Error, LlmRequest, Operation};
use ziggurat_provider::messages::ClientBetas;

use self::store::Store;
pub(crate) use self::{embedder::Embedder, hits::HitLayer};
use crate::{Router, together::Together};

type Semantic = SemanticCacheLayer<Embedder, SharedSemanticStore>;

/// The layers of the cache, from above.
pub(crate) struct Layers {
    pub(crate) embeddings: EmbeddingCacheLayer<Store>,
    pub(crate) exact: CacheLayer<Store>,
    pub(crate) semantic: Option<Semantic>,
}

/// What a change of the settings leaves as it is: what is kept, and the calls that are shared.
pub(crate) struct Caches {
    /// With how many bytes and entries it may have.
    memory: Mutex<Option<((u64, Option<u32>), MemoryStore)>>,
    /// The same.
    near: Mutex<Option<((u64, u32), MemorySemanticStore)>>,
    /// The servers of the plan.
    redis: Option<(SharedStore, SharedSemanticStore)>,
    /// What the application has given.
    far: Mutex<Option<SharedStore>>,
    far_semantic: Mutex<Option<SharedSemanticStore>>,
    exact: Mutex<Option<CacheLayer<Store>>>,
    pub(crate) embedder: Embedder,
}

impl Caches {
    pub(crate) fn new(together: Option<&Together>) -> Self {
        Self {
            memory: Mutex::new(None),
            near: Mutex::new(None),
            redis: together.map(|it| {
                let semantic = SharedSemanticStore::new(it.semantic.clone());
                (SharedStore::new(it.cache.clone()), semantic)
            }),
            far: Mutex::new(None),
            far_semantic: Mutex::new(None),
            exact: Mutex::new(None),
            embedder: Embedder::default(),
        }
    }

    /// The layers of a plan, if it has a cache. Without one, what was kept is forgotten.
    ///
    /// # Errors
    ///
    /// If the plan was changed by hand so that its threshold is none.
    pub(crate) fn layers(
        &self,
        plan: &Plan,
        deployments: &Deployments,
    ) -> Result<Option<Layers>, Error> {
        let Some(settings) = &plan.cache else {
            *self.memory.lock() = None;
            *self.near.lock() = None;
            *self.exact.lock() = None;
            return Ok(None);
        };
        let store = self.store(settings);
        let keys = keys(plan, settings, deployments);
        let semantic = settings.semantic.as_ref().map(|semantic| {
            let layer = self.semantic(settings, semantic)?;
            let layer = layer.with_keys(keys.clone()).with_ttl(settings.ttl);
            Ok::<_, Error>(layer.with_max_bytes(bytes(settings.max_entry_bytes)))
        });
        let embeddings = EmbeddingCacheLayer::new(store.clone())
            .with_keys(keys.clone())
            .with_ttl(settings.ttl);
        // Of those text by text only.
        let others = settings.operations.iter().copied();
        let others = others.filter(|it| *it != Operation::Embeddings);
        let layers = Layers {
            embeddings,
            exact: self.exact(settings, store, keys.operations(others)),
            semantic: semantic.transpose()?,
        };
        Ok(Some(layers))
    }

    fn exact(&self, settings: &CacheSettings, store: Store, keys: Keys) -> CacheLayer<Store> {
        let mut current = self.exact.lock();
        let before = current.take().filter(|_| settings.single_flight);
        let layer = match before {
            Some(before) => before.with_store(store),
            None => CacheLayer::new(store),
        };
        let layer = layer
            .with_keys(keys)
            .with_ttl(settings.ttl)
            .with_max_bytes(bytes(settings.max_entry_bytes));
        let layer = match settings.single_flight {
            true => layer.single_flight(),
            false => layer,
        };
        current.insert(layer).clone()
    }

    /// What keeps answers: the memory, which stays while its bounds stay, before what is elsewhere.
    fn store(&self, settings: &CacheSettings) -> Store {
        let bounds = (settings.max_bytes, settings.max_entries);
        let mut memory = self.memory.lock();
        if memory.as_ref().is_none_or(|(own, _)| *own != bounds) {
            let size = bytes(settings.max_bytes);
            let store = match settings.max_entries {
                Some(entries) => MemoryStore::of_entries(size, entries as usize),
                None => MemoryStore::new(size),
            };
            *memory = Some((bounds, store));
        }
        let (_, near) = memory.as_ref().expect("it was made");
        let given = self.far.lock().clone();
        let far = given.or_else(|| Some(self.redis_of(settings)?.0.clone()));
        Store::new(near, far.as_ref(), settings.near_ttl)
    }

    /// What the servers of the plan keep, if answers are to be kept there.
    fn redis_of(&self, settings: &CacheSettings) -> Option<&(SharedStore, SharedSemanticStore)> {
        let redis = self.redis.as_ref();
        redis.filter(|_| settings.store == CacheStoreName::Redis)
    }

    fn semantic(
        &self,
        cache: &CacheSettings,
        settings: &SemanticSettings,
    ) -> Result<Semantic, Error> {
        let bounds = (settings.max_bytes, settings.max_entries);
        let mut near = self.near.lock();
        if near.as_ref().is_none_or(|(own, _)| *own != bounds) {
            let (size, entries) = (bytes(bounds.0), bounds.1 as usize);
            *near = Some((bounds, MemorySemanticStore::new(size, entries)));
        }
        let (_, near) = near.as_ref().expect("it was made");
        let given = self.far_semantic.lock().clone();
        let far = given.or_else(|| Some(self.redis_of(cache)?.1.clone()));
        let store = far.unwrap_or_else(|| SharedSemanticStore::new(near.clone()));
        let threshold = Threshold::new(settings.threshold as f32)
            .map_err(|error| Error::new(ziggurat_core::ErrorKind::Internal, error.to_string()))?;
        let (embedder, model) = (self.embedder.clone(), Arc::clone(&settings.model));
        let layer = SemanticCacheLayer::new(store, embedder, model, threshold);
        Ok(layer.with_patience(settings.timeout))
    }
}

fn bytes(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn keys(plan: &Plan, settings: &CacheSettings, deployments: &Deployments) -> Keys {
    let snapshot = plan.snapshot();
    let groups = settings.groups.iter().map(|list| {
        let names = list.iter().map(|name| snapshot.unalias(name));
        names.map(Arc::<str>::from).collect::<Vec<_>>()
    });
    let keys = Keys::new()
        .deployments(deployments.clone())
        .without(settings.exclude.iter().map(|field| &**field))
        .operations(settings.operations.iter().copied())
        .sharing(groups)
        .tags(tags_choose(plan))
        .beside(betas)
        .tenants(match settings.tenants {
            CacheTenants::Team => Tenants::Teams,
            CacheTenants::All => Tenants::Everybody,
            _ => Tenants::Keys,
        });
    let keys = match &settings.namespace {
        Some(namespace) => keys.namespace(Arc::clone(namespace)),
        None => keys,
    };
    match settings.default_on {
        true => keys,
        false => keys.only_if_asked(),
    }
}

/// Whether the tags of a request have a say in who answers it.
fn tags_choose(plan: &Plan) -> bool {
    let of_group = plan.tag_filtering.iter().any(|(_, on)| *on);
    let rules = &plan.own.auto_route.rules;
    let by_rule = rules
        .iter()
        .any(|rule| !rule.tags.is_empty() || !rule.all_tags.is_empty());
    plan.router.enable_tag_filtering || of_group || by_rule
}

/// The header that asks Anthropic for what is new.
fn betas(request: &LlmRequest) -> &str {
    let betas = request.extensions().get::<ClientBetas>();
    betas.map_or("", ClientBetas::as_str)
}

/// The cache, where a plan has one.
impl Router {
    /// Keeps answers in a store that is elsewhere as well, from the next request on: what is found
    /// there is kept in the memory of the process for the time that the plan says.
    ///
    /// # Errors
    ///
    /// If the plan was changed by hand so that it contradicts itself; then nothing changes.
    pub fn set_cache_store(&self, store: impl CacheStore) -> Result<(), Error> {
        let plan = self.plan_mut();
        *self.state().caches.far.lock() = Some(SharedStore::new(store));
        self.rebuild(&plan)
    }

    /// Keeps the answers to questions that mean the same in a store of your own, in the place of the
    /// memory of the process, from the next request on.
    ///
    /// # Errors
    ///
    /// If the plan was changed by hand so that it contradicts itself; then nothing changes.
    pub fn set_semantic_store(&self, store: impl SemanticStore) -> Result<(), Error> {
        let plan = self.plan_mut();
        *self.state().caches.far_semantic.lock() = Some(SharedSemanticStore::new(store));
        self.rebuild(&plan)
    }

    /// Forgets the answers that are kept in the memory of the process.
    pub fn reset_cache(&self) {
        let caches = &self.state().caches;
        if let Some((_, memory)) = &*caches.memory.lock() {
            memory.clear();
        }
        if let Some((_, near)) = &*caches.near.lock() {
            near.clear();
        }
    }
}
