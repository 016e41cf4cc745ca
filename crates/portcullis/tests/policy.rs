//! The tools for policies, run as their users run them.
#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

fn policy(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.arg("policy").args(arguments).current_dir(folder).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Neither the secret nor the certificate that it names is there.
const CONFIG: &str = "\
networks: { vpn: [10.8.0.0/16] }
policy_files: [policies.yaml]
authenticate: { url: 'https://auth.test', providers: [{ id: a, client_secret: '${env:NOT_SET_ANYWHERE}' }] }
listeners: [{ address: 127.0.0.1:0, tls: { certificates: [{ cert_file: none.pem, key_file: none.key }] } }]
";

const POLICIES: &str = r#"
policies:
  - name: staff
    allow:
      - name: on-vpn
        when: '"staff" in user.groups && (request.ip.inNetwork("vpn") || request.headers["x-role"] == "admin")'
    deny:
      - name: read-only
        when: '"contractors" in user.groups && request.method != "GET"'
        message: Read only.
      - name: suspended
        when: user.claims.suspended
    shadow: { allow: user.machine }
test_defaults:
  user: { groups: [staff], claims: { suspended: false } }
  request: { ip: 10.8.0.4 }
tests:
"#;

fn with_tests(tests: &str) -> TempDir {
    folder(&[("portcullis.yaml", CONFIG), ("policies.yaml", &format!("{POLICIES}{tests}"))])
}

const GOOD_TESTS: &str = r#"
  - name: staff on the VPN
    expect: { staff: { decision: allow, rule: on-vpn, shadow: deny } }
  - name: a contractor writes
    given: { user: { groups: [contractors], claims: { suspended: false } }, request: { method: POST } }
    expect: { staff: { decision: deny, rule: read-only, message: Read only. } }
  - name: a claim is missing
    given: { user: { claims: {} } }
    expect: { staff: { decision: error, rule: suspended, error: no such key } }
  - name: a header is missing
    given: { request: { ip: 192.0.2.1 } }
    expect: { staff: error }
"#;

#[test]
fn tests_that_pass_exit_with_0_and_tell_what_they_cover() {
    let folder = with_tests(GOOD_TESTS);
    for arguments in
        [&["test", "--config", "portcullis.yaml"][..], &["test", "--config", "portcullis.yaml", "policies.yaml"]]
    {
        let output = policy(folder.path(), arguments);
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(0), "{text}{}", stderr(&output));
        assert!(
            text.contains("ok   staff on the VPN: staff decides allow by staff/on-vpn (allow-rule-matched)"),
            "{text}"
        );
        assert!(
            text.contains("staff decides error by staff/on-vpn (allow-rule-failed: no such key: `x-role`)"),
            "{text}"
        );
        assert!(text.contains("coverage: 2 of 4 rules were true in one test and false in another"), "{text}");
        assert!(text.contains("never true   staff/allow[0] (shadow)"), "{text}");
        assert!(text.ends_with("4 passed, 0 failed\n"), "{text}");
    }
}

#[test]
fn a_test_that_fails_exits_with_1_and_shows_what_decided() {
    let folder =
        with_tests("  - { name: wrong <&>, expect: { staff: { decision: deny, message: x, shadow: allow } } }\n");
    let output = policy(folder.path(), &["test", "--config", "portcullis.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    for line in [
        "  FAIL wrong <&>: staff decides allow by staff/on-vpn (allow-rule-matched)\n       policies.yaml:18\n",
        "       decision: expected deny, but it is allow\n       message: expected x, but it is none\n       shadow: expected allow, but it is deny\n",
        "         deny  staff/suspended = false\n           user.claims.suspended = false\n",
        "             \"staff\" in user.groups = true\n               user.groups = [\"staff\"]\n",
        "               request.headers[\"x-role\"] == \"admin\" = not evaluated\n",
        "0 passed, 1 failed\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let output = policy(folder.path(), &["test", "--config", "portcullis.yaml", "--format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let json: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&json["passed"], &json["failed"]), (&0.into(), &1.into()));
    assert_eq!(json["tests"][0]["mismatches"][0]["what"], "decision");
    assert_eq!(json["tests"][0]["rules"][2]["condition"]["parts"][0]["value"], true);
    assert_eq!(json["coverage"].as_array().unwrap().len(), 4);
    let output = policy(folder.path(), &["test", "--config", "portcullis.yaml", "--format", "junit"]);
    assert_eq!(output.status.code(), Some(1));
    let xml = stdout(&output);
    assert!(xml.contains("<testsuite name=\"policies.yaml\" tests=\"1\" failures=\"1\""), "{xml}");
    assert!(xml.contains("name=\"wrong &lt;&amp;&gt;\" file=\"policies.yaml\" line=\"18\""), "{xml}");
    assert!(xml.contains("<failure message=\"decision: expected deny, but it is allow;"), "{xml}");
}

#[track_caller]
fn refused(folder: &TempDir, arguments: &[&str], expected: &[&str]) {
    let output = policy(folder.path(), arguments);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    for expected in expected {
        assert!(told.contains(expected), "{expected}\n{told}");
    }
}

