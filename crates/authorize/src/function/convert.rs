//! Conversions between types. What does not fit fails; nothing wraps round or saturates.

use std::borrow::Cow;

use jiff::SignedDuration;

use super::Function;
use crate::failure::Failure;
use crate::value::Value;

pub(super) fn call<'a>(function: Function, arguments: &[Value<'a>]) -> Result<Value<'a>, Failure> {
    let [value] = arguments else { return Err(Failure::NoOverload(function.name())) };
    match function {
        Function::ToBool => to_bool(value),
        Function::ToInt => to_int(value),
        Function::ToUint => to_uint(value),
        Function::ToDouble => to_double(value),
        Function::ToText => to_text(value),
        Function::ToBytes => to_bytes(value),
        Function::ToDyn => Ok(value.clone()),
        Function::TypeOf => Ok(Value::Type(value.type_name())),
        _ => Err(Failure::NoOverload(function.name())),
    }
}

fn to_bool<'a>(value: &Value<'a>) -> Result<Value<'a>, Failure> {
    match value {
        Value::Bool(value) => Ok(Value::Bool(*value)),
        Value::Text(text) => match &**text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => Err(Failure::Invalid("not a bool")),
        },
        _ => Err(Failure::NoOverload("bool")),
    }
}

fn to_int<'a>(value: &Value<'a>) -> Result<Value<'a>, Failure> {
    match value {
        Value::Int(value) => Ok(Value::Int(*value)),
        Value::Uint(value) => i64::try_from(*value).map(Value::Int).map_err(|_| Failure::Overflow),
        // 2^63 itself is the first that does not fit; -2^63 is kept out as well, as the CEL text has it.
        Value::Double(value) if value.abs() < 9_223_372_036_854_775_808.0 =>
        {
            #[expect(clippy::cast_possible_truncation, reason = "within range; the conversion rounds towards zero")]
            Ok(Value::Int(*value as i64))
        }
        Value::Double(_) => Err(Failure::Overflow),
        Value::Text(text) => text.parse().map(Value::Int).map_err(|_| Failure::Invalid("not an int")),
        Value::Timestamp(time) => Ok(Value::Int(time.as_second())),
        _ => Err(Failure::NoOverload("int")),
    }
}

fn to_uint<'a>(value: &Value<'a>) -> Result<Value<'a>, Failure> {
    match value {
        Value::Uint(value) => Ok(Value::Uint(*value)),
        Value::Int(value) => u64::try_from(*value).map(Value::Uint).map_err(|_| Failure::Overflow),
        Value::Double(value) if (0.0..18_446_744_073_709_551_616.0).contains(value) =>
        {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "within range; the conversion rounds towards zero"
            )]
            Ok(Value::Uint(*value as u64))
        }
        Value::Double(_) => Err(Failure::Overflow),
        Value::Text(text) => text.parse().map(Value::Uint).map_err(|_| Failure::Invalid("not a uint")),
        _ => Err(Failure::NoOverload("uint")),
    }
}

#[expect(clippy::cast_precision_loss, reason = "CEL rounds to the nearest double")]
fn to_double<'a>(value: &Value<'a>) -> Result<Value<'a>, Failure> {
    match value {
        Value::Double(value) => Ok(Value::Double(*value)),
        Value::Int(value) => Ok(Value::Double(*value as f64)),
        Value::Uint(value) => Ok(Value::Double(*value as f64)),
        Value::Text(text) => text.parse().map(Value::Double).map_err(|_| Failure::Invalid("not a double")),
        _ => Err(Failure::NoOverload("double")),
    }
}

pub(super) fn to_text<'a>(value: &Value<'a>) -> Result<Value<'a>, Failure> {
    Ok(Value::text(match value {
        Value::Text(text) => return Ok(Value::Text(text.clone())),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Double(value) => value.to_string(),
        Value::Bytes(bytes) => {
            std::str::from_utf8(bytes).map_err(|_| Failure::Invalid("the bytes are not UTF-8"))?.to_owned()
        }
        Value::Timestamp(time) => time.to_string(),
        Value::Duration(duration) => seconds(*duration),
        Value::Ip(address) => address.to_string(),
        Value::Cidr(network) => network.to_string(),
        Value::Null | Value::Type(_) | Value::List(_) | Value::Map(_) => return Err(Failure::NoOverload("string")),
    }))
}

fn to_bytes<'a>(value: &Value<'a>) -> Result<Value<'a>, Failure> {
    match value {
        Value::Bytes(bytes) => Ok(Value::Bytes(bytes.clone())),
        Value::Text(text) => Ok(Value::Bytes(Cow::Owned(text.as_bytes().to_vec()))),
        _ => Err(Failure::NoOverload("bytes")),
    }
}

/// Writes a duration as CEL does: seconds, with a fraction where there is one.
fn seconds(duration: SignedDuration) -> String {
    let sign = if duration.is_negative() { "-" } else { "" };
    let fraction = format!("{:09}", duration.subsec_nanos().unsigned_abs());
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction}s", duration.as_secs().unsigned_abs())
}
