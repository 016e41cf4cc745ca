//! Tests of `condition`: texts that are no CEL, and texts that mean harm.

use identity::{Clock, SystemClock};
use jiff::SignedDuration;
use proptest::prelude::*;

use super::{Condition, Named, on_large_stack};
use crate::fixture::problems;

#[track_caller]
fn check(when: &str, marked: &str, message: &str, help: &str) {
    let problem = problems(when).into_iter().next().unwrap();
    let found: String = when.chars().skip(problem.at.start).take(problem.at.len()).collect();
    assert_eq!((found.as_str(), problem.message.as_str()), (marked, message), "{when}");
    assert_eq!(problem.help.unwrap_or_default(), help, "{when}");
}

#[test]
fn syntax_errors_say_what_is_not_expected() {
    check("", "", "the expression is empty", "write a condition, or `true` for everybody");
    check(" \n ", " \n ", "the expression is empty", "write a condition, or `true` for everybody");
    check("user.email ==", "user.email ==", "syntax error: the expression ends too early", "");
    check("user.email = 1", "=", "syntax error: `=` is not expected here", "write `==` to compare");
    check("user.authenticated & true", "&", "syntax error: `&` is not expected here", "write `&&` for and");
    check("user.authenticated | true", "|", "syntax error: `|` is not expected here", "write `||` for or");
    check("user.authenticated and true", "and", "syntax error: `and` is not expected here", "write `&&` for and");
    check("user.authenticated or true", "or", "syntax error: `or` is not expected here", "write `||` for or");
    check("not user.machine", "user", "syntax error: `user` is not expected here", "write `!` for not");
    check("user.email is 'x'", "is", "syntax error: `is` is not expected here", "write `==` to compare");
    let optional = "ask with `has(user.claims.department)` whether it is there";
    check("user?.email == 'x'", "?.", "syntax error: `?.` is not expected here", optional);
    check("a b", "b", "syntax error: `b` is not expected here", "");
    check("user.email == “x”", "“", "syntax error: `“` is not expected here", "write straight quotes: `\"` or `'`");
    check(
        r#""\q" == "a""#,
        r#""\q"#,
        r#"syntax error: `"\q` is not expected here"#,
        r#"write `\\` for a backslash, or a raw text: `r"..."`"#,
    );
    check("for == 1", "f", "syntax error: reserved identifier: for", "");
    check("99999999999999999999 == 1", "9", "syntax error: invalid int literal", "");
    check("Foo{a: 1} == 1", "{", "messages cannot be built in a rule", "use a map: `{\"key\": value}`");
    check("(1", "(", "`(` is not closed", "add `)`");
    check("1)", ")", "`)` closes nothing", "");
    check("(1]", "]", "`]` closes nothing", "the `(` at character 1 wants `)`");
    check("user.email == \"abc", "\"abc", "the text is not closed", "add the closing quote");
    check("user.email == 'a\nb'", "'a", "the text is not closed", "add the closing quote");
}

