//! What keeps the counts.

use ziggurat_core::Usage;

use crate::{Charges, Refused};

/// Keeps the counts, and decides.
///
/// [`MemoryLimiter`](crate::MemoryLimiter) answers at once. One that asks a shared store does the
/// whole decision in one atomic operation there.
pub trait Limiter: Clone {
    /// What an admitted request holds.
    type Permit: Settle;
    /// The decision. Dropping it, finished or not, gives back whatever it took.
    type Acquire: Future<Output = Result<Self::Permit, Refused>>;

    /// Takes what a request is charged: one request, a place in flight and its estimated tokens,
    /// from every key or from none.
    ///
    /// Of the tokens no more than the limit itself is taken, so a request that is estimated to need
    /// more than the limit passes where nothing has been used.
    fn acquire(&self, charges: &Charges) -> Self::Acquire;
}

/// What an admitted request holds until its outcome is known.
///
/// One that is dropped without being settled gives everything back, as for [`Actual::Unsent`].
pub trait Settle {
    /// Corrects the estimate by what has happened, and gives the place in flight back. Only the
    /// first call counts.
    fn settle(&mut self, actual: Actual);
}

/// What became of a request that was admitted.
///
/// A request counts once it has been sent, and tokens count once an answer has begun: that is how
/// providers count, and it leaves nothing to gain for a client that hangs up early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Actual {
    /// Nothing was sent. All is given back.
    Unsent,
    /// It was sent and no answer began. The request counts, its tokens are given back.
    Unanswered,
    /// An answer began, and broke off or was abandoned after about that many tokens, input
    /// included.
    Partial {
        /// How many.
        tokens: u64,
    },
    /// The answer is complete and used that.
    Complete(Usage),
    /// The answer is complete, and nobody knows what it used: the estimate stays.
    Unknown,
}
