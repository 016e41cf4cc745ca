//! Regular expressions and globs. Both run in time linear in the text.

mod re2;

use regex::{Regex, RegexBuilder};

use super::Function;
use crate::budget::Budget;
use crate::failure::Failure;
use crate::value::Value;

/// The sizes of compiled patterns in bytes, up to the largest that a rule may write, each with the steps of the budget that
/// a byte of the text costs then. A text that is made for it takes the engine through every state of the pattern at every
/// byte: a step is about two microseconds of that.
const SIZES: [(usize, usize); 4] = [(16 * 1024, 1), (64 * 1024, 3), (256 * 1024, 6), (1024 * 1024, 18)];
/// The sizes of patterns that a request may bring about: those are compiled while the request waits.
const COMPUTED_SIZES: usize = 2;
/// The longest pattern that is compiled while a request waits.
const MAX_COMPUTED_SOURCE: usize = 256;
/// What compiling a pattern costs while a request waits.
const COMPILING: usize = 2_000;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    regex: Regex,
    steps_per_byte: usize,
}

/// Why a pattern does not compile.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PatternError {
    Syntax(String),
    TooLarge,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.regex.as_str() == other.regex.as_str()
    }
}

impl Pattern {
    /// Compiles the pattern of a rule for `matches` or `glob`.
    pub(crate) fn compile(function: Function, pattern: &str) -> Result<Self, PatternError> {
        Self::within(function, pattern, &SIZES)
    }

    fn within(function: Function, pattern: &str, sizes: &[(usize, usize)]) -> Result<Self, PatternError> {
        let source = if function == Function::Glob { glob(pattern) } else { re2::from_re2(pattern)? };
        for (size, steps_per_byte) in sizes {
            match RegexBuilder::new(&source).size_limit(*size).build() {
                Ok(regex) => return Ok(Self { regex, steps_per_byte: *steps_per_byte }),
                Err(regex::Error::CompiledTooBig(_)) => {}
                Err(regex::Error::Syntax(text)) => return Err(PatternError::Syntax(last_line(&text))),
                Err(_) => return Err(PatternError::Syntax("it cannot be compiled".to_owned())),
            }
        }
        Err(PatternError::TooLarge)
    }

    /// Returns whether the pattern is found in the text.
    pub(crate) fn is_match(&self, text: &str, budget: &mut Budget) -> Result<bool, Failure> {
        budget.spend(text.len().saturating_mul(self.steps_per_byte))?;
        Ok(self.regex.is_match(text))
    }
}

/// The regex crate draws the pattern and puts the reason last.
fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).trim().to_owned()
}

/// Finds a pattern that only the request makes known.
pub(crate) fn find_computed<'a>(
    function: Function,
    arguments: &[Value<'a>],
    budget: &mut Budget,
) -> Result<Value<'a>, Failure> {
    let [Value::Text(text), Value::Text(pattern)] = arguments else {
        return Err(Failure::NoOverload(function.name()));
    };
    if pattern.len() > MAX_COMPUTED_SOURCE {
        return Err(Failure::Budget);
    }
    budget.spend(COMPILING)?;
    let sizes = SIZES.get(..COMPUTED_SIZES).unwrap_or_default();
    match Pattern::within(function, pattern, sizes) {
        Ok(pattern) => pattern.is_match(text, budget).map(Value::Bool),
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
