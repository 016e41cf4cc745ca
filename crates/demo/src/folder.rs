//! The demo's folder: everything it writes, it writes here.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::{Authority, DemoError, Leaf};

/// A folder that only its owner can open.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// Held for as long as the demo runs: a second one would exchange the files of the first.
    _lock: fs::File,
}

impl Folder {
    /// Makes the folder, or takes the one that is there.
    pub(crate) fn open(path: &Path) -> Result<Self, DemoError> {
        let folder = || -> io::Result<(PathBuf, fs::File)> {
            private_directory(path)?;
            let path = path.canonicalize()?;
            let lock = private_file(&path.join("lock"))?;
            private_directory(&path.join("policies"))?;
            Ok((path, lock))
        };
        let (path, lock) = match folder() {
            Ok(folder) => folder,
            Err(_) if path.is_file() => return Err(DemoError::NoFolder { path: path.into() }),
            Err(source) => return Err(DemoError::File { path: path.into(), source }),
        };
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => Err(DemoError::FolderTaken { path }),
            Err(fs::TryLockError::Error(source)) => Err(DemoError::File { path, source }),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Returns the authority of an earlier start, so that a browser that trusts it goes on doing so; else makes one.
    pub(crate) fn authority(&self, now: Timestamp) -> Result<Authority, DemoError> {
        let (certificate, key) = (self.read(CA)?, self.read(CA_KEY)?);
        if let (Some(certificate), Some(key)) = (certificate, key) {
            return Authority::read(certificate, &key)
                .map_err(|source| DemoError::Authority { path: self.path.clone(), source: Box::new(source) });
        }
        let authority = Authority::generate(now)?;
        self.write(CA_KEY, &authority.key_pem())?;
        self.write(CA, authority.certificate_pem())?;
        Ok(authority)
    }

    pub(crate) fn write_leaf(&self, leaf: &Leaf) -> Result<(), DemoError> {
        self.write("demo.key", &leaf.key_pem())?;
        self.write("demo.pem", leaf.certificate_pem())
    }

    /// Writes a file whole: whoever reads meanwhile sees the old one or the new one.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), DemoError> {
        let (path, draft) = (self.path(name), self.path(&format!("{name}.draft")));
        let replace = || -> io::Result<()> {
            private_file(&draft)?.write_all(text.as_bytes())?;
            fs::rename(&draft, &path)
        };
        replace().map_err(|source| DemoError::File { path: path.clone(), source })
    }

    /// Writes a file unless it is there.
    pub(crate) fn keep(&self, name: &str, text: &str) -> Result<(), DemoError> {
        if self.read(name)?.is_some() { Ok(()) } else { self.write(name, text) }
    }

    /// Returns the text of a file, where there is one.
    pub(crate) fn read(&self, name: &str) -> Result<Option<String>, DemoError> {
        let path = self.path(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(DemoError::File { path, source }),
        }
    }
}

fn private_directory(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn private_file(path: &Path) -> io::Result<fs::File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

pub(crate) const CA: &str = "ca.pem";
const CA_KEY: &str = "ca.key";
