//! What the command line takes and how it ends.

use clap::{CommandFactory as _, Parser as _};

use super::check::Check;
use super::{Cli, Exit, Verb};

#[test]
fn every_verb_has_help_with_an_example() {
    Cli::command().debug_assert();
    has_examples(&mut Cli::command(), "portcullis");
}

fn has_examples(command: &mut clap::Command, called: &str) {
    let help = command.render_long_help().to_string();
    let (_, examples) = help.split_once("\nExample").unwrap_or_else(|| panic!("`{called}` has no example:\n{help}"));
    assert!(examples.contains(&format!("  {called}")), "{help}");
    for verb in command.get_subcommands_mut().filter(|verb| verb.get_name() != "help") {
        let called = format!("{called} {}", verb.get_name());
        has_examples(verb, &called);
    }
}

#[test]
fn every_verb_is_in_the_documentation() {
    fn verbs(command: &clap::Command, above: &str) -> Vec<String> {
        let inner = command.get_subcommands().map(|verb| (verb, format!("{above} {}", verb.get_name())));
        let inner: Vec<_> = inner.flat_map(|(verb, name)| verbs(verb, &name)).collect();
        if inner.is_empty() { vec![format!("`{}`", above.trim())] } else { inner }
    }
    let page = include_str!("../../../../docs/cli.md");
    for verb in verbs(&Cli::command(), "") {
        assert!(page.contains(&verb), "docs/cli.md does not have {verb}");
    }
}

#[test]
fn one_of_two_ways_to_say_what_is_meant_is_asked_for_with_both() {
    let told = |line: &[&str]| Cli::try_parse_from(["portcullis"].iter().chain(line)).unwrap_err().to_string();
    let revoke = told(&["sessions", "revoke"]);
    assert!(revoke.contains("ID") && revoke.contains("--user"), "{revoke}");
    assert!(told(&["sessions", "revoke", "zn9b2A77l1YO", "--user", "ada@example.com"]).contains("cannot be used with"));
    let hyphen = Cli::try_parse_from(["portcullis", "sessions", "revoke", "-n9b2A77l1YO"]);
    assert!(hyphen.is_ok(), "an id may begin with a hyphen");
}

fn check(config: &str) -> Exit {
    check_with(&["--config", config])
}

fn check_with(arguments: &[&str]) -> Exit {
    let cli = Cli::try_parse_from(["portcullis", "check"].iter().chain(arguments)).unwrap();
    let Verb::Check(check) = cli.verb else { panic!("not check") };
    Check::execute(&check)
}

#[test]
fn check_tells_a_bad_file_from_one_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portcullis.yaml");
    assert_eq!(check(path.to_str().unwrap()), Exit::Refused);
    std::fs::write(&path, "listeners: 1\n").unwrap();
    assert_eq!(check(path.to_str().unwrap()), Exit::Negative);
    let route = "{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: 'true' }";
    std::fs::write(&path, format!("listeners: [{{ address: 127.0.0.1:0 }}]\nroutes: [{route}]\n")).unwrap();
    assert_eq!(check(path.to_str().unwrap()), Exit::Done);
}

#[test]
fn strict_counts_a_warning_as_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portcullis.yaml");
    let exits = |allow: &str| {
        let route = format!("{{ from: http://a.test, to: http://10.0.0.1, authenticate: none, allow: {allow} }}");
        std::fs::write(&path, format!("listeners: [{{ address: 127.0.0.1:0 }}]\nroutes: [{route}]\n")).unwrap();
        let path = path.to_str().unwrap();
        [check(path), check_with(&["--strict", "--config", path])]
    };
    assert_eq!(exits("'true'"), [Exit::Done, Exit::Done]);
    assert_eq!(exits("'request.method == \"get\"'"), [Exit::Done, Exit::Negative]);
    assert_eq!(exits("'user.machine && !user.machine'"), [Exit::Done, Exit::Negative]);
}

#[test]
fn an_unknown_verb_is_a_usage_error() {
    let error = Cli::try_parse_from(["portcullis", "scheme"]).unwrap_err();
    assert!(error.use_stderr());
    assert!(error.to_string().contains("schema"), "{error}");
}
