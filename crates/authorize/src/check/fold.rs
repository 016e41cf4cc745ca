//! Macros: `has`, and those that go through a list.

use std::ops::Range;

use super::{Checker, Typed};
use crate::code::{Code, Fold, Macro};
use crate::condition::Fault;
use crate::environment::{self, Fact};
use crate::syntax::{Call, Kind, Node, Operator, Select};
use crate::types::Type;

/// How deep macros may run inside each other: the work multiplies with each level.
const MAX_NESTING: usize = 2;

impl Checker<'_> {
    /// Checks a call that is a macro; `None` for any other.
    pub(super) fn macro_call(&mut self, call: &Call, at: &Range<usize>) -> Option<Typed> {
        match (&call.target, call.name.as_str()) {
            (None, "has") => Some(self.has(call, at)),
            (Some(target), name) => Macro::named(name).map(|how| self.fold(how, target, call, at)),
            (None, _) => None,
        }
    }

    fn has(&mut self, call: &Call, at: &Range<usize>) -> Typed {
        let [Node { kind: Kind::Select(select), .. }] = call.arguments.as_slice() else {
            let fault = Fault::new(at.clone(), "`has` takes one field");
            let indexes = matches!(call.arguments.as_slice(), [Node { kind: Kind::Operation(operation), .. }]
                if operation.operator == Operator::Index);
            return self.fault(fault.help(if indexes {
                "write `\"key\" in map`"
            } else {
                "write `has(user.claims.department)`"
            }));
        };
        let code = match self.group(&select.operand) {
            Some(group) => self.has_field(&group, select, at),
            None => self.has_key(select),
        };
        Typed::new(Type::Bool, code)
    }

    /// A field is always there; `has` tells whether it holds anything.
    fn has_field(&mut self, group: &str, select: &Select, at: &Range<usize>) -> Code {
        let name = format!("{group}.{}", select.field);
        if let Some(fact) = Fact::named(&format!("{name}.present")).filter(|_| environment::is_group(&name)) {
            return self.fact(fact).code;
        }
        match self.select(select, at).code {
            Code::Fact(fact) => Code::HasFact(fact),
            code => code,
        }
    }

    fn has_key(&mut self, select: &Select) -> Code {
        match self.key(select).code {
            Code::Select(operand, key) => Code::Has(operand, key),
            Code::Lookup(lookup) => Code::HasLookup(lookup),
            code => code,
        }
    }

    fn fold(&mut self, how: Macro, target: &Node, call: &Call, at: &Range<usize>) -> Typed {
        let range = self.node(target);
        let item = match range.of {
            Type::List(item) => *item,
            Type::Map(key, _) => *key,
            Type::Dyn => Type::Dyn,
            of => {
                let message = format!("`{}` goes through a list or a map; this is `{of}`", call.name);
                self.faults.push(Fault::new(target.at.clone(), message));
                Type::Dyn
            }
        };
        let (variable, filter, body) = match call.arguments.as_slice() {
            [variable, body] => (variable, None, body),
            [variable, filter, body] if how == Macro::Map => (variable, Some(filter), body),
            _ => {
                let fault = Fault::new(at.clone(), format!("`{}` takes a variable and an expression", call.name));
                return self.fault(fault.help(format!("write `list.{}(x, ...)`", call.name)));
            }
        };
        let Kind::Name(name) = &variable.kind else {
            let message = format!("the first argument of `{}` is the name of a variable", call.name);
            return self.fault(Fault::new(variable.at.clone(), message));
        };
        if self.nesting == MAX_NESTING {
            let message = format!("more than {MAX_NESTING} macros inside each other");
            return self.fault(Fault::new(call.name_at.clone(), message).help("split it into several rules"));
        }
        self.locals.push((name.clone(), item.clone()));
        self.nesting += 1;
        let filter = filter.map(|filter| self.truth(filter, "the condition of `map`"));
        let (of, body) = self.body(how, &call.name, item, body);
        self.nesting -= 1;
        self.locals.pop();
        Typed::new(of, Code::Fold(Box::new(Fold { how, range: range.code, filter, body })))
    }

    fn body(&mut self, how: Macro, name: &str, item: Type, body: &Node) -> (Type, Code) {
        match how {
            Macro::Map => {
                let body = self.node(body);
                (Type::List(Box::new(body.of)), body.code)
            }
            Macro::Filter => (Type::List(Box::new(item)), self.truth(body, "`filter`")),
            Macro::All | Macro::Exists | Macro::ExistsOne => (Type::Bool, self.truth(body, &format!("`{name}`"))),
        }
    }
}
