//! Habits of the repository that no lint knows.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All files that git knows or would add.
fn files() -> Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()?;
    let listed = String::from_utf8(output.stdout)?;
    Ok(listed.lines().filter(|file| root().join(file).exists()).map(Into::into).collect())
}

fn is(file: &str, extension: &str) -> bool {
    Path::new(file).extension().is_some_and(|found| found == extension)
}

#[test]
fn the_top_level_holds_what_was_agreed() -> Result {
    let agreed =
        ["Cargo.toml", "Cargo.lock", "LICENSE", "README.md", "crates", "config", "policies", "tests", "deploy", "docs"];
    for file in files()? {
        let top = file.split('/').next().unwrap_or_default();
        assert!(top.starts_with('.') || agreed.contains(&top), "{file}");
    }
    Ok(())
}

#[test]
fn every_source_file_says_what_it_is_for() -> Result {
    for file in files()?.iter().filter(|file| is(file, "rs")) {
        assert!(fs::read_to_string(root().join(file))?.starts_with("//! "), "{file} does not open with `//!`");
        assert!(!file.ends_with("/mod.rs"), "{file}");
    }
    Ok(())
}

#[test]
fn no_test_is_skipped_and_nothing_is_promised() -> Result {
    let words = [concat!("#[ig", "nore"), concat!("to", "do!("), concat!("unimple", "mented!("), concat!("FIX", "ME")];
    for file in files()?.iter().filter(|file| is(file, "rs") || is(file, "mjs") || is(file, "py")) {
        let text = fs::read_to_string(root().join(file))?;
        for word in words {
            assert!(!text.contains(word), "{file}: {word}");
        }
    }
    Ok(())
}

#[test]
fn links_between_documents_lead_somewhere() -> Result {
    for file in files()?.iter().filter(|file| is(file, "md")) {
        let text = fs::read_to_string(root().join(file))?;
        let folder = root().join(file).parent().map(Path::to_path_buf).unwrap_or_default();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") || path.contains(' ') {
                continue;
            }
            assert!(folder.join(path).exists(), "{file} links to {target}");
        }
    }
    Ok(())
}

#[test]
fn every_decision_record_has_a_number_of_its_own() -> Result {
    let mut numbers = BTreeSet::new();
    for file in files()?.iter().filter(|file| file.starts_with("docs/adr/")) {
        let number: u32 = file.split(['/', '-']).nth(2).unwrap_or_default().parse()?;
        let text = fs::read_to_string(root().join(file))?;
        assert!(text.starts_with(&format!("# {number}. ")), "{file} does not open with its number");
        assert!(numbers.insert(number), "{file}: there is another of this number: take the next");
    }
    assert!(numbers.contains(&1), "{numbers:?}");
    Ok(())
}

/// The text of all files of a kind below a folder, without tests.
fn text_of(folder: &str, extension: &str) -> Result<String> {
    let is_no_code = |file: &str| {
        let name = file.rsplit('/').next().unwrap_or_default();
        // The words of a table are those of a protocol.
        let is_table = name == "static_table.rs";
        file.contains("/tests/") || name == "tests.rs" || name.starts_with("test_") || name == "fixture.rs" || is_table
    };
    let mut text = String::new();
    for file in files()?.iter().filter(|file| file.starts_with(folder) && is(file, extension) && !is_no_code(file)) {
        text += &fs::read_to_string(root().join(file))?;
    }
    Ok(text)
}

/// The words between two `quote` on one line that consist of lower-case parts, joined by `joint`.
fn words(text: &str, quote: char, joint: char) -> BTreeSet<&str> {
    let part = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let is_word =
        |word: &&str| word.contains(joint) && word.starts_with(char::is_alphabetic) && word.split(joint).all(part);
    text.lines().flat_map(|line| line.split(quote)).filter(is_word).collect()
}

/// Words in the code of the shape of a reason code that are none.
const NO_CODES: [&str; 15] = [
    "cross-site",
    "ends-v1",
    "grpc-message",
    "no-referrer",
    "no-store",
    "rows-v1",
    "same-origin",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sign-in",
    "test-util",
    "worker-blocking",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
];

#[test]
fn every_reason_code_is_documented_and_every_documented_one_exists() -> Result {
    let docs = text_of("docs/", "md")?;
    let mut code = String::new();
    for part in [
        "audit/src/",
        "authenticate/src/",
        "authorize/src/",
        "proxy/src/",
        "portcullis/src/admin",
        "portcullis/src/reload",
    ] {
        code += &text_of(&format!("crates/{part}"), "rs")?;
    }
    let (documented, used) = (words(&docs, '`', '-'), words(&code, '"', '-'));
    assert!(used.contains("no-policy-matched") && used.contains("token-invalid"), "the code is not read: {used:?}");
    for word in used.difference(&documented) {
        assert!(NO_CODES.contains(word), "`{word}` is not documented (or belongs into NO_CODES)");
    }
    for page in ["audit", "client-address", "http-status-codes", "request-path", "routing", "sign-in"] {
        let page = fs::read_to_string(root().join(format!("docs/{page}.md")))?;
        for word in words(&page, '`', '-').difference(&used) {
            assert!(code.contains(&format!("\"{word}\"")), "`{word}` is documented, and nothing in the code has it");
        }
    }
    Ok(())
}

