//! Checks a condition before it runs: names, types and literals. What passes becomes [`Code`].

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "types and operators that a rule of the language does not name are faults, all of them"
)]

mod call;
mod domain;
mod fold;
mod literal;
mod lookup;
mod operation;
mod parts;
pub(crate) mod suggest;
mod verdict;

use std::ops::Range;

pub(crate) use parts::{parts, reads};

use crate::budget::Budget;
use crate::code::Code;
use crate::condition::{Fault, Named};
use crate::constant::Constant;
use crate::environment::{self, Fact};
use crate::function;
use crate::syntax::{Kind, Node, Select};
use crate::types::Type;

/// What checking a condition gives. The code is good only when no fault is an error.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) code: Code,
    pub(crate) faults: Vec<Fault>,
    pub(crate) needs_sign_in: bool,
    pub(crate) reads_path: bool,
}

/// What a value is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// It decides: true or false.
    Condition,
    /// It is written down: anything.
    Value,
}

/// Checks an expression against the environment and what the configuration names.
pub(crate) fn check(tree: &Node, named: &Named, wanted: Wanted) -> Checked {
    let mut checker = Checker::new(named);
    let typed = checker.node(tree);
    if wanted == Wanted::Condition && !typed.of.fits(&Type::Bool) {
        let fault = Fault::new(tree.at.clone(), format!("a rule is true or false; this is `{}`", typed.of));
        checker.faults.push(fault.help("compare it with something"));
    }
    let Checker { mut faults, needs_sign_in, reads_path, .. } = checker;
    // What follows from another mistake is none of its own.
    if faults.is_empty() && wanted == Wanted::Condition {
        faults = verdict::warnings(tree, &typed.code);
    }
    faults.sort_by_key(|fault| fault.at.start);
    Checked { code: typed.code, faults, needs_sign_in, reads_path }
}

/// Checks an expression of any type over variables: what the conformance cases of CEL are.
#[cfg(all(test, feature = "conformance"))]
pub(crate) fn expression(tree: &Node, locals: Vec<(String, Type)>) -> Result<(Type, Code), Vec<Fault>> {
    let named = Named::default();
    let mut checker = Checker { locals, ..Checker::new(&named) };
    let typed = checker.node(tree);
    checker.faults.retain(|fault| fault.severity == crate::Severity::Error);
    if checker.faults.is_empty() { Ok((typed.of, typed.code)) } else { Err(checker.faults) }
}

/// Code and its type.
struct Typed {
    of: Type,
    code: Code,
}

impl Typed {
    const fn new(of: Type, code: Code) -> Self {
        Self { of, code }
    }

    /// Stands for a part that has a fault: fits everywhere, so that one mistake is reported once.
    const fn unknown() -> Self {
        Self::new(Type::Dyn, Code::Fault)
    }
}

struct Checker<'a> {
    named: &'a Named,
    /// The tables that the condition reads, in the order in which it names them.
    tables: Vec<&'a str>,
    /// The variables of the macros around the place being checked.
    locals: Vec<(String, Type)>,
    /// How many macros run inside each other here.
    nesting: usize,
    faults: Vec<Fault>,
    /// What may still be worked out while checking.
    budget: Budget,
    needs_sign_in: bool,
    reads_path: bool,
}

impl<'a> Checker<'a> {
    const fn new(named: &'a Named) -> Self {
        Self {
            named,
            tables: Vec::new(),
            locals: Vec::new(),
            nesting: 0,
            faults: Vec::new(),
            budget: Budget::new(),
            needs_sign_in: false,
            reads_path: false,
        }
    }
}

