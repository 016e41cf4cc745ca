//! The values on which a condition is tried.

use std::cmp::Ordering;

use super::super::domain::Domain;
use crate::code::Code;
use crate::constant::Constant;
use crate::syntax::Operator;
use crate::value::Value;

/// A condition, and all that it is to be tried on.
#[derive(Debug)]
pub(super) struct Cases<'c> {
    subjects: Vec<Subject<'c>>,
    formula: Formula,
    size: usize,
}

/// A part of the condition that smaller conditions are about.
#[derive(Debug)]
struct Subject<'c> {
    part: &'c Code,
    /// What it is compared with. Where `ordered`, sorted at the end.
    constants: Vec<&'c Constant>,
    ordered: bool,
    /// The cases that occur. The case `2n + 1` is the constant `n`; where `ordered`, `2n` is what lies before it and the
    /// last what lies behind all, and else 0 is every other value.
    occurring: Vec<usize>,
}

/// A condition over cases.
#[derive(Debug)]
enum Formula {
    Constant(bool),
    /// Holds in these cases of a subject.
    Holds(usize, Vec<bool>),
    Not(Box<Self>),
    And(Box<[Self; 2]>),
    Or(Box<[Self; 2]>),
    Conditional(Box<[Self; 3]>),
}

/// A smallest condition: whether a part has a relation to constants.
struct Test<'c> {
    part: &'c Code,
    operator: Operator,
    constants: &'c [Constant],
}

impl<'c> Cases<'c> {
    /// Takes a condition apart; `None` where trying it would take more than `work`.
    pub(super) fn of(code: &'c Code, work: usize) -> Option<Self> {
        let mut cases = Self { subjects: Vec::new(), formula: Formula::Constant(true), size: 0 };
        cases.collect(code);
        for subject in &mut cases.subjects {
            subject.arrange();
        }
        cases.formula = cases.formula(code)?;
        (cases.work() <= work).then_some(cases)
    }

    /// Returns how many smallest conditions are tried, counting each trial.
    pub(super) fn work(&self) -> usize {
        self.subjects.iter().fold(self.size.max(1), |work, subject| work.saturating_mul(subject.occurring.len().max(1)))
    }

    /// Tries every combination of cases.
    pub(super) fn outcome(&self) -> Option<bool> {
        let mut turn = vec![0; self.subjects.len()];
        let mut known = None;
        loop {
            let case = |subject: usize| {
                let occurring = self.subjects.get(subject)?.occurring.as_slice();
                turn.get(subject).and_then(|turn| occurring.get(*turn)).copied()
            };
            let outcome = self.formula.evaluate(&case);
            if known.is_some_and(|known| known != outcome) {
                return None;
            }
            known = Some(outcome);
            if !self.advance(&mut turn) {
                return known;
            }
        }
    }

    /// Counts on, the first subject fastest; `false` at the end.
    fn advance(&self, turn: &mut [usize]) -> bool {
        for (turn, subject) in turn.iter_mut().zip(&self.subjects) {
            *turn += 1;
            if *turn < subject.occurring.len() {
                return true;
            }
            *turn = 0;
        }
        false
    }

    fn collect(&mut self, code: &'c Code) {
        self.size += 1;
        match code {
            Code::And(parts) | Code::Or(parts) => parts.iter().for_each(|part| self.collect(part)),
            Code::Conditional(parts) => parts.iter().for_each(|part| self.collect(part)),
            Code::Not(part) => self.collect(part),
            _ => {
                let Some(test) = settled(code).is_none().then(|| Test::of(code)) else { return };
                let at = self.find(test.part).unwrap_or_else(|| {
                    self.subjects.push(Subject::new(test.part));
                    self.subjects.len() - 1
                });
                if let Some(subject) = self.subjects.get_mut(at) {
                    subject.add(&test);
                }
            }
        }
    }

    fn find(&self, part: &Code) -> Option<usize> {
        self.subjects.iter().position(|subject| subject.part == part)
    }

