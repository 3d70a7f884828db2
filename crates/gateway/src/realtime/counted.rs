//! What has come of a message counts.

use std::{
    error, fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ziggurat::HeldBytes;

use crate::reading::Bounds;

/// A connection whose bytes count in the budget of bodies, from the first of a message until it has been
/// [taken](Self::taken). Without room for more it fails by [`NoRoom`].
///
/// What was read with the end of one message is not counted again for the next; it is no more than one
/// read. No message counts for more than it may be long.
pub(super) struct Counted<I> {
    io: I,
    bounds: Bounds,
    held: Option<HeldBytes>,
}

impl<I> Counted<I> {
    pub(super) fn new(io: I, bounds: Bounds) -> Self {
        let held = bounds.budget.as_ref().map(|budget| budget.count(0));
        Self { io, bounds, held }
    }

    /// A message has gone where it had to go.
    pub(super) fn taken(&mut self) {
        self.held = self.bounds.budget.as_ref().map(|budget| budget.count(0));
    }

    pub(super) fn into_inner(self) -> I {
        self.io
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Counted<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buffer))?;
        if let Some(held) = &mut this.held {
            let read = (buffer.filled().len() - before) as u64;
            // No more is kept of a message: the rest is pings, and what stands around its parts.
            let bytes = (held.bytes() + read).min(this.bounds.longest as u64);
            if !held.grow_leaving(bytes, this.bounds.leaves(bytes)) {
                return Poll::Ready(Err(io::Error::other(NoRoom)));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Counted<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

/// There is no room for more of a message.
#[derive(Debug)]
pub(super) struct NoRoom;

impl NoRoom {
    /// Whether that is what an error says.
    pub(super) fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Self>())
    }
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no room for the message now")
    }
}

impl error::Error for NoRoom {}
