//! Takes a condition that was checked apart.

use super::{Checker, Typed, constant};
use crate::code::Macro;
use crate::condition::Named;
use crate::constant::Constant;
use crate::environment::Fact;
use crate::part::{Comparison, Fold, Kind as PartKind, Part};
use crate::reads::Read;
use crate::syntax::{Call, Kind, Node, Operation, Operator, Select};
use crate::types::Type;

/// Takes a condition without faults apart; returns its parts and what they read.
pub(crate) fn parts(tree: &Node, named: &Named) -> (Part, Vec<Read>) {
    let mut dissection = Dissection::new(named, Purpose::Evaluate);
    let part = dissection.part(tree);
    (part, dissection.reads)
}

/// Returns what a condition without faults reads.
pub(crate) fn reads(tree: &Node, named: &Named) -> Vec<Read> {
    let mut dissection = Dissection::new(named, Purpose::List);
    dissection.part(tree);
    dissection.reads
}

/// What the parts are wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// Each is evaluated by itself, and so has code of its own.
    Evaluate,
    /// Only what they read is looked at.
    List,
}

struct Dissection<'a> {
    checker: Checker<'a>,
    purpose: Purpose,
    reads: Vec<Read>,
    /// What the lists were read from that the macros around this place go through.
    local_reads: Vec<Box<[usize]>>,
}

impl<'a> Dissection<'a> {
    const fn new(named: &'a Named, purpose: Purpose) -> Self {
        Self { checker: Checker::new(named), purpose, reads: Vec::new(), local_reads: Vec::new() }
    }
}

