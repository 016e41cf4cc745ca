//! Tests of `query`.

use super::parse;

#[track_caller]
fn check(raw: &str, expected: &[(&str, &[&str])]) {
    let query = parse(raw);
    let found: Vec<(&str, Vec<&str>)> =
        query.iter().map(|(name, values)| (&**name, values.iter().map(|value| &**value).collect())).collect();
    let expected: Vec<(&str, Vec<&str>)> = expected.iter().map(|(name, values)| (*name, values.to_vec())).collect();
    assert_eq!(found, expected, "{raw}");
}

#[test]
fn names_keep_all_values_in_order() {
    check("", &[]);
    check("a=1&b=2&a=3", &[("a", &["1", "3"]), ("b", &["2"])]);
    check("&a&=x&&b=", &[("", &["x"]), ("a", &[""]), ("b", &[""])]);
    check("a=b=c", &[("a", &["b=c"])]);
}

#[test]
fn escapes_are_decoded_as_forms_write_them() {
    check("a+b=c+d%2Be", &[("a b", &["c d+e"])]);
    check("%C3%A4=%e2%82%ac", &[("ä", &["€"])]);
    check("a=%26%3d", &[("a", &["&="])]);
    check("a=%ff", &[("a", &["\u{fffd}"])]);
}

#[test]
fn what_is_no_escape_stays() {
    check("a=100%&b=%zz&c=%4", &[("a", &["100%"]), ("b", &["%zz"]), ("c", &["%4"])]);
}
