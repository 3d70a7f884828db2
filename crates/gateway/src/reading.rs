//! Reading a request's body: within bounds of length, memory and time.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header::EXPECT};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use ziggurat::{BoxError, ByteBudget, Error, ErrorKind, HeldBytes};

use crate::rank::Rank;

/// Each so many bytes of a body that have come give it a second more.
const BYTES_A_SECOND: u64 = 16 * 1024;

/// When a client may try again that found no room.
const AGAIN: Duration = Duration::from_secs(1);

/// What bodies may take.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    /// Bytes of one.
    pub(crate) longest: usize,
    /// Bytes of all.
    pub(crate) budget: Option<ByteBudget>,
    /// The time for one, and a second more for each 16 KiB that have come.
    pub(crate) time: Option<Duration>,
    /// Where who sends it stands when there is little room.
    pub(crate) rank: Rank,
}

pin_project! {
    /// Reads a body, copying it at most once.
    ///
    /// What it is said to be long is reserved before anything is read, else what comes as it comes. A
    /// body that finds no room is read to its end all the same, and thrown away, so that its client
    /// gets to read the refusal; a client that waits for leave to send is refused at once.
    pub(crate) struct Reading<B> {
        #[pin]
        body: B,
        bytes: Collected,
        seen: u64,
        announced: u64,
        awaits_leave: bool,
        bounds: Bounds,
        held: Option<HeldBytes>,
        refusal: Option<Error>,
        clock: Clock,
    }
}

#[derive(Default)]
enum Collected {
    #[default]
    Nothing,
    One(Bytes),
    Many(BytesMut),
}

impl<B: Body> Reading<B> {
    pub(crate) fn new(body: B, headers: &HeaderMap, bounds: Bounds) -> Self {
        Self {
            announced: body.size_hint().lower(),
            body,
            bytes: Collected::default(),
            seen: 0,
            awaits_leave: headers.contains_key(EXPECT),
            bounds,
            held: None,
            refusal: None,
            clock: Clock::default(),
        }
    }
}

impl<B> Future for Reading<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Output = Result<Bytes, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let longest = this.bounds.longest();
        if *this.announced > longest {
            return Poll::Ready(Err(too_large(longest)));
        }
        if this.held.is_none()
            && this.refusal.is_none()
            && let Some(budget) = &this.bounds.budget
        {
            let free = this.bounds.leaves(*this.announced);
            *this.held = budget.reserve_leaving(*this.announced, free);
            if this.held.is_none() {
                let refusal = no_room();
                if *this.awaits_leave {
                    return Poll::Ready(Err(refusal));
                }
                *this.refusal = Some(refusal);
            }
        }
        loop {
            let Poll::Ready(frame) = this.body.as_mut().poll_frame(cx) else {
                ready!(this.clock.poll(cx, this.bounds.time, *this.seen));
                let late = this.refusal.take().unwrap_or_else(too_slow);
                return Poll::Ready(Err(late));
            };
            let data = match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => data,
                    Err(_trailers) => continue,
                },
                Some(Err(error)) => {
                    let error: BoxError = error.into();
                    let message = format!("the body could not be read: {error}");
                    return Poll::Ready(Err(Error::new(ErrorKind::BadRequest, message)));
                }
                None => break,
            };
            *this.seen += data.len() as u64;
            if *this.seen > longest {
                return Poll::Ready(Err(too_large(longest)));
            }
            if this.refusal.is_some() {
                continue;
            }
            if let Some(held) = this.held
                && !held.grow_leaving(*this.seen, this.bounds.leaves(*this.seen))
            {
                (*this.bytes, *this.held) = (Collected::Nothing, None);
                *this.refusal = Some(no_room());
                continue;
            }
            this.bytes.push(data, *this.announced);
        }
        if let Some(refusal) = this.refusal.take() {
            return Poll::Ready(Err(refusal));
        }
        let bytes = std::mem::take(this.bytes).into_bytes();
        Poll::Ready(Ok(match this.held.take() {
            Some(held) => held.keep(bytes),
            None => bytes,
        }))
    }
}

impl Bounds {
    /// The longest body there can be room for.
    fn longest(&self) -> u64 {
        let longest = self.longest as u64;
        match &self.budget {
            Some(budget) => longest.min(self.rank.longest(budget.limit())),
            None => longest,
        }
    }

    /// How much room a body of so many bytes leaves to others.
    pub(crate) fn leaves(&self, bytes: u64) -> u64 {
        let room = self.budget.as_ref().map_or(0, ByteBudget::limit);
        self.rank.leaves(bytes, room)
    }
}

impl Collected {
    fn push(&mut self, data: Bytes, announced: u64) {
        *self = match std::mem::take(self) {
            Self::Nothing => Self::One(data),
            Self::One(first) => {
                let announced = usize::try_from(announced).unwrap_or_default();
                let mut many = BytesMut::with_capacity(announced.max(first.len() + data.len()));
                many.extend_from_slice(&first);
                many.extend_from_slice(&data);
                Self::Many(many)
            }
            Self::Many(mut many) => {
                many.extend_from_slice(&data);
                Self::Many(many)
            }
        };
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Nothing => Bytes::new(),
            Self::One(bytes) => bytes,
            Self::Many(many) => many.freeze(),
        }
    }
}

/// Ends a body that comes too slowly: the way of Apache's `mod_reqtimeout`, where what comes earns
/// time. It begins with the first wait.
#[derive(Default)]
struct Clock {
    began: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Clock {
    /// Waits until the time is up of a body of which so many bytes have come.
    fn poll(&mut self, cx: &mut Context<'_>, time: Option<Duration>, seen: u64) -> Poll<()> {
        let Some(time) = time else {
            return Poll::Pending;
        };
        let began = *self.began.get_or_insert_with(Instant::now);
        let earned = Duration::from_millis(seen.saturating_mul(1000) / BYTES_A_SECOND);
        let Some(end) = began.checked_add(time.saturating_add(earned)) else {
            return Poll::Pending;
        };
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(end)));
        loop {
            ready!(alarm.as_mut().poll(cx));
            if alarm.deadline() >= end {
                return Poll::Ready(());
            }
            // Set again only now: cheaper than for each piece that comes.
            alarm.as_mut().reset(end);
        }
    }
}

fn too_large(longest: u64) -> Error {
    Error::new(
        ErrorKind::BadRequest,
        format!("the body is larger than the {longest} bytes that are accepted"),
    )
    .with_status(StatusCode::PAYLOAD_TOO_LARGE)
    .with_code("body_too_large")
}

fn too_slow() -> Error {
    Error::new(ErrorKind::BadRequest, "the body came too slowly")
        .with_status(StatusCode::REQUEST_TIMEOUT)
        .with_code("body_timeout")
}

fn no_room() -> Error {
    let message = "there is no room for the body now: too many bytes of other requests are held";
    Error::new(ErrorKind::Overloaded, message)
        .with_retry_after(AGAIN)
        .with_code("no_room_for_body")
}

#[cfg(test)]
mod tests;
