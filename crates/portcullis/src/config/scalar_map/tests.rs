//! The caret stands below the very character, whatever the quotes.

use super::super::source::{Place, Sources};
use super::super::tree::Value;
use super::super::yaml;
use super::place;

/// `expression` is found in the value of `when`; the caret must stand at the line and column expected.
fn check(yaml: &str, expression: &str, expected: (usize, usize)) {
    let mut sources = Sources::default();
    let file = sources.add("x.yaml".into(), yaml.to_owned());
    let (root, problems) = yaml::parse(yaml, file).unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    let node = root.get("when").unwrap();
    let value = node.text().unwrap();
    let byte = value.find(expression).unwrap();
    let start = value.char_indices().position(|(offset, _)| offset == byte).unwrap();
    let found = place(node, yaml, start..start + expression.chars().count());
    assert_eq!(sources.get(file).unwrap().position(found.start), expected, "in\n{yaml}");
}

#[test]
fn a_plain_text_maps_as_it_stands() {
    check("name: x\nwhen: user.emial == 1\n", "emial", (2, 12));
    check("when:   ü.emial\n", "emial", (1, 11));
}

#[test]
fn a_doubled_quote_is_one_character() {
    check("when: 'a == ''x'' && user.emial'\n", "emial", (1, 27));
}

#[test]
fn an_escape_is_one_character() {
    check("when: \"a == \\\"x\\\" && \\u00e4 \\x41 user.emial\"\n", "emial", (1, 39));
}

#[test]
fn a_literal_block_maps_line_by_line() {
    check("when: |\n  true &&\n  user.emial\n", "emial", (3, 8));
    check("a: 1\nwhen: |-  # why\n\n  true &&\n\n    user.emial\nb: 2\n", "emial", (6, 10));
    check("when: |2\n    user.emial\n", "emial", (2, 10));
}

#[test]
fn folded_text_maps_word_by_word() {
    check("when: >\n  true &&\n  user.emial\n", "emial", (3, 8));
    check("when: >-\n\n    true &&\n\n      user.machine &&\n    user.emial\nb: 2\n", "emial", (6, 10));
    check("when: true &&\n  user.emial # why\nb: 2\n", "emial", (2, 8));
    check("when: 'a == ''x'' &&\n\n  user.emial'\n", "emial", (3, 8));
    check("when: \"true && \\\n  '\\x41' == \n  user.emial\"\n", "emial", (3, 8));
    check("when: >\r\n  true &&\r\n  'ü' == user.emial\r\n", "emial", (3, 15));
}

#[test]
fn a_value_from_elsewhere_is_pointed_at_as_a_whole() {
    let yaml = "when: ${X} && user.emial\n";
    let mut sources = Sources::default();
    let file = sources.add("x.yaml".into(), yaml.to_owned());
    let (root, _) = yaml::parse(yaml, file).unwrap();
    let mut node = root.get("when").unwrap().clone();
    let Value::Scalar(scalar) = &mut node.value else { panic!("not a scalar") };
    (scalar.expanded, scalar.text) = (true, "true && user.emial".into());
    assert_eq!(place(&node, yaml, 10..12), Place { end: node.place.start, ..node.place });
}
