//! Whole files in, problems or a configuration out.

use std::fs;
use std::path::Path;

use super::{Config, LoadError, load_with};

mod admin;
mod audit;
mod data;
mod defaults;
mod doc_examples;
mod docs;
mod examples;
mod http3;
mod listeners;
mod mistakes;
mod policies;
mod reach;
mod rewrites;
mod schema;
mod secrets;
mod shipping;
mod step_up;
mod texts;
mod tunnels;
mod upstreams;

/// A folder with a configuration and what it names.
pub(super) struct Folder(tempfile::TempDir);

impl Folder {
    pub(super) fn new(config: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("portcullis.yaml", config);
        folder
    }

    pub(super) fn with(self, path: &str, text: impl AsRef<[u8]>) -> Self {
        self.write(path, text);
        self
    }

    pub(super) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn load(&self) -> Result<Config, LoadError> {
        load_with(&self.path().join("portcullis.yaml"), &|name| match name {
            "SECRET" => Some("hunter2".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        })
    }

    /// Returns what is wrong, without the folder's name.
    pub(super) fn problems(&self) -> String {
        let text = match self.load() {
            Ok(config) => config.warnings.to_string(),
            Err(error) => error.to_string(),
        };
        text.replace(&format!("{}/", self.path().display()), "")
    }
}

/// A listener and a route that load; tests add to it.
pub(super) const GOOD: &str = "\
listeners: [{ address: 127.0.0.1:0 }]
routes:
  - from: http://app.example.com
    to: http://127.0.0.1:8080
    authenticate: none
    allow: \"true\"
";

pub(super) fn check(config: &str, expected: &str) {
    let problems = Folder::new(config).problems();
    assert_eq!(problems.trim_end(), expected.trim_end(), "for\n{config}");
}
