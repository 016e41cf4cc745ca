//! A provider, apps and certificates on loopback, for `portcullis demo` and for tests.

mod certificates;
mod configuration;
mod demo;
mod error;
mod folder;
pub mod grpc;
mod guide;
pub mod provider;
mod server;
pub mod web;

pub use certificates::{Authority, Leaf};
pub use demo::Demo;
pub use error::DemoError;
pub use server::Server;

/// The port of the proxy unless another is asked for.
pub const DEFAULT_PORT: u16 = 8443;

/// The folder unless another is asked for: in the working directory, where it is easy to find and hard to plant.
pub const DEFAULT_FOLDER: &str = "portcullis-demo";

#[cfg(test)]
mod browser;
