//! Runs the conformance cases of the CEL specification, which `tests/run conformance` fetches.
//!
//! `conformance/left_out.txt` names the cases that fail, under the reasons why. A case that fails and is not named, and
//! one that is named and passes, fail the run.

mod value;

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value as Json;

use super::{on_large_stack, parse, scan};
use crate::evaluate::{self, HeldTables};
use crate::failure::Failure;
use crate::fixture::Scene;
use crate::types::Type;
use crate::value::Value;

type Names = Vec<(String, Type)>;

const LEFT_OUT: &str = include_str!("conformance/left_out.txt");

#[test]
fn the_conformance_cases_pass_but_for_those_left_out() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/cel-spec.json");
    let text = fs::read_to_string(path).expect("`tests/run conformance` puts the cases there");
    let cases: Vec<Json> = serde_json::from_str(&text).unwrap();
    let left_out: Vec<&str> = LEFT_OUT.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let mut results: BTreeMap<String, Result<(), String>> = BTreeMap::new();
    for (mut name, result) in on_large_stack(|| cases.iter().map(run).collect::<Vec<_>>()).unwrap() {
        // Some names are given twice.
        while results.contains_key(&name) {
            name.push('+');
        }
        results.insert(name, result);
    }
    let (mut passed, mut surprises) = (0, Vec::new());
    for (name, result) in &results {
        match (result, left_out.contains(&name.as_str())) {
            (Ok(()), false) => passed += 1,
            (Err(_), true) => {}
            (Ok(()), true) => surprises.push(format!("{name}: passes, and is left out")),
            (Err(why), false) => surprises.push(format!("{name}: {why}")),
        }
    }
    surprises.extend(
        left_out.iter().filter(|name| !results.contains_key(**name)).map(|name| format!("{name}: no such case")),
    );
    report(passed, cases.len(), left_out.len());
    assert!(surprises.is_empty(), "{} surprises:\n{}", surprises.len(), surprises.join("\n"));
}

#[expect(clippy::print_stdout, reason = "the counts are what a reader of the run looks for")]
fn report(passed: usize, all: usize, left_out: usize) {
    println!("{passed} of {all} conformance cases pass, {left_out} are left out");
}

/// Runs a case; the error says what came out instead of what was expected.
fn run(case: &Json) -> (String, Result<(), String>) {
    let text = |key: &str| case.get(key).and_then(Json::as_str).unwrap_or_default();
    let name = format!("{}/{}", text("suite"), text("name"));
    (name, check(case, text("expr")).map_err(|why| format!("`{}`: {why}", text("expr").escape_debug())))
}

fn check(case: &Json, source: &str) -> Result<(), String> {
    let fails = case.get("evalError").is_some();
    let (names, values) = variables(case)?;
    let (of, code) = match compile(source, names) {
        Ok(compiled) => compiled,
        Err(_) if fails => return Ok(()),
        Err(why) => return Err(why),
    };
    if let Some(deduced) = case.pointer("/typedResult/deducedType") {
        let expected = value::type_of(deduced)?;
        if expected != of {
            return Err(format!("is of type {of}, not {expected}"));
        }
    }
    if case.get("checkOnly") == Some(&Json::Bool(true)) {
        return Ok(());
    }
    let scene = Scene::signed_out();
    let wanted = case.get("value").or_else(|| case.pointer("/typedResult/result"));
    let tables = HeldTables::default();
    compare(evaluate::part(&code, &scene.input(), &tables, &values), wanted, fails)
}

fn compare(found: Result<Value<'_>, Failure>, wanted: Option<&Json>, fails: bool) -> Result<(), String> {
    match (found, wanted) {
        (Err(_), _) if fails => Ok(()),
        (Err(failure), _) => Err(format!("fails: {failure}")),
        (Ok(found), _) if fails => Err(format!("is {found:?}, and should fail")),
        (Ok(Value::Bool(true)), None) => Ok(()),
        (Ok(found), Some(wanted)) => {
            let wanted = value::read(wanted)?;
            if value::identical(&found, &wanted) { Ok(()) } else { Err(format!("is {found:?}, not {wanted:?}")) }
        }
        (Ok(found), None) => Err(format!("is {found:?}, not true")),
    }
}

fn compile(source: &str, names: Names) -> Result<(Type, crate::code::Code), String> {
    let told = |faults: Vec<super::Fault>| faults.into_iter().map(|fault| fault.message).collect::<Vec<_>>().join("; ");
    let characters: Vec<char> = source.chars().collect();
    let brackets = scan::scan(&characters).map_err(|fault| fault.message)?;
    let tree = parse::parse(source, &characters, &brackets).map_err(told)?;
    crate::check::expression(&tree, names).map_err(told)
}

/// Returns the variables of a case with their types, and in the same order their values.
fn variables(case: &Json) -> Result<(Names, Vec<Value<'static>>), String> {
    let mut declared: BTreeMap<&str, Type> = BTreeMap::new();
    for declaration in case.get("typeEnv").and_then(Json::as_array).into_iter().flatten() {
        let name = declaration.get("name").and_then(Json::as_str).unwrap_or_default();
        let of = declaration.pointer("/ident/type").ok_or("declares a function")?;
        declared.insert(name, value::type_of(of)?);
    }
    let mut values: BTreeMap<&str, Value<'static>> = BTreeMap::new();
    for (name, binding) in case.get("bindings").and_then(Json::as_object).into_iter().flatten() {
        values.insert(name, value::read(binding.get("value").ok_or("binds no value")?)?);
        declared.entry(name).or_insert(Type::Dyn);
    }
    let bound = declared.keys().map(|name| values.remove(name).unwrap_or(Value::Null)).collect();
    Ok((declared.into_iter().map(|(name, of)| (name.to_owned(), of)).collect(), bound))
}
