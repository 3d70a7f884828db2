//! What makes the usage of an instance known to the others, and theirs to it.

use std::{
    fmt,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use ziggurat_core::BoxError;

use crate::{Minute, UsageBook, UsageStore};

/// How many times everything is fetched, at the start and when the store has lost what it knew: the
/// others need a turn or two to write it again.
const WHOLE: u32 = 3;
/// How many minutes are fetched again: what ends late, and clocks that are behind.
const AGAIN: u64 = 2;

/// Writes what a book knows to a store, every few seconds, and tells the book what the others did:
/// what [`Page::of_all`](crate::Page::of_all) answers from.
///
/// A minute is written again while it runs and once after it has ended. What could not be written,
/// and what the store has lost, is written the next time, as far back as the book knows it.
pub struct UsageSync<S> {
    book: UsageBook,
    store: S,
    instance: Arc<str>,
    /// The first minute that may not be written as it ended.
    open: Option<Minute>,
    /// The first minute of which the others may have done more.
    seen: Option<Minute>,
    /// How many times more everything is fetched.
    whole: u32,
    is_lost: bool,
}

impl<S: UsageStore> UsageSync<S> {
    /// Shares a book under the name of this instance, which no other may have, nor the same before it
    /// was started again: a book that begins anew would take the place of the old one.
    #[must_use]
    pub fn new(book: UsageBook, store: S, instance: impl Into<Arc<str>>) -> Self {
        Self {
            book,
            store,
            instance: instance.into(),
            open: None,
            seen: None,
            whole: WHOLE,
            is_lost: false,
        }
    }

    /// Writes what is new, and reads what is new of the others.
    ///
    /// # Errors
    ///
    /// Those of the store. Then the same is done the next time, and what is known of the others
    /// stays as it is.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may have written or not; the next one writes again.
    pub async fn sync(&mut self, now: SystemTime) -> Result<(), S::Error> {
        self.push(Minute::of(now)).await?;
        self.fetch(now).await
    }

    async fn push(&mut self, now: Minute) -> Result<(), S::Error> {
        // An attempt may end in a minute and be noted in the next.
        let open = now.minus(1);
        let first = self.open.map_or(open, |first| first.min(open));
        let rows = self.book.rows(&(first..=now));
        if !self.store.push(&self.instance, rows).await? {
            self.open = Some(Minute::new(0));
            self.whole = WHOLE;
            let rows = self.book.rows(&(Minute::new(0)..=now));
            self.store.push(&self.instance, rows).await?;
        }
        self.open = Some(open);
        Ok(())
    }

    async fn fetch(&mut self, at: SystemTime) -> Result<(), S::Error> {
        let now = Minute::of(at);
        let oldest = now.minus(self.book.minutes() as u64 - 1);
        let first = match self.seen.filter(|_| self.whole == 0) {
            Some(seen) => seen.minus(AGAIN).clamp(oldest, now),
            None => oldest,
        };
        let minutes = first..=now;
        let rows = self
            .store
            .fetch(minutes.clone(), Some(&self.instance))
            .await?;
        self.book.set_others(&minutes, rows, at);
        self.whole = self.whole.saturating_sub(1);
        self.seen = Some(now);
        Ok(())
    }

    /// Does it now, and each time that so much time has passed, for ever. To be spawned once.
    /// A store that fails is logged when it begins to fail and when it works again.
    pub async fn run(self, every: Duration) {
        self.run_until(every, std::future::pending()).await;
    }

    /// The same until `end`, and once more then.
    pub async fn run_until(mut self, every: Duration, end: impl Future<Output = ()>) {
        let mut end = pin!(end);
        let mut is_last = false;
        loop {
            let done = self.sync(SystemTime::now()).await;
            match (done, self.is_lost) {
                (Err(error), false) => {
                    let error: BoxError = error.into();
                    tracing::debug!(error = %error, "the usage of this instance is not shared");
                    self.is_lost = true;
                }
                (Ok(()), true) => {
                    tracing::debug!("the usage of this instance is shared again");
                    self.is_lost = false;
                }
                _ => {}
            }
            if is_last {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                () = &mut end => is_last = true,
            }
        }
    }
}

impl<S> fmt::Debug for UsageSync<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageSync")
            .field("instance", &self.instance)
            .field("is_lost", &self.is_lost)
            .finish_non_exhaustive()
    }
}
