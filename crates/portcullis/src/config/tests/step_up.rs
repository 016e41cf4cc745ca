//! `step_up`: what is read, what is inherited, and what is refused.

use std::time::Duration;

use authenticate::StepUp;

use super::Folder;

/// A configuration with sign-in, these further keys of its one route, and these further sections.
fn config(route: &str, sections: &str) -> Folder {
    let config = format!(
        "\
listeners: [{{ address: 127.0.0.1:0 }}]
authenticate:
  url: https://auth.example.com
  providers: [{{ id: corp, issuer: https://idp.example.com, client_id: portcullis }}]
  session: {{ store: memory }}
routes:
  - from: https://app.example.com
    to: http://127.0.0.1:8080
    allow: user.authenticated
{route}
{sections}"
    );
    Folder::new(&config)
}

fn check(route: &str, sections: &str, expected: Option<&StepUp>) {
    let read = config(route, sections).load().unwrap().proxy.routes.remove(0).step_up;
    assert_eq!(read.as_ref(), expected, "{route} {sections}");
}

/// Compares what is said of a route with a further key, without the source line.
fn refused(route: &str, sections: &str, expected: &str) {
    let problems = config(route, sections).problems();
    assert_eq!(problems.lines().next().unwrap_or_default(), expected, "{route} {sections}");
}

#[test]
fn it_is_read_and_inherited_key_by_key() {
    let minutes = |minutes: u64| Some(Duration::from_secs(60 * minutes));
    let phr = || vec!["phr".to_owned(), "urn:example:gold".to_owned()];
    check("", "", None);
    check("    step_up: { max_auth_age: 5m }", "", StepUp::new(minutes(5), Vec::new()).as_ref());
    check("    step_up: { acr_values: [phr, \"urn:example:gold\"] }", "", StepUp::new(None, phr()).as_ref());
    check(
        "    step_up: { max_auth_age: 5m, acr_values: [phr, \"urn:example:gold\"] }",
        "",
        StepUp::new(minutes(5), phr()).as_ref(),
    );
    let all = "defaults: { step_up: { max_auth_age: 8h } }";
    check("", all, StepUp::new(minutes(8 * 60), Vec::new()).as_ref());
    check(
        "    step_up: { acr_values: [phr, \"urn:example:gold\"] }",
        all,
        StepUp::new(minutes(8 * 60), phr()).as_ref(),
    );
    check("    authenticate: optional", all, StepUp::new(minutes(8 * 60), Vec::new()).as_ref());
    check("    authenticate: none", all, None);
}

#[test]
fn what_asks_nothing_or_nobody_is_refused() {
    refused("    step_up: {}", "", "portcullis.yaml:10:14: `step_up` asks nothing: add `max_auth_age` or `acr_values`");
    refused(
        "    step_up: { max_auth_age: 900ms }",
        "",
        "portcullis.yaml:10:30: `max_auth_age` counts whole seconds: write at least `1s`",
    );
    refused(
        "    step_up: { acr_values: [two words] }",
        "",
        "portcullis.yaml:10:29: `acr_values[0]`: `two words` is no `acr`: write one without blanks, quotes and \
         backslashes, as the provider names it",
    );
    refused(
        "    step_up: { acr_values: [a, b, c, d, e, f, g, h, i] }",
        "",
        "portcullis.yaml:10:53: `acr_values` has more than 8 values: write fewer",
    );
    refused(
        "    step_up: { max_auth_age: 5m }\n    authenticate: none",
        "",
        "portcullis.yaml:10:14: `step_up` is about sessions, and with `authenticate: none` none is looked at: remove one \
         of the two",
    );
}
