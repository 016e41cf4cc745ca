//! Bars in SVG: one panel for each figure, one bar for each proxy, with a whisker from the least to the most.

use std::fmt::Write as _;

use super::number;
use crate::figures::Spread;

/// One proxy's figure.
#[derive(Debug)]
pub(super) struct Bar<'a> {
    pub(super) name: &'a str,
    pub(super) spread: Spread,
    /// Stands before its number.
    pub(super) before: &'static str,
}

/// Draws panels side by side, each with its title and the digits of its numbers.
pub(super) fn draw(panels: &[(String, usize, Vec<Bar<'_>>)]) -> String {
    let rows = panels.iter().map(|(_, _, bars)| bars.len()).max().unwrap_or_default();
    let (width, height) = (panels.len() as f64 * PANEL, TOP + rows as f64 * ROW + BOTTOM);
    // Plots lie on pages of either brightness: they bring their own.
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    for (number, (title, digits, bars)) in panels.iter().enumerate() {
        panel(&mut svg, number as f64 * PANEL, title, *digits, bars);
    }
    svg.push_str("</svg>\n");
    svg
}

fn panel(svg: &mut String, left: f64, title: &str, digits: usize, bars: &[Bar<'_>]) {
    let most = bars.iter().map(|bar| bar.spread.most).fold(f64::MIN_POSITIVE, f64::max);
    let x = |value: f64| left + LABELS + value / most * BARS;
    let _ =
        writeln!(svg, "<text x=\"{:.1}\" y=\"22\" font-weight=\"600\" fill=\"#1f2328\">{title}</text>", left + LABELS);
    for (row, bar) in bars.iter().enumerate() {
        let Spread { median, least, most } = bar.spread;
        let (y, weight) = (TOP + row as f64 * ROW, if bar.name == "portcullis" { 600 } else { 400 });
        let middle = y + BAR / 2.0;
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" font-weight=\"{weight}\" fill=\"#1f2328\">{}</text>\n\
             <rect x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"2\" fill=\"{}\"/>\n\
             <path d=\"M{:.1} {middle:.1}H{:.1}M{:.1} {:.1}v6M{:.1} {:.1}v6\" stroke=\"#1f2328\" fill=\"none\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" font-weight=\"{weight}\" fill=\"#1f2328\">{}{}</text>",
            left + LABELS - 8.0,
            middle + 4.0,
            bar.name,
            x(0.0),
            x(median) - x(0.0),
            colour(bar.name),
            x(least),
            x(most),
            x(least),
            middle - 3.0,
            x(most),
            middle - 3.0,
            x(most) + 6.0,
            middle + 4.0,
            bar.before,
            number(median, digits),
        );
    }
}

/// Bounds are grey, Portcullis stands out.
fn colour(name: &str) -> &'static str {
    match name {
        "portcullis" => "#1a7f37",
        bound if BOUNDS.contains(&bound) => "#afb8c1",
        _ => "#6ca4f8",
    }
}

/// Those who are no peers.
pub(super) const BOUNDS: [&str; 3] = ["upstream", "bare", "unaudited"];

const PANEL: f64 = 420.0;
const LABELS: f64 = 110.0;
const BARS: f64 = 230.0;
const TOP: f64 = 36.0;
const ROW: f64 = 26.0;
const BAR: f64 = 18.0;
const BOTTOM: f64 = 10.0;
