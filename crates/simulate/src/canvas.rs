//! Lines, bars and words of an SVG.

use std::fmt::{Display, Write as _};

/// How wide a drawing is.
pub(crate) const WIDTH: f64 = 960.0;

/// How many series have a colour of their own.
pub(crate) const COLOURS: usize = 8;

/// Colours for a light and for a dark page: the words, the scale of percentiles, the series, and the
/// words on top of each series.
const STYLE: &str = "
text{font:12px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif}
.h{font-size:15px;font-weight:600}.s{font-size:11px}
.r{text-anchor:end}.m{text-anchor:middle}
.paper{fill:#fff}.ink{fill:#1f2328}.soft{fill:#59636e}
.grid{stroke:#d8dee4;stroke-width:1}.gap{stroke:#fff;stroke-width:2}
.line{fill:none;stroke-width:1.5;stroke-linejoin:round}
.p0{fill:#86b6ef}.p1{fill:#2a78d6}.p2{fill:#104281}
.bad{fill:#cf222e}
.c0{fill:#2a78d6}.c1{fill:#1baf7a}.c2{fill:#eda100}.c3{fill:#008300}
.c4{fill:#4a3aa7}.c5{fill:#e34948}.c6{fill:#e87ba4}.c7{fill:#eb6834}.c8{fill:#8c959f}
.l0{stroke:#2a78d6}.l1{stroke:#1baf7a}.l2{stroke:#eda100}.l3{stroke:#008300}
.l4{stroke:#4a3aa7}.l5{stroke:#e34948}.l6{stroke:#e87ba4}.l7{stroke:#eb6834}.l8{stroke:#8c959f}
.t0,.t3,.t4,.t5{fill:#fff}.t1,.t2,.t6,.t7,.t8{fill:#111}
@media (prefers-color-scheme:dark){
.paper{fill:#0d1117}.ink{fill:#e6edf3}.soft{fill:#9198a1}
.grid{stroke:#30363d}.gap{stroke:#0d1117}
.p0{fill:#9ec5f4}.p1{fill:#3987e5}.p2{fill:#1f5fb0}
.bad{fill:#f85149}
.c0{fill:#3987e5}.c1{fill:#199e70}.c2{fill:#c98500}.c3{fill:#2f9e2f}
.c4{fill:#9085e9}.c5{fill:#e66767}.c6{fill:#d55181}.c7{fill:#d95926}.c8{fill:#6e7681}
.l0{stroke:#3987e5}.l1{stroke:#199e70}.l2{stroke:#c98500}.l3{stroke:#2f9e2f}
.l4{stroke:#9085e9}.l5{stroke:#e66767}.l6{stroke:#d55181}.l7{stroke:#d95926}.l8{stroke:#6e7681}
.t0,.t1,.t2,.t3,.t4,.t5,.t6,.t7{fill:#0d1117}.t8{fill:#fff}
}";

/// A drawing that grows downwards.
#[derive(Debug, Default)]
pub(crate) struct Canvas {
    out: String,
    /// Where the next thing goes.
    pub(crate) y: f64,
}

impl Canvas {
    /// Words; the classes say how they look and where they are anchored.
    pub(crate) fn text(&mut self, x: f64, y: f64, class: &str, text: impl Display) {
        let text = escape(&text.to_string());
        let _ = write!(
            self.out,
            "<text x='{x:.1}' y='{y:.1}' class='{class}'>{text}</text>"
        );
    }

    pub(crate) fn bar(&mut self, at: (f64, f64), size: (f64, f64), class: &str) {
        let ((x, y), (width, height)) = (at, size);
        let _ = write!(
            self.out,
            "<rect x='{x:.1}' y='{y:.1}' width='{width:.1}' height='{height:.1}' class='{class}'/>"
        );
    }

    /// A bar that goes on beyond the scale: its end is torn.
    pub(crate) fn torn_bar(&mut self, at: (f64, f64), size: (f64, f64), class: &str) {
        let ((x, y), (width, height)) = (at, size);
        let (end, half) = (x + width, y + height / 2.0);
        let _ = write!(
            self.out,
            "<path d='M{x:.1} {y:.1}H{:.1}L{end:.1} {half:.1}L{:.1} {:.1}H{x:.1}Z' class='{class}'/>",
            end - 7.0,
            end - 7.0,
            y + height,
        );
    }

    pub(crate) fn rule(&mut self, from: (f64, f64), to: (f64, f64)) {
        let _ = write!(
            self.out,
            "<line x1='{:.1}' y1='{:.1}' x2='{:.1}' y2='{:.1}' class='grid'/>",
            from.0, from.1, to.0, to.1
        );
    }

    /// A line through points.
    pub(crate) fn line(&mut self, points: impl Iterator<Item = (f64, f64)>, class: &str) {
        self.out.push_str("<polyline points='");
        for (x, y) in points {
            let _ = write!(self.out, "{x:.1},{y:.1} ");
        }
        let _ = write!(self.out, "' class='line {class}'/>");
    }

    /// The heading of a part, and what it shows.
    pub(crate) fn heading(&mut self, title: &str, note: &str) {
        self.y += 44.0;
        self.text(24.0, self.y, "h ink", title);
        self.y += 18.0;
        self.text(24.0, self.y, "soft", note);
        self.y += 14.0;
    }

    /// Names with their colours, in as many rows as they need.
    pub(crate) fn legend(&mut self, entries: impl Iterator<Item = (String, String)>) {
        let mut x = 24.0;
        self.y += 6.0;
        for (class, name) in entries {
            // Nothing here knows how wide a word is; this is wide enough.
            let width = 7.2_f64.mul_add(name.chars().count() as f64, 34.0);
            if x + width > WIDTH - 24.0 {
                x = 24.0;
                self.y += 20.0;
            }
            self.bar((x, self.y), (11.0, 11.0), &class);
            self.text(x + 17.0, self.y + 10.0, "ink", name);
            x += width;
        }
        self.y += 22.0;
    }

    /// The finished drawing.
    pub(crate) fn finish(self, title: &str) -> String {
        let height = self.y + 28.0;
        format!(
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height:.0}' width='{WIDTH}' height='{height:.0}' role='img'><title>{}</title><style>{STYLE}</style><rect width='100%' height='100%' class='paper'/>{}</svg>\n",
            escape(title),
            self.out
        )
    }
}

/// A round number without needless zeros.
pub(crate) fn round(value: f64) -> String {
    format!("{}", (value * 1e6).round() / 1e6)
}

/// A name that is not too long.
pub(crate) fn short(name: &str, most: usize) -> String {
    if name.chars().count() <= most {
        return name.to_owned();
    }
    let kept: String = name.chars().take(most - 1).collect();
    format!("{kept}…")
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&quot;"),
            // XML has no place for them.
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A scale from 0 to a limit over so many pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    limit: f64,
    pixels: f64,
}

impl Scale {
    pub(crate) fn new(limit: f64, pixels: f64) -> Self {
        let limit = if limit > 0.0 { limit } else { 1.0 };
        Self { limit, pixels }
    }

    /// One on which the greatest of some values can be seen, unless it is so great that of the others
    /// nothing could be seen.
    pub(crate) fn fair(values: impl Iterator<Item = f64> + Clone, pixels: f64) -> Self {
        let most = values.clone().fold(0.0, f64::max);
        let least = values.filter(|v| *v > 0.0).fold(f64::INFINITY, f64::min);
        Self::new(most.min(least * 8.0), pixels)
    }

    pub(crate) fn holds(self, value: f64) -> bool {
        value <= self.limit
    }

    /// The pixels of a value, up to the limit.
    pub(crate) fn at(self, value: f64) -> f64 {
        value.min(self.limit) / self.limit * self.pixels
    }

    /// Round values on it, up to about `most` of them.
    pub(crate) fn ticks(self, most: f64) -> Vec<f64> {
        let rough = self.limit / most;
        let power = 10_f64.powf(rough.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
        let step = steps.into_iter().find(|step| *step >= rough);
        let step = step.unwrap_or(10.0 * power);
        (0..)
            .map(|n| f64::from(n) * step)
            .take_while(|tick| *tick <= self.limit * 1.001)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(Scale::new(7.3, 100.0).ticks(5.0), [0.0, 2.0, 4.0, 6.0]);
        assert_eq!(Scale::new(0.0, 100.0).ticks(2.0), [0.0, 0.5, 1.0]);
        assert_eq!(
            Scale::new(1_930.0, 100.0).ticks(4.0),
            [0.0, 500.0, 1_000.0, 1_500.0]
        );
    }

    #[test]
    fn one_that_is_far_off_does_not_hide_the_others() {
        let scale = Scale::fair([1.0, 2.0, 500.0].into_iter(), 80.0);
        assert_eq!((scale.at(1.0), scale.at(500.0)), (10.0, 80.0));
        assert!(!scale.holds(500.0) && scale.holds(2.0));
    }

    #[test]
    fn names_cannot_break_the_markup() {
        let mut canvas = Canvas::default();
        canvas.text(0.0, 0.0, "ink", "<a href='x'>&\u{1}");
        let svg = canvas.finish("\"t\"");
        assert!(
            svg.contains(">&lt;a href=&#39;x&#39;&gt;&amp;\u{fffd}<"),
            "{svg}"
        );
        assert!(svg.contains("<title>&quot;t&quot;</title>"), "{svg}");
    }
}
