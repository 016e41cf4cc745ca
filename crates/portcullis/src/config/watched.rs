//! What on disk a configuration depends on, and how it looked when it was read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The files and patterns that a configuration names, each as it was just before it was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched {
    files: BTreeMap<PathBuf, Option<Stamp>>,
    patterns: BTreeMap<String, Vec<PathBuf>>,
}

/// Tells one state of a file from the next, also where links above it are exchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    real: PathBuf,
    length: u64,
    modified: Option<SystemTime>,
    inode: u64,
}

impl Watched {
    /// Adds a file that is about to be read, whether it is there or not.
    pub(crate) fn add(&mut self, path: PathBuf) {
        self.files.entry(path).or_insert_with_key(|path| Stamp::of(path));
    }

    /// Adds a pattern of file names.
    pub(crate) fn add_pattern(&mut self, pattern: String) {
        self.patterns.entry(pattern).or_insert_with_key(|pattern| matches(pattern));
    }

    /// Adds all that `other` has, as it was there.
    pub(crate) fn extend(&mut self, other: Self) {
        self.files.extend(other.files);
        self.patterns.extend(other.patterns);
    }

    /// Returns whether something is not as it was; looks at the disk.
    pub(crate) fn has_changed(&self) -> bool {
        self.files.iter().any(|(path, stamp)| Stamp::of(path) != *stamp)
            || self.patterns.iter().any(|(pattern, found)| matches(pattern) != *found)
    }

    /// Returns the same, as it is now.
    pub(crate) fn as_it_is(&self) -> Self {
        Self {
            files: self.files.keys().map(|path| (path.clone(), Stamp::of(path))).collect(),
            patterns: self.patterns.keys().map(|pattern| (pattern.clone(), matches(pattern))).collect(),
        }
    }

    /// Returns the folders in which a change shows: those that hold a name, and those that hold what it leads to.
    pub(crate) fn folders(&self) -> BTreeSet<PathBuf> {
        let real = self.files.values().flatten().map(|stamp| &stamp.real);
        let found = self.patterns.values().flatten();
        let files = self.files.keys().chain(real).chain(found);
        let of_patterns = self.patterns.keys().map(|pattern| base(pattern));
        files.filter_map(|file| file.parent()).map(named_folder).chain(of_patterns).collect()
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Some(Self {
            real: fs::canonicalize(path).ok()?,
            length: metadata.len(),
            modified: metadata.modified().ok(),
            inode,
        })
    }
}

fn matches(pattern: &str) -> Vec<PathBuf> {
    glob::glob(pattern).map(|paths| paths.flatten().collect()).unwrap_or_default()
}

/// Returns the folder that a pattern starts from: what stands before the first part with a special character.
fn base(pattern: &str) -> PathBuf {
    let folders = Path::new(pattern).parent().unwrap_or(Path::new(""));
    let literal = folders.components().map_while(|part| unescaped(part.as_os_str().to_str()?));
    named_folder(&literal.collect::<PathBuf>())
}

/// Returns the one name that a part of a pattern matches, if it is one.
fn unescaped(part: &str) -> Option<String> {
    let mut name = part.to_owned();
    for special in ["[", "]", "?", "*"] {
        name = name.replace(&glob::Pattern::escape(special), special);
    }
    (glob::Pattern::escape(&name) == part).then_some(name)
}

fn named_folder(folder: &Path) -> PathBuf {
    if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() }
}
