use std::{fmt, sync::Arc};

use super::{Call, Step};

/// Which [`Step`] a provider takes for each request.
///
/// A step, an array and a vector of steps convert into a [`sequence`](Script::sequence).
#[derive(Clone, Debug)]
pub struct Script(Kind);

#[derive(Clone)]
enum Kind {
    Sequence {
        steps: Vec<Arc<Step>>,
        next: usize,
    },
    Random {
        state: u64,
        total: u64,
        steps: Vec<(u32, Arc<Step>)>,
    },
    Choice(Choice),
}

type Choice = Arc<dyn Fn(&Call) -> Step + Send + Sync>;

/// A step, or the function that makes it; it is called when no lock is held.
pub(super) enum Next {
    Step(Arc<Step>),
    Choice(Choice),
}

impl Script {
    /// Takes the steps one after the other; the last one repeats. Without a step it is healthy.
    pub fn sequence(steps: impl IntoIterator<Item = Step>) -> Self {
        let mut steps: Vec<_> = steps.into_iter().map(Arc::new).collect();
        if steps.is_empty() {
            steps.push(Arc::default());
        }
        Self(Kind::Sequence { steps, next: 0 })
    }

    /// Draws a step for each request, each as often as its weight says; one seed gives one order.
    ///
    /// # Panics
    ///
    /// Panics if all weights are zero.
    pub fn random(seed: u64, steps: impl IntoIterator<Item = (u32, Step)>) -> Self {
        let steps: Vec<_> = steps
            .into_iter()
            .map(|(weight, step)| (weight, Arc::new(step)))
            .collect();
        let total = steps.iter().map(|(weight, _)| u64::from(*weight)).sum();
        assert!(total > 0, "a random script needs a step of some weight");
        Self(Kind::Random {
            state: seed,
            total,
            steps,
        })
    }

    /// Chooses the step by the request: by a message in it, a header, or the time.
    pub fn from_fn(choose: impl Fn(&Call) -> Step + Send + Sync + 'static) -> Self {
        Self(Kind::Choice(Arc::new(choose)))
    }

    pub(super) fn next(&mut self) -> Next {
        Next::Step(match &mut self.0 {
            Kind::Choice(choose) => return Next::Choice(Arc::clone(choose)),
            Kind::Sequence { steps, next } => {
                let step = Arc::clone(&steps[*next]);
                *next = (*next + 1).min(steps.len() - 1);
                step
            }
            Kind::Random {
                state,
                total,
                steps,
            } => {
                let mut point = draw(state) % *total;
                let drawn = steps.iter().find(|(weight, _)| {
                    let weight = u64::from(*weight);
                    let here = point < weight;
                    point = point.saturating_sub(weight);
                    here
                });
                Arc::clone(&drawn.expect("the point is below the sum of the weights").1)
            }
        })
    }
}

/// One number of the SplitMix64 generator.
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Default for Script {
    fn default() -> Self {
        Self::sequence([])
    }
}

impl From<Step> for Script {
    fn from(step: Step) -> Self {
        Self::sequence([step])
    }
}

impl<const N: usize> From<[Step; N]> for Script {
    fn from(steps: [Step; N]) -> Self {
        Self::sequence(steps)
    }
}

impl From<Vec<Step>> for Script {
    fn from(steps: Vec<Step>) -> Self {
        Self::sequence(steps)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sequence { steps, next } => f
                .debug_struct("Sequence")
                .field("steps", steps)
                .field("next", next)
                .finish(),
            Self::Random { steps, .. } => f.debug_tuple("Random").field(steps).finish(),
            Self::Choice(_) => f.write_str("Choice"),
        }
    }
}
