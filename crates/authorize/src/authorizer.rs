//! The compiled policies of one configuration.

use std::sync::Arc;

use crate::condition::{Condition, Named, on_large_stack};
use crate::failure::Failure;
use crate::network::NetworkSet;
use crate::{Config, Decision, Denial, Input, Permit, Problem, Reason, RouteRules, Rule, RuleRef, Severity};

/// The compiled policies of one configuration: immutable, shared by all requests of one snapshot.
#[derive(Debug)]
pub struct Authorizer {
    routes: Vec<RoutePolicy>,
}

/// The policy of one route: its own rules, those of its named policies and those of the guard.
#[derive(Debug)]
pub struct RoutePolicy {
    allow: Vec<Arc<CompiledRule>>,
    deny: Vec<Arc<CompiledRule>>,
    reads_path: bool,
}

#[derive(Debug)]
struct CompiledRule {
    /// `policy/rule`.
    label: Arc<str>,
    condition: Condition,
    message: Option<Arc<str>>,
}

impl Authorizer {
    /// Parses, checks and compiles every rule.
    ///
    /// # Errors
    /// All problems of all rules. Warnings alone do not refuse: they come back with the authorizer.
    pub fn compile(config: &Config) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let (authorizer, problems) = on_large_stack(|| compile(config)).ok_or_else(|| vec![no_thread()])?;
        if problems.iter().any(|problem| problem.severity == Severity::Error) {
            return Err(problems);
        }
        Ok((authorizer, problems))
    }

    /// Returns the policy of the route at `index` of [`Config::routes`].
    #[must_use]
    pub fn route(&self, index: usize) -> Option<&RoutePolicy> {
        self.routes.get(index)
    }
}

impl RoutePolicy {
    /// Decides the deny rules that mention neither `user` nor `session`, before anybody is sent to sign in.
    #[must_use]
    pub fn before_sign_in(&self, input: &Input<'_>) -> Option<Denial> {
        self.deny.iter().filter(|rule| !rule.condition.needs_sign_in()).find_map(|rule| rule.denies(input))
    }

    /// Decides. Deny wins; a deny rule that fails denies; no allow rule denies.
    #[must_use]
    pub fn decide(&self, input: &Input<'_>) -> Decision {
        if let Some(denial) = self.deny.iter().find_map(|rule| rule.denies(input)) {
            return Decision::Deny(denial);
        }
        let mut failed: Option<(&CompiledRule, Failure)> = None;
        for rule in &self.allow {
            match rule.condition.holds(input) {
                Ok(true) => return Decision::Allow(Permit::new(rule.label.clone())),
                Ok(false) => {}
                Err(failure) => failed = failed.or(Some((rule, failure))),
            }
        }
        Decision::Deny(match failed {
            None => Denial { reason: Reason::NoPolicyMatched, rule: None, message: None, error: None },
            Some((rule, failure)) => Denial {
                reason: Reason::AllowRuleFailed,
                rule: None,
                message: None,
                error: Some(format!("{}: {failure}", rule.label).into()),
            },
        })
    }

    /// Returns whether any rule reads `request.path`: such a host has its paths normalised strictly.
    #[must_use]
    pub const fn reads_path(&self) -> bool {
        self.reads_path
    }
}

impl CompiledRule {
    /// Applies the rule as a deny rule: it refuses where it holds, and where nobody can tell.
    fn denies(&self, input: &Input<'_>) -> Option<Denial> {
        let (reason, error) = match self.condition.holds(input) {
            Ok(false) => return None,
            Ok(true) => (Reason::DenyRuleMatched, None),
            Err(failure) => (Reason::DenyRuleFailed, Some(failure.to_string().into())),
        };
        Some(Denial { reason, rule: Some(self.label.clone()), message: self.message.clone(), error })
    }
}

/// Compiles every rule once, however many routes share it.
fn compile(config: &Config) -> (Authorizer, Vec<Problem>) {
    let mut compiler = Compiler {
        named: Named {
            networks: config
                .networks
                .iter()
                .map(|(name, networks)| (name.clone(), Arc::new(NetworkSet::new(networks.iter().copied()))))
                .collect(),
            tables: config.tables.clone(),
        },
        problems: Vec::new(),
    };
    let guard = compiler.rules("guard", &config.guard.allow, &config.guard.deny);
    let policies: Vec<Rules> =
        config.policies.iter().map(|policy| compiler.rules(&policy.name, &policy.allow, &policy.deny)).collect();
    let routes = config.routes.iter().map(|route| compiler.route(route, &guard, &policies)).collect();
    (Authorizer { routes }, compiler.problems)
}

struct Compiler {
    named: Named,
    problems: Vec<Problem>,
}

/// Compiled allow and deny rules of one place.
struct Rules {
    allow: Vec<Arc<CompiledRule>>,
    deny: Vec<Arc<CompiledRule>>,
}

impl Compiler {
    fn rules(&mut self, policy: &str, allow: &[Rule], deny: &[Rule]) -> Rules {
        let mut compiled = |rules: &[Rule]| rules.iter().filter_map(|rule| self.rule(policy, rule)).collect();
        Rules { allow: compiled(allow), deny: compiled(deny) }
    }

    fn rule(&mut self, policy: &str, rule: &Rule) -> Option<Arc<CompiledRule>> {
        let (condition, faults) = Condition::compile(&rule.when, &self.named);
        self.problems.extend(faults.into_iter().map(|fault| Problem {
            origin: rule.origin,
            at: fault.at,
            severity: fault.severity,
            message: fault.message,
            help: fault.help,
        }));
        Some(Arc::new(CompiledRule {
            label: format!("{policy}/{}", rule.name).into(),
            condition: condition?,
            message: rule.message.as_deref().map(Arc::from),
        }))
    }

    /// Puts the rules in the order in which they are asked: the guard, the route's own, its policies.
    fn route(&mut self, route: &RouteRules, guard: &Rules, policies: &[Rules]) -> RoutePolicy {
        let inline = self.rules(&route.route, &route.allow, &route.deny);
        let named: Option<Vec<&Rules>> = route.policies.iter().map(|index| policies.get(*index)).collect();
        // A policy that is not there may have held deny rules: without it nothing is allowed.
        let complete = named.is_some();
        let parts: Vec<&Rules> = [guard, &inline].into_iter().chain(named.unwrap_or_default()).collect();
        let allow = parts.iter().filter(|_| complete).flat_map(|rules| rules.allow.iter().cloned());
        let allow: Vec<_> = allow.collect();
        let deny: Vec<_> = parts.iter().flat_map(|rules| rules.deny.iter().cloned()).collect();
        let reads_path = allow.iter().chain(&deny).any(|rule| rule.condition.reads_path());
        RoutePolicy { allow, deny, reads_path }
    }
}

fn no_thread() -> Problem {
    Problem {
        origin: RuleRef(0),
        at: 0..0,
        severity: Severity::Error,
        message: "no thread to compile policies on".to_owned(),
        help: Some("raise the limits on processes or memory".to_owned()),
    }
}

#[cfg(test)]
mod tests;