impl Checker<'_> {
    fn node(&mut self, node: &Node) -> Typed {
        match &node.kind {
            Kind::Literal(constant) => Typed::new(type_of(constant), Code::Constant(constant.clone())),
            Kind::Name(name) => self.name(name, &node.at),
            Kind::Select(select) => self.select(select, &node.at),
            Kind::Call(call) => self.call(call, &node.at),
            Kind::Operation(operation) => self.operation(operation, &node.at),
            Kind::List(items) => self.list(items),
            Kind::Map(entries) => self.map(entries),
        }
    }

    fn fault(&mut self, fault: Fault) -> Typed {
        self.faults.push(fault);
        Typed::unknown()
    }

    fn local(&self, name: &str) -> Option<Typed> {
        let depth = self.locals.iter().rposition(|(known, _)| known == name)?;
        let (_, of) = self.locals.get(depth)?;
        Some(Typed::new(of.clone(), Code::Local(depth)))
    }

    fn name(&mut self, name: &str, at: &Range<usize>) -> Typed {
        if let Some(local) = self.local(name) {
            return local;
        }
        if let Some(of) = type_named(name) {
            return of;
        }
        if environment::is_group(name) {
            return self.fault(group_fault(name, at));
        }
        let fault = Fault::new(at.clone(), format!("unknown variable `{name}`"));
        let help = suggest::nearest(name, self.locals.iter().map(|(local, _)| local.as_str()))
            .or_else(|| suggest::nearest(name, environment::fields("")))
            .map_or_else(|| "a rule sees `request`, `user`, `session` and `route`".to_owned(), suggest::did_you_mean);
        self.fault(fault.help(help))
    }

    /// Returns the dotted name that the node spells, where it does not begin with a variable.
    fn dotted(&self, node: &Node) -> Option<String> {
        match &node.kind {
            Kind::Name(name) if self.local(name).is_none() => Some(name.clone()),
            Kind::Select(select) => Some(format!("{}.{}", self.dotted(&select.operand)?, select.field)),
            _ => None,
        }
    }

    /// Returns the dotted name of a group of fields, such as `request.tls`, where the node spells one.
    fn group(&self, node: &Node) -> Option<String> {
        self.dotted(node).filter(|name| environment::is_group(name))
    }

    /// Returns whether the node only begins a name: that of a field, a type or a function.
    fn begins_a_name(&self, node: &Node) -> bool {
        let continues = |name: &str, known: &str| known.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        let others = || TYPE_NAMES.iter().chain(&function::QUALIFIED);
        let begins = |name: &str| environment::is_group(name) || others().any(|known| continues(name, known));
        self.dotted(node).is_some_and(|name| begins(&name))
    }

    fn fact(&mut self, fact: &'static Fact) -> Typed {
        self.needs_sign_in |= fact.needs_sign_in();
        self.reads_path |= fact.reads_path();
        Typed::new(Type::parse(fact.of), Code::Fact(fact))
    }

    fn select(&mut self, select: &Select, at: &Range<usize>) -> Typed {
        let Some(group) = self.group(&select.operand) else {
            let name = self.dotted(&select.operand).map(|prefix| format!("{prefix}.{}", select.field));
            return name.and_then(|name| type_named(&name)).unwrap_or_else(|| self.key(select));
        };
        let name = format!("{group}.{}", select.field);
        if let Some(fact) = Fact::named(&name) {
            return self.fact(fact);
        }
        if environment::is_group(&name) {
            return self.fault(group_fault(&name, at));
        }
        let fault = Fault::new(select.field_at.clone(), format!("`{group}` has no field `{}`", select.field));
        let help = suggest::nearest(&select.field, environment::fields(&group))
            .map_or_else(|| field_list(&group), |field| suggest::did_you_mean(&format!("{group}.{field}")));
        self.fault(fault.help(help))
    }

    /// `map.key`.
    fn key(&mut self, select: &Select) -> Typed {
        let operand = self.node(&select.operand);
        self.header_case(&operand, &select.field, &select.field_at);
        self.row_field(&operand, &select.field, &select.field_at);
        match operand.of {
            Type::Dyn => Typed::new(Type::Dyn, operand.code.select(&select.field)),
            Type::Map(_, value) => Typed::new(*value, operand.code.select(&select.field)),
            of => self.fault(Fault::new(
                select.field_at.clone(),
                format!("`{of}` has no fields, and so no `{}`", select.field),
            )),
        }
    }

    /// A header is looked up by its lower-case name, so another spelling is never found: a deny rule would never hold.
    fn header_case(&mut self, operand: &Typed, key: &str, at: &Range<usize>) {
        let headers = matches!(operand.code, Code::Fact(fact) if fact.name == "request.headers");
        if headers && key.bytes().any(|byte| byte.is_ascii_uppercase()) {
            let fault = Fault::warning(at.clone(), format!("there is never a header `{key}`: names are lower case"));
            self.faults.push(fault.help(format!("write `{}`", key.to_ascii_lowercase())));
        }
    }

    fn list(&mut self, items: &[Node]) -> Typed {
        let items: Vec<Typed> = items.iter().map(|item| self.node(item)).collect();
        let element = items.iter().map(|item| item.of.clone()).reduce(|a, b| a.join(&b)).unwrap_or(Type::Dyn);
        let of = Type::List(Box::new(element));
        let constants: Option<Vec<Constant>> = items.iter().map(|item| constant(&item.code).cloned()).collect();
        let code = match constants {
            Some(constants) => Code::Constant(Constant::List(constants.into())),
            None => Code::List(items.into_iter().map(|item| item.code).collect()),
        };
        Typed::new(of, code)
    }

    fn map(&mut self, entries: &[(Node, Node)]) -> Typed {
        let mut keys: Option<Type> = None;
        let mut values: Option<Type> = None;
        let mut code = Vec::new();
        for (key_node, value_node) in entries {
            let (key, value) = (self.node(key_node), self.node(value_node));
            if !matches!(key.of, Type::Dyn | Type::Bool | Type::Int | Type::Uint | Type::Text) {
                let message = format!("a map key is `string`, `int`, `uint` or `bool`; this is `{}`", key.of);
                self.faults.push(Fault::new(key_node.at.clone(), message));
            }
            keys = Some(keys.map_or(key.of.clone(), |known| known.join(&key.of)));
            values = Some(values.map_or(value.of.clone(), |known| known.join(&value.of)));
            code.push((key.code, value.code));
        }
        let of = Type::Map(Box::new(keys.unwrap_or(Type::Dyn)), Box::new(values.unwrap_or(Type::Dyn)));
        Typed::new(of, Code::Map(code.into()))
    }
}

