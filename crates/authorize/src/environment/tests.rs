//! Tests of `environment`: what is documented is what there is.

use super::FACTS;
use crate::Reason;
use crate::fixture::problems;
use crate::function::signatures;

const DOCUMENTATION: &str = include_str!("../../../../docs/policies.md");

#[test]
fn every_field_is_documented() {
    for fact in FACTS {
        assert!(DOCUMENTATION.contains(&format!("| `{}` | {} |", fact.name, fact.of)), "{} | {}", fact.name, fact.of);
    }
}

#[test]
fn every_function_is_documented() {
    for signature in signatures() {
        assert!(DOCUMENTATION.contains(&format!("`{}`", signature.text)), "{}", signature.text);
    }
}

#[test]
fn every_reason_is_documented() {
    for reason in Reason::ALL {
        assert!(DOCUMENTATION.contains(&format!("`{}`", reason.as_str())), "{}", reason.as_str());
    }
}

#[test]
fn every_example_of_a_function_is_a_rule() {
    let examples: Vec<&str> = DOCUMENTATION
        .lines()
        .filter(|line| line.contains(") -> "))
        .filter_map(|line| line.split(" | ").nth(2)?.split('`').nth(1))
        .collect();
    assert!(examples.len() > 40, "{}", examples.len());
    for example in examples {
        assert_eq!(problems(example), [], "{example}");
    }
}
