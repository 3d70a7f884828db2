//! Reads bodies that are not streams, within bounds.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::Body;
use ziggurat_core::{BoxError, ByteBudget, Error, ErrorKind, HeldBytes};

use crate::transport::stream_failure;

/// How much memory is taken because a provider announces so much.
const ANNOUNCED: usize = 1 << 20;

/// How much an answer may be, and where it counts.
#[derive(Clone, Debug)]
pub(crate) struct Most {
    pub(crate) bytes: usize,
    pub(crate) budget: Option<ByteBudget>,
}

/// Reads a whole body. One that came in one piece is not copied. It counts as it comes, and until its
/// last clone is gone.
pub(crate) async fn whole<B>(body: B, most: &Most) -> Result<Bytes, Error>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let mut held = most.budget.as_ref().map(|budget| budget.count(0));
    let all = pieces(body, most.bytes, &mut held).await?;
    Ok(match held {
        Some(held) => held.keep(all),
        None => all,
    })
}

async fn pieces<B>(body: B, max: usize, held: &mut Option<HeldBytes>) -> Result<Bytes, Error>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let mut body = pin!(body);
    let announced = body.size_hint().exact();
    let Some(first) = next(body.as_mut()).await? else {
        return Ok(Bytes::new());
    };
    let Some(second) = next(body.as_mut()).await? else {
        return bounded(first.len(), max).map(|()| first);
    };
    let announced = announced.and_then(|length| usize::try_from(length).ok());
    let capacity = announced.unwrap_or_default().min(ANNOUNCED);
    let mut all = BytesMut::with_capacity(capacity);
    all.extend_from_slice(&first);
    drop(first);
    let mut more = Some(second);
    while let Some(bytes) = more {
        bounded(all.len() + bytes.len(), max)?;
        all.extend_from_slice(&bytes);
        if let Some(held) = held {
            held.count_to(all.len() as u64);
        }
        more = next(body.as_mut()).await?;
    }
    Ok(all.freeze())
}

fn bounded(length: usize, max: usize) -> Result<(), Error> {
    if length > max {
        let message = format!("the provider's answer is longer than {max} bytes");
        return Err(Error::new(ErrorKind::BadAnswer, message));
    }
    Ok(())
}

/// Reads the beginning of a body: at most `max` bytes, for at most that long, and no failure.
pub(crate) async fn beginning<B>(body: B, max: usize, time: Duration) -> Bytes
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let mut body = pin!(body);
    let mut all = BytesMut::new();
    let reading = async {
        while all.len() < max
            && let Ok(Some(bytes)) = next(body.as_mut()).await
        {
            all.extend_from_slice(&bytes[..bytes.len().min(max - all.len())]);
        }
    };
    _ = tokio::time::timeout(time, reading).await;
    all.freeze()
}

/// The next piece that is not empty.
async fn next<B>(mut body: Pin<&mut B>) -> Result<Option<Bytes>, Error>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    loop {
        let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await else {
            return Ok(None);
        };
        let frame = frame.map_err(|error| stream_failure(error.into()))?;
        match frame.into_data() {
            Ok(bytes) if !bytes.is_empty() => return Ok(Some(bytes)),
            _ => {}
        }
    }
}