    fn formula(&self, code: &'c Code) -> Option<Formula> {
        let pair = |parts: &'c [Code; 2]| Some(Box::new([self.formula(&parts[0])?, self.formula(&parts[1])?]));
        Some(match code {
            Code::And(parts) => Formula::And(pair(parts)?),
            Code::Or(parts) => Formula::Or(pair(parts)?),
            Code::Not(part) => Formula::Not(Box::new(self.formula(part)?)),
            Code::Conditional(parts) => {
                let [condition, then, otherwise] = &**parts;
                let parts = [self.formula(condition)?, self.formula(then)?, self.formula(otherwise)?];
                Formula::Conditional(Box::new(parts))
            }
            _ => match settled(code) {
                Some(outcome) => Formula::Constant(outcome),
                None => {
                    let test = Test::of(code);
                    let at = self.find(test.part)?;
                    Formula::Holds(at, self.subjects.get(at)?.truth(&test)?)
                }
            },
        })
    }
}

impl<'c> Subject<'c> {
    const fn new(part: &'c Code) -> Self {
        Self { part, constants: Vec::new(), ordered: false, occurring: Vec::new() }
    }

    fn add(&mut self, test: &Test<'c>) {
        self.ordered |= !matches!(test.operator, Operator::Equal | Operator::In | Operator::NotEqual);
        for constant in test.constants {
            if !self.constants.iter().any(|known| known.equals(constant)) {
                self.constants.push(constant);
            }
        }
    }

    /// Sorts the constants and finds the cases that occur.
    fn arrange(&mut self) {
        let domain = Domain::of(self.part);
        self.ordered |= matches!(domain, Domain::Ints(_));
        if self.ordered {
            self.constants.sort_by(|a, b| a.value().compare(&b.value()).unwrap_or(Ordering::Equal));
        }
        let named = (0..self.constants.len()).map(|at| 2 * at + 1);
        self.occurring = if self.ordered {
            (0..=2 * self.constants.len()).filter(|case| self.occurs(*case, &domain)).collect()
        } else {
            std::iter::once(0).filter(|_| self.has_others(&domain)).chain(named).collect()
        };
    }

    /// Returns whether the part can be anything but its constants.
    fn has_others(&self, domain: &Domain) -> bool {
        let named = |text: &&str| {
            self.constants.iter().any(|known| matches!(known, Constant::Text(known) if **known == **text))
        };
        match domain {
            Domain::Texts(texts) => !texts.iter().all(named),
            Domain::Any | Domain::Ints(_) => true,
        }
    }

    /// Returns whether a case of an ordered subject occurs: whole numbers have none between neighbours.
    fn occurs(&self, case: usize, domain: &Domain) -> bool {
        let Domain::Ints(range) = domain else { return true };
        let number = |at: usize| match self.constants.get(at) {
            Some(Constant::Int(number)) => Some(i128::from(*number)),
            _ => None,
        };
        if self.constants.iter().any(|constant| !matches!(constant, Constant::Int(_))) {
            return true;
        }
        let (first, last) = (i128::from(*range.start()), i128::from(*range.end()));
        let at = case / 2;
        if case % 2 == 1 {
            return number(at).is_some_and(|number| (first..=last).contains(&number));
        }
        let after = at.checked_sub(1).and_then(number).map_or(first, |before| first.max(before + 1));
        let until = number(at).map_or(last, |behind| last.min(behind - 1));
        after <= until
    }

    /// Returns in which cases a test holds; `None` where its constants have no order.
    fn truth(&self, test: &Test<'_>) -> Option<Vec<bool>> {
        (0..=2 * self.constants.len())
            .map(|case| {
                if let Operator::Equal | Operator::NotEqual | Operator::In = test.operator {
                    let named = case % 2 == 1;
                    let known = self.constants.get(case / 2).filter(|_| named);
                    let among = |known: &&&Constant| test.constants.iter().any(|one| one.equals(known));
                    return Some(known.filter(among).is_some() != (test.operator == Operator::NotEqual));
                }
                let [bound] = test.constants else { return None };
                let order = self.order(case, &bound.value())?;
                Some(holds(test.operator, order))
            })
            .collect()
    }

    /// Compares the values of a case with one of the constants.
    fn order(&self, case: usize, bound: &Value<'_>) -> Option<Ordering> {
        let order =
            |at: usize| self.constants.get(at).map_or(Some(Ordering::Greater), |known| known.value().compare(bound));
        let at = case / 2;
        match (case % 2, order(at)?) {
            (1, order) => Some(order),
            // What lies before a constant lies before those behind it as well, and behind those before it.
            (_, Ordering::Less | Ordering::Equal) => Some(Ordering::Less),
            (_, Ordering::Greater) => Some(Ordering::Greater),
        }
    }
}

