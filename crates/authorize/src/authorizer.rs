//! The compiled policies of one configuration.

use crate::{Config, Decision, Denial, Input, Problem, Reason};

/// The compiled policies of one configuration: immutable, shared by all requests of one snapshot.
#[derive(Debug)]
pub struct Authorizer {
    routes: Vec<RoutePolicy>,
}

impl Authorizer {
    /// Parses, checks and compiles every rule.
    ///
    /// # Errors
    /// All problems of all rules. Warnings alone do not refuse: they come back with the authorizer.
    pub fn compile(config: &Config) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        Ok((Self { routes: config.routes.iter().map(|_| RoutePolicy {}).collect() }, Vec::new()))
    }

    /// Returns the policy of the route at `index` of [`Config::routes`].
    #[must_use]
    pub fn route(&self, index: usize) -> Option<&RoutePolicy> {
        self.routes.get(index)
    }
}

/// The policy of one route: its own rules, those of its named policies and those of the guard.
#[derive(Debug)]
pub struct RoutePolicy {}

impl RoutePolicy {
    /// Decides the deny rules that mention neither `user` nor `session`, before anybody is sent to sign in.
    #[must_use]
    pub fn before_sign_in(&self, _input: &Input<'_>) -> Option<Denial> {
        None
    }

    /// Decides. Deny wins; a deny rule that fails denies; no allow rule denies.
    #[must_use]
    pub fn decide(&self, _input: &Input<'_>) -> Decision {
        Decision::Deny(Denial { reason: Reason::NoPolicyMatched, rule: None, message: None, error: None })
    }

    /// Returns whether any rule reads `request.path`: such a host has its paths normalised strictly.
    #[must_use]
    pub const fn reads_path(&self) -> bool {
        false
    }
}
