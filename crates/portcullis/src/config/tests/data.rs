//! `data`: what loads, and each kind of mistake.

use super::{Folder, GOOD};

fn check(data: &str, expected: &str) {
    let problems = folder(data).problems();
    assert_eq!(problems.trim_end(), expected.trim_end(), "for\n{data}");
}

fn folder(data: &str) -> Folder {
    Folder::new(&format!("{GOOD}data:\n{data}"))
        .with("owners.csv", "host,team\na.example.com,web\n")
        .with("partners.json", r#"[{"network": "10.0.0.0/8", "name": "Acme"}]"#)
}

#[test]
fn tables_are_read_and_rules_are_checked_against_them() {
    let data = "  owners: { csv: owners.csv, key: host }\n  \
                partners: { json: partners.json, key: network, key_type: network }\n  \
                block: { url: 'https://lists.example.com/a.csv?key=${env:SECRET}', format: csv, key: a, refresh: 1m, max_size: 1MiB }\n\
                guard:\n  deny: ['lookup(\"owners\", request.host).taem == \"web\"', 'lookup(\"ownres\", request.host) == {}',\n    \
                'lookup(\"block\", request.host).whatever == \"x\"']\n";
    check(
        data,
        r#"
portcullis.yaml:12:42: the table `owners` has no column `taem`: did you mean `team`?
  12 |   deny: ['lookup("owners", request.host).taem == "web"', 'lookup("ownres", request.host) == {}',
     |                                          ^^^^
portcullis.yaml:12:66: unknown table `ownres`: did you mean `owners`?
  12 |   deny: ['lookup("owners", request.host).taem == "web"', 'lookup("ownres", request.host) == {}',
     |                                                                  ^^^^^^^^
"#
        .trim_start(),
    );
    let good = folder(
        "  owners: { csv: owners.csv, key: host }\nguard: { deny: 'lookup(\"owners\", request.host).team == \"x\"' }\n",
    );
    let config = good.load().unwrap();
    assert_eq!(config.tables.iter().map(|table| table.rows()).collect::<Vec<_>>(), [Some(1)]);
}

#[test]
fn a_table_comes_from_one_place() {
    check(
        "  a: { key: x }\n",
        "portcullis.yaml:8:6: the table `a` comes from nowhere: write `mmdb`, `csv`, `json` or `url`\n  8 |   a: { key: x }\n    |      ^",
    );
    check(
        "  a: { csv: owners.csv, json: partners.json, key: host }\n",
        "portcullis.yaml:8:31: `csv` and `json` exclude each other: remove one\n  8 |   a: { csv: owners.csv, json: partners.json, key: host }\n    |                               ^^^^^^^^^^^^^",
    );
    check(
        "  a: { cvs: owners.csv }\n",
        "portcullis.yaml:8:6: the table `a` comes from nowhere: write `mmdb`, `csv`, `json` or `url`\n  8 |   a: { cvs: owners.csv }\n    |      ^\n\
         portcullis.yaml:8:8: unknown key `cvs`: known are `mmdb`, `csv`, `json`, `url`, `format`, `key`, `key_type`, `columns`, `max_size`, `refresh`, `timeout`, `ca_file`\n  8 |   a: { cvs: owners.csv }\n    |        ^^^",
    );
}

#[test]
fn keys_that_go_with_another_kind_of_table_are_refused() {
    check(
        "  a: { csv: owners.csv, key: host, refresh: 5m, format: csv }\n",
        "portcullis.yaml:8:45: `refresh` goes with `url`: remove it\n  8 |   a: { csv: owners.csv, key: host, refresh: 5m, format: csv }\n    |                                             ^^\n\
         portcullis.yaml:8:57: `format` goes with `url`: remove it\n  8 |   a: { csv: owners.csv, key: host, refresh: 5m, format: csv }\n    |                                                         ^^^",
    );
    check(
        "  a: { mmdb: a.mmdb, key: host }\n",
        "portcullis.yaml:8:27: `key` does not go with a MaxMind DB, which is looked up by address: remove it\n  8 |   a: { mmdb: a.mmdb, key: host }\n    |                           ^^^^",
    );
    check(
        "  a: { json: partners.json, columns: [a], key: network }\n",
        "portcullis.yaml:8:38: `columns` goes with CSV: remove it\n  8 |   a: { json: partners.json, columns: [a], key: network }\n    |                                      ^",
    );
    check(
        "  a: { csv: owners.csv }\n",
        "portcullis.yaml:8:6: the table `a` needs `key`: write the column that rows are found by\n  8 |   a: { csv: owners.csv }\n    |      ^",
    );
    check(
        "  a: { url: 'https://example.com/x', key: host }\n",
        "portcullis.yaml:8:13: the table `a` needs `format`: write `mmdb`, `csv` or `json`\n  8 |   a: { url: 'https://example.com/x', key: host }\n    |             ^^^^^^^^^^^^^^^^^^^^^^^",
    );
}

#[test]
fn a_url_is_asked_over_tls_alone() {
    let refused = |url: &str, reason: &str| {
        let problems = folder(&format!("  a: {{ url: '{url}', format: csv, key: a }}\n")).problems();
        // Credentials are not repeated.
        let shown = url.replace("u:p@", "***@");
        assert!(problems.contains(&format!("`url`: `{shown}` is {reason}")), "{problems}");
    };
    refused("http://127.0.0.1/a", "a URL that is not asked over TLS: write `https://host/path`");
    refused("https://u:p@example.com/a", "a URL with credentials: remove the part before `@`");
    refused("https://example.com/a#b", "a URL with a fragment: remove the part from `#`");
    refused("example.com/a", "no URL: write `https://host/path`");
}

#[test]
fn a_file_that_is_no_table_is_told_with_its_line() {
    let told = |file: &str, content: &[u8], data: &str, reason: &str| {
        let problems = folder(&format!("  a: {{ {data} }}\n")).with(file, content).problems();
        assert!(problems.contains(&format!("the table `a` cannot be used: {reason}")), "{problems}");
    };
    told(
        "x.csv",
        b"host,team\na,b\na,c\n",
        "csv: x.csv, key: host",
        "line 3: the key `a` is there twice (first on line 2): remove one",
    );
    told("x.csv", b"host\n\xff\n", "csv: x.csv, key: host", "line 2: the line is not UTF-8: save the file as UTF-8");
    told("x.json", b"{\"a\": {}\n", "json: x.json", "line 2: EOF while parsing an object");
    told("x.json", b"{\"a\": 1}", "json: x.json", "row 1 (`a`) must be an object");
    told("x.mmdb", b"no database", "mmdb: x.mmdb", "not a MaxMind DB, or a damaged one (");
    told("y", b"", "csv: nothing.csv, key: host", "there is no such file; correct the path or make the file");
    told(
        "x.csv",
        b"host\naaaaaaaaaaaaaaaaaaaa\n",
        "csv: x.csv, key: host, max_size: 10B",
        "the file is larger than 10 bytes",
    );
}
