//! What is given up, and in which order.

use super::{Measure, Widths};

fn line(most: Option<usize>) -> String {
    let measures = [Measure::Shorten(vec![0, 2], 4), Measure::Replace(&[1], 0), Measure::Shorten(vec![0, 2], 2)];
    let widths = Widths::within(vec![6, 3, 10], &measures, most);
    widths.line(["abcdef", "123", "ghijklmnop"].map(str::to_owned))
}

#[test]
fn a_line_gives_up_as_little_as_the_terminal_needs() {
    assert_eq!(line(None), "abcdef  123  ghijklmnop");
    for (most, expected) in [
        (23, "abcdef  123  ghijklmnop"),
        (20, "abcdef  123  ghijkl…"),
        (15, "abc…  123  ghi…"),
        (14, "abc…  ghi…"),
        (9, "abc…  gh…"),
        (6, "a…  g…"),
        (5, "a…  …"),
    ] {
        assert_eq!(line(Some(most)), expected, "{most}");
        assert!(line(Some(most)).chars().count() <= most);
    }
}