/// Returns the value that code always has, where that is known.
const fn constant(code: &Code) -> Option<&Constant> {
    match code {
        Code::Constant(constant) => Some(constant),
        _ => None,
    }
}

fn type_of(constant: &Constant) -> Type {
    match constant {
        Constant::Null => Type::Null,
        Constant::Bool(_) => Type::Bool,
        Constant::Int(_) => Type::Int,
        Constant::Uint(_) => Type::Uint,
        Constant::Double(_) => Type::Double,
        Constant::Text(_) => Type::Text,
        Constant::Bytes(_) => Type::Bytes,
        Constant::Timestamp(_) => Type::Timestamp,
        Constant::Duration(_) => Type::Duration,
        Constant::Ip(_) => Type::Ip,
        Constant::Cidr(_) => Type::Cidr,
        Constant::Type(_) => Type::Kind,
        Constant::List(_) => Type::parse("list"),
    }
}

fn group_fault(name: &str, at: &Range<usize>) -> Fault {
    Fault::new(at.clone(), format!("`{name}` has no value of its own")).help(field_list(name))
}

fn field_list(group: &str) -> String {
    let mut fields: Vec<String> = environment::fields(group).map(|field| format!("`{field}`")).collect();
    fields.dedup();
    format!("its fields are {}", fields.join(", "))
}

/// Reads the name of a type.
fn type_named(name: &str) -> Option<Typed> {
    let known = TYPE_NAMES.iter().find(|known| **known == name)?;
    Some(Typed::new(Type::Kind, Code::Constant(Constant::Type(known))))
}

/// Names that stand for types: what `type()` answers.
const TYPE_NAMES: &[&str] = &[
    "bool",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "list",
    "map",
    "null_type",
    "type",
    "google.protobuf.Timestamp",
    "google.protobuf.Duration",
    "net.IP",
    "net.CIDR",
];

#[cfg(test)]
mod tests;
