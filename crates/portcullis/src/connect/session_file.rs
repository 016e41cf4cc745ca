//! The file that keeps a session: readable by its user alone, one for each host of a proxy.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use identity::Secret;
use rustix::fs::OFlags;

use super::Failure;
use super::failure::printable;

/// Where a session is kept.
#[derive(Clone, Debug)]
pub struct SessionFile {
    path: PathBuf,
}

/// A session, and whose it is.
#[derive(Debug)]
pub(super) struct Kept {
    /// What the proxy knows it by.
    pub(super) cookie: Secret,
    /// What its user is called.
    pub(super) user: Option<String>,
}

impl SessionFile {
    /// Returns where a user's sessions are kept: `$XDG_STATE_HOME/portcullis`, or `~/.local/state/portcullis`.
    #[must_use]
    pub fn directory() -> Option<PathBuf> {
        // The specification of base directories has relative paths ignored.
        let named = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let state = named.or_else(|| std::env::home_dir().map(|home| home.join(".local/state")));
        state.map(|state| state.join("portcullis"))
    }

    /// Names the file of a host. A session is good on one host alone, and a port of it may be another proxy's.
    pub(super) fn new(directory: &Path, host: &str, port: u16) -> Self {
        Self { path: directory.join(format!("{host}.{port}")) }
    }

    /// Returns the other ports of the host with a session.
    pub(super) fn other_ports(&self) -> Vec<u16> {
        let place = |path: &Path| {
            let (host, port) = path.file_name()?.to_str()?.rsplit_once('.')?;
            Some((host.to_owned(), port.parse::<u16>().ok()?))
        };
        let Some(own) = place(&self.path) else { return Vec::new() };
        let entries = self.path.parent().and_then(|directory| fs::read_dir(directory).ok());
        let places = entries.into_iter().flatten().flatten().filter_map(|entry| place(&entry.path()));
        let mut ports: Vec<_> =
            places.filter(|(host, port)| *host == own.0 && *port != own.1).map(|(_, port)| port).collect();
        ports.sort_unstable();
        ports
    }

    /// Reads the session; `None` where there is none.
    pub(super) fn load(&self) -> Result<Option<Kept>, Failure> {
        let mut file = match as_it_stands().read(true).open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(&self.path, &error)),
        };
        let found = file.metadata().map_err(|error| unusable(&self.path, &error))?;
        if !found.is_file() || found.mode() & 0o077 != 0 || found.uid() != rustix::process::geteuid().as_raw() {
            return Err(Failure::Local(format!(
                "`{path}` holds a session, and others can read or change it: remove it with `rm {path}`, and sign in again",
                path = self.path.display()
            )));
        }
        let mut text = String::new();
        (&mut file).take(MAX_LENGTH).read_to_string(&mut text).map_err(|error| unusable(&self.path, &error))?;
        let mut lines = text.lines();
        let cookie = lines.next().unwrap_or_default();
        let is_cookie = !cookie.is_empty() && cookie.bytes().all(|byte| byte.is_ascii_graphic());
        let user = lines.next().map(printable);
        Ok(is_cookie.then(|| Kept { cookie: Secret::new(cookie.to_owned()), user }))
    }

    /// Keeps a session in the place of the one before.
    pub(super) fn save(&self, cookie: &Secret, user: &str) -> Result<(), Failure> {
        let failed = |error: std::io::Error| unusable(&self.path, &error);
        let directory = self.make_directory()?;
        // Made for this user alone, and renamed when it is whole: no other reads it, and nobody reads half of it.
        let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
        writeln!(file, "{}\n{}", cookie.expose(), printable(user)).map_err(failed)?;
        file.persist(&self.path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// Forgets the session.
    pub(super) fn remove(&self) -> Result<(), Failure> {
        fs::remove_file(&self.path).map_err(|error| unusable(&self.path, &error))
    }

    /// Becomes the one that signs in, unless there is one.
    pub(super) fn try_lock(&self) -> Result<Option<File>, Failure> {
        let (path, file) = self.lock_file()?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(unusable(&path, &error)),
        }
    }

    /// Becomes the one that signs in, once no other does.
    pub(super) fn lock(&self) -> Result<File, Failure> {
        let (path, file) = self.lock_file()?;
        file.lock().map_err(|error| unusable(&path, &error))?;
        Ok(file)
    }

    /// Opens what is locked: a file beside, as the session's own is renamed over.
    fn lock_file(&self) -> Result<(PathBuf, File), Failure> {
        let mut path = self.path.clone().into_os_string();
        path.push(".lock");
        let path = PathBuf::from(path);
        self.make_directory()?;
        let file = as_it_stands().write(true).create(true).truncate(false).mode(0o600).open(&path);
        file.map(|file| (path.clone(), file)).map_err(|error| unusable(&path, &error))
    }

    fn make_directory(&self) -> Result<&Path, Failure> {
        let directory = self.path.parent().unwrap_or(&self.path);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map(|()| directory).map_err(|error| unusable(directory, &error))
    }
}

/// Opens a file that stands there itself: behind a link could be another secret, which would be sent to the proxy, and a pipe
/// would be waited for.
fn as_it_stands() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    options
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Local(format!(
        "cannot use `{}`: {error}; sessions are kept in $XDG_STATE_HOME/portcullis or ~/.local/state/portcullis",
        path.display()
    ))
}

/// A handle takes a hundredth of it.
const MAX_LENGTH: u64 = 8 * 1024;

#[cfg(test)]
mod tests;
