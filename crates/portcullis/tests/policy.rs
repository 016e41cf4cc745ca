//! The tools for policies, run as their users run them.
#![cfg(test)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

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
    refused(
        &folder,
        &["test", "networks.yaml"],
        &["unknown network `vpn`", "comes from a configuration: add `--config FILE`"],
    );
    refused(&folder, &["test", "missing.yaml"], &["cannot read `missing.yaml`: there is no such file"]);
    // Without a file it is that of the folder.
    refused(&folder, &["test"], &["portcullis.yaml:1:15: no policy file has `tests`"]);
    fs::remove_file(folder.path().join("portcullis.yaml")).unwrap();
    refused(&folder, &["test"], &["portcullis: cannot read `portcullis.yaml`: there is no such file"]);
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

/// A running proxy that refuses to forward: its upstream takes no connection.
struct Proxy {
    child: Child,
    address: String,
}

fn serve(folder: &Path) -> Proxy {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["run", "--log-format", "json"]).current_dir(folder).stderr(Stdio::piped());
    let mut proxy = Proxy { child: command.spawn().unwrap(), address: String::new() };
    let mut log = BufReader::new(proxy.child.stderr.take().unwrap());
    loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).unwrap() > 0, "it ended before it was ready");
        let event: Value = serde_json::from_str(&line).unwrap();
        match event["message"].as_str() {
            Some("listening") => proxy.address = event["server.address"].as_str().unwrap().to_owned(),
            Some("ready") => break,
            _ => {}
        }
    }
    // The pipe is read to its end, so that the proxy can always write to it.
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    proxy
}

