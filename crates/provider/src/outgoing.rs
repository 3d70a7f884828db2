//! The body of a request to a provider.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use smallvec::{IntoIter, SmallVec};

/// Up to this many bytes are joined: one write of them costs less than several.
const JOINED: usize = 16 * 1024;

/// The body of a request to a provider: the client's own bytes, in the pieces that are left when
/// the model is replaced and the router's fields are cut out. A large one is never copied.
#[derive(Debug)]
pub struct RequestBody {
    parts: IntoIter<[Bytes; 5]>,
    left: u64,
}

impl RequestBody {
    /// A body of these pieces, one after the other.
    #[must_use]
    pub fn new(parts: SmallVec<[Bytes; 5]>) -> Self {
        let length: usize = parts.iter().map(Bytes::len).sum();
        let parts = if parts.len() > 1 && length <= JOINED {
            let joined: Bytes = parts.concat().into();
            SmallVec::from_iter([joined])
        } else {
            parts
        };
        Self {
            parts: parts.into_iter(),
            left: length as u64,
        }
    }
}

impl From<Bytes> for RequestBody {
    fn from(bytes: Bytes) -> Self {
        Self::new(SmallVec::from_iter([bytes]))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let part = self.parts.next();
        self.left -= part.as_ref().map_or(0, |part| part.len() as u64);
        Poll::Ready(part.map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.parts.as_slice().is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn body(parts: &[&Bytes]) -> RequestBody {
        RequestBody::new(parts.iter().copied().cloned().collect())
    }

    #[tokio::test]
    async fn small_pieces_are_joined_and_large_ones_passed_on_uncopied() {
        let (small, large) = (Bytes::from_static(b"ab"), Bytes::from(vec![b'x'; JOINED]));
        let mut joined = body(&[&small, &small]);
        assert_eq!(joined.size_hint().exact(), Some(4));
        let Ok(frame) = joined.frame().await.expect("has a frame");
        assert_eq!(frame.into_data().expect("is data"), "abab");
        assert!(joined.is_end_stream());

        let mut apart = body(&[&small, &large]);
        assert_eq!(apart.size_hint().exact(), Some(2 + JOINED as u64));
        for part in [&small, &large] {
            let Ok(frame) = apart.frame().await.expect("has a frame");
            assert_eq!(frame.into_data().expect("is data").as_ptr(), part.as_ptr());
        }
        assert_eq!(apart.size_hint().exact(), Some(0));
        assert!(apart.frame().await.is_none());
    }
}
