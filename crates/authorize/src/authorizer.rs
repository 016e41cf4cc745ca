//! The compiled policies of one configuration.

mod rules;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use rules::Rules;

use crate::combine::{self, Combined, RuleSet};
use crate::condition::{Condition, Fault, Named, on_large_stack};
use crate::failure::Failure;
use crate::{Config, Decision, Denial, Input, Mode, Permit, Problem, Read, Reason, RuleRef, Severity, ShadowDecision};

/// The compiled policies of one configuration: immutable, shared by all requests of one snapshot.
#[derive(Debug)]
pub struct Authorizer {
    routes: Vec<RoutePolicy>,
    fields: Box<[(Arc<str>, Condition)]>,
}

/// The policy of one route: its own rules, those of its named policies and those of the guard.
#[derive(Debug)]
pub struct RoutePolicy {
    rules: Policy,
    candidate: Option<Policy>,
    mode: Mode,
    reads_path: bool,
    reads: Box<[Read]>,
}

/// Compiled rules that decide together.
#[derive(Debug)]
struct Policy {
    allow: Rules,
    deny: Rules,
}

#[derive(Debug)]
struct CompiledRule {
    /// `policy/rule`.
    label: Arc<str>,
    condition: Arc<Condition>,
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

    /// Evaluates [`Config::fields`] for a record of what was decided: names and values, `null` where one fails.
    pub fn fields(&self, input: &Input<'_>) -> impl Iterator<Item = (Arc<str>, serde_json::Value)> {
        self.fields.iter().map(|(name, expression)| (Arc::clone(name), expression.value(input)))
    }
}

impl RoutePolicy {
    /// Decides the deny rules that mention neither `user` nor `session`, before anybody is sent to sign in. A route in
    /// shadow mode refuses nobody here, and asks for sign-in all the same.
    #[must_use]
    pub fn before_sign_in(&self, input: &Input<'_>) -> Option<Denial> {
        self.rules.before_sign_in(input).filter(|_| self.mode == Mode::Enforce)
    }

    /// Lets a CORS preflight through, which carries nothing that tells who asks, unless a deny rule that needs nobody
    /// refuses it. No allow rule is asked. The caller vouches that it is one, and that the route passes them.
    #[must_use]
    pub fn pass_cors_preflight(&self, input: &Input<'_>) -> Decision {
        self.before_sign_in(input)
            .map_or_else(|| Decision::Allow(Permit::by_rule(CORS_PREFLIGHT.into())), Decision::Deny)
    }

    /// Decides. Deny wins; a deny rule that fails denies; no allow rule denies.
    #[must_use]
    pub fn decide(&self, input: &Input<'_>) -> Decision {
        match (self.rules.decide(input), self.mode) {
            (Ok(rule), _) => Decision::Allow(Permit::by_rule(rule)),
            (Err(denial), Mode::Enforce) => Decision::Deny(denial),
            // Invariant: the one place where a refusal becomes a permit.
            (Err(denial), Mode::Shadow) => Decision::Allow(Permit::despite(denial)),
        }
    }

    /// Decides what is not in force: the candidates of the route's policies, or the route itself in shadow mode.
    /// `None` where everything is in force.
    #[must_use]
    pub fn shadow(&self, input: &Input<'_>, decision: &Decision) -> Option<ShadowDecision> {
        if let Some(candidate) = &self.candidate {
            return Some(candidate.decide(input).map_or_else(ShadowDecision::Deny, ShadowDecision::Allow));
        }
        let Decision::Allow(permit) = decision else { return None };
        (self.mode == Mode::Shadow).then(|| match permit.grounds() {
            Ok(rule) => ShadowDecision::Allow(Arc::clone(rule)),
            Err(denial) => ShadowDecision::Deny(denial.clone()),
        })
    }

    /// Decides what is not in force, where nobody is signed in and somebody must be.
    #[must_use]
    pub fn shadow_before_sign_in(&self, input: &Input<'_>) -> Option<ShadowDecision> {
        let rules = match (&self.candidate, self.mode) {
            (Some(candidate), _) => candidate,
            (None, Mode::Shadow) => &self.rules,
            (None, Mode::Enforce) => return None,
        };
        Some(rules.before_sign_in(input).map_or(ShadowDecision::Challenge, ShadowDecision::Deny))
    }

