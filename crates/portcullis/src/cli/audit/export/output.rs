//! Where an export goes: a file that is there when it is whole and not before, or standard output.

use std::fs::{self, Permissions};
use std::io::{self, IsTerminal as _, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::Format;
use crate::config;

/// Where an export goes.
pub(super) enum Output {
    Stdout,
    /// A file beside that which is asked for: it goes with this value unless it is persisted.
    File {
        written: NamedTempFile,
        path: PathBuf,
        may_replace: bool,
    },
}

impl Output {
    pub(super) fn open(path: Option<&Path>, may_replace: bool, format: Format) -> Result<Self, String> {
        let Some(path) = path else {
            let is_for_people = format != Format::Parquet || !io::stdout().is_terminal();
            return if is_for_people {
                Ok(Self::Stdout)
            } else {
                Err("Parquet is not for terminals: name a file with `--output`".to_owned())
            };
        };
        let shown = path.display();
        if !may_replace && fs::symlink_metadata(path).is_ok() {
            return Err(format!("`{shown}` is there already: name another file, or replace it with `--force`"));
        }
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // What was worth protecting in the log is so here.
        let written = tempfile::Builder::new()
            .prefix(".audit-export-")
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(dir);
        let written = written.map_err(|error| format!("cannot write `{shown}`: {}", config::reason(&error)))?;
        Ok(Self::File { written, path: path.to_owned(), may_replace })
    }

    pub(super) fn writer(&self) -> io::Result<Box<dyn Write + Send>> {
        match self {
            Self::Stdout => Ok(Box::new(io::stdout())),
            Self::File { written, .. } => Ok(Box::new(written.as_file().try_clone()?)),
        }
    }

    /// Puts the file in its place.
    pub(super) fn persist(self) -> io::Result<()> {
        let Self::File { written, path, may_replace } = self else { return Ok(()) };
        written.as_file().sync_all()?;
        let persisted = if may_replace { written.persist(path) } else { written.persist_noclobber(path) };
        persisted.map(drop).map_err(|error| error.error)
    }
}
