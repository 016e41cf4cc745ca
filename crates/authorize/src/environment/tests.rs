//! Tests of `environment`: what is documented is what there is.

use super::FACTS;
use crate::fixture::problems;
use crate::function::signatures;
use crate::{Reason, Severity};

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
        let refused = problems(example).into_iter().find(|problem| problem.severity == Severity::Error);
        assert_eq!(refused, None, "{example}");
    }
}

#[test]
fn every_documented_mistake_is_told_as_documented() {
    let rows = DOCUMENTATION.split("| Mistake | Message |").skip(1).flat_map(|table| {
        let rows = table.lines().skip(2).map_while(|line| line.strip_prefix("| `"));
        rows.filter_map(|row| row.strip_suffix(" |")?.split_once("` | "))
    });
    let rows: Vec<(String, String)> =
        rows.map(|(mistake, told)| (mistake.replace("\\|", "|"), told.replace("\\|", "|"))).collect();
    assert!(rows.len() > 10, "{}", rows.len());
    for (mistake, told) in rows {
        let found: Vec<String> = problems(&mistake)
            .into_iter()
            .map(|problem| problem.message + &problem.help.map_or_else(String::new, |help| format!(": {help}")))
            .collect();
        assert_eq!(found, [told], "{mistake}");
    }
}
