//! The JSON Schema, and files that must not blow up.

use serde_json::Value;

use super::super::json_schema;
use super::{Folder, GOOD};

#[test]
fn every_key_has_a_description() {
    fn walk(schema: &Value, path: &str) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            assert!(property["description"].as_str().is_some_and(|text| text.ends_with('.')), "{path}");
            walk(property, &path);
            walk(&property["items"], &path);
            for variant in property["anyOf"].as_array().into_iter().flatten() {
                walk(variant, &path);
            }
        }
    }
    let schema = json_schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["properties"]["drain_timeout"]["default"], "30s");
    assert_eq!(schema["required"], serde_json::json!(["listeners", "routes"]));
    walk(&schema, "");
}

#[test]
fn nested_aliases_do_not_fill_the_memory() {
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (from, to) in ('a'..'i').zip('b'..='i') {
        bomb += &format!("{to}: &{to} [{}]\n", vec![format!("*{from}"); 10].join(", "));
    }
    let problems = Folder::new(&bomb).problems();
    assert!(problems.contains("the file has more than 250000 values"), "{problems}");
}

#[test]
fn an_alias_within_itself_is_refused() {
    let problems = Folder::new("a: &a [*a]\n").problems();
    assert!(problems.contains("this alias stands inside the value that it names"), "{problems}");
}

#[test]
fn deep_nesting_is_refused() {
    let problems = Folder::new(&format!("a: {}\n", "[".repeat(10_000))).problems();
    assert!(problems.starts_with("portcullis.yaml:1:"), "{problems}");
    assert!(problems.contains("not valid YAML"), "{problems}");
}

#[test]
fn a_file_that_is_not_utf_8_says_so() {
    let folder = Folder::new("");
    folder.write("portcullis.yaml", [GOOD.as_bytes(), b"# \xe4\n"].concat());
    let error = folder.problems();
    assert!(error.contains("the file is not UTF-8 (line 7); save it as UTF-8"), "{error}");
}
