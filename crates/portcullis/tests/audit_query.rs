//! Searches of the audit log with the real binary: what it prints, and how it ends.
#![cfg(test)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

fn log(records: &[Value]) -> TempDir {
    let folder = TempDir::new().unwrap();
    let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
    fs::write(folder.path().join("audit-a-00000001-20260301T000000Z.jsonl"), lines).unwrap();
    folder
}

fn record(id: &str, time: &str, user: &str, path: &str) -> Value {
    // The kind follows time and id, as in the log: `serde_json` sorts, and readers of requests do not mind.
    json!({
        "time": time, "id": id, "kind": "request", "user": { "id": "i|1", "email": user, "groups": [] },
        "client_ip": "10.8.1.4", "method": "GET", "host": "git.test", "path": path, "decision": "deny",
        "rule": "git/none", "reason": "deny-rule-matched", "status": 403,
    })
}

fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let (verb, rest) = arguments.split_first().unwrap();
    command.args(["audit", verb, "--dir"]).arg(dir).args(rest);
    command
}

fn audit(dir: &Path, arguments: &[&str]) -> Output {
    command(dir, arguments).output().unwrap()
}

fn printed(dir: &Path, arguments: &[&str]) -> String {
    let output = audit(dir, arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_cannot_be_printed_exits_with_2_unless_nobody_reads_it() {
    let dir = log(&[record("1", "2026-03-01T00:00:00Z", "ada@example.com", "/a")]);
    for arguments in [
        "query",
        "query --format json",
        "query --format csv",
        "summary",
        "summary --format json",
        "tail",
        "tail --follow --format json",
        "export --format csv",
        "export --format json",
        "export --format parquet",
        "verify",
    ] {
        let ended = |out: Stdio| {
            let arguments: Vec<_> = arguments.split(' ').collect();
            command(dir.path(), &arguments).stdout(out).stderr(Stdio::piped()).output().unwrap()
        };
        let output = ended(fs::OpenOptions::new().write(true).open("/dev/full").unwrap().into());
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {told}");
        let expected = "portcullis: cannot write to standard output: no space left on device; print it elsewhere\n";
        assert!(told.starts_with(expected), "{arguments}: {told}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        // What `verify` finds here is a negative answer, read or not.
        let expected = i32::from(arguments == "verify");
        assert_eq!(ended(writer.into()).status.code(), Some(expected), "{arguments}");
    }
}

#[test]
fn the_newest_come_first_as_many_as_asked_for_or_the_oldest() {
    let records = ["1", "3", "2"].map(|n| record(n, &format!("2026-03-0{n}T00:00:00Z"), "ada@example.com", "/a"));
    let dir = log(&records);
    let ids = |arguments: &[&str]| {
        let text = printed(dir.path(), &[&["query", "--format", "json"], arguments].concat());
        let ids =
            text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned());
        ids.collect::<String>()
    };
    assert_eq!(ids(&[]), "321");
    assert_eq!(ids(&["--limit", "2"]), "32");
    assert_eq!(ids(&["--limit", "2", "--oldest-first"]), "12");
    assert_eq!(ids(&["--since", "2026-03-02", "--zone", "UTC"]), "32");
    // Midnight comes earlier in Tokyo.
    assert_eq!(ids(&["--until", "2026-03-02", "--zone", "Asia/Tokyo"]), "1");
    assert_eq!(ids(&["--until", "2026-03-02T00:00:01", "--zone", "UTC"]), "21");
    assert_eq!(ids(&["--since", "2026-03-02T00:00:00+01:00"]), "32");
}

#[test]
fn one_long_reason_does_not_push_the_ids_of_other_lines_aside() {
    let long = json!({
        "time": "2026-03-02T00:00:00Z", "id": "2", "kind": "request", "host": "git.test", "path": "/",
        "decision": "allow", "reason": "allow-rule-matched", "error": "x".repeat(300),
    });
    let dir = log(&[record("1", "2026-03-01T00:00:00Z", "ada", "/"), long]);
    let table = printed(dir.path(), &["query", "--zone", "UTC"]);
    let short = table.lines().find(|line| line.ends_with("  1")).unwrap();
    assert!(short.len() < 150, "{table}");
    assert!(table.contains(&"x".repeat(300)), "where nobody looks at a terminal, nothing is lost: {table}");
}

#[test]
fn a_table_shows_no_control_character_and_a_spreadsheet_no_formula() {
    let dir = log(&[record("1", "2026-03-01T00:00:00Z", "=cmd()", "/\u{1b}]0;x\u{7}\u{202e},\"")]);
    let table = printed(dir.path(), &["query", "--zone", "UTC"]);
    assert!(table.contains("2026-03-01 00:00:00+00:00  deny      403     =cmd()  10.8.1.4"), "{table}");
    assert!(table.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{table:?}");
    let csv = printed(dir.path(), &["query", "--format", "csv"]);
    assert!(csv.starts_with("time,id,kind,decision,status,"), "{csv}");
    assert!(csv.contains(",\"'=cmd()\",") && csv.contains("0;x\u{fffd}\u{fffd},\"\"\""), "{csv}");
}

#[test]
fn the_last_records_are_printed_in_their_order() {
    let records = ["1", "3", "2"].map(|n| record(n, &format!("2026-03-0{n}T00:00:00Z"), "ada@example.com", "/a"));
    let dir = log(&records);
    let ids = |arguments: &[&str]| {
        let text = printed(dir.path(), &[&["tail", "--format", "json"], arguments].concat());
        let id = |line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned();
        text.lines().map(id).collect::<String>()
    };
    assert_eq!(
        (ids(&[]), ids(&["-n", "2"]), ids(&["--until", "2026-03-03", "--zone", "UTC"])),
        ("123".into(), "23".into(), "12".into())
    );
    let table = printed(dir.path(), &["tail", "-n", "1", "--zone", "UTC"]);
    assert!(table.lines().nth(1).unwrap().starts_with("2026-03-03 00:00:00+00:00  deny      403     ada@"), "{table}");
    assert_eq!(audit(dir.path(), &["tail", "--user", "eve*"]).status.code(), Some(1));
}

#[test]
fn an_export_is_there_when_it_is_whole_and_replaces_nothing_unasked() {
    let dir = log(&[record("1", "2026-03-01T00:00:00Z", "ada@example.com", "/a")]);
    let out = TempDir::new().unwrap();
    let file = out.path().join("a.csv");
    let export = |more: &[&str]| {
        let output = audit(dir.path(), &[&["export", "--format", "csv", "-o", file.to_str().unwrap()], more].concat());
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let names = || fs::read_dir(out.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    let (code, said) = export(&[]);
    assert!(code == 0 && said.contains("portcullis: 1 record in `") && names() == ["a.csv"], "{said}");
    let written = fs::read(&file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let (code, said) = export(&["--path", "/b"]);
    assert!(code == 2 && said.contains("is there already: name another file, or replace it with `--force`"), "{said}");
    assert_eq!(fs::read(&file).unwrap(), written);
    // Nothing found: what is written has no record.
    assert_eq!(export(&["--path", "/b", "--force"]).0, 1);
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 1);
    // A disk that takes no more leaves nothing behind.
    let limited = r#"trap "" XFSZ; exec prlimit --fsize=10 "$0" audit export --format csv --dir "$1" -o "$2""#;
    let full = Command::new("sh")
        .args(["-c", limited, env!("CARGO_BIN_EXE_portcullis")])
        .args([dir.path(), &out.path().join("b.csv")])
        .output()
        .unwrap();
    let said = String::from_utf8(full.stderr).unwrap();
    assert!(
        full.status.code() == Some(2) && said.contains("b.csv`: ") && said.contains("; nothing was left there"),
        "{said}"
    );
    assert_eq!(names(), ["a.csv"]);
    let missing = audit(dir.path(), &["export", "--format", "csv", "-o", "/nowhere/a.csv"]);
    assert!(String::from_utf8(missing.stderr).unwrap().contains("cannot write `/nowhere/a.csv`: there is no such"));
}

#[test]
fn what_is_counted_is_grouped_with_its_first_and_last_time() {
    let users = [("1", "ada@example.com"), ("2", "bob@example.com"), ("3", "ada@example.com")];
    let dir = log(&users.map(|(n, user)| record(n, &format!("2026-03-0{n}T00:00:00Z"), user, "/a")));
    let json = printed(dir.path(), &["summary", "--by", "user,status", "--format", "json"]);
    let groups: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ada = json!({ "user": "ada@example.com", "status": "403", "count": 2, "first": "2026-03-01T00:00:00Z", "last": "2026-03-03T00:00:00Z" });
    assert_eq!((groups.len(), &groups[0]), (2, &ada));
    let table = printed(dir.path(), &["summary", "--by", "user", "--top", "1", "--zone", "UTC"]);
    assert_eq!(
        table,
        "COUNT  FIRST                      LAST                       USER\n\
         2      2026-03-01 00:00:00+00:00  2026-03-03 00:00:00+00:00  ada@example.com\n"
    );
}

#[test]
fn found_nothing_found_and_wrong_usage_have_their_exit_codes() {
    let dir = log(&[record("1", "2026-03-01T00:00:00Z", "ada@example.com", "/a")]);
    let ends = |arguments: &[&str]| {
        let output = audit(dir.path(), arguments);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(ends(&["query", "--user", "ada*"]), (0, String::new()));
    assert_eq!(ends(&["query", "--user", "eve*"]), (1, String::new()));
    assert_eq!(ends(&["summary", "--user", "eve*"]), (1, String::new()));
    for (arguments, message) in [
        (["query", "--since", "yesterday"], "`yesterday` is no time: write how long ago"),
        (["query", "--zone", "Nowhere"], "no time zone is called `Nowhere`"),
        (["query", "--status", "x"], "write a status such as `403`"),
        (["query", "--ip", "10.8"], "write an address such as `10.8.0.4`"),
        (["summary", "--by", "colour"], "possible values: user, ip"),
    ] {
        let (code, error) = ends(&arguments);
        assert!(code == 2 && error.contains(message), "{code} {error}");
    }
    let missing = audit(&dir.path().join("none"), &["query"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8(missing.stderr).unwrap().contains("name the folder of `audit.dir` with `--dir`"));
}

#[test]
fn a_log_is_verified_wherever_it_is_named() {
    const CONFIG: &str = "\
audit: { dir: . }
listeners: [{ address: 127.0.0.1:1 }]
routes: [{ from: http://a.test, respond: { status: 204 }, authenticate: none, allow: 'true' }]
";
    let dir = log(&[record("1", "2026-03-01T00:00:00Z", "ada@example.com", "/a")]);
    let config = dir.path().join("portcullis.yaml");
    fs::write(&config, CONFIG).unwrap();
    let (path, config) = (dir.path().to_str().unwrap(), config.to_str().unwrap());
    let verify = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_portcullis")).args(["audit", "verify"]).args(arguments).output();
        output.unwrap().status.code()
    };
    // Its one line carries no hash.
    for named in [&[path][..], &["--dir", path], &["--config", config]] {
        assert_eq!(verify(named), Some(1), "{named:?}");
    }
    assert_eq!(verify(&[path, "--dir", path]), Some(2));
    assert_eq!(verify(&["--dir", "/no/such/folder"]), Some(2));
}
