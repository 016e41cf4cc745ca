//! A condition taken apart: each part can be evaluated by itself, by the evaluator that decides requests.
//!
//! There is one meaning of every operation, that of `evaluate.rs`. Here is only what is needed to tell which parts a
//! decision looked at, and what follows when some inputs are not known.

use std::ops::Range;

use crate::code::{Code, Macro};

/// One part of a condition.
#[derive(Debug)]
pub(crate) struct Part {
    /// The characters of the condition that it spans.
    pub(crate) at: Range<usize>,
    pub(crate) code: Code,
    /// What it reads, as places in the list of its condition.
    pub(crate) reads: Box<[usize]>,
    pub(crate) kind: Kind,
}

/// What a part is made of.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A field, a local, a literal: nothing within it to look at.
    Leaf,
    And(Box<[Part]>),
    Or(Box<[Part]>),
    Not(Box<Part>),
    Conditional(Box<[Part; 3]>),
    /// Compares an entry of a map with texts that the rule names: can be answered from a hash of the entry.
    Compared(Comparison, Box<[Part]>),
    /// Needs all its operands, in order.
    Strict(Box<[Part]>),
    Fold(Box<Fold>),
}

/// An entry of a map, and the texts of which it is one.
#[derive(Debug)]
pub(crate) struct Comparison {
    pub(crate) read: usize,
    pub(crate) texts: Box<[Box<str>]>,
    pub(crate) negated: bool,
}

/// A macro that goes through a list.
#[derive(Debug)]
pub(crate) struct Fold {
    pub(crate) how: Macro,
    pub(crate) variable: Box<str>,
    pub(crate) range: Part,
    pub(crate) filter: Option<Part>,
    pub(crate) body: Part,
}

impl Part {
    /// Changes what this part and those within it span.
    pub(crate) fn span(&mut self, over: &dyn Fn(&Range<usize>) -> Range<usize>) {
        self.at = over(&self.at);
        match &mut self.kind {
            Kind::Leaf => {}
            Kind::And(parts) | Kind::Or(parts) | Kind::Compared(_, parts) | Kind::Strict(parts) => {
                parts.iter_mut().for_each(|part| part.span(over));
            }
            Kind::Not(part) => part.span(over),
            Kind::Conditional(parts) => parts.iter_mut().for_each(|part| part.span(over)),
            Kind::Fold(fold) => {
                let Fold { range, filter, body, .. } = &mut **fold;
                [range, body].into_iter().chain(filter).for_each(|part| part.span(over));
            }
        }
    }

    /// Returns whether the part is made of literals, so that its text says its value already.
    pub(crate) const fn is_literal(&self) -> bool {
        matches!(self.code, Code::Constant(_))
    }
}
