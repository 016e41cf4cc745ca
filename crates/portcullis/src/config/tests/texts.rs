//! What editors make of a file, and what is still told of one that is no good YAML.

use super::super::{Extent, load_extent};
use super::{Folder, GOOD, check};

#[test]
fn a_byte_order_mark_is_no_part_of_the_text() {
    assert_eq!(Folder::new(&format!("\u{feff}{GOOD}")).problems(), "");
    let config = format!("\u{feff}{}", GOOD.replace("listeners", "listenrs"));
    let problems = Folder::new(&config).problems();
    assert!(problems.starts_with("portcullis.yaml:1:1: "), "{problems}");
    assert!(problems.contains("  1 | listenrs: ") && !problems.contains('\u{feff}'), "{problems}");
    let folder = Folder::new(&format!("{GOOD}    name: ${{file:name}}\n")).with("name", "\u{feff}app\r\n");
    assert_eq!(folder.load().unwrap().proxy.routes[0].name, "app");
}

#[test]
fn a_file_that_is_too_large_has_its_place_too() {
    let folder = Folder::new(&format!("{GOOD}# {}\n", "x".repeat(17 << 20)));
    let expected = "portcullis.yaml:1:1: the file is larger than 16777216 bytes: make it smaller";
    assert_eq!(folder.problems().trim_end(), expected);
}

#[test]
fn a_mistake_behind_the_end_of_a_line_has_its_place() {
    let folder = Folder::new("");
    folder.write("portcullis.yaml", b"admin: {} \xff");
    assert!(folder.problems().starts_with("portcullis.yaml:1:11: "), "{}", folder.problems());
}

#[test]
fn of_a_long_line_a_part_is_shown() {
    let config = format!("{GOOD}branding: {{ name: {}, colour: red, color: {} }}\n", "x".repeat(190), "y".repeat(1000));
    let problems = Folder::new(&config).problems();
    let lines: Vec<_> = problems.lines().collect();
    assert!(lines.iter().all(|line| line.chars().count() < 500), "{problems}");
    let carets = lines.iter().position(|line| line.contains('^')).unwrap();
    let at = lines[carets].chars().position(|c| c == '^').unwrap();
    let shown: String = lines[carets - 1].chars().skip(at).take(6).collect();
    assert_eq!(shown, "colour");
    assert!(lines[carets - 1].starts_with("  7 | …") && lines[carets - 1].ends_with('…'), "{problems}");
}

#[test]
fn a_mistake_in_yaml_that_can_be_read_over_hides_no_other() {
    check(
        "listeners: [{ adress: *here, address: 127.0.0.1:0 }]\nroutes: 5\n---\nadmin: {}\n",
        "portcullis.yaml:1:15: unknown key `adress`: did you mean `address`?
  1 | listeners: [{ adress: *here, address: 127.0.0.1:0 }]
    |               ^^^^^^
portcullis.yaml:1:23: this alias names no anchor above it: define the anchor first, or put quotes around a text that starts with `*`
  1 | listeners: [{ adress: *here, address: 127.0.0.1:0 }]
    |                       ^^^^^
portcullis.yaml:2:9: `routes` must be a list, not a number
  2 | routes: 5
    |         ^
portcullis.yaml:3:1: a second YAML document starts here: put everything into one
  3 | ---
    | ^^^
",
    );
}

#[test]
fn what_is_no_yaml_is_told_with_what_to_do() {
    for (line, remedy) in [
        ("admin: @x", "unexpected character `@`: put the text into quotes"),
        ("admin: \u{1}", "unexpected character `\\u{1}`: remove it"),
        ("admin: \"a\\qb\"", "write `\\\\` for a backslash"),
        ("admin: \"a", "close the quote above"),
        ("admin", "write `key: value`, with a space behind the colon"),
        ("admin:{}", "write `key: value`, with a space behind the colon"),
        ("admin: a: b", "put a text that has a colon and a space into quotes"),
        (" admin: {}", "align the line with those that it belongs to"),
        ("admin: { address: ${env:A} }", "put a text that has one, such as `${env:NAME}`, into quotes"),
    ] {
        let problems = Folder::new(&format!("{GOOD}{line}\n")).problems();
        assert!(problems.contains(": not valid YAML: ") && problems.contains(remedy), "{line}\n{problems}");
    }
}