#[test]
fn brackets_in_texts_and_comments_do_not_count() {
    for when in
        ["user.email == '(' // )", r#"user.email == """a"( "b""" "#, r#"user.email == r"\" "#, r#"user.email == "\"(""#]
    {
        assert_eq!(problems(when), [], "{when}");
    }
}

/// What is known to make the parser use up memory, the stack or minutes, with the message that stops it.
fn hostile() -> Vec<(String, &'static str)> {
    let motif = "!!(!!!!!!(!!!!(((((!!(!!(!!!!((";
    let few = motif.replace("!!!!!!", "!!").replace("!!!!", "!!");
    let split = |text: String| (text, "the expression is more than 64 operations deep");
    let deep = |text: String| (text, "brackets are nested more than 24 deep");
    let long = |text: String| (text, "the expression has");
    let prefixes = |text: String| (text, "more than 4 ");
    vec![
        prefixes(motif.repeat(4) + "1"),
        prefixes(motif.repeat(5) + "1" + &")".repeat(50)),
        deep(few.repeat(4) + "1"),
        deep(few.repeat(4) + "1" + &")".repeat(40)),
        deep("[".repeat(3_000) + &"]".repeat(3_000)),
        deep("{".repeat(25) + "1"),
        deep("f(".repeat(2_000)),
        ("(".repeat(20) + "1", "`(` is not closed"),
        ("(!!".repeat(24) + "1 1" + &")".repeat(24), "syntax error"),
        ("(!!(".repeat(12) + "1 +" + &"))".repeat(12), "syntax error"),
        ("[{".repeat(12) + "!" + &"}]".repeat(12), "syntax error"),
        prefixes("!".repeat(8_000) + "true"),
        prefixes("-".repeat(8_000) + "1"),
        prefixes("- ! ".repeat(1_000) + "1"),
        split("1+".repeat(2_000) + "1 == 1"),
        split("a".to_owned() + &"[0]".repeat(1_000)),
        split("'a'".to_owned() + &".size()".repeat(1_000)),
        split("user".to_owned() + &".b".repeat(4_000)),
        split("true ? 1 : ".repeat(90) + "1"),
        long("1".repeat(8_193)),
        long("(".repeat(100_000)),
        long(format!("[{}]", "1,".repeat(100_000))),
        long(format!("1 in [{}1]", "1,".repeat(3_000))),
        ("@".repeat(8_000), "syntax error"),
        ("1 ".repeat(4_000), "syntax error"),
        ("x.y(".to_owned() + &"a,".repeat(3_000), "`(` is not closed"),
        ("\u{0}\u{1}\u{7f}".to_owned(), "syntax error"),
    ]
}

#[test]
fn hostile_texts_are_refused_at_once() {
    // 100 ms in a release build; the parser is some ten times slower in a debug build, on a machine that is busy.
    let limit = SignedDuration::from_millis(if cfg!(debug_assertions) { 3_000 } else { 100 });
    for (text, expected) in hostile() {
        let start = SystemClock.now();
        let found = problems(&text);
        let took = SystemClock.now().duration_since(start);
        let shown: String = text.chars().take(60).collect();
        let message = &found.first().unwrap_or_else(|| panic!("accepted: {shown}")).message;
        assert!(message.starts_with(expected), "{shown}: {message}");
        assert!(took < limit, "{shown}: {took:?}");
    }
}

#[test]
fn a_long_list_of_clauses_is_accepted() {
    let clauses: Vec<String> = (0..150).map(|index| format!("user.email == 'user{index}@example.com'")).collect();
    assert_eq!(problems(&clauses.join(" || ")), []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_compiling_panic(text in "\\PC{0,60}") {
        compile(&text);
    }

    #[test]
    fn no_mixture_of_tokens_makes_compiling_panic(tokens in prop::collection::vec(prop::sample::select(TOKENS), 0..24)) {
        compile(&tokens.concat());
        compile(&tokens.join(" "));
    }
}

/// Compiles and sees that every problem lies within the text.
fn compile(text: &str) {
    let length = text.chars().count();
    let (condition, faults) = on_large_stack(|| Condition::compile(text, &Named::default())).unwrap();
    assert!(condition.is_some() || !faults.is_empty());
    for fault in faults {
        assert!(fault.at.start <= fault.at.end && fault.at.end <= length, "{text}: {fault:?}");
    }
}

const TOKENS: &[&str] = &[
    "user",
    ".email",
    ".groups",
    ".claims",
    "request",
    ".ip",
    ".headers",
    "has(",
    ".all(",
    ".exists(",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    "x",
    "?",
    ":",
    "&&",
    "||",
    "!",
    "-",
    "+",
    "==",
    "<",
    " in ",
    "1",
    "1u",
    "0.5",
    "\"a\"",
    "'ä'",
    "b'x'",
    "null",
    "true",
    ".matches(",
    ".inCIDR(",
    "\"10.0.0.0/8\"",
    ".size()",
    "// ",
    "\n",
    "`",
    "@",
    "\"",
    "\\",
    "int(",
    "duration(",
    "𝄞",
];
