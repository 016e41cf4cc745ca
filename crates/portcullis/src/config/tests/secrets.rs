//! No message shows a secret, whatever is wrong around it.

use super::{Folder, GOOD};
use crate::config::tree::quoted;

fn check(config: &str, secret: &str) {
    let folder = Folder::new(config).with("secret.txt", "hunter3\n");
    let problems = folder.problems();
    assert!(!problems.is_empty(), "nothing is wrong with\n{config}");
    assert!(!problems.contains(secret), "{problems}");
    if let Ok(config) = folder.load() {
        assert!(!format!("{config:?}").contains(secret));
    }
}

fn provider(secret: &str) -> String {
    format!(
        "{GOOD}authenticate:\n  url: http://auth.test\n  providers:\n    - id: corp\n      issuer: https://idp.test\n      client_id: a\n      {secret}\n"
    )
}

#[test]
fn a_line_that_holds_a_secret_is_never_shown() {
    for line in [
        "client_secret: [hunter2]",
        "client_secrt: hunter2",
        "clientsecret: hunter2",
        "Client-Secret: hunter2",
        "client_secret: *hunter2",
        "client_secret: \"hunter2",
        "client_secret: 'hunter2' x",
        "client_secret: { a: hunter2",
        "password: hunter2",
        "{ client_secret: hunter2 }",
        "client_secret: ${hunter2}",
        "client_secret: |\n        hunter2\n       bad: [",
        "name: ${env:SECRET}\n      nam: x",
        "issuer: ${env:SECRET}",
        "ca_file: ${env:SECRET}",
        "x-api-key: hunter2",
        "X-Api-Key: hunter2-${env:SECRET}",
        "api_key : hunter2",
        "apikey:hunter2",
        "Cookie: hunter2",
        "Authorization: hunter2",
        "\"client-secrt\" : hunter2",
        "{ \"x-api-key\": hunter2 }",
        "headers: { x-api-key: [hunter2] }",
    ] {
        check(&provider(line), "hunter2");
    }
}

#[test]
fn a_value_that_was_put_in_is_never_shown() {
    for key in ["drain_timeout", "admin", "audit", "listeners", "networks", "policy_files"] {
        check(&format!("{GOOD}{key}: ${{env:SECRET}}\n"), "hunter2");
        check(&format!("{GOOD}{key}: ${{file:secret.txt}}\n"), "hunter3");
    }
    check(&GOOD.replace("\"true\"", "'${env:SECRET} == 1'"), "hunter2");
}

#[test]
fn an_accepted_secret_is_not_printed_by_debug() {
    check(&provider("client_secret: ${env:SECRET}"), "hunter2");
    check(&provider("client_secret: hunter2"), "hunter2");
}

#[test]
fn an_empty_secret_is_refused() {
    let problems = Folder::new(&provider("client_secret: ${env:EMPTY}")).problems();
    assert!(problems.contains("`client_secret` is empty after `${..}` was replaced"), "{problems}");
}

#[test]
fn a_bad_key_is_named_and_not_shown() {
    let problems = Folder::new(&provider("scopes: [openid]\n  keys: { seal: hunter2 }")).problems();
    assert!(problems.contains("portcullis.yaml:14:17: `seal[0]` cannot be used: "), "{problems}");
    assert!(!problems.contains("hunter2"), "{problems}");
}

#[test]
fn a_boolean_is_no_secret() {
    let problems = Folder::new(&provider("client_secret: true")).problems();
    assert!(problems.contains("`client_secret` must be a text, not a boolean"), "{problems}");
}

#[test]
fn a_password_in_a_url_is_not_shown() {
    let config = GOOD.replace("http://127.0.0.1:8080", "http://user:hunter2@127.0.0.1:8080");
    check(&config, "hunter2");
    assert!(
        Folder::new(&config).problems().contains("`http://***@127.0.0.1:8080` is an upstream URL with credentials")
    );
    check(&provider("ca_file: \"https://user:hunter2@idp.test?x\""), "hunter2");
}

#[test]
fn credentials_of_urls_are_not_shown_wherever_they_are_and_whatever_is_in_them() {
    for (url, shown) in [
        ("https://hunter2@a.test/x", "https://***@a.test/x"),
        ("https://hunter2:x-oauth-basic@a.test", "https://***@a.test"),
        ("https://u:/hunter2@a.test", "https://***@a.test"),
        ("https://u:?hunter2@a.test", "https://***@a.test"),
        ("https://u:#hunter2@a.test", "https://***@a.test"),
        ("https://u:,hunter2@a.test", "https://***@a.test"),
        ("https://u:\"hunter2@a.test", "https://***@a.test"),
        ("https://u:hunt@hunter2@a.test", "https://***@a.test"),
        ("https://u:x://hunter2@a.test", "https://***@a.test"),
        ("https://a.test, https://u:hunter2@b.test", "https://a.test, https://***@b.test"),
        ("redis://:hunter2@a.test", "redis://***@a.test"),
    ] {
        assert_eq!(quoted(url), format!("`{shown}`"));
        // The line is not shown either.
        check(&provider(&format!("nam: '{url}'")), "hunter2");
        check(&provider(&format!("nam: a # {url}")), "hunter2");
    }
    for harmless in ["https://a.test/x", "ada@example.com", "https://@a.test", "a@b https://c.test"] {
        assert_eq!(quoted(harmless), format!("`{harmless}`"));
    }
}
