//! Finds conditions that come out the same whatever is asked for: legal, and never meant.
//!
//! A condition is taken apart into its smallest conditions. Those about the same part, such as `request.method`, are
//! tried together on every value that they tell apart: each value that one of them names, and one of all the others.
//! What no such trial makes true can never be true. Errors change nothing about that: CEL hides an error only where any
//! value in its place would give the same answer.

mod cases;

use cases::Cases;

use crate::code::{Code, Fold};
use crate::condition::Fault;
use crate::constant::Constant;
use crate::syntax::{Call, Kind, Node, Operation};

/// The most trials of one condition, times its size.
const MAX_WORK: usize = 100_000;

/// Returns a warning for each smallest part of a rule that comes out the same whatever is asked for.
///
/// A rule that is just `true` or `false` is meant: it is how everybody is let in, and how a rule is switched off.
pub(super) fn warnings(tree: &Node, code: &Code) -> Vec<Fault> {
    let mut judge = Judge { work: MAX_WORK, faults: Vec::new() };
    judge.look(tree, code, "the rule");
    judge.faults
}

struct Judge {
    /// What is left of [`MAX_WORK`].
    work: usize,
    faults: Vec<Fault>,
}

impl Judge {
    /// Looks at the parts first: of a condition that is settled by a part of it, the part is the mistake.
    fn look(&mut self, node: &Node, code: &Code, what: &str) {
        let before = self.faults.len();
        self.look_at_parts(node, code);
        let written = matches!(node.kind, Kind::Literal(_));
        if written || self.faults.len() > before {
            return;
        }
        if let Some(outcome) = self.outcome(code) {
            let fault = Fault::warning(node.at.clone(), format!("{what} can never be {}", !outcome));
            self.faults.push(fault.help(help(code, outcome)));
        }
    }

    fn look_at_parts(&mut self, node: &Node, code: &Code) {
        const PART: &str = "this part";
        match (&node.kind, code) {
            (Kind::Operation(Operation { operands, .. }), Code::And(parts) | Code::Or(parts)) => {
                for (node, code) in operands.iter().zip(&**parts) {
                    self.look(node, code, PART);
                }
            }
            (Kind::Operation(Operation { operands, .. }), Code::Not(part)) => {
                if let [node] = operands.as_slice() {
                    self.look(node, part, PART);
                }
            }
            (Kind::Operation(Operation { operands, .. }), Code::Conditional(parts)) => {
                if let ([node, ..], [code, ..]) = (operands.as_slice(), &**parts) {
                    self.look(node, code, PART);
                }
            }
            (Kind::Call(Call { arguments, .. }), Code::Fold(fold)) => {
                let Fold { how, body, .. } = &**fold;
                if let Some(node) = arguments.last().filter(|_| how.asks()) {
                    self.look(node, body, PART);
                }
            }
            _ => {}
        }
    }

    /// Returns what the condition always is; `None` where it can be both, or that would take too long to find out.
    fn outcome(&mut self, code: &Code) -> Option<bool> {
        let cases = Cases::of(code, self.work)?;
        self.work = self.work.checked_sub(cases.work())?;
        cases.outcome()
    }
}

/// Says what was likely meant.
fn help(code: &Code, outcome: bool) -> String {
    let settled = |part: &Code| matches!(part, Code::Constant(Constant::Bool(_)));
    match code {
        Code::Or(parts) if !parts.iter().any(settled) => "one of its sides always holds: did you mean `&&`?".to_owned(),
        Code::And(parts) if !parts.iter().any(settled) => "its sides exclude each other: did you mean `||`?".to_owned(),
        _ => format!("write `{outcome}` if that is meant"),
    }
}

#[cfg(test)]
mod tests;
