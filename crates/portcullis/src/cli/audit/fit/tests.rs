//! What is given up, and in which order.

use super::{Layout, Widths};

fn line(most: Option<usize>) -> String {
    let layouts = [Layout { replaced: &[], least: 4 }, Layout { replaced: &[(1, 0)], least: 2 }];
    let widths = Widths::within(&[6, 3, 10], &[0, 2], &layouts, most);
    widths.line(["abcdef", "123", "ghijklmnop"].map(str::to_owned))
}

#[test]
fn a_line_gives_up_as_little_as_the_terminal_needs() {
    assert_eq!(line(None), "abcdef  123  ghijklmnop");
    for (most, expected) in [
        (23, "abcdef  123  ghijklmnop"),
        (20, "abcdef  123  ghijkl…"),
        (15, "abc…  123  ghi…"),
        (14, "abcdef  ghijk…"),
        (9, "abc…  gh…"),
        (6, "a…  g…"),
        (5, "a…  …"),
    ] {
        assert_eq!(line(Some(most)), expected, "{most}");
        assert!(line(Some(most)).chars().count() <= most);
    }
}
