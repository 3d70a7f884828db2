//! Who waited for a turn, for how long, and who had one.

use super::{HEIGHT, axes, colour};
use crate::{
    ClassReport, Report, StrategyReport,
    canvas::{Canvas, Scale, short},
};

/// How wide each of the three drawings of a strategy is.
const WIDE: f64 = 236.0;

/// Where they begin.
const AT: [f64; 3] = [64.0, 372.0, 680.0];

pub(super) fn draw(canvas: &mut Canvas, report: &Report) {
    canvas.heading(
        "Waiting for a turn",
        "left: requests that wait; middle: seconds that those had waited whose turn came; right: shares of the turns",
    );
    let Some(first) = report.strategies.first() else {
        return;
    };
    let names = first.classes.iter().enumerate();
    canvas.legend(names.map(|(i, class)| (colour('c', i), short(&class.class, 32))));
    let classes = || report.strategies.iter().flat_map(|s| &s.classes);
    let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
    let waiting = most(&mut classes().flat_map(|class| class.waiting.iter().copied()));
    let waits = most(&mut classes().flat_map(|class| class.waits.iter().flatten().copied()));
    let longest = most(&mut report.strategies.iter().map(|s| s.seconds));
    let time = Scale::new(longest, WIDE);
    for strategy in &report.strategies {
        canvas.y += 14.0;
        canvas.text(AT[0], canvas.y, "ink", short(&strategy.strategy, 40));
        canvas.y += 8.0;
        let bottom = canvas.y + HEIGHT;
        let plot = Plot {
            strategy,
            time,
            bottom,
        };
        let waiting = Scale::new(waiting, HEIGHT);
        plot.lines(canvas, AT[0], waiting, |class, at| Some(class.waiting[at]));
        let waits = Scale::new(waits, HEIGHT);
        plot.lines(canvas, AT[1], waits, |class, at| class.waits[at]);
        plot.shares(canvas, AT[2]);
        canvas.y = bottom + 26.0;
    }
}

struct Plot<'a> {
    strategy: &'a StrategyReport,
    time: Scale,
    bottom: f64,
}

impl Plot<'_> {
    /// A line for each class.
    fn lines(
        &self,
        canvas: &mut Canvas,
        left: f64,
        scale: Scale,
        value: impl Fn(&ClassReport, usize) -> Option<f64>,
    ) {
        axes(canvas, (left, self.bottom), scale, self.time);
        for (i, class) in self.strategy.classes.iter().enumerate() {
            let points = (0..class.waiting.len()).filter_map(|at| {
                let middle = (at as f64 + 0.5) * self.strategy.step;
                let x = left + self.time.at(middle.min(self.strategy.seconds));
                Some((x, self.bottom - scale.at(value(class, at)?)))
            });
            canvas.line(points, &colour('l', i));
        }
    }

    /// A bar for each step, of as many parts as there are classes.
    fn shares(&self, canvas: &mut Canvas, left: f64) {
        let scale = Scale::new(100.0, HEIGHT);
        axes(canvas, (left, self.bottom), scale, self.time);
        let classes = &self.strategy.classes;
        let steps = classes.first().map_or(0, |class| class.running.len());
        let width = (self.time.at(self.strategy.step) - 0.5).max(0.8);
        for at in 0..steps {
            let all: f64 = classes.iter().map(|class| class.running[at]).sum();
            let x = left + self.time.at(at as f64 * self.strategy.step);
            let mut y = self.bottom;
            for (i, class) in classes.iter().enumerate() {
                let height = scale.at(100.0 * class.running[at] / all.max(1e-9));
                if height > 0.05 {
                    y -= height;
                    canvas.bar((x, y), (width, height), &colour('c', i));
                }
            }
        }
    }
}
