//! The examples of `docs/policies.md` and `docs/configuration.md` load: whole files, sections, keys of a route, and rules.

use std::fs;
use std::path::Path;

use authorize::test_util::mmdb;
use regex::{Captures, Regex};
use serde_json::json;

use super::Folder;
use crate::config::schema::{POLICY_FILE, ROOT, ROUTE, Section};
use crate::config::source::Sources;
use crate::config::yaml;

/// The fenced blocks of a page in this language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(page);
    let text = fs::read_to_string(path).unwrap();
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// A folder with this configuration and all that examples name.
fn folder(config: &str) -> Folder {
    // Variables and files with secrets are not those of whoever runs the tests.
    let secret = Regex::new(r"\$\{(env|file):[^}]+").unwrap();
    let config = secret.replace_all(config, |found: &Captures<'_>| format!("${{{}:SECRET", &found[1]));
    let certified = rcgen::generate_simple_self_signed(["*.example.com", "*.internal"].map(str::to_owned)).unwrap();
    let country = [("192.0.2.0/24".parse().unwrap(), json!({ "country": { "iso_code": "DE" } }))];
    let folder = Folder::new(&config)
        .with("SECRET", "hunter2")
        .with("owners.csv", "host,team,tier\napp.example.com,web,1\n")
        .with("partners.json", r#"[{ "network": "198.51.100.0/24", "name": "Acme" }]"#)
        .with("GeoLite2-Country.mmdb", mmdb("GeoLite2-Country", &country));
    for prefix in ["", "certs/"] {
        folder.write(&format!("{prefix}app.pem"), certified.cert.pem());
        folder.write(&format!("{prefix}app.key"), certified.signing_key.serialize_pem());
    }
    folder
}

/// What a file needs besides an example, each section unless the example has it.
const REST: [(&str, &str); 6] = [
    ("listeners", "listeners: [{ address: 127.0.0.1:0 }]"),
    (
        "authenticate",
        "authenticate: { url: https://auth.example.com, providers: [{ id: corp, issuer: https://idp.example.com, \
         client_id: portcullis }] }",
    ),
    ("policy_files", "policy_files: [named.yaml]"),
    ("networks", "networks: { vpn: [10.8.0.0/16], office: [203.0.113.0/24] }"),
    (
        "data",
        "data: { geoip: { mmdb: GeoLite2-Country.mmdb }, owners: { csv: owners.csv, key: host }, \
         partners: { json: partners.json, key: network, key_type: network } }",
    ),
    ("routes", "routes: [{ from: https://app.example.com, to: http://10.0.3.7:3000, allow: true }]"),
];

const NAMED: &str =
    "policies: [{ name: staff, allow: '\"staff\" in user.groups' }, { name: partners, deny: user.machine }]\n";

/// Adds the sections that are missing.
fn whole(example: &str) -> String {
    let keys = keys(example);
    let missing = REST.iter().filter(|(key, _)| !keys.iter().any(|known| known == key));
    missing.fold(example.to_owned(), |text, (_, section)| format!("{text}\n{section}\n"))
}

fn keys(example: &str) -> Vec<String> {
    let mut sources = Sources::default();
    let file = sources.add("example.yaml".into(), example.to_owned());
    let (root, _) = yaml::parse(example, file).unwrap_or_else(|_| panic!("no YAML:\n{example}"));
    root.entries().iter().map(|entry| entry.key.clone()).collect()
}

fn check(example: &str) {
    let keys = keys(example);
    let fits = |section: &Section| keys.iter().all(|key| section.key(key).is_some());
    let folder = if fits(&POLICY_FILE) {
        folder(&whole("")).with("named.yaml", example)
    } else if fits(&ROOT) {
        folder(&whole(example)).with("named.yaml", NAMED)
    } else {
        assert!(fits(&ROUTE), "neither a file nor a route:\n{example}");
        let to = if keys.iter().any(|key| key == "to") { "" } else { "    to: http://10.0.3.7:3000\n" };
        let route = example.replace('\n', "\n    ");
        let routes = format!("routes:\n  - from: https://app.example.com\n    allow: true\n{to}    {route}\n");
        folder(&whole(&routes)).with("named.yaml", NAMED)
    };
    assert_eq!(folder.problems(), "", "\n{example}");
}

#[test]
fn every_example_of_a_section_or_a_file_loads() {
    let examples: Vec<_> =
        ["policies.md", "configuration.md"].into_iter().flat_map(|page| blocks(page, "yaml")).collect();
    assert!(examples.len() > 15, "{}", examples.len());
    for example in examples {
        check(&example);
    }
}

#[test]
fn every_example_of_a_rule_compiles() {
    let rules = blocks("policies.md", "cel");
    assert!(rules.len() > 5, "{}", rules.len());
    for rule in rules {
        let rule = rule.trim().replace('\n', "\n        ");
        check(&format!("policies:\n  - name: example\n    allow:\n      - |\n        {rule}\n"));
    }
}
