//! Habits of the repository that no lint knows.

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
fn every_reason_code_and_metric_is_documented() -> Result {
    let docs: String = files()?
        .iter()
        .filter(|file| is(file, "md") && file.starts_with("docs/"))
        .map(|file| fs::read_to_string(root().join(file)))
        .collect::<std::result::Result<_, _>>()?;
    for reason in authorize::Reason::ALL {
        assert!(docs.contains(&format!("`{}`", reason.as_str())), "{} is not documented", reason.as_str());
    }
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
