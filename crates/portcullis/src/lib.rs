//! The Portcullis access proxy: configuration, assembly and command line.
//!
//! The only crate that knows files, YAML and the environment. [`config::load`] reads and checks, [`app::App::build`]
//! opens what a configuration needs, [`serve::run_file`] does both and serves.

mod admin;
pub mod app;
mod assembly;
mod audit_metrics;
pub mod cli;
pub mod config;
pub mod connect;
mod recorded;
mod refreshes;
mod reload;
pub mod serve;
mod situation;
mod span_metrics;
mod supervisor;
mod tables;
mod telemetry;
mod watch;
