//! Why a condition has no value.

use std::sync::Arc;

/// What failed while a condition was evaluated. Holds names that the rule wrote, never a value of the request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("no such key: `{0}`")]
    NoSuchKey(Arc<str>),
    #[error("no such key")]
    NoSuchComputedKey,
    #[error("the table `{0}` has not been loaded yet")]
    TableNotLoaded(Arc<str>),
    #[error("index out of range")]
    IndexOutOfRange,
    #[error("a value has a type that `{0}` does not take")]
    NoOverload(&'static str),
    #[error("the rule is neither true nor false")]
    NotTrueOrFalse,
    #[error("{0}")]
    Invalid(&'static str),
    #[error("number out of range")]
    Overflow,
    #[error("division by zero")]
    DivisionByZero,
    #[error("a map has the same key twice")]
    DuplicateKey,
    #[error("the rule is too expensive for this request: its evaluation budget is used up")]
    Budget,
    #[error("the rule could not be evaluated")]
    Panicked,
}
