//! Tests of `environment`: what is documented is what there is.

use super::FACTS;
use crate::Reason;
use crate::fixture::{Scene, decide, problems};
use crate::function::signatures;

const DOCUMENTATION: &str = include_str!("../../../../docs/policies.md");

#[test]
fn every_field_is_documented() {
    for fact in FACTS {
        assert!(DOCUMENTATION.contains(&format!("| `{}` | {} |", fact.name, fact.of)), "{} | {}", fact.name, fact.of);
    }
}

#[test]
fn every_reason_is_documented() {
    for reason in Reason::ALL {
        assert!(DOCUMENTATION.contains(&format!("`{}`", reason.as_str())), "{}", reason.as_str());
    }
}

/// The cells of the tables of functions: signatures, meaning, when it fails, example.
fn functions() -> impl Iterator<Item = [&'static str; 4]> {
    let tables = DOCUMENTATION.split("| Function | Meaning | Fails when | Example |").skip(1);
    let rows =
        tables.flat_map(|table| table.lines().skip(2).map_while(|line| line.strip_prefix("| ")?.strip_suffix(" |")));
    rows.map(|row| {
        let cells: Vec<&str> = row.split(" | ").collect();
        cells.try_into().unwrap_or_else(|cells| panic!("four cells: {cells:?}"))
    })
}

/// What stands in back-ticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_function_has_an_example_that_holds() {
    let documented: Vec<&str> = functions().flat_map(|[signatures, ..]| quoted(signatures)).collect();
    let undocumented: Vec<&str> =
        signatures().iter().map(|known| known.text).filter(|text| !documented.contains(text)).collect();
    assert_eq!(undocumented, [""; 0]);
    for [signatures, _, _, example] in functions() {
        let name = signatures.split('(').next().unwrap_or_default().rsplit('.').next().unwrap_or_default();
        let example = quoted(example).next().unwrap_or_else(|| panic!("{signatures} has an example"));
        assert!(example.contains(name.trim_matches('`')), "{signatures}: {example}");
        assert_eq!(decide(&Scene::default(), example), Ok(true), "{example}");
    }
}

#[test]
fn what_is_documented_to_fail_fails() {
    let failing: Vec<&str> = functions().flat_map(|[_, _, fails, _]| quoted(fails)).collect();
    assert!(failing.len() > 25, "{}", failing.len());
    for expression in failing {
        assert!(decide(&Scene::default(), &format!("type({expression}) != type(null)")).is_err(), "{expression}");
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
