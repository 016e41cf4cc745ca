//! What can go wrong while the demo starts.

use std::io;
use std::path::PathBuf;

/// Why the demo, or a part of it, does not start.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The port that was asked for is taken.
    #[error("port {port} is taken: choose another with `--port`, or any free one with `--port 0`")]
    PortTaken {
        /// The port.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// The port that was asked for needs a right that this user lacks.
    #[error("port {port} needs root: choose one from 1024 up with `--port`, or any free one with `--port 0`")]
    PortForbidden {
        /// The port.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// No port can be had.
    #[error("no port of 127.0.0.1 can be bound: {0}")]
    Bind(#[source] io::Error),
    /// Where the folder should be, there is a file.
    #[error("`{}` is a file: choose a folder with `--dir`", path.display())]
    NoFolder {
        /// The file.
        path: PathBuf,
    },
    /// Another demo runs in the folder.
    #[error("another demo runs in `{}`: stop it, or choose another folder with `--dir`", path.display())]
    FolderTaken {
        /// The folder.
        path: PathBuf,
    },
    /// A file of the folder cannot be read or written.
    #[error("`{}` cannot be read or written: {source}; choose another folder with `--dir`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder's certificate authority cannot be used.
    #[error("`{}` holds no usable certificate authority: remove `ca.pem` and `ca.key` there", path.display())]
    Authority {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<Self>,
    },
    /// The clock shows a date that no certificate can carry.
    #[error("the clock of this machine shows a date that certificates cannot carry")]
    Clock,
    /// A key cannot be made.
    #[error("a signing key cannot be made")]
    Key,
    /// A certificate cannot be made or read.
    #[error("a certificate cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A PEM file holds something else.
    #[error("a certificate cannot be read: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// A signing key is refused.
    #[error("a signing key cannot be used: {0}")]
    Jwt(#[from] jsonwebtoken::errors::Error),
    /// The description of the gRPC service cannot be read.
    #[error("the description of the gRPC service cannot be read: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// A file's template fails.
    #[error("a file cannot be written from its template: {0}")]
    Template(#[from] askama::Error),
}
