//! Decides what a caller may reach, by policies written in CEL. Pure and synchronous: no I/O, no clock, no HTTP types,
//! no credential.

mod authorizer;
mod combine;
mod config;
mod decision;
mod error;
mod input;

// From the text of a condition to an answer.
mod check;
mod code;
mod condition;
mod evaluate;
mod syntax;

// A decision, explained; or made from less than the whole request.
mod inspector;
mod part;
mod reads;

// What conditions are about.
mod budget;
mod constant;
mod environment;
mod failure;
mod function;
mod network;
mod query;
mod table;
mod types;
mod value;

#[cfg(test)]
mod fixture;
#[cfg(any(test, feature = "test-util"))]
pub mod test_util;

pub use authorizer::{Authorizer, RoutePolicy};
pub use config::{Candidate, Config, Guard, Mode, Policy, RouteRules, Rule, RuleRef};
pub use decision::{Decision, Denial, Permit, Reason, ShadowDecision};
pub use error::{Problem, Severity};
pub use input::{ClientCertificate, Grpc, Headers, Input, Request, RouteFacts, SessionFacts, Tls};
pub use inspector::{
    Explanation, Inspector, Judgement, Knowledge, Known, Outcome, PartExplanation, RouteInspector, RuleExplanation,
    Version, WholeRequest,
};
pub use reads::{Read, looks_like_token, sounds_secret};
pub use table::{Format, KeyType, Layout, Rows, Table, TableError};
