//! Decides where not everything is known: what does not depend on the unknown is decided, the rest is undecidable, and
//! nothing is guessed.

#![expect(clippy::wildcard_enum_match_arm, reason = "values of all other types are treated alike")]

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::{Inspected, RouteInspector, Version};
use crate::combine::RuleSet;
use crate::evaluate::HeldTables;
use crate::failure::Failure;
use crate::part::{Comparison, Kind, Part};
use crate::value::Value;
use crate::{Input, Read, Reason, evaluate};

/// Says what is known of a request.
pub trait Knowledge: Debug {
    /// Returns what is known of one thing that rules read.
    fn of(&self, read: &Read) -> Known;

    /// Returns whether an entry of which only a hash is known is this text; `None` where nobody can tell.
    fn is(&self, read: &Read, text: &str) -> Option<bool>;
}

/// What is known of one thing that rules read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// The input holds it.
    Value,
    /// The input tells whether it is there, and holds something else in its place.
    Presence,
    /// Nothing.
    Nothing,
}

/// Everything is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct WholeRequest;

impl Knowledge for WholeRequest {
    fn of(&self, _read: &Read) -> Known {
        Known::Value
    }

    fn is(&self, _read: &Read, _text: &str) -> Option<bool> {
        None
    }
}

/// What would be decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Let through, by one of the rules that hold; which one is not certain where something is not known.
    Allow {
        /// `policy/rule`.
        rule: Arc<str>,
    },
    /// Refused.
    Deny {
        /// Why.
        reason: Reason,
        /// The deny rule that holds or fails.
        rule: Option<Arc<str>>,
        /// That rule's message.
        message: Option<Arc<str>>,
        /// What failed while it was evaluated.
        error: Option<String>,
    },
    /// It depends on what is not known.
    Undecidable {
        /// What would have to be known.
        missing: Vec<Read>,
    },
}

/// Why a part has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Gap {
    /// It fails.
    Failed(Failure),
    /// It depends on what is not known.
    Unknown,
}

/// What a condition is judged over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene<'s, 'a> {
    pub(super) input: &'s Input<'a>,
    pub(super) knowledge: &'s dyn Knowledge,
    pub(super) tables: &'a HeldTables,
    pub(super) reads: &'s [Read],
}

impl RouteInspector {
    /// Decides, as [`RoutePolicy::decide`](crate::RoutePolicy::decide) does where everything is known.
    #[must_use]
    pub fn judge(&self, version: Version, input: &Input<'_>, knowledge: &dyn Knowledge) -> Judgement {
        let rules = self.rules(version);
        let mut missing = Vec::new();
        if let Some(denial) = denial(rules.deny.iter(), input, knowledge, &mut missing) {
            return denial;
        }
        let doubtful = !missing.is_empty();
        match allowance(rules, input, knowledge, &mut missing) {
            // Whether a deny rule holds or no allow rule does: it is refused.
            denied @ Judgement::Deny { .. } => denied,
            allowed @ Judgement::Allow { .. } if !doubtful => allowed,
            Judgement::Allow { .. } | Judgement::Undecidable { .. } => undecidable(missing),
        }
    }

    /// Decides the deny rules that mention neither `user` nor `session`. `None` where none of them denies.
    #[must_use]
    pub fn judge_before_sign_in(
        &self,
        version: Version,
        input: &Input<'_>,
        knowledge: &dyn Knowledge,
    ) -> Option<Judgement> {
        let mut missing = Vec::new();
        let rules = self.rules(version).deny.iter().filter(|rule| !rule.needs_sign_in());
        denial(rules, input, knowledge, &mut missing).or_else(|| (!missing.is_empty()).then(|| undecidable(missing)))
    }
}

/// Looks for a deny rule that holds or fails; notes what those lack of which nobody can tell.
fn denial<'r>(
    rules: impl Iterator<Item = &'r Arc<Inspected>>,
    input: &Input<'_>,
    knowledge: &dyn Knowledge,
    missing: &mut Vec<Read>,
) -> Option<Judgement> {
    for rule in rules {
        let (reason, error) = match rule.holds(input, knowledge) {
            Ok(false) => continue,
            Ok(true) => (Reason::DenyRuleMatched, None),
            Err(Gap::Failed(failure)) => (Reason::DenyRuleFailed, Some(failure.to_string())),
            Err(Gap::Unknown) => {
                missing.extend(rule.missing(knowledge));
                continue;
            }
        };
        let (rule, message) = (Some(Arc::clone(&rule.label)), rule.message.clone());
        return Some(Judgement::Deny { reason, rule, message, error });
    }
    None
}

