//! Regular expressions and globs. Both run in time linear in the text.

use regex::{Regex, RegexBuilder};

use super::Function;
use crate::failure::Failure;
use crate::value::Value;

/// The largest compiled pattern that a rule may write, in bytes.
const MAX_LITERAL: usize = 1024 * 1024;
/// The largest compiled pattern that a request may bring about, in bytes: it is compiled while the request waits.
const MAX_COMPUTED: usize = 64 * 1024;
/// The longest pattern that is compiled while a request waits.
const MAX_COMPUTED_SOURCE: usize = 256;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(Regex);

/// Why a pattern does not compile.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PatternError {
    Syntax(String),
    TooLarge,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Pattern {
    /// Compiles the pattern of a rule for `matches` or `glob`.
    pub(crate) fn compile(function: Function, pattern: &str) -> Result<Self, PatternError> {
        Self::within(function, pattern, MAX_LITERAL)
    }

    fn within(function: Function, pattern: &str, size: usize) -> Result<Self, PatternError> {
        let built = match function {
            Function::Glob => RegexBuilder::new(&glob(pattern)).size_limit(size).build(),
            _ => RegexBuilder::new(pattern).size_limit(size).build(),
        };
        built.map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => PatternError::TooLarge,
            regex::Error::Syntax(text) => PatternError::Syntax(last_line(&text)),
            _ => PatternError::Syntax("it cannot be compiled".to_owned()),
        })
    }

    /// Returns whether the pattern is found in the text.
    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

/// The regex crate draws the pattern and puts the reason last.
fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).trim().to_owned()
}

pub(super) fn call<'a>(function: Function, arguments: &[Value<'a>]) -> Result<Value<'a>, Failure> {
    let [Value::Text(text), Value::Text(pattern)] = arguments else {
        return Err(Failure::NoOverload(function.name()));
    };
    if pattern.len() > MAX_COMPUTED_SOURCE {
        return Err(Failure::Budget);
    }
    match Pattern::within(function, pattern, MAX_COMPUTED) {
        Ok(pattern) => Ok(Value::Bool(pattern.is_match(text))),
        Err(PatternError::Syntax(_)) => Err(Failure::Invalid("not a pattern")),
        Err(PatternError::TooLarge) => Err(Failure::Budget),
    }
}

/// `*` is any run without `/`, `**` any run, `?` one character but `/`; `\` takes the next character as it is.
fn glob(pattern: &str) -> String {
    let mut regex = String::from("(?s)\\A");
    let mut characters = pattern.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '*' if characters.next_if_eq(&'*').is_some() => regex.push_str(".*"),
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            '\\' => literal(&mut regex, characters.next().unwrap_or('\\')),
            _ => literal(&mut regex, c),
        }
    }
    regex.push_str("\\z");
    regex
}

fn literal(regex: &mut String, c: char) {
    regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
}