impl Proxy {
    fn ask(&self, target: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {target} HTTP/1.1\r\nhost: app.test\r\nconnection: close\r\n{headers}\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn stop(mut self) {
        let status = Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Only where a test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const SERVED: &str = r#"
listeners: [{ address: 127.0.0.1:0 }]
admin: { address: 127.0.0.1:0 }
networks: { home: [127.0.0.0/8] }
audit: { record_inputs: { request.headers.x-team: full, request.headers.x-secret-*: redacted } }
routes:
  - name: app
    from: http://app.test
    to: http://127.0.0.1:9
    authenticate: none
    allow:
      - name: admins
        when: 'request.headers["x-role"] == "admin" && request.ip.inNetwork("home")'
      - name: team
        when: 'request.headers["x-team"].startsWith("a")'
    deny:
      - name: no-tokens
        when: '"access_token" in request.query || request.headers["authorization"].startsWith("Basic")'
        message: No tokens in URLs.
"#;

fn served() -> (TempDir, Vec<String>) {
    let folder = folder(&[("portcullis.yaml", SERVED)]);
    let proxy = serve(folder.path());
    let answers = [
        proxy.ask("/?access_token=hunter2", "authorization: Bearer hunter2\r\n"),
        proxy.ask("/a", "authorization: Bearer hunter2\r\nx-role: admin\r\nx-team: b\r\n"),
        proxy.ask("/b", "authorization: Bearer hunter2\r\nx-role: guest\r\nx-team: ab\r\n"),
        proxy.ask("/c", "authorization: Bearer hunter2\r\nx-role: guest\r\nx-team: b\r\n"),
    ];
    proxy.stop();
    (folder, answers.into())
}

fn log_of(folder: &TempDir) -> String {
    let files = fs::read_dir(folder.path().join("audit")).unwrap().map(|file| file.unwrap().path());
    files
        .filter(|file| file.extension().is_some_and(|end| end == "jsonl"))
        .map(|file| fs::read_to_string(file).unwrap())
        .collect()
}

#[test]
fn what_rules_read_is_recorded_and_no_credential_is() {
    let (folder, _) = served();
    let log = log_of(&folder);
    assert!(!log.contains("hunter2") && !log.contains("admin\",") && !log.contains("guest"), "{log}");
    let records: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let inputs: Vec<&Value> =
        records.iter().filter(|record| record["kind"] == "request").map(|record| &record["inputs"]).collect();
    assert_eq!(inputs.len(), 4);
    assert_eq!(inputs[0]["request.query.access_token"], "redacted");
    assert_eq!(inputs[0]["request.headers.authorization"], "redacted");
    assert_eq!(inputs[0]["request.headers.x-team"], Value::Null);
    assert_eq!(inputs[1]["request.query.access_token"], Value::Null);
    assert_eq!(inputs[1]["request.headers.x-team"]["is"], "b");
    assert_eq!(inputs[1]["request.headers.x-role"]["hash"].as_str().unwrap().len(), 22);
    assert_eq!(inputs[2]["request.headers.x-role"], inputs[3]["request.headers.x-role"]);
}

#[test]
fn a_refusal_is_explained_by_the_id_on_its_page_and_in_its_json() {
    let folder = folder(&[(
        "portcullis.yaml",
        &SERVED
            .replace("|| request.headers[\"authorization\"].startsWith(\"Basic\")", "&& request.ip != \"192.0.2.1\""),
    )]);
    let proxy = serve(folder.path());
    let json = proxy.ask("/?access_token=1", "x-role: admin\r\n");
    let page = proxy.ask("/?access_token=1", "accept: text/html\r\n");
    proxy.stop();
    let body: Value = serde_json::from_str(json.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let id = body["request_id"].as_str().unwrap();
    let header = |answer: &str| {
        let line = answer.lines().find(|line| line.to_lowercase().starts_with("x-request-id: ")).unwrap();
        line.split(": ").nth(1).unwrap().to_owned()
    };
    assert!(page.starts_with("HTTP/1.1 403") && page.matches(&header(&page)).count() > 1, "{page}");
    for id in [id.to_owned(), header(&page)] {
        let output = policy(folder.path(), &["explain", "--request-id", &id]);
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(0), "{text}{}", stderr(&output));
        assert!(
            text.contains(
                "GET app.test/ by nobody from 127.0.0.1\nrecorded: deny by app/no-tokens (deny-rule-matched)"
            ),
            "{text}"
        );
        assert!(
            text.contains("decision: deny by app/no-tokens (deny-rule-matched), message: No tokens in URLs."),
            "{text}"
        );
        assert!(text.contains("\"access_token\" in request.query = true"), "{text}");
        assert!(text.contains("(not asked: another rule decided)"), "{text}");
    }
    let output = policy(folder.path(), &["explain", "--request-id", id, "--format", "json"]);
    let json: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(json["recorded"]["reason"], "deny-rule-matched");
    assert_eq!(json["decision"]["rule"], "app/no-tokens");
    assert_eq!(json["rules"][1]["condition"]["parts"][0]["value"], true, "by its hash: {json}");
    let output = policy(folder.path(), &["explain", "--request-id", "none"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no request `none` in `audit`"), "{}", stderr(&output));
}

#[test]
fn what_policies_do_not_decide_is_told_from_what_is_not_there() {
    let folder = folder(&[("portcullis.yaml", SERVED)]);
    let log = folder.path().join("audit");
    fs::create_dir_all(&log).unwrap();
    let line =
        r#"{"time":"2026-03-01T00:00:00Z","id":"s1","kind":"sign_in","revision":"a","reason":"callback-invalid"}"#;
    fs::write(log.join("audit-a-00000001-20260301T000000Z.jsonl"), format!("{line}\n")).unwrap();
    let output = policy(folder.path(), &["explain", "--request-id", "s1"]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(told.contains("no policy decides what `s1` is: a record of a sign in"), "{told}");
}

#[test]
fn a_real_log_is_decided_again_under_a_changed_configuration() {
    let (folder, _) = served();
    let output = policy(folder.path(), &["replay"]);
    // `authorization` is never recorded, so nobody can tell where it decides: a parameter that is known denies without it,
    // and what no rule allows is refused either way.
    assert!(stdout(&output).contains("        2 unchanged\n"), "{}", stdout(&output));
    assert!(
        stdout(&output).contains(
            "        2 undecidable\n            2 of them because `request.headers.authorization` was not recorded"
        ),
        "{}",
        stdout(&output)
    );
    let without =
        SERVED.replace("|| request.headers[\"authorization\"].startsWith(\"Basic\")", "&& request.scheme == \"http\"");
    let same = folder.path().join("same.yaml");
    fs::write(&same, &without).unwrap();
    let output = policy(folder.path(), &["replay", "--config", "same.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert!(
        stdout(&output).contains("4 requests since") && stdout(&output).contains("        4 unchanged\n"),
        "{}",
        stdout(&output)
    );

    // Known by its hash: `guest` gains, `admin` loses. Known as it is: the prefix of the team.
    let changed = without.replace("\"admin\"", "\"guest\"").replace("startsWith(\"a\")", "startsWith(\"x\")");
    fs::write(folder.path().join("new.yaml"), changed).unwrap();
    let output = policy(folder.path(), &["replay", "--config", "new.yaml", "--format", "json"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let json: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let count = |key: &str| json[key].as_u64().unwrap();
    assert_eq!(
        (count("requests"), count("unchanged"), count("lose"), count("gain"), count("undecidable")),
        (4, 2, 1, 1, 0),
        "{json}"
    );
    assert_eq!(
        (&json["loses"][0]["route"], &json["loses"][0]["before"]["rule"]),
        (&"app".into(), &"app/admins".into())
    );
    assert_eq!(
        (&json["gains"][0]["rule"], &json["gains"][0]["before"]["reason"]),
        (&"app/admins".into(), &"no-policy-matched".into())
    );
    // What the log names can be explained.
    let id = json["gains"][0]["id"].as_str().unwrap();
    let output = policy(folder.path(), &["explain", "--config", "new.yaml", "--request-id", id]);
    assert!(stdout(&output).contains("decision: allow by app/admins"), "{}", stdout(&output));

    // A hash tells equality and nothing more; and without its key nothing.
    fs::write(
        folder.path().join("vague.yaml"),
        without.replace("[\"x-role\"] == \"admin\"", "[\"x-role\"].startsWith(\"adm\")"),
    )
    .unwrap();
    let output = policy(folder.path(), &["replay", "--config", "vague.yaml"]);
    assert!(stdout(&output).contains("because `request.headers.x-role` was not recorded"), "{}", stdout(&output));
    fs::remove_file(folder.path().join("audit/inputs.key")).unwrap();
    let output = policy(folder.path(), &["replay", "--config", "new.yaml"]);
    assert!(stdout(&output).contains("because `request.headers.x-role` was not recorded"), "{}", stdout(&output));

    // A route that is gone is refused; a window without requests is empty.
    fs::write(folder.path().join("gone.yaml"), without.replace("app.test", "other.test")).unwrap();
    let output = policy(folder.path(), &["replay", "--config", "gone.yaml"]);
    assert!(
        stdout(&output).contains("deny (no-route), before allow-rule-matched by app/admins"),
        "{}",
        stdout(&output)
    );
    let output = policy(
        folder.path(),
        &["replay", "--config", "gone.yaml", "--until", "2020-01-01T00:00:00Z", "--since", "2019-01-01T00:00:00Z"],
    );
    assert!(stdout(&output).starts_with("0 requests since 2019-01-01T00:00:00Z until"), "{}", stdout(&output));
}

#[test]
fn a_made_up_request_is_explained() {
    let folder = folder(&[("portcullis.yaml", SERVED)]);
    let output = policy(
        folder.path(),
        &[
            "explain",
            "--route",
            "app",
            "--ip",
            "127.0.0.1",
            "--header",
            "X-Role=admin",
            "--header",
            "authorization=Basic hunter2",
        ],
    );
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(text.contains("decision: deny by app/no-tokens (deny-rule-matched)"), "{text}");
    assert!(
        text.contains("request.headers[\"authorization\"] = \"[redacted]\"") && !text.contains("hunter2"),
        "{text}"
    );
    for (arguments, expected) in [
        (&["explain", "--route", "ap"][..], "no route is called `ap`: did you mean `app`?"),
        (&["explain"], "nothing to explain: add `--route` or `--request-id`"),
        (
            &["explain", "--route", "app", "--groups", "a"],
            "groups and claims belong to somebody: add `--user` or `--id`",
        ),
        (&["explain", "--route", "app", "--path", "a"], "`a` is no path"),
        (&["replay", "--since", "soon"], "write how long ago"),
    ] {
        refused(&folder, arguments, &[expected]);
    }
}

/// Names a secret or a file that is not there, wherever there can be one.
const LEFT_OUT: &str = r#"
listeners:
  - address: 127.0.0.1:0
    tls:
      certificates: [{ cert_file: none.pem, key_file: none.key }]
      client_auth: { mode: request, ca_file: none.pem, crl_file: none.crl }
admin: { address: "127.0.0.1:0", token: "${env:NOT_SET}" }
authenticate:
  url: https://auth.test
  providers: [{ id: a, issuer: "https://idp.test", client_id: b, client_secret: "${env:NOT_SET}", ca_file: none.pem }]
  keys: { seal: ["${file:none}"], signing: "${env:NOT_SET}" }
audit:
  signing_key: none.pem
  otlp: { url: "https://logs.test", headers: { authorization: "${env:NOT_SET}" }, ca_file: none.pem }
routes:
  - name: app
    from: https://app.test
    to: https://10.0.0.1
    allow: '"staff" in user.groups'
    credential: { header: authorization, value: "${env:NOT_SET}" }
    upstream_tls: { ca_file: none.pem, client_cert_file: none.pem, client_key_file: none.key }
"#;

#[test]
fn policies_are_explained_and_replayed_without_secrets_and_certificates() {
    let folder = folder(&[("portcullis.yaml", LEFT_OUT)]);
    let explain = ["explain", "--route", "app", "--user", "ada@test", "--groups", "staff"];
    let output = policy(folder.path(), &explain);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("decision: allow by app/allow[0]"), "{}", stdout(&output));
    fs::create_dir(folder.path().join("audit")).unwrap();
    let output = policy(folder.path(), &["replay", "--audit-dir", "audit"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));

    // What decides must be there, and no secret is shown beside a mistake.
    fs::write(folder.path().join("portcullis.yaml"), LEFT_OUT.replace("'\"staff\"", "'${env:NOT_SET}")).unwrap();
    refused(&folder, &explain, &["the environment variable `NOT_SET` is not set"]);
    let secret = LEFT_OUT.replace("client_secret: \"${env:NOT_SET}\"", "client_secret: hunter2, scope: x");
    fs::write(folder.path().join("portcullis.yaml"), secret).unwrap();
    let told = stderr(&policy(folder.path(), &explain));
    assert!(told.contains("unknown key `scope`") && !told.contains("hunter2"), "{told}");
}

#[test]
fn what_the_readme_says_of_policies_works_with_its_configuration() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let config = readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let folder = folder(&[("portcullis.yaml", config), ("new.yaml", config)]);
    fs::create_dir(folder.path().join("audit")).unwrap();
    let lines: Vec<_> = readme.lines().filter_map(|line| line.trim().strip_prefix("portcullis policy ")).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    for line in lines {
        let mut arguments: Vec<_> = line.split(" #").next().unwrap().split_whitespace().collect();
        if line.starts_with("replay") {
            arguments.extend(["--audit-dir", "audit"]);
        }
        let output = policy(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(0), "{line}\n{}", stderr(&output));
    }
}

#[test]
fn a_tunnel_is_explained() {
    let config = CONFIG.replace("policy_files: [policies.yaml]\n", "")
        + r#"
routes:
  - from: tcp+https://ssh.test:22
    to: tcp://127.0.0.1:9
    authenticate: none
    allow: request.method == "CONNECT" && request.path == "" && request.host == "ssh.test"
"#;
    let certified = rcgen::generate_simple_self_signed(vec!["ssh.test".to_owned()]).unwrap();
    let (certificate, key) = (certified.cert.pem(), certified.signing_key.serialize_pem());
    let config = config
        .replace("${env:NOT_SET_ANYWHERE}", "x")
        .replace("id: a,", "id: a, issuer: 'https://idp.test', client_id: p,");
    let folder = folder(&[("portcullis.yaml", &config), ("none.pem", &certificate), ("none.key", &key)]);
    let output = policy(folder.path(), &["explain", "--route", "tcp+https://ssh.test:22"]);
    assert!(stdout(&output).contains("decision: allow by "), "{}{}", stdout(&output), stderr(&output));
    let arguments = ["explain", "--route", "tcp+https://ssh.test:22", "--path", "/a"];
    refused(&folder, &arguments, &["a tunnel has no path: leave it out"]);
}

#[test]
fn tunnels_and_empty_values_can_be_given() {
    let test = |request: &str| {
        let policies = format!(
            "policies:\n  - {{ name: ssh, allow: 'request.method == \"CONNECT\" && request.path == \"\"' }}\n\
             tests:\n  - {{ name: a tunnel, given: {{ request: {request} }}, expect: {{ ssh: allow }} }}\n"
        );
        folder(&[("ssh.yaml", &policies)])
    };
    let tunnel = test("{ method: CONNECT }");
    let output = policy(tunnel.path(), &["test", "ssh.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert!(stderr(&output).is_empty(), "{}", stderr(&output));
    let empty = folder(&[(
        "empty.yaml",
        "policies: [{ name: p, allow: 'request.headers.x == \"\" && request.query.q == [\"\", \"a\"]' }]\n\
         tests: [{ name: empty, given: { request: { headers: { x: '' }, query: { q: ['', a] } } }, expect: { p: allow } }]\n",
    )]);
    let output = policy(empty.path(), &["test", "empty.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    let message = "a tunnel has no path: remove it, or the method `CONNECT`";
    refused(&test("{ method: CONNECT, path: / }"), &["test", "ssh.yaml"], &[message]);
}

#[test]
fn a_made_up_request_is_what_the_proxy_would_make_of_it() {
    let certified = {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(vec!["Batch.test".to_owned()]).unwrap();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "batch, job");
        parameters.self_signed(&key).unwrap().pem()
    };
    let config = CONFIG
        .replace("policy_files: [policies.yaml]\n", "")
        .replace("id: a,", "id: a, issuer: 'https://idp.test', client_id: p,")
        + r#"
routes:
  - { name: app, from: "https://app.test", to: "http://127.0.0.1:9", methods: [GET, POST], allow: [
      { name: path, when: 'request.path == "/admin/x"' },
      { name: grpc, when: 'request.grpc.service == "shop.Orders" && request.grpc.method == "List"' },
      { name: vouched, when: 'user.email == "ada@example.com" && user.email_verified && user.name == "Ada"' },
      { name: tls, when: 'request.path == "/tls" && request.tls.version == "1.3" && request.tls.sni == "app.test"' },
      { name: lasts, when: 'request.path == "/s" && session.expires - request.time == duration("14h")' },
      { name: program, when: '"batch.test" in request.tls.client_certificate.san_dns &&
        request.tls.client_certificate.subject.contains("CN=batch\\, job")' }] }
  - { name: docs, from: "https://app.test", prefix: /docs, to: "http://127.0.0.1:9", allow: "true" }
"#;
    let folder = folder(&[("portcullis.yaml", &config), ("client.pem", &certified)]);
    let signed_in = ["--user", "eve@example.com"];
    let explained = |arguments: &[&str]| {
        let output = policy(folder.path(), &[&["explain", "--route", "app"], arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{arguments:?} {}", stderr(&output));
        stdout(&output)
    };
    for (arguments, rule) in [
        (&["--path", "/a/../%61dmin//x"][..], "path"),
        (&["--path", "/shop.Orders/List", "--header", "Content-Type=Application/GRPC+proto"], "grpc"),
        (&["--path", "/tls", "--host", "APP.test."], "tls"),
        (&["--path", "/s"], "lasts"),
        (&["--client-certificate", "client.pem"], "program"),
    ] {
        let text = explained(&[&signed_in, arguments].concat());
        assert!(text.contains(&format!("decision: allow by app/{rule} ")), "{arguments:?} {text}");
        assert!(!text.contains("note:"), "{text}");
    }
    let text = explained(&["--user", "ada@example.com", "--claim", "name=Ada"]);
    assert!(text.contains("decision: allow by app/vouched "), "{text}");
    let text = explained(&["--user", "ada@example.com", "--claim", "name=Ada", "--claim", "email_verified=false"]);
    assert!(text.contains("decision: deny (no-policy-matched)"), "{text}");
    // Not gRPC, whatever it begins with.
    let text = explained(
        &[&signed_in[..], &["--path", "/shop.Orders/List", "--header", "content-type=application/grpcx"]].concat(),
    );
    assert!(text.contains("decision: deny"), "{text}");
    let text = explained(&["--path", "/docs/a"]);
    assert!(text.contains("note: a request like this comes to the route `docs`, not here"), "{text}");
    let text = explained(&["--method", "PUT"]);
    assert!(text.contains("note: a request like this comes to no route"), "{text}");
    for (option, value, expected) in [
        ("--path", "/a%2fb", "note: a request like this comes to no route"),
        ("--path", "/a%zz", "`--path`: a request for `/a%zz` is refused: "),
        ("--client-certificate", "none.pem", "`--client-certificate`: `none.pem`: there is no such file"),
        ("--client-certificate", "portcullis.yaml", "`--client-certificate`: `portcullis.yaml`: "),
    ] {
        let output = policy(folder.path(), &["explain", "--route", "app", option, value]);
        let text = stdout(&output) + &stderr(&output);
        assert!(text.contains(expected), "{value} {text}");
    }
}

#[test]
fn a_sign_in_that_falls_short_of_a_step_up_is_explained() {
    let config = r#"
listeners: [{ address: 127.0.0.1:0 }]
authenticate: { url: "https://auth.test", providers: [{ id: a, issuer: "https://idp.test", client_id: p }] }
routes:
  - name: vault
    from: https://vault.test
    to: http://127.0.0.1:9
    allow: user.authenticated
    step_up: { max_auth_age: 15m, acr_values: [phr] }
"#;
    let folder = folder(&[("portcullis.yaml", config)]);
    let at = "2026-01-07T12:00:00Z";
    for (of_sign_in, expected) in [
        (&["--acr", "phr", "--auth-time", "2026-01-07T11:50:00Z"][..], "decision: allow by vault/"),
        (
            &["--acr", "phr", "--auth-time", "2026-01-07T11:40:00Z"],
            "decision: challenge (step-up-required)\nnote: rules",
        ),
        (&["--acr", "pwd"], "decision: challenge (step-up-required)"),
    ] {
        let arguments = ["explain", "--route", "vault", "--user", "ada@example.com", "--at", at];
        let output = policy(folder.path(), &[&arguments, of_sign_in].concat());
        assert!(stdout(&output).contains(expected), "{of_sign_in:?}: {}{}", stdout(&output), stderr(&output));
    }
}
