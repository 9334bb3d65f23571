//! Plots as SVG: lines over two axes, with numbers that people would choose. No scripts, and colours by the page's style.
//!
//! Rejected: the crate `plotters`: fonts, bitmaps and a dozen crates for what is a few paths.

use std::fmt::Write;

/// Width and height without the lines' names, and the margins for numbers: left, right, above, below.
const SIZE: (f64, f64) = (720.0, 264.0);
const MARGINS: (f64, f64, f64, f64) = (64.0, 30.0, 12.0, 40.0);

/// Readable in dark and light, as the reader's system says.
pub(crate) const STYLE: &str = "\
:root{color-scheme:light dark;--text:#1b1f24;--back:#ffffff;--grid:#d8dde3;--a:#0b62c4;--b:#b35900;--c:#8a1538;--d:#2b7a2b;--e:#6b3fa0;--f:#5d6772}
@media(prefers-color-scheme:dark){:root{--text:#e4e8ec;--back:#14181d;--grid:#343b44;--a:#6cb2ff;--b:#ffb15c;--c:#ff8fab;--d:#7fd67f;--e:#c3a2f2;--f:#aab4bf}}
svg{background:var(--back)}svg text{fill:var(--text);font-size:12px}
.grid{stroke:var(--grid);fill:none}.line,.key{fill:none;stroke-width:1.8}
.line0{stroke:var(--a)}.line1{stroke:var(--b)}.line2{stroke:var(--c)}
.line3{stroke:var(--d)}.line4{stroke:var(--e)}.line5{stroke:var(--f)}
svg .name0{fill:var(--a)}svg .name1{fill:var(--b)}svg .name2{fill:var(--c)}
svg .name3{fill:var(--d)}svg .name4{fill:var(--e)}svg .name5{fill:var(--f)}";

/// So many lines have a colour of their own; their names stand in one row above the plot, and those of further rows are dashed.
const COLOURS: usize = 6;
const COLUMN_WIDTH: f64 = 104.0;
const ROW_HEIGHT: f64 = 16.0;

/// How an axis spreads its values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scale {
    /// From zero to the greatest.
    Linear,
    /// From the least to the greatest, powers of ten at the same distance.
    Log,
}

/// An axis.
#[derive(Debug)]
pub(crate) struct Axis {
    pub(crate) name: &'static str,
    pub(crate) scale: Scale,
    pub(crate) label: fn(f64) -> String,
}

/// A line of a plot.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// Where an axis begins and ends, and its marks.
struct Range {
    scale: Scale,
    from: f64,
    to: f64,
    marks: Vec<f64>,
}

impl Range {
    fn of(scale: Scale, values: impl Iterator<Item = f64> + Clone) -> Range {
        let most = values.clone().fold(0.0, f64::max);
        match scale {
            Scale::Linear => {
                let most = if most > 0.0 { most } else { 1.0 };
                let step = step(most);
                let count = (most / step).ceil() as usize;
                let marks: Vec<f64> = (0..=count).map(|at| at as f64 * step).collect();
                Range { scale, from: 0.0, to: count as f64 * step, marks }
            }
            Scale::Log => {
                let least = values.filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
                let least = if least.is_finite() { least } else { 1.0 };
                let (from, to) = (least.log10().floor(), most.max(least).log10().ceil());
                let to = if to > from { to } else { from + 1.0 };
                let marks = (from as i32..=to as i32).map(|power| 10_f64.powi(power)).collect();
                Range { scale, from, to, marks }
            }
        }
    }

    /// From 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let value = match self.scale {
            Scale::Linear => value,
            Scale::Log if value > 0.0 => value.log10(),
            Scale::Log => self.from,
        };
        ((value - self.from) / (self.to - self.from)).clamp(0.0, 1.0)
    }
}

/// 1, 2 or 5 times a power of ten, so that there are some five marks.
fn step(most: f64) -> f64 {
    let power = 10_f64.powf((most / 5.0).log10().floor());
    let digits = [1.0, 2.0, 5.0, 10.0];
    let fits = digits.into_iter().find(|digit| most / (digit * power) <= 6.0);
    fits.unwrap_or(10.0) * power
}

/// A plot of these lines.
pub(crate) fn plot(x: &Axis, y: &Axis, lines: &[Line]) -> String {
    let (width, height) = SIZE;
    let (left, right, above, below) = MARGINS;
    let names = lines.len().div_ceil(COLOURS) as f64 * ROW_HEIGHT;
    let (height, above) = (height + names, above + names);
    let points = || lines.iter().flat_map(|line| &line.points);
    let across = Range::of(x.scale, points().map(|(x, _)| *x));
    let up = Range::of(y.scale, points().map(|(_, y)| *y));
    let at_x = |value: f64| left + across.place(value) * (width - left - right);
    let at_y = |value: f64| height - below - up.place(value) * (height - above - below);
    let mut svg = format!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\">\n");
    let mut add = |text: std::fmt::Arguments<'_>| {
        // Writing to memory does not fail.
        _ = svg.write_fmt(text);
    };
    let (bottom, end) = (height - below, width - right);
    for mark in &up.marks {
        let (at, label) = (at_y(*mark), (y.label)(*mark));
        add(format_args!("<path class=\"grid\" d=\"M{left} {at:.1}H{end}\"/>\n"));
        add(format_args!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>\n",
            left - 6.0,
            at + 4.0
        ));
    }
    for mark in &across.marks {
        let (at, label) = (at_x(*mark), (x.label)(*mark));
        add(format_args!("<path class=\"grid\" d=\"M{at:.1} {above}V{bottom}\"/>\n"));
        add(format_args!(
            "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>\n",
            bottom + 16.0
        ));
    }
    add(format_args!(
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
        (left + end) / 2.0,
        height - 6.0,
        x.name
    ));
    for (number, line) in lines.iter().enumerate() {
        let mut path = String::new();
        for (at, (x, y)) in line.points.iter().enumerate() {
            let letter = if at == 0 { 'M' } else { 'L' };
            _ = write!(path, "{letter}{:.1} {:.1}", at_x(*x), at_y(*y));
        }
        // A single point would not be seen.
        if line.points.len() == 1 {
            path.push_str("h3");
        }
        let (colour, row) = (number % COLOURS, number / COLOURS);
        let dashes = match row {
            0 => String::new(),
            row => format!(" stroke-dasharray=\"{:.1} 3\"", 8.0 / row as f64),
        };
        add(format_args!("<path class=\"line line{colour}\"{dashes} d=\"{path}\"/>\n"));
        let at = left + colour as f64 * COLUMN_WIDTH;
        let middle = (row as f64 + 0.5) * ROW_HEIGHT;
        add(format_args!(
            "<path class=\"key line{colour}\"{dashes} d=\"M{at:.1} {middle:.1}h22\"/>\n"
        ));
        add(format_args!(
            "<text class=\"name{colour}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
            at + 27.0,
            middle + 4.0,
            line.name
        ));
    }
    svg.push_str("</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_numbers() {
        let marks = |most: f64| Range::of(Scale::Linear, [most].into_iter()).marks;
        assert_eq!(marks(9.0), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(marks(0.0).len(), 6);
        assert_eq!(marks(120.0), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0, 120.0]);
        let log = Range::of(Scale::Log, [0.3, 20.0].into_iter());
        assert_eq!(log.marks, [0.1, 1.0, 10.0, 100.0]);
        assert!((log.place(1.0) - 1.0 / 3.0).abs() < 1e-9);
    }
}