#[test]
fn every_error_code_that_callers_are_told_is_documented() -> Result {
    let told = fs::read_to_string(root().join("crates/proxy/src/respond/told.rs"))?;
    let page = fs::read_to_string(root().join("docs/http-status-codes.md"))?;
    let (told, documented) = (words(&told, '"', '_'), words(&page, '`', '_'));
    assert!(told.contains("upstream_connect_error"), "{told:?}");
    for code in &told {
        assert!(documented.contains(code), "`{code}` is not documented");
    }
    Ok(())
}

#[test]
fn every_metric_is_documented_and_every_documented_one_exists() -> Result {
    let (code, page) = (text_of("crates/", "rs")?, fs::read_to_string(root().join("docs/operations.md"))?);
    let is_metric = |word: &&str| word.starts_with("portcullis_");
    let registered: BTreeSet<_> = words(&code, '"', '_').into_iter().filter(is_metric).collect();
    let documented: BTreeSet<_> = words(&page, '`', '_').into_iter().filter(is_metric).collect();
    assert!(registered.contains("portcullis_requests"), "{registered:?}");
    // The text format adds `_total` to counters.
    let name = |documented: &str| documented.strip_suffix("_total").unwrap_or(documented).to_owned();
    let documented: BTreeSet<_> = documented.into_iter().map(name).collect();
    let registered: BTreeSet<_> = registered.into_iter().map(str::to_owned).collect();
    assert_eq!(registered, documented);
    Ok(())
}

#[test]
fn every_field_of_the_access_event_is_documented() -> Result {
    let exchange = fs::read_to_string(root().join("crates/proxy/src/exchange.rs"))?;
    let page = fs::read_to_string(root().join("docs/logging.md"))?;
    let event = exchange.split("fn access").nth(1).and_then(|rest| rest.split("\n    }").next()).unwrap_or_default();
    let fields: Vec<_> = event.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.trim()).collect();
    assert!(fields.contains(&"request.id"), "{fields:?}");
    for field in fields {
        assert!(page.contains(&format!("| `{field}` |")), "`{field}` is not documented");
    }
    Ok(())
}

#[test]
fn crates_that_only_think_reach_for_nothing() -> Result {
    for name in ["identity", "authorize"] {
        let manifest = fs::read_to_string(root().join(format!("crates/{name}/Cargo.toml")))?;
        for io in ["tokio", "hyper", "http", "axum", "rustls"] {
            assert!(!manifest.lines().any(|line| line.starts_with(&format!("{io}."))), "{name} depends on {io}");
        }
    }
    Ok(())
}

#[test]
fn every_test_that_the_security_page_names_exists() -> Result {
    let sources: String = files()?
        .iter()
        .filter(|file| is(file, "rs"))
        .map(|file| fs::read_to_string(root().join(file)))
        .collect::<std::result::Result<_, _>>()?;
    let page = fs::read_to_string(root().join("docs/security.md"))?;
    let named = page.lines().filter_map(|line| line.strip_suffix(" |")?.rsplit("| ").next());
    let named: Vec<_> = named.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(named.len() > 50, "the tables are not read any more");
    for test in named {
        assert!(sources.contains(&format!("fn {test}(")), "there is no test `{test}`");
    }
    Ok(())
}

/// `cargo run` in a fresh clone must not ask which program is meant.
#[test]
fn there_is_one_program() -> Result {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let targets = packages.iter().flat_map(|package| package["targets"].as_array().cloned().unwrap_or_default());
    let programs: Vec<_> =
        targets.filter(|target| target["kind"][0] == "bin").map(|target| target["name"].clone()).collect();
    assert_eq!(programs, ["portcullis"]);
    Ok(())
}

#[test]
fn no_registry_host_is_spelt_out() -> Result {
    let hosts =
        [concat!("registry.npmjs", ".org"), concat!("files.pythonhosted", ".org"), concat!("deb.debian", ".org")];
    for file in files()?.iter().filter(|file| !file.ends_with("Cargo.lock")) {
        let Ok(text) = fs::read_to_string(root().join(file)) else { continue };
        for host in hosts {
            assert!(!text.contains(host), "{file}: {host}");
        }
    }
    Ok(())
}
