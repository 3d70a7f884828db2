//! Something over time, in a bounded number of steps.

/// No series has more steps.
pub(crate) const STEPS: usize = 120;

/// The finest step, in seconds.
const FINEST: f64 = 0.25;

/// Sums over steps of equal length, which doubles whenever there would be too many of them.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    step: f64,
    sums: Vec<f64>,
}

impl Default for Series {
    fn default() -> Self {
        Self {
            step: FINEST,
            sums: Vec::new(),
        }
    }
}

impl Series {
    /// The length of a step.
    pub(crate) fn step(&self) -> f64 {
        self.step
    }

    /// Adds something that happened at a time.
    pub(crate) fn add(&mut self, at: f64, amount: f64) {
        let step = self.reach(at);
        self.sums[step] += amount;
    }

    /// Adds something that lasted, as its level times how long it lasted in each step.
    pub(crate) fn add_level(&mut self, from: f64, to: f64, level: f64) {
        if level == 0.0 || to <= from {
            return;
        }
        let last = self.reach(to);
        let first = (from / self.step) as usize;
        for step in first..=last {
            let begins = step as f64 * self.step;
            let part = to.min(begins + self.step) - from.max(begins);
            self.sums[step] += level * part.max(0.0);
        }
    }

    /// Makes its steps as long as that; they are not longer.
    pub(crate) fn coarsen(&mut self, step: f64) {
        while self.step < step {
            self.double();
        }
    }

    /// The sums, of as many steps as there are until a time.
    pub(crate) fn sums(mut self, until: f64) -> Vec<f64> {
        let steps = (until / self.step).ceil() as usize;
        self.sums.resize(steps.max(self.sums.len()), 0.0);
        self.sums
    }

    fn reach(&mut self, at: f64) -> usize {
        while at >= STEPS as f64 * self.step {
            self.double();
        }
        let step = (at / self.step) as usize;
        if self.sums.len() <= step {
            self.sums.resize(step + 1, 0.0);
        }
        step
    }

    fn double(&mut self) {
        self.step *= 2.0;
        self.sums = self.sums.chunks(2).map(|pair| pair.iter().sum()).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_when_steps_grow() {
        let mut series = Series::default();
        for at in 0..1_000 {
            series.add(f64::from(at), 1.0);
            series.add_level(f64::from(at), f64::from(at) + 1.0, 2.0);
        }
        assert_eq!(series.step(), 16.0);
        let sums = series.sums(1_000.0);
        assert!(sums.len() <= STEPS, "{}", sums.len());
        assert!((sums.iter().sum::<f64>() - 3_000.0).abs() < 1e-6);
        assert!((sums[10] - 48.0).abs() < 1e-6, "each step has its part");
    }

    #[test]
    fn two_series_are_brought_to_the_same_steps() {
        let mut short = Series::default();
        short.add(1.0, 5.0);
        short.coarsen(2.0);
        assert_eq!(short.sums(4.0), [5.0, 0.0]);
    }
}
