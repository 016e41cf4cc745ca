//! Explains a decision: the value of every part of every rule.

use std::sync::Arc;

use super::judge::{Gap, Judgement, Knowledge, Scene, suffices};
use super::shown::shown;
use super::{Inspected, RouteInspector, Version};
use crate::code::Macro;
use crate::evaluate::HeldTables;
use crate::part::{Fold, Kind, Part};
use crate::value::{List, Value};
use crate::{Input, Read};

/// A decision and what led to it.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What is decided.
    pub judgement: Judgement,
    /// Every rule: deny rules first, as they are asked.
    pub rules: Vec<RuleExplanation>,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct RuleExplanation {
    /// `policy/rule`.
    pub rule: Arc<str>,
    /// Whether it is a deny rule.
    pub denies: bool,
    /// Whether the decision looked at it; those behind the rule that decided are not asked.
    pub asked: bool,
    /// The condition.
    pub condition: PartExplanation,
}

/// One part of a condition.
#[derive(Clone, Debug, PartialEq)]
pub struct PartExplanation {
    /// The part as written.
    pub text: String,
    /// Within a macro: its variable, and the element that this is about.
    pub element: Option<(Box<str>, serde_json::Value)>,
    /// What came of it.
    pub outcome: Outcome,
    /// What it is made of; literals are left out.
    pub parts: Vec<Self>,
    /// How many further elements of a macro's list are not shown.
    pub left_out: usize,
}

/// What came of a part.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Its value; credentials are replaced.
    Value(serde_json::Value),
    /// It failed.
    Failed(String),
    /// It depends on what is not known: these.
    Unknown(Vec<Read>),
    /// Other parts decided before it.
    NotEvaluated,
}

impl Outcome {
    /// Returns whether the part is true.
    #[must_use]
    pub fn holds(&self) -> bool {
        *self == Self::Value(true.into())
    }
}

impl RouteInspector {
    /// Explains every rule, also those that the decision did not need.
    #[must_use]
    pub fn explain(&self, version: Version, input: &Input<'_>, knowledge: &dyn Knowledge) -> Explanation {
        let rules = self.rules(version);
        let mut open = true;
        let mut explained = |rule: &Arc<Inspected>, denies: bool| {
            let condition = rule.explain(input, knowledge);
            let asked = open;
            let refuses = denies && matches!(condition.outcome, Outcome::Failed(_));
            open &= !refuses && !condition.outcome.holds();
            RuleExplanation { rule: Arc::clone(&rule.label), denies, asked, condition }
        };
        let mut all: Vec<RuleExplanation> = rules.deny.iter().map(|rule| explained(rule, true)).collect();
        all.extend(rules.allow.iter().map(|rule| explained(rule, false)));
        Explanation { judgement: self.judge(version, input, knowledge), rules: all }
    }
}

impl Inspected {
    fn explain(&self, input: &Input<'_>, knowledge: &dyn Knowledge) -> PartExplanation {
        let tables = HeldTables::default();
        let scene = Scene { input, knowledge, tables: &tables, reads: &self.reads };
        Walk { scene, characters: &self.characters, locals: Vec::new() }.part(&self.part)
    }
}

struct Walk<'s, 'a> {
    scene: Scene<'s, 'a>,
    characters: &'s [char],
    locals: Vec<Value<'a>>,
}

