//! What to do about a text that is no YAML: the slips that writing rules and lists by hand leads to.

use granit_parser::ErrorKind;

/// Returns whether what cannot be read was taken for a tag.
pub(super) const fn is_of_tag(kind: &ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ExpectedTagBang
            | ErrorKind::InvalidTagTerminator
            | ErrorKind::MissingTagUri
            | ErrorKind::UnclosedVerbatimTag
            | ErrorKind::InvalidTagEscape
            | ErrorKind::InvalidTagUtf8LeadingByte
            | ErrorKind::InvalidTagUtf8TrailingByte
            | ErrorKind::InvalidTagUtf8
    )
}

/// Says what to do.
#[expect(clippy::wildcard_enum_match_arm, reason = "an open enum of the parser, and most of it has no better advice")]
pub(super) fn remedy(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidTrailingDoubleQuotedScalar => {
            "put the whole text into single quotes, such as '\"staff\" in user.groups'"
        }
        ErrorKind::InvalidTrailingSingleQuotedScalar => "put the whole text into double quotes",
        ErrorKind::UnclosedQuotedScalar
        | ErrorKind::InvalidQuotedScalarIndent
        | ErrorKind::DocumentIndicatorInQuotedScalar => "close the quote above, or indent the lines of the text",
        ErrorKind::UnknownQuotedScalarEscape
        | ErrorKind::InvalidQuotedScalarHexEscape
        | ErrorKind::InvalidUnicodeEscape => "write `\\\\` for a backslash, or put the text into single quotes",
        ErrorKind::UnexpectedCharacter { character } if character.is_control() => "remove it",
        ErrorKind::UnexpectedCharacter { .. } => "put the text into quotes",
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => "indent with spaces",
        ErrorKind::SimpleKeyExpected
        | ErrorKind::InvalidSimpleKey
        | ErrorKind::InvalidMappingValueWhitespace
        | ErrorKind::FlowMappingValueAdjacentCollection => "write `key: value`, with a space behind the colon",
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement | ErrorKind::MappingKeyNotAllowed => {
            "put a text that has a colon and a space into quotes, and each key on a line of its own"
        }
        ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::BlockSequenceEntryNotAllowed
        | ErrorKind::InvalidIndentation
        | ErrorKind::InvalidBlockScalarIndent
        | ErrorKind::InvalidFlowScalarIndent => "align the line with those that it belongs to",
        ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping
        | ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::MismatchedFlowCollectionEnd { .. }
        | ErrorKind::MisplacedFlowCollectionEnd
        | ErrorKind::ExpectedFlowMappingSeparator
        | ErrorKind::ExpectedFlowSequenceSeparator => {
            "close each `[` with `]` and each `{` with `}`, and put a text that has one, such as `${env:NAME}`, into quotes"
        }
        ErrorKind::RecursionLimitExceeded => "nest less deeply",
        _ => "correct it, or put the text into quotes",
    }
}
