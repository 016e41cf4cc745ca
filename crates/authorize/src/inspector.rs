//! The rules of one configuration, taken apart: to explain a decision, and to decide from a record that does not hold
//! everything. Slower than [`Authorizer`](crate::Authorizer), and no permit comes of it.

mod explain;
mod judge;
mod shown;

pub(crate) use shown::shown;

use std::sync::Arc;

pub use explain::{Explanation, Outcome, PartExplanation, RuleExplanation};
pub use judge::{Judgement, Knowledge, Known, WholeRequest};

use crate::combine::{self, Combined, RuleSet};
use crate::condition::{Condition, Named, on_large_stack};
use crate::part::Part;
use crate::{Config, Read};

/// The rules of all routes of a configuration that compiles.
#[derive(Debug)]
pub struct Inspector {
    routes: Vec<RouteInspector>,
}

/// The rules of one route.
#[derive(Debug)]
pub struct RouteInspector {
    rules: RuleSet<Arc<Inspected>>,
    candidate: Option<RuleSet<Arc<Inspected>>>,
}

/// One rule, taken apart.
#[derive(Debug)]
struct Inspected {
    /// `policy/rule`.
    label: Arc<str>,
    message: Option<Arc<str>>,
    characters: Box<[char]>,
    part: Part,
    reads: Box<[Read]>,
}

/// Which rules of a route are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Those in force.
    InForce,
    /// Those that would be, were the candidates of its policies in force.
    Candidate,
}

impl Inspector {
    /// Takes the rules of a configuration apart that [`Authorizer::compile`](crate::Authorizer::compile) accepts.
    /// `None` where it does not.
    #[must_use]
    pub fn new(config: &Config) -> Option<Self> {
        on_large_stack(|| {
            let named = Named::of(config);
            let mut complete = true;
            let combined = combine::routes(config, |policy, rule| {
                let parts = Condition::take_apart(&rule.when, &named);
                complete &= parts.is_some();
                let (part, reads) = parts?;
                Some(Arc::new(Inspected {
                    label: format!("{policy}/{}", rule.name).into(),
                    message: rule.message.as_deref().map(Arc::from),
                    characters: rule.when.chars().collect(),
                    part,
                    reads: reads.into(),
                }))
            });
            let route = |Combined { in_force, candidate }| RouteInspector { rules: in_force, candidate };
            complete.then(|| Self { routes: combined.into_iter().map(route).collect() })
        })
        .flatten()
    }

    /// Returns the rules of the route at `index` of [`Config::routes`].
    #[must_use]
    pub fn route(&self, index: usize) -> Option<&RouteInspector> {
        self.routes.get(index)
    }
}

impl RouteInspector {
    fn rules(&self, version: Version) -> &RuleSet<Arc<Inspected>> {
        match version {
            Version::InForce => &self.rules,
            Version::Candidate => self.candidate.as_ref().unwrap_or(&self.rules),
        }
    }

    /// Returns whether a policy of the route has a candidate.
    #[must_use]
    pub const fn has_candidate(&self) -> bool {
        self.candidate.is_some()
    }
}

impl Inspected {
    fn needs_sign_in(&self) -> bool {
        self.reads.iter().any(|read| read.field.starts_with("user.") || read.field.starts_with("session."))
    }
}

#[cfg(test)]
mod tests;
