//! The JSON Schema, and files that must not blow up.

use serde_json::Value;

use super::super::json_schema;
use super::examples::mismatches;
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

/// Checks that a file of this line besides others is taken, or refused, by the schema as when it is loaded.
fn agrees(line: &str, is_good: bool) {
    let schema = json_schema();
    let config = format!("{GOOD}{line}\n");
    let loaded = Folder::new(&config).load();
    assert_eq!(loaded.is_ok(), is_good, "{line}: {:?}", loaded.map_err(|error| error.to_string()).err());
    let found = mismatches(&super::examples::parsed(&config), &schema);
    assert_eq!(found.is_empty(), is_good, "{line}: {found:?}");
}

#[test]
fn the_schema_takes_what_loads_and_refuses_what_does_not() {
    for line in [
        "drain_timeout: 1h30m",
        "drain_timeout: 0m1s",
        "audit: { segment_size: 1048576, instance: 7 }",
        "audit: { segment_size: 1MiB, durability: disk }",
        "audit: { stdout: true }",
        "networks: { office: [10.0.0.0/8, '2001:db8::/32'] }",
        "    timeout: { total: off, idle: 1s }",
        "    retry: { on: [502, reset] }",
        "    rate_limit: { requests: 5 }",
        "    websockets: [https://a.example.com]",
        "    websockets: off",
        "    response_headers: { set: { x-level: 5 } }",
    ] {
        agrees(line, true);
    }
    for line in [
        "drain_timeout: 30",
        "drain_timeout: 0s",
        "drain_timeout: soon",
        "audit: { segment_size: 0 }",
        "audit: { segment_size: 1 MB }",
        "audit: { stdout: 'true' }",
        "audit: { durability: tape }",
        "networks: { office: [somewhere] }",
        "admin: { address: 9901 }",
        "admin: { address: localhost }",
        "    timeout: { connect: off }",
        "    methods: [get]",
        "    rate_limit: { requests: '5' }",
        "    rate_limit: { requests: 0 }",
        "    response_headers: { set: { x-level: [5] } }",
        "    deny: ['']",
    ] {
        agrees(line, false);
    }
}

#[test]
fn words_that_yaml_1_1_reads_as_something_else_pass_the_schema() {
    let schema = json_schema();
    let listener = &schema["properties"]["listeners"]["items"]["properties"];
    assert_eq!(mismatches(&false.into(), &listener["proxy_protocol"]), Vec::<String>::new());
    let idle = &schema["properties"]["authenticate"]["properties"]["session"]["properties"]["idle_timeout"];
    assert_eq!(mismatches(&false.into(), idle), Vec::<String>::new());
    assert_ne!(mismatches(&true.into(), idle), Vec::<String>::new());
}

#[test]
fn a_reference_passes_the_schema_wherever_a_value_may_stand() {
    let schema = json_schema();
    let limits = &schema["properties"]["listeners"]["items"]["properties"]["limits"]["properties"];
    for property in [&limits["max_connections"], &limits["max_header_bytes"], &limits["underscore_headers"]] {
        assert_eq!(mismatches(&"${env:LIMIT}".into(), property), Vec::<String>::new());
    }
    assert_eq!(
        mismatches(&"${env:STDOUT}".into(), &schema["properties"]["audit"]["properties"]["stdout"]),
        Vec::<String>::new()
    );
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
    assert!(problems.contains("not valid YAML: more than 64 levels: nest less deeply"), "{problems}");
}

#[test]
fn a_file_that_is_not_utf_8_says_so() {
    let folder = Folder::new("");
    folder.write("portcullis.yaml", [GOOD.as_bytes(), b"# \xe4\n"].concat());
    let error = folder.problems();
    assert!(error.starts_with("portcullis.yaml:7:3: the file is not UTF-8 here: save it as UTF-8"), "{error}");
    folder.write("portcullis.yaml", [b"a: ", &b"token: hunter2 \xff hunter2"[..]].concat());
    assert!(!folder.problems().contains("hunter2"));
}
