//! Arithmetic that fails where the result does not fit.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};

use crate::failure::Failure;
use crate::function::{MAX_LIST, MAX_TEXT, bounded, in_range};
use crate::syntax::Operator;
use crate::value::Value;

/// Applies an operator to two values of one kind.
pub(super) fn apply<'a>(operator: Operator, left: Value<'a>, right: Value<'a>) -> Result<Value<'a>, Failure> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => int(operator, a, b),
        (Value::Uint(a), Value::Uint(b)) => uint(operator, a, b),
        (Value::Double(a), Value::Double(b)) => double(operator, a, b),
        (left, right) => match operator {
            Operator::Add => add(left, right),
            Operator::Subtract => subtract(&left, &right),
            _ => Err(Failure::NoOverload(operator.as_str())),
        },
    }
}

/// Changes the sign.
pub(super) fn negate<'a>(value: &Value<'_>) -> Result<Value<'a>, Failure> {
    match value {
        Value::Int(value) => value.checked_neg().map(Value::Int).ok_or(Failure::Overflow),
        Value::Double(value) => Ok(Value::Double(-value)),
        _ => Err(Failure::NoOverload("-")),
    }
}

fn int<'a>(operator: Operator, a: i64, b: i64) -> Result<Value<'a>, Failure> {
    let result = match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::Divide | Operator::Remainder if b == 0 => return Err(Failure::DivisionByZero),
        Operator::Divide => a.checked_div(b),
        Operator::Remainder => a.checked_rem(b),
        _ => return Err(Failure::NoOverload(operator.as_str())),
    };
    result.map(Value::Int).ok_or(Failure::Overflow)
}

fn uint<'a>(operator: Operator, a: u64, b: u64) -> Result<Value<'a>, Failure> {
    let result = match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::Divide | Operator::Remainder if b == 0 => return Err(Failure::DivisionByZero),
        Operator::Divide => a.checked_div(b),
        Operator::Remainder => a.checked_rem(b),
        _ => return Err(Failure::NoOverload(operator.as_str())),
    };
    result.map(Value::Uint).ok_or(Failure::Overflow)
}

fn double<'a>(operator: Operator, a: f64, b: f64) -> Result<Value<'a>, Failure> {
    Ok(Value::Double(match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide => a / b,
        _ => return Err(Failure::NoOverload(operator.as_str())),
    }))
}

fn add<'a>(left: Value<'a>, right: Value<'a>) -> Result<Value<'a>, Failure> {
    match (left, right) {
        (Value::Text(a), Value::Text(b)) if a.len() + b.len() <= MAX_TEXT => Ok(Value::Text(a + b)),
        (Value::Bytes(a), Value::Bytes(b)) if a.len() + b.len() <= MAX_TEXT => {
            Ok(Value::Bytes(Cow::Owned([&*a, &*b].concat())))
        }
        (Value::Text(_), Value::Text(_)) | (Value::Bytes(_), Value::Bytes(_)) => Err(Failure::Budget),
        (Value::List(a), Value::List(b)) if a.len() + b.len() > MAX_LIST => Err(Failure::Budget),
        (Value::List(a), Value::List(b)) => Ok(Value::list(a.iter().chain(b.iter()).collect())),
        (Value::Timestamp(time), Value::Duration(by)) | (Value::Duration(by), Value::Timestamp(time)) => {
            shift(time, by)
        }
        (Value::Duration(a), Value::Duration(b)) => duration(a.checked_add(b)),
        _ => Err(Failure::NoOverload("+")),
    }
}

fn subtract<'a>(left: &Value<'a>, right: &Value<'a>) -> Result<Value<'a>, Failure> {
    match (left, right) {
        (Value::Timestamp(a), Value::Timestamp(b)) => duration(Some(a.duration_since(*b))),
        (Value::Timestamp(time), Value::Duration(by)) => shift(*time, by.checked_neg().ok_or(Failure::Overflow)?),
        (Value::Duration(a), Value::Duration(b)) => duration(a.checked_sub(*b)),
        _ => Err(Failure::NoOverload("-")),
    }
}

fn shift<'a>(time: Timestamp, by: SignedDuration) -> Result<Value<'a>, Failure> {
    time.checked_add(by).ok().filter(in_range).map(Value::Timestamp).ok_or(Failure::Overflow)
}

fn duration<'a>(result: Option<SignedDuration>) -> Result<Value<'a>, Failure> {
    result.filter(bounded).map(Value::Duration).ok_or(Failure::Overflow)
}