impl Dissection<'_> {
    /// Compiles a part by itself.
    fn typed(&mut self, node: &Node) -> Typed {
        match self.purpose {
            Purpose::Evaluate => self.checker.node(node),
            Purpose::List => Typed::unknown(),
        }
    }

    fn part(&mut self, node: &Node) -> Part {
        let (kind, mut reads) = match &node.kind {
            Kind::Literal(_) => (PartKind::Leaf, Vec::new()),
            Kind::Name(name) => (PartKind::Leaf, self.local(name)),
            Kind::Select(select) => self.select(node, select),
            Kind::Call(call) => self.call(call),
            Kind::Operation(operation) => self.operation(operation),
            Kind::List(items) => self.strict(items.iter()),
            Kind::Map(entries) => self.strict(entries.iter().flat_map(|(key, value)| [key, value])),
        };
        reads.sort_unstable();
        reads.dedup();
        Part { at: node.at.clone(), code: self.typed(node).code, reads: reads.into(), kind }
    }

    fn local(&self, name: &str) -> Vec<usize> {
        let depth = self.checker.locals.iter().rposition(|(known, _)| known == name);
        depth.and_then(|depth| self.local_reads.get(depth)).map(|reads| reads.to_vec()).unwrap_or_default()
    }

    /// Returns the field that a node spells.
    fn fact(&self, node: &Node) -> Option<&'static Fact> {
        let Kind::Select(select) = &node.kind else { return None };
        Fact::named(&format!("{}.{}", self.checker.group(&select.operand)?, select.field))
    }

    fn read(&mut self, field: &'static str, key: Option<&str>, presence: bool) -> usize {
        let read = Read { field, key: key.map(Into::into), presence };
        self.reads.iter().position(|known| *known == read).unwrap_or_else(|| {
            self.reads.push(read);
            self.reads.len() - 1
        })
    }

    fn entry(&mut self, fact: &'static Fact, key: &str, presence: bool) -> (PartKind, Vec<usize>) {
        (PartKind::Leaf, vec![self.read(fact.name, Some(key), presence)])
    }

    fn select(&mut self, node: &Node, select: &Select) -> (PartKind, Vec<usize>) {
        if let Some(fact) = self.fact(node) {
            return (PartKind::Leaf, vec![self.read(fact.name, None, false)]);
        }
        match self.fact(&select.operand) {
            Some(fact) => self.entry(fact, &select.field, false),
            None => self.strict([&*select.operand]),
        }
    }

    fn has(&mut self, select: &Select) -> (PartKind, Vec<usize>) {
        if let Some(group) = self.checker.group(&select.operand) {
            let name = format!("{group}.{}", select.field);
            let fact = Fact::named(&name).or_else(|| Fact::named(&format!("{name}.present")));
            return (PartKind::Leaf, fact.map(|fact| self.read(fact.name, None, false)).into_iter().collect());
        }
        match self.fact(&select.operand) {
            Some(fact) => self.entry(fact, &select.field, true),
            None => self.strict([&*select.operand]),
        }
    }

    fn call(&mut self, call: &Call) -> (PartKind, Vec<usize>) {
        match (&call.target, call.arguments.as_slice()) {
            (None, [Node { kind: Kind::Select(select), .. }]) if call.name == "has" => self.has(select),
            (Some(target), [variable, rest @ ..]) if !rest.is_empty() => {
                match (Macro::named(&call.name), &variable.kind) {
                    (Some(how), Kind::Name(name)) => self.fold(how, target, name, rest),
                    (Some(_) | None, _) => self.strict(call.target.as_deref().into_iter().chain(&call.arguments)),
                }
            }
            _ => self.strict(call.target.as_deref().into_iter().chain(&call.arguments)),
        }
    }

    fn fold(&mut self, how: Macro, target: &Node, name: &str, rest: &[Node]) -> (PartKind, Vec<usize>) {
        let range = self.part(target);
        let item = match self.typed(target).of {
            Type::List(item) => *item,
            Type::Map(key, _) => *key,
            of => of,
        };
        self.checker.locals.push((name.to_owned(), item));
        self.local_reads.push(range.reads.clone());
        self.checker.nesting += 1;
        let mut inner: Vec<Part> = rest.iter().map(|node| self.part(node)).collect();
        self.checker.nesting -= 1;
        self.local_reads.pop();
        self.checker.locals.pop();
        let mut reads = range.reads.to_vec();
        reads.extend(inner.iter().flat_map(|part| part.reads.iter().copied()));
        let Some(body) = inner.pop() else { return (PartKind::Leaf, reads) };
        let fold = Fold { how, variable: name.into(), range, filter: inner.pop(), body };
        (PartKind::Fold(Box::new(fold)), reads)
    }

    fn operation(&mut self, operation: &Operation) -> (PartKind, Vec<usize>) {
        let operator = operation.operator;
        match (operator, operation.operands.as_slice()) {
            (Operator::And | Operator::Or, _) => {
                let mut parts = Vec::new();
                self.chain(operator, &operation.operands, &mut parts);
                let reads = all_reads(&parts);
                let parts = parts.into();
                (if operator == Operator::And { PartKind::And(parts) } else { PartKind::Or(parts) }, reads)
            }
            (Operator::Not, [operand]) => {
                let part = self.part(operand);
                let reads = part.reads.to_vec();
                (PartKind::Not(Box::new(part)), reads)
            }
            (Operator::Conditional, [condition, then, otherwise]) => {
                let parts = [self.part(condition), self.part(then), self.part(otherwise)];
                let reads = all_reads(&parts);
                (PartKind::Conditional(Box::new(parts)), reads)
            }
            (Operator::Index, [operand, Node { kind: Kind::Literal(Constant::Text(key)), .. }]) => {
                match self.fact(operand) {
                    Some(fact) => self.entry(fact, key, false),
                    None => self.strict([operand]),
                }
            }
            (Operator::In, [Node { kind: Kind::Literal(Constant::Text(key)), .. }, map])
                if self.fact(map).is_some_and(|fact| fact.of.starts_with("map")) =>
            {
                match self.fact(map) {
                    Some(fact) => self.entry(fact, key, true),
                    None => self.strict([map]),
                }
            }
            (Operator::Equal | Operator::NotEqual | Operator::In, [left, right]) => {
                self.comparison(operator, left, right)
            }
            (_, operands) => self.strict(operands.iter()),
        }
    }

    /// `a && b && c` is one operation of three parts to a reader.
    fn chain(&mut self, operator: Operator, operands: &[Node], parts: &mut Vec<Part>) {
        for operand in operands {
            match &operand.kind {
                Kind::Operation(inner) if inner.operator == operator => self.chain(operator, &inner.operands, parts),
                _ => parts.push(self.part(operand)),
            }
        }
    }

    fn comparison(&mut self, operator: Operator, left: &Node, right: &Node) -> (PartKind, Vec<usize>) {
        let parts = [self.part(left), self.part(right)];
        let reads = all_reads(&parts);
        let [a, b] = &parts;
        let (entry, other) = if operator != Operator::In && constant(&a.code).is_some() { (b, a) } else { (a, b) };
        let texts = match (constant(&other.code), operator) {
            (Some(Constant::Text(text)), Operator::Equal | Operator::NotEqual) => Some([text.clone()].into()),
            (Some(Constant::List(items)), Operator::In) => items
                .iter()
                .map(|item| match item {
                    Constant::Text(text) => Some(text.clone()),
                    _ => None,
                })
                .collect(),
            _ => None,
        };
        let single = match &*entry.reads {
            [read] if matches!(entry.kind, PartKind::Leaf) => Some(*read),
            _ => None,
        };
        let read = single.filter(|read| self.reads.get(*read).is_some_and(Read::is_entry));
        let kind = match (read, texts) {
            (Some(read), Some(texts)) => {
                PartKind::Compared(Comparison { read, texts, negated: operator == Operator::NotEqual }, parts.into())
            }
            _ => PartKind::Strict(parts.into()),
        };
        (kind, reads)
    }

    fn strict<'n>(&mut self, nodes: impl IntoIterator<Item = &'n Node>) -> (PartKind, Vec<usize>) {
        // What only begins a name, as in `request`, is no value.
        let parts: Vec<Part> = nodes
            .into_iter()
            .filter(|node| !self.checker.begins_a_name(node))
            .collect::<Vec<_>>()
            .into_iter()
            .map(|node| self.part(node))
            .collect();
        let reads = all_reads(&parts);
        (PartKind::Strict(parts.into()), reads)
    }
}

fn all_reads(parts: &[Part]) -> Vec<usize> {
    parts.iter().flat_map(|part| part.reads.iter().copied()).collect()
}