    /// Returns whether any rule reads `request.path`: such a host has its paths normalised strictly. A candidate has no
    /// say in it, because it changes nothing.
    #[must_use]
    pub const fn reads_path(&self) -> bool {
        self.reads_path
    }

    /// Returns what its rules and candidates read, each once.
    #[must_use]
    pub fn reads(&self) -> &[Read] {
        &self.reads
    }
}

impl Policy {
    fn new(rules: RuleSet<Arc<CompiledRule>>) -> Self {
        Self { allow: Rules::new(rules.allow), deny: Rules::new(rules.deny) }
    }

    fn before_sign_in(&self, input: &Input<'_>) -> Option<Denial> {
        self.deny.all().filter(|rule| !rule.condition.needs_sign_in()).find_map(|rule| rule.denies(input))
    }

    fn decide(&self, input: &Input<'_>) -> Result<Arc<str>, Denial> {
        if let Some(denial) = self.deny.ask(input, |rule| rule.denies(input)) {
            return Err(denial);
        }
        let mut failed: Option<(Arc<str>, Failure)> = None;
        let allowed = self.allow.ask(input, |rule| match rule.condition.holds(input) {
            Ok(holds) => holds.then(|| Arc::clone(&rule.label)),
            Err(failure) => {
                failed.get_or_insert_with(|| (Arc::clone(&rule.label), failure));
                None
            }
        });
        if let Some(rule) = allowed {
            return Ok(rule);
        }
        Err(match failed {
            None => Denial { reason: Reason::NoPolicyMatched, rule: None, message: None, error: None },
            Some((label, failure)) => Denial {
                reason: Reason::AllowRuleFailed,
                rule: None,
                message: None,
                error: Some(format!("{label}: {failure}").into()),
            },
        })
    }

    fn all(&self) -> impl Iterator<Item = &CompiledRule> {
        self.allow.all().chain(self.deny.all())
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

fn compile(config: &Config) -> (Authorizer, Vec<Problem>) {
    let named = Named::of(config);
    let mut problems = Vec::new();
    // Thousands of routes may say the same few things.
    let mut known: HashMap<&str, (Option<Arc<Condition>>, Vec<Fault>)> = HashMap::new();
    let combined = combine::routes(config, |policy, rule| {
        let (condition, faults) = known.entry(&rule.when).or_insert_with(|| {
            let (condition, faults) = Condition::compile(&rule.when, &named);
            (condition.map(Arc::new), faults)
        });
        problems.extend(faults.iter().map(|fault| fault.clone().of(rule.origin)));
        Some(Arc::new(CompiledRule {
            label: format!("{policy}/{}", rule.name).into(),
            condition: condition.clone()?,
            message: rule.message.as_deref().map(Arc::from),
        }))
    });
    let modes = config.routes.iter().map(|route| route.mode);
    let routes = combined.into_iter().zip(modes).map(|(Combined { in_force, candidate }, mode)| {
        let (in_force, candidate) = (Policy::new(in_force), candidate.map(Policy::new));
        let reads_path = in_force.all().any(|rule| rule.condition.reads_path());
        let all = in_force.all().chain(candidate.iter().flat_map(Policy::all));
        let reads: BTreeSet<&Read> = all.flat_map(|rule| rule.condition.reads()).collect();
        let reads = reads.into_iter().cloned().collect();
        RoutePolicy { rules: in_force, candidate, mode, reads_path, reads }
    });
    let routes = routes.collect();
    let fields = config.fields.iter().filter_map(|field| {
        let (expression, faults) = Condition::compile_value(&field.when, &named);
        problems.extend(faults.into_iter().map(|fault| fault.of(field.origin)));
        Some((Arc::from(&*field.name), expression?))
    });
    let fields = fields.collect();
    (Authorizer { routes, fields }, problems)
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

/// Stands in records where a rule would. No rule is called so: theirs have a policy's name in front.
const CORS_PREFLIGHT: &str = "cors-preflight";

#[cfg(test)]
mod tests;
