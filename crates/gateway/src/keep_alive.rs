//! Comments that keep a connection alive while there is nothing better to send.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// A comment of an event stream, which clients skip.
pub(crate) const COMMENT: &[u8] = b": keep-alive\n\n";

/// Says when a comment is due: when nothing was sent for a while.
#[derive(Debug, Default)]
pub(crate) struct KeepAlive {
    every: Option<Duration>,
    silent_since: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl KeepAlive {
    /// A comment after each `every` of silence, or never.
    pub(crate) fn new(every: Option<Duration>) -> Self {
        Self {
            every,
            ..Self::default()
        }
    }

    /// Something was sent.
    pub(crate) fn sent(&mut self) {
        self.silent_since = None;
    }

    /// Waits until a comment is due. The silence begins with the first wait after something was sent.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(every) = self.every else {
            return Poll::Pending;
        };
        let since = *self.silent_since.get_or_insert_with(Instant::now);
        let Some(at) = since.checked_add(every) else {
            return Poll::Pending;
        };
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(at)));
        loop {
            ready!(alarm.as_mut().poll(cx));
            if alarm.deadline() >= at {
                return Poll::Ready(());
            }
            // Set again only now: cheaper than for each piece that is sent.
            alarm.as_mut().reset(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_comment_is_due_after_a_while_of_silence_and_not_before() {
        let mut keep_alive = KeepAlive::new(Some(Duration::from_secs(15)));
        let began = Instant::now();
        for seconds in [15, 30] {
            poll_fn(|cx| keep_alive.poll(cx)).await;
            assert_eq!(began.elapsed(), Duration::from_secs(seconds));
            keep_alive.sent();
        }
        let waiting = poll_fn(|cx| keep_alive.poll(cx));
        let waited = tokio::time::timeout(Duration::from_secs(10), waiting).await;
        assert!(waited.is_err(), "too early");
        keep_alive.sent();
        poll_fn(|cx| keep_alive.poll(cx)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(55));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_time_none_is_due() {
        let mut keep_alive = KeepAlive::new(None);
        let waiting = poll_fn(|cx| keep_alive.poll(cx));
        let waited = tokio::time::timeout(Duration::from_secs(86_400), waiting).await;
        assert!(waited.is_err());
    }
}
