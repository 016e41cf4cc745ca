//! One condition, from its text to what runs.

mod parse;
mod scan;

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ipnet::IpNet;

use crate::check::{Checked, Wanted};
use crate::code::Code;
use crate::constant::Constant;
use crate::failure::Failure;
use crate::inspector::shown;
use crate::network::NetworkSet;
use crate::part::Part;
use crate::table::Table;
use crate::value::Value;
use crate::{Config, Input, Problem, Read, RuleRef, Severity, check, evaluate};

/// A condition that was checked.
#[derive(Debug)]
pub(crate) struct Condition {
    code: Code,
    needs_sign_in: bool,
    reads_path: bool,
    reads: Box<[Read]>,
}

/// Something wrong with a condition.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) at: Range<usize>,
    pub(crate) severity: Severity,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Fault {
    pub(crate) fn new(at: Range<usize>, message: impl Into<String>) -> Self {
        Self { at, severity: Severity::Error, message: message.into(), help: None }
    }

    pub(crate) fn warning(at: Range<usize>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::new(at, message) }
    }

    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// Says which rule has it.
    pub(crate) fn of(self, origin: RuleRef) -> Problem {
        let Self { at, severity, message, help } = self;
        Problem { origin, at, severity, message, help }
    }
}

/// What the configuration gives names to.
#[derive(Debug, Default)]
pub(crate) struct Named {
    pub(crate) networks: BTreeMap<String, Arc<NetworkSet>>,
    pub(crate) tables: BTreeMap<String, Arc<Table>>,
}

impl Named {
    /// Makes what a configuration gives names to ready to be named.
    pub(crate) fn of(config: &Config) -> Self {
        let set = |networks: &Vec<IpNet>| Arc::new(NetworkSet::new(networks.iter().copied()));
        let networks = config.networks.iter().map(|(name, networks)| (name.clone(), set(networks)));
        Self { networks: networks.collect(), tables: config.tables.clone() }
    }
}

impl Condition {
    /// Compiles an expression of any type, for its value alone: [`Condition::value`].
    ///
    /// Call it on a thread that [`on_large_stack`] made.
    pub(crate) fn compile_value(source: &str, named: &Named) -> (Option<Self>, Vec<Fault>) {
        Self::compile_wanted(source, named, Wanted::Value)
    }

    /// Compiles one condition. Comes without a condition when a fault is an error.
    ///
    /// Call it on a thread that [`on_large_stack`] made.
    pub(crate) fn compile(source: &str, named: &Named) -> (Option<Self>, Vec<Fault>) {
        Self::compile_wanted(source, named, Wanted::Condition)
    }

    fn compile_wanted(source: &str, named: &Named, wanted: Wanted) -> (Option<Self>, Vec<Fault>) {
        // The parser is known to panic on some texts that are no CEL.
        catch_unwind(AssertUnwindSafe(|| Self::try_compile(source, named, wanted))).unwrap_or_else(|_| {
            (None, vec![Fault::new(0..source.chars().count(), "syntax error: the expression cannot be parsed")])
        })
    }

    fn try_compile(source: &str, named: &Named, wanted: Wanted) -> (Option<Self>, Vec<Fault>) {
        let characters: Vec<char> = source.chars().collect();
        if source.trim().is_empty() {
            let fault = Fault::new(0..characters.len(), "the expression is empty");
            return (None, vec![fault.help("write a condition, or `true` for everybody")]);
        }
        let tree = scan::scan(&characters)
            .map_err(|fault| vec![fault])
            .and_then(|brackets| parse::parse(source, &characters, &brackets));
        match tree {
            Err(faults) => (None, faults),
            Ok(tree) => {
                let Checked { code, faults, needs_sign_in, reads_path } = check::check(&tree, named, wanted);
                let refused = faults.iter().any(|fault| fault.severity == Severity::Error);
                let condition = || Self { code, needs_sign_in, reads_path, reads: check::reads(&tree, named).into() };
                ((!refused).then(condition), faults)
            }
        }
    }

    /// Takes apart a condition that compiles.
    ///
    /// Call it on a thread that [`on_large_stack`] made.
    pub(crate) fn take_apart(source: &str, named: &Named) -> Option<(Part, Vec<Read>)> {
        let characters: Vec<char> = source.chars().collect();
        let parts = || {
            let brackets = scan::scan(&characters).ok()?;
            let tree = parse::parse(source, &characters, &brackets).ok()?;
            let (mut part, reads) = check::parts(&tree, named);
            part.span(&|at| brackets.balanced(at));
            Some((part, reads))
        };
        catch_unwind(AssertUnwindSafe(parts)).ok().flatten()
    }

    /// Evaluates the condition. A panic is an error like any other, so that it denies this request alone.
    pub(crate) fn holds(&self, input: &Input<'_>) -> Result<bool, Failure> {
        catch_unwind(AssertUnwindSafe(|| evaluate::evaluate(&self.code, input))).unwrap_or(Err(Failure::Panicked))
    }

    /// Evaluates an expression for a record: its value, bounded and without credentials; nothing where it fails.
    pub(crate) fn value(&self, input: &Input<'_>) -> serde_json::Value {
        let shown = |value: &Value<'_>| shown(value, &self.reads);
        let value = catch_unwind(AssertUnwindSafe(|| evaluate::value(&self.code, input, shown)));
        value.ok().and_then(Result::ok).unwrap_or_default()
    }

    /// Returns whether the condition mentions `user` or `session`.
    pub(crate) const fn needs_sign_in(&self) -> bool {
        self.needs_sign_in
    }

    /// Returns groups of which the user must have one for the condition to be anything but false; `None` where it may be
    /// true, or fail, for others too.
    pub(crate) fn needed_groups(&self) -> Option<Vec<&str>> {
        needed_groups(&self.code).filter(|groups| groups.len() <= MAX_NEEDED_GROUPS)
    }

    /// Returns whether the condition mentions `request.path`, or what is cut out of it.
    pub(crate) const fn reads_path(&self) -> bool {
        self.reads_path
    }

    /// Returns what the condition reads.
    pub(crate) fn reads(&self) -> &[Read] {
        &self.reads
    }
}

/// Looks no further than what is evaluated first: what comes before it might use up the budget, and so fail.
fn needed_groups(code: &Code) -> Option<Vec<&str>> {
    if let Code::And(parts) = code {
        let [first, _] = &**parts;
        return needed_groups(first);
    }
    if let Code::Or(parts) = code {
        let [one, other] = &**parts;
        let mut groups = needed_groups(one)?;
        groups.extend(needed_groups(other)?);
        return Some(groups);
    }
    let Code::In(parts) = code else { return None };
    let [Code::Constant(Constant::Text(group)), Code::Fact(fact)] = &**parts else { return None };
    (fact.name == "user.groups").then(|| vec![&**group])
}

/// More groups than this could use up the budget of a user who has a thousand.
const MAX_NEEDED_GROUPS: usize = 16;

/// The stack of the thread that compiles: the parser recurses once a term, and a source of 8 KiB can hold 4,000.
const STACK: usize = 64 * 1024 * 1024;

/// Runs `work` on a thread with a large stack; `None` when there is no such thread to be had.
pub(crate) fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let thread =
            std::thread::Builder::new().name("policies".to_owned()).stack_size(STACK).spawn_scoped(scope, work);
        thread.ok()?.join().ok()
    })
}

#[cfg(test)]
mod tests;

#[cfg(all(test, feature = "conformance"))]
mod conformance;