#[test]
fn what_tests_nothing_exits_with_2() {
    let folder = folder(&[
        ("none.yaml", "policies: [{ name: a, allow: 'true' }]\n"),
        ("empty.yaml", "policies: [{ name: a, allow: 'true' }]\ntests: [{ name: x, expect: {} }]\n"),
        ("portcullis.yaml", "policy_files: [none.yaml]\n"),
        (
            "networks.yaml",
            "policies: [{ name: a, allow: 'request.ip.inNetwork(\"vpn\")' }]\ntests: [{ name: x, expect: { a: deny } }]\n",
        ),
    ]);
    refused(&folder, &["test", "none.yaml"], &["none.yaml:1:1: this file tests nothing: add `tests`, or leave it out"]);
    refused(&folder, &["test", "empty.yaml"], &["empty.yaml:2:28: this tests nothing"]);
    refused(&folder, &["test", "--config", "portcullis.yaml"], &["portcullis.yaml:1:15: no policy file has `tests`"]);
    refused(&folder, &["test", "networks.yaml"], &["unknown network `vpn`", "comes from `--config portcullis.yaml`"]);
    refused(&folder, &["test", "missing.yaml"], &["cannot read `missing.yaml`: there is no such file"]);
    refused(&folder, &["test"], &["required"]);
}

#[test]
fn every_mistake_of_a_test_has_its_place() {
    let tests = "  - name: x
    given:
      request: { ip: 300.1.1.1, headers: { X-Role: a }, time: yesterday, path: a }
      user: { emial: x }
      sesion: {}
    expect: { staff: maybe }
  - name: y
    given: { user: { authenticated: false, email: a } }
    expect: { staff: { decision: allow, rule: on-vpm }, stuff: deny }
";
    let expected = [
        "policies.yaml:20:22: `ip`: `300.1.1.1` is no address",
        "policies.yaml:20:52: no expression sees a header `X-Role`: names are lower case; write `x-role`",
        "policies.yaml:20:63: `time`: `yesterday` is no time",
        "policies.yaml:20:80: `a` is no path",
        "policies.yaml:21:15: unknown key `emial`: did you mean `email`?",
        "policies.yaml:22:7: unknown key `sesion`: did you mean `session`?",
        "policies.yaml:23:22: `expect.staff` cannot be `maybe`",
        "policies.yaml:25:20: nobody is signed in",
        "policies.yaml:26:47: `staff` has no rule `on-vpm`: did you mean `on-vpn`?",
        "policies.yaml:26:57: no policy is called `stuff`: did you mean `staff`?",
    ];
    refused(&with_tests(tests), &["test", "--config", "portcullis.yaml"], &expected);
}

#[test]
fn the_examples_and_the_tests_in_the_documentation_pass() {
    let output = policy(&root(), &["test", "--config", "config/policies.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));

    let text = stdout(&output);
    let rules = text.split("coverage: ").nth(1).and_then(|rest| rest.split(" rules").next()).unwrap();
    let (covered, all) = rules.split_once(" of ").unwrap();
    assert_eq!(covered, all, "each rule is once true and once false: {text}");

    let config = "networks: { vpn: [10.8.0.0/16], office: [203.0.113.0/24] }\npolicy_files: []\n\
                  data: { owners: { csv: owners.csv, key: host } }\n";
    let documented = fs::read_to_string(root().join("docs/policies.md")).unwrap();
    let testing = documented.split("## Testing").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let folder = folder(&[("portcullis.yaml", config), ("owners.csv", "host,team,tier\n")]);
    let mut arguments = vec!["test".to_owned(), "--config".to_owned(), "portcullis.yaml".to_owned()];
    for (index, example) in testing.split("```yaml\n").skip(1).enumerate() {
        // Those within a list are indented.
        let indentation = " ".repeat(example.len() - example.trim_start().len());
        let text: Vec<_> = example
            .split("```")
            .next()
            .unwrap()
            .lines()
            .map(|line| line.strip_prefix(&indentation).unwrap_or(line))
            .collect();
        arguments.push(format!("{index}.yaml"));
        fs::write(folder.path().join(format!("{index}.yaml")), text.join("\n")).unwrap();
    }
    assert_eq!(arguments.len(), 5, "two examples have tests");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = policy(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
}

#[test]
fn tests_give_tables_their_rows() {
    let policies = r#"
policies:
  - name: owners
    allow: lookup("owners", request.host).team == "web" && lookup("owners", request.host).tier == ""
  - name: partners
    allow: lookup("partners", request.ip).level > 2
tests:
"#;
    let config = "policy_files: [p.yaml]\ndata: { owners: { csv: o.csv, key: host }, \
                  partners: { json: p.json, key_type: network } }\n";
    let with = |tests: &str| {
        folder(&[
            ("portcullis.yaml", config),
            ("p.yaml", &format!("{policies}{tests}")),
            ("o.csv", "host,team,tier\na.test,web,1\n"),
            ("p.json", r#"{ "10.0.0.0/8": { "level": 3 } }"#),
        ])
    };
    let good = with(
        r#"
  - name: the rows of the test
    given: { request: { host: a.test, ip: 10.1.1.1 }, data: { owners: { a.test: { team: web } }, partners: { 10.1.0.0/16: { level: 1 } } } }
    expect: { owners: allow, partners: deny }
  - name: the rows of the files
    given: { request: { host: a.test, ip: 10.1.1.1 } }
    expect: { owners: deny, partners: allow }
  - name: no rows
    given: { request: { host: a.test, ip: 10.1.1.1 }, data: { owners: {}, partners: {} } }
    expect: { owners: error, partners: error }
"#,
    );
    let output = policy(good.path(), &["test", "--config", "portcullis.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    let bad = with(
        "  - { name: x, given: { data: { owner: {}, owners: { a: { taem: x }, b: 7 }, partners: { 10.1.1.1/8: {} } } }, expect: { owners: deny } }\n",
    );
    let expected = [
        "p.yaml:8:33: no table is called `owner`: did you mean `owners`?",
        "p.yaml:8:59: the table has no column `taem`: did you mean `team`?",
        "p.yaml:8:73: a row must be a mapping, not a number",
        "p.yaml:8:88: row 1: `10.1.1.1/8` is a network with bits behind its prefix",
    ];
    refused(&bad, &["test", "--config", "portcullis.yaml"], &expected);
}
