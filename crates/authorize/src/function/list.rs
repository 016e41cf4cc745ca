//! Functions that put texts together and turn them round.

use super::{Function, MAX_TEXT};
use crate::failure::Failure;
use crate::value::{List, Value};

pub(super) fn call<'a>(function: Function, arguments: &[Value<'a>]) -> Result<Value<'a>, Failure> {
    match (function, arguments) {
        (Function::Reverse, [Value::Text(text)]) => Ok(Value::text(text.chars().rev().collect::<String>())),
        (Function::Join, [Value::List(list)]) => join(list, ""),
        (Function::Join, [Value::List(list), Value::Text(separator)]) => join(list, separator),
        _ => Err(Failure::NoOverload(function.name())),
    }
}

fn join<'a>(list: &List<'_>, separator: &str) -> Result<Value<'a>, Failure> {
    let mut joined = String::new();
    for (index, item) in list.iter().enumerate() {
        let Value::Text(text) = item else { return Err(Failure::NoOverload("join")) };
        if index > 0 {
            joined.push_str(separator);
        }
        joined.push_str(&text);
        if joined.len() > MAX_TEXT {
            return Err(Failure::Budget);
        }
    }
    Ok(Value::text(joined))
}
