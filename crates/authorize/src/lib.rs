//! Decides what a caller may reach, by policies written in CEL. Pure and synchronous: no I/O, no clock, no HTTP types,
//! no credential.

mod authorizer;
mod config;
mod decision;
mod error;
mod input;

pub use authorizer::{Authorizer, RoutePolicy};
pub use config::{Config, Guard, Policy, RouteRules, Rule, RuleRef};
pub use decision::{Decision, Denial, Permit, Reason};
pub use error::{Problem, Severity};
pub use input::{ClientCertificate, Grpc, Headers, Input, Request, RouteFacts, SessionFacts, Tls};
