//! The least of many scores, in one pass.

/// The index of the least score so far; of several, one that is drawn at random.
#[derive(Debug)]
pub(crate) struct Least {
    score: u64,
    index: usize,
    /// How many have that score.
    ties: u64,
    /// Which of them is the next to take the place; 0 if that has not been drawn.
    next: u64,
}

impl Default for Least {
    fn default() -> Self {
        Self {
            score: u64::MAX,
            index: 0,
            ties: 0,
            next: u64::MAX,
        }
    }
}

impl Least {
    /// Takes another score into account. One of `u64::MAX` is never the least.
    ///
    /// Nothing is drawn unless there is a tie. There is no branch on what is random from one score
    /// to the next: of the two there are, the first is taken when the least changes, the second
    /// about `ln n` times for `n` ties, since those that do not take the place are skipped by count
    /// (Vitter, 1985: reservoir sampling).
    #[inline]
    pub(crate) fn offer(&mut self, index: usize, score: u64) {
        let tie = u64::from(score == self.score);
        self.ties += tie;
        if score < self.score {
            *self = Self {
                score,
                index,
                ties: 1,
                next: 0,
            };
        } else if tie == 1 && self.ties >= self.next {
            self.tie(index);
        }
    }

    #[cold]
    fn tie(&mut self, index: usize) {
        if self.next == 0 {
            self.next = next_tie(1);
        }
        if self.ties >= self.next {
            self.index = index;
            self.next = next_tie(self.ties);
        }
    }

    pub(crate) fn index(&self) -> Option<usize> {
        (self.score < u64::MAX).then_some(self.index)
    }
}

/// After the tie of number `n` took the place, the number of the next to do so. The one of number
/// `m` takes it with probability `1/m`, so the next is past `m` with probability `n/m`.
fn next_tie(n: u64) -> u64 {
    (n as f64 / (1.0 - fastrand::f64())) as u64 + 1
}
