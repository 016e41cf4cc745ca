//! What is wrong with a rule, with the place inside its expression.

use std::ops::Range;

use crate::RuleRef;

/// One thing wrong with one expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The rule.
    pub origin: RuleRef,
    /// Character offsets into the expression.
    pub at: Range<usize>,
    /// Whether the configuration must be refused.
    pub severity: Severity,
    /// What is wrong: lower case, no full stop, user input in back-ticks.
    pub message: String,
    /// What to do about it, such as "did you mean `user.email`?".
    pub help: Option<String>,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration loads; `check` prints it.
    Warning,
}
