//! Tests of dotted paths.

use serde_json::json;

use super::*;

fn claims() -> Claims {
    let claims = json!({
        "email": "ada@example.com",
        "realm_access": { "roles": ["a"], "deep.key": 1, "deep": { "key": 2 } },
        "https://example.com/groups": ["sre"],
        "a.b": "whole",
        "a": { "b": "nested", "c": "other" },
        "null": null,
        "list": [{ "x": 1 }],
        "": { "": "empty" },
    });
    Claims::verified(claims.as_object().unwrap().clone())
}

fn check(path: &str, expected: Option<&Value>) {
    assert_eq!(claims().at(path), expected, "{path}");
}

#[test]
fn a_dotted_path_reaches_into_objects() {
    check("email", Some(&json!("ada@example.com")));
    check("realm_access.roles", Some(&json!(["a"])));
    check("realm_access.deep.key", Some(&json!(2)));
    check("a.c", Some(&json!("other")));
    check("null", Some(&Value::Null));
}

#[test]
fn a_claim_whose_own_name_holds_the_dots_is_found_first() {
    check("https://example.com/groups", Some(&json!(["sre"])));
    check("a.b", Some(&json!("whole")));
}

#[test]
fn a_path_that_leads_nowhere_finds_nothing() {
    for path in [
        "none",
        "email.x",
        "realm_access.none",
        "realm_access.roles.0",
        "list.0.x",
        "list.x",
        "null.x",
        ".email",
        "email.",
        "a..b",
    ] {
        check(path, None);
    }
}
