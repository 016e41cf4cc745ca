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
    check(r"^[[:]$", &["[", ":"], &["[:"]);
}

#[test]
fn a_dash_in_brackets_is_a_range_where_it_stands_between_two_characters() {
    check(r"^[--/]$", &["-", ".", "/"], &["+", "0"]);
    check(r"^[---]$", &["-"], &[","]);
    check(r"^[-a]$", &["-", "a"], &["."]);
    check(r"^[a-b-d]$", &["a", "b", "-", "d"], &["c"]);
    check(r"^[a-b--/]$", &["a", "b", "-", ".", "/"], &["c", "0"]);
    check(r"^[+-[]$", &["+", "A", "["], &["\\", "a"]);
    check(r"^[]-a]$", &["]", "^", "_", "`", "a"], &["[", "-", "b"]);
    check(r"^[\x{41}-\x5a]$", &["A", "M", "Z"], &["a", "-", "{"]);
    check(r"^[!-\<]$", &["!", "<"], &["=", "\\"]);
    // Behind a class it is a character, and before one that no character stands before.
    check(r"^[\w-\d]$", &["a", "-"], &["."]);
    check(r"^[-\d]$", &["-", "4"], &["."]);
    check(r"^[\d--/]$", &["4", "-", ".", "/"], &["+"]);
    check(r"^[\w-.]$", &["a", "-", "."], &["/", ","]);
    check(r"^[\pL-a]$", &["é", "-"], &["1"]);
    check(r"^[\p{Greek}-a]$", &["α", "-", "a"], &["b", "{"]);
    check(r"^[[:digit:]-z]$", &["4", "-", "z"], &["a", ":"]);
}

#[test]
fn brackets_that_hold_half_a_range_or_an_unknown_class_are_refused() {
    for none in [
        r"[.-\w]",
        r"[+-\d]",
        r"[A-\s]",
        r"[a-\D]",
        r"[--\w]",
        r"[.-\pL]",
        r"[.-\p{Greek}]",
        r"[[:a]b:]",
        r"[[:alfa:]]",
        r"[[::]]",
        r"[[:^:]]",
        r"[a[:x:]",
        r"[a--]",
        r"[\x4-9]",
        r"[\Qa\E]",
        r"[\b]",
        "[",
        "[]",
        "[^]",
        "[a-",
        r"[a\]",
    ] {
        assert!(Pattern::compile(Function::Matches, none).is_err(), "{none}");
    }
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