impl<'a> Walk<'_, 'a> {
    fn part(&mut self, part: &'a Part) -> PartExplanation {
        let result = self.scene.judge(part, &mut self.locals);
        let (parts, left_out) = self.parts(part);
        let outcome = match result {
            Ok(value) => Outcome::Value(shown(&value, self.reads(part))),
            Err(Gap::Failed(failure)) => Outcome::Failed(failure.to_string()),
            Err(Gap::Unknown) => Outcome::Unknown(self.scene.missing(part)),
        };
        PartExplanation { text: self.text(part), element: None, outcome, parts, left_out }
    }

    fn text(&self, part: &Part) -> String {
        self.characters.get(part.at.clone()).unwrap_or_default().iter().collect()
    }

    fn reads(&self, part: &Part) -> impl Iterator<Item = &Read> {
        part.reads.iter().filter_map(|read| self.scene.reads.get(*read))
    }

    fn parts(&mut self, part: &'a Part) -> (Vec<PartExplanation>, usize) {
        match &part.kind {
            Kind::Leaf => (Vec::new(), 0),
            Kind::And(parts) => (self.until(parts, |outcome| *outcome == Outcome::Value(false.into())), 0),
            Kind::Or(parts) => (self.until(parts, Outcome::holds), 0),
            Kind::Not(operand) => (self.until(std::slice::from_ref(&**operand), |_| false), 0),
            Kind::Compared(_, parts) | Kind::Strict(parts) => {
                (self.until(parts, |outcome| matches!(outcome, Outcome::Failed(_))), 0)
            }
            Kind::Conditional(parts) => {
                let [condition, then, otherwise] = &**parts;
                let condition = self.part(condition);
                let first = if condition.outcome.holds() { self.part(then) } else { self.skipped(then) };
                let fails = condition.outcome == Outcome::Value(false.into());
                let second = if fails { self.part(otherwise) } else { self.skipped(otherwise) };
                (vec![condition, first, second], 0)
            }
            Kind::Fold(fold) => self.fold(fold),
        }
    }

    /// Explains parts in order, until one decides.
    fn until(&mut self, parts: &'a [Part], decides: impl Fn(&Outcome) -> bool) -> Vec<PartExplanation> {
        let mut decided = false;
        let mut explained = Vec::new();
        for part in parts.iter().filter(|part| !part.is_literal()) {
            let part = if decided { self.skipped(part) } else { self.part(part) };
            decided |= decides(&part.outcome);
            explained.push(part);
        }
        explained
    }

    fn skipped(&self, part: &Part) -> PartExplanation {
        PartExplanation {
            text: self.text(part),
            element: None,
            outcome: Outcome::NotEvaluated,
            parts: Vec::new(),
            left_out: 0,
        }
    }

    fn fold(&mut self, fold: &'a Fold) -> (Vec<PartExplanation>, usize) {
        let range = self.scene.judge(&fold.range, &mut self.locals);
        let mut explained: Vec<_> =
            Some(self.part(&fold.range)).filter(|_| !fold.range.is_literal()).into_iter().collect();
        let items = match range {
            Ok(Value::List(list)) => list,
            Ok(Value::Map(map)) => map.keys(),
            Ok(_) | Err(_) => List::Constants(&[]),
        };
        for (index, item) in items.iter().enumerate() {
            if index == MAX_ELEMENTS {
                return (explained, items.len() - index);
            }
            let element = (fold.variable.clone(), shown(&item, self.reads(&fold.range)));
            self.locals.push(item);
            let filter = fold.filter.as_ref().map(|filter| self.part(filter));
            let taken = filter.as_ref().is_none_or(|filter| filter.outcome.holds());
            let body = if taken { self.part(&fold.body) } else { self.skipped(&fold.body) };
            self.locals.pop();
            let decided = match (fold.how, &body.outcome) {
                (Macro::All, Outcome::Value(value)) => *value == false,
                (Macro::Exists, outcome) => outcome.holds(),
                (_, outcome) => matches!(outcome, Outcome::Failed(_)),
            };
            explained.extend(
                filter.into_iter().chain([body]).map(|part| PartExplanation { element: Some(element.clone()), ..part }),
            );
            if decided {
                break;
            }
        }
        (explained, 0)
    }
}

impl Scene<'_, '_> {
    fn missing(&self, part: &Part) -> Vec<Read> {
        let reads = part.reads.iter().filter_map(|read| self.reads.get(*read));
        reads.filter(|read| !suffices(self.knowledge.of(read), read)).cloned().collect()
    }
}

/// A list that a caller chose may be long.
const MAX_ELEMENTS: usize = 20;
