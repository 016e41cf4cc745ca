//! A condition as written: the tree that the parser hands to the checker.

use std::ops::Range;

use crate::constant::Constant;

/// A part of a condition, with the characters that it spans.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) at: Range<usize>,
    pub(crate) kind: Kind,
}

/// What a part of a condition is.
#[derive(Debug)]
pub(crate) enum Kind {
    Literal(Constant),
    Name(String),
    Select(Select),
    Call(Call),
    Operation(Operation),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

/// `operand.field`.
#[derive(Debug)]
pub(crate) struct Select {
    pub(crate) operand: Box<Node>,
    pub(crate) field: String,
    pub(crate) field_at: Range<usize>,
}

/// `name(arguments)` or `target.name(arguments)`; macros are calls too.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) name_at: Range<usize>,
    pub(crate) target: Option<Box<Node>>,
    pub(crate) arguments: Vec<Node>,
}

/// An operator and its operands.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) operator: Operator,
    pub(crate) operands: Vec<Node>,
}

/// The operators of CEL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    And,
    Or,
    Not,
    Conditional,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Negate,
    Index,
}

impl Operator {
    /// Returns the operator as it is written.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::And => "&&",
            Self::Or => "||",
            Self::Not => "!",
            Self::Conditional => "?:",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::In => "in",
            Self::Add => "+",
            Self::Subtract | Self::Negate => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Index => "[]",
        }
    }
}