#[test]
fn a_value_of_another_type_is_one_mistake() {
    for (line, expected) in [
        ("routes: 5", "`routes` must be a list, not a number"),
        ("routes: [5]", "`routes[0]` must be a mapping, not a number"),
        ("listeners: 5", "`listeners` must be a list, not a number"),
        ("listeners: [a]", "`listeners[0]` must be a mapping, not a text"),
        (
            "listeners: [{ address: 127.0.0.1:0, trusted_proxies: 0.0.0.0/0 }]",
            "`trusted_proxies` must be a list, not a text",
        ),
        ("authenticate: { url: https://a.test, providers: { id: a } }", "`providers` must be a list, not a mapping"),
    ] {
        let key = line.split(':').next().unwrap_or_default();
        let rest: Vec<_> = GOOD.split_inclusive('\n').filter(|other| !other.starts_with(key)).collect();
        let rest = if key == "routes" { rest[0].to_owned() } else { rest.concat() };
        let problems = Folder::new(&format!("{rest}{line}\n")).problems();
        let told: Vec<_> = problems.lines().filter(|line| line.starts_with("portcullis.yaml:")).collect();
        assert!(told.len() == 1 && told[0].contains(expected), "{line}\n{problems}");
    }
}

#[test]
fn a_number_in_quotes_is_a_text() {
    let problems = Folder::new(&format!("{GOOD}    rate_limit: {{ requests: \"5\" }}\n")).problems();
    assert!(problems.contains("`requests` must be a whole number from 1 to 10000000, not a text"), "{problems}");
}

#[test]
fn a_folder_with_a_name_like_a_pattern_is_none() {
    let folder = Folder::new("");
    folder.write("a[1]/portcullis.yaml", format!("{GOOD}policy_files: ['*/p*.yaml']\n"));
    folder.write("a[1]/b/policies.yaml", "policies: [{ name: a, allow: 'true' }]\n");
    let path = folder.path().join("a[1]/portcullis.yaml");
    let config = super::super::load(&path).unwrap();
    let folders = config.warnings.watched().folders();
    assert!(
        folders.contains(&folder.path().join("a[1]/b")) && folders.contains(&folder.path().join("a[1]")),
        "{folders:?}"
    );
}

#[test]
fn a_reference_that_cannot_be_replaced_is_one_mistake() {
    for line in [
        "policy: ${env:NOPE}",
        "deny: [\"${env:NOPE}\"]",
        "provider: ${env:NOPE}",
        "identity: { headers: { x: \"${env:NOPE}\" } }",
    ] {
        let problems = Folder::new(&format!("{GOOD}    {line}\n")).problems();
        assert_eq!(problems.matches(".yaml:").count(), 1, "{line}\n{problems}");
    }
}

#[test]
fn what_decides_nothing_may_refer_to_what_is_not_there() {
    let folder = Folder::new(
        r#"
listeners: [{ address: "${env:A}", limits: { max_connections: "${env:A}" } }]
admin: { address: "${env:A}", token: "${env:A}" }
drain_timeout: ${env:A}
telemetry: { traces: { url: "${env:A}" } }
audit: { instance: "${env:A}", syslog: { url: "tls://${env:A}" } }
authenticate:
  url: https://${env:A}
  providers: [{ id: corp, issuer: "${env:A}", client_id: "${env:A}", client_secret: "${env:A}" }]
  session: { lifetime: "${env:A}", store: "${file:a}" }
defaults: { timeout: { connect: "${env:A}" }, provider: corp }
routes:
  - from: https://app.test
    to: ["http://${env:A}:3000", { url: "${env:A}", weight: "${env:A}" }]
    request_headers: { set: { x-a: "${env:A}" } }
    credential: { value: "${env:A}" }
    rate_limit: { requests: "${env:A}" }
    identity: { headers: { x-b: "${env:A}" } }
    upstream_protocol: ${env:A}
    load_balancing: ${env:A}
    health_check: { path: "${env:A}" }
    allow: '"staff" in user.groups'
  - { from: "https://b.test", redirect: { url: "${env:A}" }, allow: "true" }
  - { from: "https://c.test", respond: { body: "${env:A}" }, allow: "true" }
"#,
    );
    let path = folder.path().join("portcullis.yaml");
    let decisions = |path: &std::path::Path| load_extent(path, &|_| None, Extent::Decisions);
    let config = decisions(&path).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.proxy.routes.len(), 3);
    assert!(folder.load().is_err());
    for line in ["deny: [\"${env:A}\"]", "encoded_slashes: ${env:A}", "methods: [\"${env:A}\"]"] {
        folder.write("portcullis.yaml", format!("{GOOD}    {line}\n"));
        let error = decisions(&path).expect_err(line).to_string();
        assert!(error.contains("the environment variable `A` is not set"), "{line}: {error}");
    }
}
