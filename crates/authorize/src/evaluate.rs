//! Evaluates conditions.

#![expect(clippy::wildcard_enum_match_arm, reason = "values that an operation does not take fail, all of them")]

mod arithmetic;
mod cost;
mod fold;
mod lookup;

use std::cmp::Ordering;

pub(crate) use cost::weight;
pub(crate) use lookup::HeldTables;
pub(crate) use lookup::MAX_TABLES;

use crate::Input;
use crate::budget::Budget;
use crate::code::Code;
use crate::constant::Constant;
use crate::environment::Fact;
use crate::failure::Failure;
use crate::function::{self, Function};
use crate::network::NetworkSet;
use crate::syntax::Operator;
use crate::value::{BYTES_PER_STEP, Map, Value};

/// Evaluates a condition to true or false.
pub(crate) fn evaluate(code: &Code, input: &Input<'_>) -> Result<bool, Failure> {
    let tables = HeldTables::default();
    match (Evaluation { input, tables: &tables, locals: Vec::new(), query: None, budget: Budget::new() }).value(code)? {
        Value::Bool(holds) => Ok(holds),
        _ => Err(Failure::NotTrueOrFalse),
    }
}

/// Evaluates an expression of any type, and hands its value over while what it borrows is there.
pub(crate) fn value<T>(code: &Code, input: &Input<'_>, take: impl FnOnce(&Value<'_>) -> T) -> Result<T, Failure> {
    let tables = HeldTables::default();
    let value =
        Evaluation { input, tables: &tables, locals: Vec::new(), query: None, budget: Budget::new() }.value(code)?;
    Ok(take(&value))
}

/// Evaluates a part of a condition, within macros whose variables have these values.
pub(crate) fn part<'a>(
    code: &'a Code,
    input: &Input<'a>,
    tables: &'a HeldTables,
    locals: &[Value<'a>],
) -> Result<Value<'a>, Failure> {
    Evaluation { input, tables, locals: locals.to_vec(), query: None, budget: Budget::new() }.value(code)
}

struct Evaluation<'e, 'a> {
    input: &'e Input<'a>,
    tables: &'a HeldTables,
    locals: Vec<Value<'a>>,
    /// The query, once it was parsed: a macro may ask for it a thousand times.
    query: Option<Value<'a>>,
    budget: Budget,
}