fn allowance(
    rules: &RuleSet<Arc<Inspected>>,
    input: &Input<'_>,
    knowledge: &dyn Knowledge,
    missing: &mut Vec<Read>,
) -> Judgement {
    let (mut failed, mut unknown) = (None, false);
    for rule in &rules.allow {
        match rule.holds(input, knowledge) {
            Ok(true) => return Judgement::Allow { rule: Arc::clone(&rule.label) },
            Ok(false) => {}
            Err(Gap::Failed(failure)) => failed = failed.or_else(|| Some(format!("{}: {failure}", rule.label))),
            Err(Gap::Unknown) => {
                unknown = true;
                missing.extend(rule.missing(knowledge));
            }
        }
    }
    if unknown {
        return Judgement::Undecidable { missing: Vec::new() };
    }
    let reason = if failed.is_some() { Reason::AllowRuleFailed } else { Reason::NoPolicyMatched };
    Judgement::Deny { reason, rule: None, message: None, error: failed }
}

fn undecidable(mut missing: Vec<Read>) -> Judgement {
    missing.sort();
    missing.dedup();
    Judgement::Undecidable { missing }
}

impl Inspected {
    fn holds(&self, input: &Input<'_>, knowledge: &dyn Knowledge) -> Result<bool, Gap> {
        let tables = HeldTables::default();
        let scene = Scene { input, knowledge, tables: &tables, reads: &self.reads };
        match scene.judge(&self.part, &mut Vec::new())? {
            Value::Bool(holds) => Ok(holds),
            _ => Err(Gap::Failed(Failure::NotTrueOrFalse)),
        }
    }

    fn missing(&self, knowledge: &dyn Knowledge) -> impl Iterator<Item = Read> {
        self.reads.iter().filter(|read| !suffices(knowledge.of(read), read)).cloned()
    }
}

pub(super) const fn suffices(known: Known, read: &Read) -> bool {
    matches!((known, read.presence), (Known::Value, _) | (Known::Presence, true))
}

impl<'a> Scene<'_, 'a> {
    /// Returns whether all that a part reads is known.
    pub(super) fn knows(&self, part: &Part) -> bool {
        let reads = part.reads.iter().filter_map(|read| self.reads.get(*read));
        reads.into_iter().all(|read| suffices(self.knowledge.of(read), read))
    }

    /// Evaluates a part: by the evaluator where all is known that it reads, else as far as logic alone tells.
    pub(super) fn judge(&self, part: &'a Part, locals: &mut Vec<Value<'a>>) -> Result<Value<'a>, Gap> {
        if self.knows(part) {
            // A panic is a failure like any other, as where requests are decided.
            let evaluated =
                catch_unwind(AssertUnwindSafe(|| evaluate::part(&part.code, self.input, self.tables, locals)));
            return evaluated.unwrap_or(Err(Failure::Panicked)).map_err(Gap::Failed);
        }
        match &part.kind {
            Kind::And(parts) => self.logic(parts, false, locals),
            Kind::Or(parts) => self.logic(parts, true, locals),
            Kind::Not(operand) => match self.judge(operand, locals)? {
                Value::Bool(value) => Ok(Value::Bool(!value)),
                _ => Err(Gap::Failed(Failure::NoOverload("!"))),
            },
            Kind::Conditional(parts) => {
                let [condition, then, otherwise] = &**parts;
                match self.judge(condition, locals)? {
                    Value::Bool(true) => self.judge(then, locals),
                    Value::Bool(false) => self.judge(otherwise, locals),
                    _ => Err(Gap::Failed(Failure::NoOverload("?:"))),
                }
            }
            Kind::Compared(comparison, _) => self.compare(comparison),
            Kind::Leaf | Kind::Strict(_) | Kind::Fold(_) => Err(Gap::Unknown),
        }
    }

    /// A side that decides wins over what is not known, and that over a failure: it may turn out to decide.
    fn logic(&self, parts: &'a [Part], decisive: bool, locals: &mut Vec<Value<'a>>) -> Result<Value<'a>, Gap> {
        let mut gap = None;
        for part in parts {
            match self.judge(part, locals) {
                Ok(Value::Bool(value)) if value == decisive => return Ok(Value::Bool(decisive)),
                Ok(Value::Bool(_)) => {}
                Ok(_) => gap = gap.or(Some(Gap::Failed(Failure::NoOverload(if decisive { "||" } else { "&&" })))),
                Err(Gap::Unknown) => gap = Some(Gap::Unknown),
                Err(failed @ Gap::Failed(_)) => gap = gap.or(Some(failed)),
            }
        }
        gap.map_or(Ok(Value::Bool(!decisive)), Err)
    }

    fn compare(&self, comparison: &Comparison) -> Result<Value<'a>, Gap> {
        let read = self.reads.get(comparison.read).ok_or(Gap::Unknown)?;
        let mut holds = false;
        for text in &comparison.texts {
            holds |= self.knowledge.is(read, text).ok_or(Gap::Unknown)?;
        }
        Ok(Value::Bool(holds != comparison.negated))
    }
}
