//! The examples of `config/` and `policies/` load, and pass the schema.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::{json_schema, load_with, yaml};
use super::Folder;
use crate::config::source::Sources;
use crate::config::tree::{self, Node, Style};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}

/// A copy of `config/` with the certificates that the examples name.
fn copy() -> Folder {
    let folder = Folder::new("");
    let config = repository().join("config");
    let files = yaml_files(&config).into_iter().filter(|path| !path.ends_with(ALL_POLICIES));
    for path in files.chain(yaml_files(&config.join("several-apps"))) {
        let name = path.strip_prefix(&config).unwrap().to_str().unwrap().to_owned();
        folder.write(&name, fs::read(path).unwrap());
    }
    let names = ["*.example.com", "*.internal"].map(str::to_owned);
    let certified = rcgen::generate_simple_self_signed(names).unwrap();
    for name in ["app", "wildcard", "grpc", "portcullis", "private-ca", "clients-ca", "notebook"] {
        folder.write(&format!("certs/{name}.pem"), certified.cert.pem());
        folder.write(&format!("certs/{name}.key"), certified.signing_key.serialize_pem());
    }
    folder.write("certs/clients.crl", super::listeners::revocation_list());
    folder
}

#[test]
fn every_example_loads_without_a_warning() {
    let folder = copy();
    let files = yaml_files(folder.path());
    assert!(files.len() > 6, "{files:?}");
    for file in files.iter().filter(|file| !file.ends_with("portcullis.yaml")) {
        let config =
            load_with(file, &|_| Some("a secret of some length".to_owned())).map_err(|error| error.to_string());
        assert_eq!(config.unwrap().warnings.to_string(), "", "{}", file.display());
    }
}

#[test]
fn every_example_passes_the_schema() {
    let schema = json_schema();
    for file in yaml_files(&repository().join("config")) {
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(mismatches(&parsed(&text), &schema), Vec::<String>::new(), "{}", file.display());
    }
}

/// It names the policies and tables of the repository, so it is loaded where it lies.
#[test]
fn every_example_policy_loads() {
    let loaded = load_with(&repository().join("config").join(ALL_POLICIES), &|_| None);
    let config = loaded.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.warnings.to_string(), "");
    for path in yaml_files(&repository().join("policies")) {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("\ntests:\n"), "{} is not tested", path.display());
    }
}

const ALL_POLICIES: &str = "policies.yaml";

pub(super) fn parsed(text: &str) -> Value {
    let id = Sources::default().add(PathBuf::new(), text.to_owned());
    json(&yaml::parse(text, id).unwrap().0)
}

fn json(node: &Node) -> Value {
    match &node.value {
        tree::Value::Null => Value::Null,
        tree::Value::Scalar(scalar) if scalar.style == Style::Plain && tree::is_bool(&scalar.text) => {
            Value::Bool(scalar.text == "true")
        }
        tree::Value::Scalar(scalar) => match scalar.text.parse::<u64>() {
            Ok(number) if scalar.style == Style::Plain => number.into(),
            _ => scalar.text.clone().into(),
        },
        tree::Value::List(items) => items.iter().map(json).collect(),
        tree::Value::Map(entries) => entries.iter().map(|entry| (entry.key.clone(), json(&entry.value))).collect(),
    }
}

/// The part of JSON Schema that ours uses.
pub(super) fn mismatches(value: &Value, schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(variants) = schema["anyOf"].as_array()
        && !variants.iter().any(|variant| mismatches(value, variant).is_empty())
    {
        found.push(format!("{value} fits no variant of {schema}"));
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let types = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => vec![kind],
    };
    if !types.contains(&kind) && (kind != "integer" || !types.contains(&"number")) {
        found.push(format!("{value} is {kind}, not {types:?}"));
    }
    if schema.get("const").is_some_and(|only| only != value) {
        found.push(format!("{value} is not {}", schema["const"]));
    }
    let length = value.as_str().map(str::len).or_else(|| value.as_array().map(Vec::len));
    let least = schema["minLength"].as_u64().filter(|_| value.is_string()).or(schema["minItems"].as_u64());
    if length.zip(least).is_some_and(|(length, least)| (length as u64) < least) {
        found.push(format!("{value} is too short"));
    }
    if value.as_u64().zip(schema["minimum"].as_u64()).is_some_and(|(number, least)| number < least) {
        found.push(format!("{value} is too small"));
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        found.push(format!("{value} is none of {}", schema["enum"]));
    }
    if let (Some(text), Some(pattern)) = (value.as_str(), schema["pattern"].as_str())
        && !regex::Regex::new(pattern).unwrap().is_match(text)
    {
        found.push(format!("{text} does not match {pattern}"));
    }
    for item in value.as_array().into_iter().flatten() {
        found.extend(mismatches(item, &schema["items"]));
    }
    for (name, inner) in value.as_object().into_iter().flatten() {
        match (&schema["properties"][name], &schema["additionalProperties"]) {
            (Value::Null, Value::Bool(false)) => found.push(format!("unknown key {name}")),
            (Value::Null, others) => found.extend(mismatches(inner, others)),
            (property, _) => found.extend(mismatches(inner, property)),
        }
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        if value.is_object() && value.get(required.as_str().unwrap()).is_none() {
            found.push(format!("missing {required}"));
        }
    }
    found
}