impl<'a> Evaluation<'_, 'a> {
    fn value(&mut self, code: &'a Code) -> Result<Value<'a>, Failure> {
        self.spend(1)?;
        match code {
            Code::Fault => Err(Failure::Panicked),
            Code::Constant(constant) => Ok(constant.value()),
            Code::Fact(fact) => Ok(self.fact(fact)),
            Code::Local(depth) => self.locals.get(*depth).cloned().ok_or(Failure::Panicked),
            Code::HasFact(fact) => {
                let value = self.fact(fact);
                self.charged(value).map(|value| Value::Bool(!value.is_default()))
            }
            Code::Select(operand, key) => match self.value(operand)? {
                Value::Map(map) => {
                    let value = map.get_text(key).ok_or_else(|| Failure::NoSuchKey(key.clone()))?;
                    self.charged(value)
                }
                _ => Err(Failure::NoOverload("field selection")),
            },
            Code::Has(operand, key) => match self.value(operand)? {
                Value::Map(map) => {
                    let value = map.get_text(key);
                    self.spend(value.as_ref().map_or(0, weight))?;
                    Ok(Value::Bool(value.is_some()))
                }
                _ => Err(Failure::NoOverload("has")),
            },
            Code::Index(parts) => {
                let value = self.index(parts)?;
                self.charged(value)
            }
            Code::And(parts) => self.logic(parts, false),
            Code::Or(parts) => self.logic(parts, true),
            Code::Not(operand) => Ok(Value::Bool(!self.truth(operand, "!")?)),
            Code::Conditional(parts) => {
                let [condition, then, otherwise] = &**parts;
                if self.truth(condition, "?:")? { self.value(then) } else { self.value(otherwise) }
            }
            Code::Equal(parts) => self.equal(parts).map(Value::Bool),
            Code::NotEqual(parts) => self.equal(parts).map(|equal| Value::Bool(!equal)),
            Code::Compare(operator, parts) => self.compare(*operator, parts),
            Code::In(parts) => self.is_in(parts),
            Code::InTexts(operand, texts) => {
                let value = self.value(operand)?;
                self.spend(weight(&value))?;
                Ok(Value::Bool(matches!(&value, Value::Text(text) if texts.contains(text))))
            }
            Code::Arithmetic(operator, parts) => {
                let (left, right) = self.pair(parts)?;
                let result = arithmetic::apply(*operator, left, right);
                self.made(result)
            }
            Code::Negate(operand) => arithmetic::negate(&self.value(operand)?),
            Code::List(items) => items.iter().map(|item| self.value(item)).collect::<Result<_, _>>().map(Value::list),
            Code::Map(entries) => self.map(entries),
            Code::Fold(fold) => self.fold(fold),
            Code::Call(function, arguments) => self.call(*function, arguments),
            Code::InNetworks(operand, networks) => self.in_networks(operand, networks),
            Code::AddressInNetworks(address, networks) => {
                Ok(Value::Bool(networks.contains(address.of(self.input).get())))
            }
            Code::Lookup(lookup) => self.lookup(lookup),
            Code::HasLookup(lookup) => self.has_lookup(lookup).map(Value::Bool),
            Code::Matches(operand, pattern) => match self.value(operand)? {
                Value::Text(text) => pattern.is_match(&text, &mut self.budget).map(Value::Bool),
                _ => Err(Failure::NoOverload("matches")),
            },
            Code::PartInZone(part, operand, zone) => match self.value(operand)? {
                Value::Timestamp(time) => Ok(Value::Int(part.of(time, zone))),
                _ => Err(Failure::NoOverload(Function::Time(*part).name())),
            },
        }
    }

    const fn spend(&mut self, steps: usize) -> Result<(), Failure> {
        self.budget.spend(steps)
    }

    /// Spends what handling a value costs.
    fn charged(&mut self, value: Value<'a>) -> Result<Value<'a>, Failure> {
        self.spend(weight(&value))?;
        Ok(value)
    }

    /// Spends what handling a value that was made costs, and all that is left when it was too large to be made.
    fn made(&mut self, result: Result<Value<'a>, Failure>) -> Result<Value<'a>, Failure> {
        if matches!(result, Err(Failure::Budget)) {
            self.budget.exhaust();
        }
        self.charged(result?)
    }

    fn fact(&mut self, fact: &Fact) -> Value<'a> {
        if fact.name != "request.query" {
            return (fact.read)(self.input);
        }
        self.query.get_or_insert_with(|| (fact.read)(self.input)).clone()
    }

    fn truth(&mut self, code: &'a Code, operator: &'static str) -> Result<bool, Failure> {
        match self.value(code)? {
            Value::Bool(value) => Ok(value),
            _ => Err(Failure::NoOverload(operator)),
        }
    }

    fn pair(&mut self, parts: &'a [Code; 2]) -> Result<(Value<'a>, Value<'a>), Failure> {
        let [left, right] = parts;
        Ok((self.value(left)?, self.value(right)?))
    }

    /// `&&` and `||`: the side that decides wins over an error on the other side, whichever comes first.
    fn logic(&mut self, parts: &'a [Code; 2], decisive: bool) -> Result<Value<'a>, Failure> {
        let [left, right] = parts;
        let operator = if decisive { "||" } else { "&&" };
        let first = self.truth(left, operator);
        if first == Ok(decisive) {
            return Ok(Value::Bool(decisive));
        }
        match (first, self.truth(right, operator)) {
            (_, Ok(second)) if second == decisive => Ok(Value::Bool(decisive)),
            (Err(failure), _) | (Ok(_), Err(failure)) => Err(failure),
            (Ok(_), Ok(_)) => Ok(Value::Bool(!decisive)),
        }
    }

    fn equal(&mut self, parts: &'a [Code; 2]) -> Result<bool, Failure> {
        let [left, right] = parts;
        let left = self.value(left)?;
        if let Code::Constant(Constant::Text(text)) = right {
            return self.is_text(&left, text);
        }
        let right = self.value(right)?;
        self.spend(weight(&left).min(weight(&right)))?;
        left.equals(&right, &mut self.budget)
    }

    /// Compares with a text that the rule writes out: the commonest clause of all.
    fn is_text(&mut self, value: &Value<'a>, text: &str) -> Result<bool, Failure> {
        self.spend(1 + text.len() / BYTES_PER_STEP)?;
        Ok(matches!(value, Value::Text(value) if **value == *text))
    }

    fn compare(&mut self, operator: Operator, parts: &'a [Code; 2]) -> Result<Value<'a>, Failure> {
        let (left, right) = self.pair(parts)?;
        let Some(order) = left.compare(&right) else {
            let nan = |value: &Value<'_>| matches!(value, Value::Double(number) if number.is_nan());
            let unordered = nan(&left) || nan(&right);
            return if unordered { Ok(Value::Bool(false)) } else { Err(Failure::NoOverload(operator.as_str())) };
        };
        Ok(Value::Bool(match operator {
            Operator::Less => order == Ordering::Less,
            Operator::LessOrEqual => order != Ordering::Greater,
            Operator::Greater => order == Ordering::Greater,
            _ => order != Ordering::Less,
        }))
    }

    fn is_in(&mut self, parts: &'a [Code; 2]) -> Result<Value<'a>, Failure> {
        let (needle, hay) = self.pair(parts)?;
        match hay {
            Value::List(list) => {
                self.spend(weight(&needle))?;
                list.contains(&needle, &mut self.budget).map(Value::Bool)
            }
            Value::Map(map) => {
                self.spend(map.search())?;
                Ok(Value::Bool(map.get(&needle).is_some()))
            }
            _ => Err(Failure::NoOverload("in")),
        }
    }

    fn index(&mut self, parts: &'a [Code; 2]) -> Result<Value<'a>, Failure> {
        let (operand, index) = self.pair(parts)?;
        match operand {
            Value::List(list) => {
                let at = match index {
                    Value::Int(at) => usize::try_from(at).ok(),
                    Value::Uint(at) => usize::try_from(at).ok(),
                    Value::Double(at) if at.fract() == 0.0 && (0.0..1e15).contains(&at) =>
                    {
                        #[expect(
                            clippy::cast_possible_truncation,
                            clippy::cast_sign_loss,
                            reason = "whole and in range"
                        )]
                        Some(at as usize)
                    }
                    Value::Double(_) => None,
                    _ => return Err(Failure::NoOverload("[]")),
                };
                at.and_then(|at| list.get(at)).ok_or(Failure::IndexOutOfRange)
            }
            Value::Map(map) => {
                self.spend(map.search())?;
                map.get(&index).ok_or(Failure::NoSuchComputedKey)
            }
            _ => Err(Failure::NoOverload("[]")),
        }
    }

    fn map(&mut self, entries: &'a [(Code, Code)]) -> Result<Value<'a>, Failure> {
        if entries.is_empty() {
            return Ok(Value::Map(Map::Empty));
        }
        let mut known: Vec<(Value<'a>, Value<'a>)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let key = self.value(key)?;
            if !matches!(key, Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Text(_)) {
                return Err(Failure::NoOverload("a map key"));
            }
            self.spend(known.len())?;
            for (other, _) in &known {
                if other.equals(&key, &mut self.budget)? {
                    return Err(Failure::DuplicateKey);
                }
            }
            known.push((key, self.value(value)?));
        }
        Ok(Value::Map(Map::Values(known.into())))
    }

    fn in_networks(&mut self, operand: &'a Code, networks: &NetworkSet) -> Result<Value<'a>, Failure> {
        match self.value(operand)? {
            Value::Text(text) => {
                let address = text.parse::<identity::Ip>().map_err(|_| Failure::Invalid("not an IP address"))?;
                Ok(Value::Bool(networks.contains(address.get())))
            }
            _ => Err(Failure::NoOverload("inNetwork")),
        }
    }

    fn call(&mut self, function: Function, arguments: &'a [Code]) -> Result<Value<'a>, Failure> {
        // No function takes more than four; an array keeps the call free of allocation.
        let mut values = [Value::Null, Value::Null, Value::Null, Value::Null];
        for (slot, argument) in values.iter_mut().zip(arguments) {
            *slot = self.value(argument)?;
            self.spend(weight(slot))?;
        }
        let values = values.get(..arguments.len()).unwrap_or_default();
        let result = match function {
            Function::Matches | Function::Glob => function::find_computed(function, values, &mut self.budget),
            _ => function.call(values),
        };
        self.made(result)
    }
}

#[cfg(test)]
mod tests;
