//! Two stores, one in front of the other.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;

use crate::{CacheKey, CacheStore, Entry, Found};

/// A near store in front of a far one: what is found far away is kept near for a while.
#[derive(Clone, Copy, Debug)]
pub struct Tiered<N, F> {
    near: N,
    far: F,
    near_for: Duration,
}

impl<N, F> Tiered<N, F> {
    /// Keeps near what was found far away, for that long at most: so long another instance may
    /// still serve what has changed.
    #[must_use]
    pub const fn new(near: N, far: F, near_for: Duration) -> Self {
        Self {
            near,
            far,
            near_for,
        }
    }
}

impl<N: CacheStore, F: CacheStore> CacheStore for Tiered<N, F> {
    type Get = TieredGet<N, F>;

    fn get(&self, key: &CacheKey) -> Self::Get {
        TieredGet {
            key: *key,
            stores: self.clone(),
            state: State::Near {
                get: self.near.get(key),
            },
        }
    }

    fn put(&self, key: CacheKey, entry: Arc<Entry>, ttl: Duration) {
        self.near
            .put(key, Arc::clone(&entry), ttl.min(self.near_for));
        self.far.put(key, entry, ttl);
    }
}

pin_project! {
    /// Looks near, then far away. The search of [`Tiered`].
    #[derive(Debug)]
    pub struct TieredGet<N, F>
    where
        N: CacheStore,
        F: CacheStore,
    {
        key: CacheKey,
        stores: Tiered<N, F>,
        #[pin]
        state: State<N::Get, F::Get>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProj]
    enum State<N, F> {
        Near { #[pin] get: N },
        Far { #[pin] get: F },
    }
}

impl<N: CacheStore, F: CacheStore> Future for TieredGet<N, F> {
    type Output = Option<Found>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Near { get } => {
                    if let Some(found) = ready!(get.poll(cx)) {
                        return Poll::Ready(Some(found));
                    }
                    let get = this.stores.far.get(this.key);
                    this.state.set(State::Far { get });
                }
                StateProj::Far { get } => {
                    let found = ready!(get.poll(cx));
                    if let Some(found) = &found {
                        let Tiered { near, near_for, .. } = &*this.stores;
                        near.take_over(*this.key, found, *near_for);
                    }
                    return Poll::Ready(found);
                }
            }
        }
    }
}