impl Formula {
    fn evaluate(&self, case: &impl Fn(usize) -> Option<usize>) -> bool {
        match self {
            Self::Constant(outcome) => *outcome,
            Self::Holds(subject, truth) => case(*subject).and_then(|case| truth.get(case)).copied().unwrap_or_default(),
            Self::Not(part) => !part.evaluate(case),
            Self::And(parts) => parts.iter().all(|part| part.evaluate(case)),
            Self::Or(parts) => parts.iter().any(|part| part.evaluate(case)),
            Self::Conditional(parts) => {
                let [condition, then, otherwise] = &**parts;
                if condition.evaluate(case) { then.evaluate(case) } else { otherwise.evaluate(case) }
            }
        }
    }
}

impl<'c> Test<'c> {
    /// Reads a comparison with constants; every other condition is the question whether it is true.
    fn of(code: &'c Code) -> Self {
        const TRUE: &[Constant] = &[Constant::Bool(true)];
        let comparison = match code {
            Code::Equal(parts) => Self::comparison(Operator::Equal, parts),
            Code::NotEqual(parts) => Self::comparison(Operator::NotEqual, parts),
            Code::Compare(operator, parts) => Self::comparison(*operator, parts),
            Code::In(parts) => match &**parts {
                [part, Code::Constant(Constant::List(constants))] => {
                    Some(Self { part, operator: Operator::In, constants })
                }
                _ => None,
            },
            Code::InTexts(part, texts) => Some(Self { part, operator: Operator::In, constants: texts.as_slice() }),
            _ => None,
        };
        comparison.unwrap_or(Self { part: code, operator: Operator::Equal, constants: TRUE })
    }

    fn comparison(operator: Operator, parts: &'c [Code; 2]) -> Option<Self> {
        match parts {
            [part, Code::Constant(constant)] => {
                Some(Self { part, operator, constants: std::slice::from_ref(constant) })
            }
            [Code::Constant(constant), part] => {
                Some(Self { part, operator: turned(operator), constants: std::slice::from_ref(constant) })
            }
            _ => None,
        }
    }
}

/// Returns the outcome of a smallest condition that is about nothing, or about the same part twice.
fn settled(code: &Code) -> Option<bool> {
    match code {
        Code::Constant(Constant::Bool(outcome)) => Some(*outcome),
        Code::Equal(parts) => known(parts).map_or_else(|| same(parts), |(a, b)| Some(a.equals(b))),
        Code::NotEqual(parts) => {
            known(parts).map_or_else(|| same(parts), |(a, b)| Some(a.equals(b))).map(|equal| !equal)
        }
        Code::Compare(operator, parts) => {
            let order = known(parts)
                .map_or_else(|| same(parts).map(|_| Ordering::Equal), |(a, b)| a.value().compare(&b.value()))?;
            Some(holds(*operator, order))
        }
        Code::InTexts(part, texts) => match &**part {
            Code::Constant(Constant::Text(text)) => Some(texts.contains(text)),
            _ => None,
        },
        Code::In(parts) => match &**parts {
            [_, Code::Constant(Constant::List(items))] if items.is_empty() => Some(false),
            [Code::Constant(value), Code::Constant(Constant::List(items))] => {
                Some(items.iter().any(|item| item.equals(value)))
            }
            _ => None,
        },
        _ => None,
    }
}

const fn known(parts: &[Code; 2]) -> Option<(&Constant, &Constant)> {
    let [Code::Constant(a), Code::Constant(b)] = parts else { return None };
    Some((a, b))
}

fn same(parts: &[Code; 2]) -> Option<bool> {
    let [a, b] = parts;
    (a == b).then_some(true)
}

const fn holds(operator: Operator, order: Ordering) -> bool {
    match operator {
        Operator::Less => order.is_lt(),
        Operator::LessOrEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        Operator::GreaterOrEqual => order.is_ge(),
        _ => order.is_eq(),
    }
}

const fn turned(operator: Operator) -> Operator {
    match operator {
        Operator::Less => Operator::Greater,
        Operator::LessOrEqual => Operator::GreaterOrEqual,
        Operator::Greater => Operator::Less,
        Operator::GreaterOrEqual => Operator::LessOrEqual,
        other => other,
    }
}
