//! Tests of `re2`: what Go's `regexp`, which has the same syntax, answers.

use super::super::Pattern;
use crate::budget::Budget;
use crate::function::Function;

fn check(pattern: &str, found: &[&str], missed: &[&str]) {
    let compiled = Pattern::compile(Function::Matches, pattern).unwrap();
    let is_match = |text: &str| compiled.is_match(text, &mut Budget::new()).unwrap();
    for text in found {
        assert!(is_match(text), "{pattern} {text:?}");
    }
    for text in missed {
        assert!(!is_match(text), "{pattern} {text:?}");
    }
}

#[test]
fn digits_words_and_spaces_are_ascii() {
    check(r"^\d+$", &["42"], &["٣", "４２", ""]);
    check(r"^\D$", &["٣", "a"], &["4"]);
    check(r"^\w+@example\.com$", &["ada_1@example.com"], &["аda@example.com", "é@example.com"]);
    check(r"^\W$", &["é", "-"], &["a", "_"]);
    check(r"^\s$", &[" ", "\t", "\n", "\u{c}", "\r"], &["\u{b}", "\u{a0}", "\u{2003}"]);
    check(r"^\S$", &["\u{a0}", "x"], &[" "]);
    check(r"^[\d.]+$", &["1.5"], &["٣.5"]);
    check(r"^[^\d\s]$", &["٣", "a"], &["4", " "]);
    check(r"^[\W\d]$", &["4", "-", "é"], &["a"]);
    check(r"\bsre\b", &["sre", "a sre!", "ésre"], &["asre", "sre_"]);
    check(r"^[\w-]+$", &["a-b"], &["é"]);
}

#[test]
fn brackets_hold_characters_and_no_arithmetic() {
    check(r"^[[a]$", &["[", "a"], &["[a", "]"]);
    check(r"^[a[b]c]$", &["ac]", "[c]", "bc]"], &["a", "b", "c"]);
    check(r"^[a-z&&[^b]]$", &["b]", "&]", "^]", "[]"], &["a", "c"]);
    check(r"^[a~~b]$", &["a", "b", "~"], &[]);
    check(r"^[+--]$", &["+", ",", "-"], &["a"]);
    check(r"^[]a]$", &["]", "a"], &["b"]);
    check(r"^[^]a]$", &["b"], &["]", "a"]);
    check(r"^[[:alpha:]]$", &["a", "Z"], &["1", ":", "é"]);
    check(r"^[[:^alpha:]x]$", &["1", "x", "é"], &["a"]);
    check(r"^[\]\\-]$", &["]", "\\", "-"], &["a"]);
    check(r"^[\--/]$", &["-", ".", "/"], &["+"]);
    check(r"^[[:x]$", &["[", ":", "x"], &["a"]);
}

#[test]
fn escapes_are_those_of_re2() {
    check(r"^\<a\>$", &["<a>"], &["a"]);
    check(r"^\Qa.b[\E+$", &["a.b[", "a.b[["], &["axb["]);
    check(r"\Qa.b", &["xa.by"], &["axb"]);
    check(r"^\x{e4}\pL\p{Greek}$", &["äaα"], &["äa1"]);
    check("^ä$", &["ä"], &["a"]);
    for none in [r"\", r"a\", r"\Ca", "[a", r"(?=a)", r"(a)\1", "[b-a]"] {
        assert!(Pattern::compile(Function::Matches, none).is_err(), "{none}");
    }
}
