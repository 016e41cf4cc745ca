//! What is compiled: policies, networks and the rules of each route, as the configuration names them.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;

use crate::Table;

/// All policies of one configuration.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// `networks`, by name.
    pub networks: BTreeMap<String, Vec<IpNet>>,
    /// `data`, by name.
    pub tables: BTreeMap<String, Arc<Table>>,
    /// Named policies.
    pub policies: Vec<Policy>,
    /// Rules that apply to every route.
    pub guard: Guard,
    /// One entry a route, in the order of the routes.
    pub routes: Vec<RouteRules>,
    /// `audit.fields`: expressions of any type whose values are written down with each decision.
    pub fields: Vec<Rule>,
}

/// A named policy.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The name that routes use.
    pub name: String,
    /// Rules of which one must hold.
    pub allow: Vec<Rule>,
    /// Rules of which none may hold.
    pub deny: Vec<Rule>,
    /// `shadow`: the rules of a candidate, which are decided beside those above and enforce nothing.
    pub shadow: Option<Candidate>,
}

/// The rules of a policy that is tried out.
#[derive(Clone, Debug, Default)]
pub struct Candidate {
    /// Rules of which one must hold.
    pub allow: Vec<Rule>,
    /// Rules of which none may hold.
    pub deny: Vec<Rule>,
}

/// Rules that apply to every route.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// Rules that allow on every route.
    pub allow: Vec<Rule>,
    /// Rules that deny on every route.
    pub deny: Vec<Rule>,
}

/// What one route attaches. A route to which nothing is attached denies everything.
#[derive(Clone, Debug, Default)]
pub struct RouteRules {
    /// The route's name.
    pub route: String,
    /// Indices into [`Config::policies`].
    pub policies: Vec<usize>,
    /// Inline allow rules.
    pub allow: Vec<Rule>,
    /// Inline deny rules.
    pub deny: Vec<Rule>,
    /// Whether its decisions are enforced.
    pub mode: Mode,
}

/// `mode` of a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// What is denied is refused.
    #[default]
    Enforce,
    /// What is denied is recorded and let through.
    Shadow,
}

/// One rule as written.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What the configuration calls this place; problems carry it back.
    pub origin: RuleRef,
    /// The name, or `allow[0]`, `deny[2]` where none was written.
    pub name: String,
    /// The CEL expression.
    pub when: String,
    /// Shown to a person whom this rule refuses.
    pub message: Option<String>,
}

/// Tells the configuration which rule a problem is about. Opaque here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleRef(pub usize);
