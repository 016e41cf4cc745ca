//! Operators and the types that they take.

use std::ops::Range;

use super::{Checker, Typed, constant, type_of};
use crate::code::{Code, Texts};
use crate::condition::Fault;
use crate::constant::Constant;
use crate::syntax::{Kind, Node, Operation, Operator};
use crate::types::Type;

impl Checker<'_> {
    pub(super) fn operation(&mut self, operation: &Operation, at: &Range<usize>) -> Typed {
        let operator = operation.operator;
        match operation.operands.as_slice() {
            [operand] => self.unary(operator, operand, at),
            [left, right] => self.binary(operator, left, right, at),
            [condition, then, otherwise] => self.conditional(condition, then, otherwise),
            _ => self.fault(Fault::new(at.clone(), "syntax error")),
        }
    }

    /// Checks a part that must be true or false.
    pub(super) fn truth(&mut self, node: &Node, place: &str) -> Code {
        let typed = self.node(node);
        if !typed.of.fits(&Type::Bool) {
            let message = format!("{place} takes `bool`; this is `{}`", typed.of);
            self.faults.push(Fault::new(node.at.clone(), message));
        }
        typed.code
    }

    fn unary(&mut self, operator: Operator, node: &Node, at: &Range<usize>) -> Typed {
        if operator == Operator::Not {
            return Typed::new(Type::Bool, Code::Not(Box::new(self.truth(node, "`!`"))));
        }
        let operand = self.node(node);
        match operand.of {
            Type::Dyn | Type::Int | Type::Double => Typed::new(operand.of, Code::Negate(Box::new(operand.code))),
            of => self.fault(Fault::new(at.clone(), format!("`-` takes a number; this is `{of}`"))),
        }
    }

    fn conditional(&mut self, condition: &Node, then: &Node, otherwise: &Node) -> Typed {
        let condition = self.truth(condition, "the part before `?`");
        let (then, otherwise) = (self.node(then), self.node(otherwise));
        Typed::new(then.of.join(&otherwise.of), Code::Conditional(Box::new([condition, then.code, otherwise.code])))
    }

    fn binary(&mut self, operator: Operator, left_node: &Node, right_node: &Node, at: &Range<usize>) -> Typed {
        if let Operator::And | Operator::Or = operator {
            let place = format!("`{}`", operator.as_str());
            let parts = Box::new([self.truth(left_node, &place), self.truth(right_node, &place)]);
            let code = if operator == Operator::And { Code::And(parts) } else { Code::Or(parts) };
            return Typed::new(Type::Bool, code);
        }
        let (left, right) = (self.node(left_node), self.node(right_node));
        match operator {
            Operator::Equal | Operator::NotEqual => {
                self.possible(&left.code, &right.code, right_node);
                self.possible(&right.code, &left.code, left_node);
                self.equality(operator, left, right, at)
            }
            Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
                if !left.of.ordered(&right.of) {
                    self.unlike(operator, &left.of, &right.of, at);
                }
                Typed::new(Type::Bool, Code::Compare(operator, Box::new([left.code, right.code])))
            }
            Operator::In => self.membership(left, right, left_node, right_node),
            Operator::Index => self.index(left, right, right_node),
            _ => self.arithmetic(operator, left, right, at),
        }
    }

    fn unlike(&mut self, operator: Operator, left: &Type, right: &Type, at: &Range<usize>) {
        let message = format!("`{}` cannot compare `{left}` with `{right}`", operator.as_str());
        let help = match (left, right) {
            (Type::Null, _) | (_, Type::Null) => Some("only claims can be `null`; what is not known is empty"),
            (Type::Timestamp, Type::Text) | (Type::Text, Type::Timestamp) => Some("write `timestamp(\"...\")`"),
            (Type::Duration, Type::Text) | (Type::Text, Type::Duration) => Some("write `duration(\"...\")`"),
            (Type::List(_), Type::Text) | (Type::Text, Type::List(_)) => Some("to look into a list, write `x in list`"),
            _ => None,
        };
        let fault = Fault::new(at.clone(), message);
        self.faults.push(match help {
            Some(help) => fault.help(help),
            None => fault,
        });
    }

    fn equality(&mut self, operator: Operator, left: Typed, right: Typed, at: &Range<usize>) -> Typed {
        if !left.of.comparable(&right.of) {
            self.unlike(operator, &left.of, &right.of, at);
        }
        let parts = Box::new([left.code, right.code]);
        Typed::new(Type::Bool, if operator == Operator::Equal { Code::Equal(parts) } else { Code::NotEqual(parts) })
    }

    fn membership(&mut self, left: Typed, right: Typed, left_node: &Node, right_node: &Node) -> Typed {
        let element = match &right.of {
            Type::List(element) => Some(element),
            Type::Map(key, _) => Some(key),
            Type::Dyn => None,
            of => {
                let message = format!("`in` looks into a list or a map; this is `{of}`");
                let fault = Fault::new(right_node.at.clone(), message);
                let text = *of == Type::Text;
                self.faults.push(if text {
                    fault.help("to look into a text, write `text.contains(part)`")
                } else {
                    fault
                });
                None
            }
        };
        if let Some(element) = element.filter(|element| !left.of.comparable(element)) {
            let message = format!("`in` looks for `{}` among `{element}`: it is never there", left.of);
            self.faults.push(Fault::new(left_node.at.clone(), message));
        }
        if let Some(Constant::Text(key)) = constant(&left.code) {
            self.header_case(&right, key, &left_node.at);
            self.row_field(&right, key, &left_node.at);
        }
        self.possible(&left.code, &right.code, right_node);
        if let (Type::List(element), Some(Constant::List(items)), Kind::List(nodes)) =
            (&right.of, constant(&right.code), &right_node.kind)
            && **element == Type::Dyn
        {
            for (of, item) in items.iter().map(type_of).zip(nodes).filter(|(of, _)| !left.of.comparable(of)) {
                let message = format!("`in` looks for `{}`; this is `{of}`", left.of);
                self.faults.push(Fault::warning(item.at.clone(), message));
            }
        }
        let texts = match constant(&right.code) {
            Some(Constant::List(items)) => Texts::of(items),
            _ => None,
        };
        let code = match texts {
            Some(texts) => Code::InTexts(Box::new(left.code), texts),
            None => Code::In(Box::new([left.code, right.code])),
        };
        Typed::new(Type::Bool, code)
    }

    fn index(&mut self, operand: Typed, index: Typed, index_node: &Node) -> Typed {
        let (of, wanted) = match &operand.of {
            Type::List(element) => ((**element).clone(), Some(Type::Int)),
            Type::Map(key, value) => ((**value).clone(), Some((**key).clone())),
            Type::Dyn => (Type::Dyn, None),
            other => {
                let message = format!("`[]` looks into a list or a map; this is `{other}`");
                return self.fault(Fault::new(index_node.at.clone(), message));
            }
        };
        if let Some(wanted) = wanted.filter(|wanted| !index.of.comparable(wanted)) {
            let message = format!("`[]` takes `{wanted}` here; this is `{}`", index.of);
            self.faults.push(Fault::new(index_node.at.clone(), message));
        }
        if let Some(Constant::Text(key)) = constant(&index.code) {
            self.header_case(&operand, key, &index_node.at);
            self.row_field(&operand, key, &index_node.at);
            return Typed::new(of, operand.code.select(key));
        }
        Typed::new(of, Code::Index(Box::new([operand.code, index.code])))
    }

    fn arithmetic(&mut self, operator: Operator, left: Typed, right: Typed, at: &Range<usize>) -> Typed {
        let Some(of) = result(operator, &left.of, &right.of) else {
            let message = format!("`{}` cannot take `{}` and `{}`", operator.as_str(), left.of, right.of);
            let fault = Fault::new(at.clone(), message);
            let numbers = left.of.is_number() && right.of.is_number();
            return self.fault(if numbers {
                fault.help("convert one with `int()`, `uint()` or `double()`")
            } else {
                fault
            });
        };
        Typed::new(of, Code::Arithmetic(operator, Box::new([left.code, right.code])))
    }
}

/// Returns the type of what an operator makes of two values.
fn result(operator: Operator, left: &Type, right: &Type) -> Option<Type> {
    use Type::{Bytes, Double, Duration, Dyn, Int, List, Text, Timestamp, Uint};
    let add = operator == Operator::Add;
    let subtract = operator == Operator::Subtract;
    match (left, right) {
        (Dyn, _) | (_, Dyn) => Some(Dyn),
        (Int, Int) => Some(Int),
        (Uint, Uint) => Some(Uint),
        (Double, Double) if operator != Operator::Remainder => Some(Double),
        (Text, Text) if add => Some(Text),
        (Bytes, Bytes) if add => Some(Bytes),
        (List(a), List(b)) if add => Some(List(Box::new((**a).clone().join(b)))),
        (Timestamp, Duration) if add || subtract => Some(Timestamp),
        (Duration, Timestamp) if add => Some(Timestamp),
        (Timestamp, Timestamp) if subtract => Some(Duration),
        (Duration, Duration) if add || subtract => Some(Duration),
        _ => None,
    }
}
