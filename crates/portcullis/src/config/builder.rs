//! What the sections share while they are built: the files, the problems found so far, and the rules to compile.

use std::path::Path;

use authorize::{Rule, RuleRef};

use super::fields::Fields;
use super::problem::Problem;
use super::scalar_map;
use super::source::{Place, Sources};
use super::tree::{Node, Value};

/// Collects problems and rules. No `Debug`: the nodes may hold secrets.
pub(crate) struct Builder<'n> {
    pub(crate) sources: Sources,
    pub(crate) problems: Vec<Problem>,
    /// The scalar that holds the expression of each rule, by [`RuleRef`].
    rules: Vec<&'n Node>,
}

impl<'n> Builder<'n> {
    pub(crate) const fn new(sources: Sources, problems: Vec<Problem>) -> Self {
        Self { sources, problems, rules: Vec::new() }
    }

    /// Returns the folder of `portcullis.yaml`.
    pub(crate) fn folder(&self) -> &Path {
        self.sources.iter().next().and_then(|source| source.path.parent()).unwrap_or_else(|| Path::new(""))
    }

    pub(crate) fn error(&mut self, place: Place, message: impl Into<String>) {
        self.problems.push(Problem::error(place, message));
    }

    pub(crate) fn warning(&mut self, place: Place, message: impl Into<String>) {
        self.problems.push(Problem::warning(place, message));
    }

    /// Reads `allow` or `deny` of a section.
    pub(crate) fn rules(&mut self, fields: &Fields<'n>, key: &'static str) -> Vec<Rule> {
        let nodes = fields.items(key);
        nodes.iter().enumerate().filter_map(|(index, node)| self.rule(node, key, index)).collect()
    }

    fn rule(&mut self, node: &'n Node, key: &str, index: usize) -> Option<Rule> {
        let unnamed = format!("{key}[{index}]");
        let (when, name, message) = match &node.value {
            Value::Map(_) => {
                let text = |key| node.get(key).and_then(Node::text).map(str::to_owned);
                (node.get("when")?, text("name").unwrap_or(unnamed), text("message"))
            }
            Value::Null | Value::Scalar(_) | Value::List(_) => (node, unnamed, None),
        };
        Some(Rule { message, ..self.expression(when, &name)? })
    }

    /// Reads one expression.
    pub(crate) fn expression(&mut self, node: &'n Node, name: &str) -> Option<Rule> {
        let origin = RuleRef(self.rules.len());
        self.rules.push(node);
        Some(Rule { origin, name: name.to_owned(), when: node.text()?.to_owned(), message: None })
    }

    /// Takes over what the compiler of policies found.
    pub(crate) fn policy_problems(&mut self, problems: Vec<authorize::Problem>) {
        for problem in problems {
            let Some(node) = self.rules.get(problem.origin.0) else { continue };
            let place = self
                .sources
                .get(node.place.file)
                .map_or(node.place, |source| scalar_map::place(node, &source.text, problem.at));
            // The message may repeat the expression, which may hold what was put in for `${env:..}`.
            let expanded = node.scalar().is_some_and(|scalar| scalar.expanded);
            let message = |hidden: &str| match (expanded, problem.help) {
                (true, _) => format!("the expression {hidden} once `${{..}}` is replaced: write it out to see why"),
                (false, Some(help)) => format!("{}: {help}", problem.message),
                (false, None) => problem.message,
            };
            self.problems.push(match problem.severity {
                authorize::Severity::Error => Problem::error(place, message("is not valid")),
                authorize::Severity::Warning => Problem::warning(place, message("is likely not what was meant")),
            });
        }
    }

    /// Reads a size and reports one that is out of bounds.
    pub(crate) fn size_between(&mut self, fields: &Fields<'_>, key: &str, min: u64, max: u64) -> Option<u32> {
        let bytes = fields.size(key)?;
        if let Some(node) = fields.get(key).filter(|_| !(min..=max).contains(&bytes)) {
            let message = format!("`{key}` must be from {min} to {max} bytes, not {}", node.shown());
            self.error(node.place, message);
        }
        u32::try_from(bytes).ok()
    }
}
