//! How verbs print what they answer, where several print it in the same ways.

use clap::ValueEnum;

/// How an account is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum TextOrJson {
    /// For people
    #[default]
    Text,
    /// As one JSON object
    Json,
}

/// How rows are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum TableOrJson {
    /// For people
    #[default]
    Table,
    /// As one JSON object a line
    Json,
}
