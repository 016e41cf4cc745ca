//! Which rules a route has, and in which order they are asked: the guard's, the route's own, those of its policies.

use crate::{Config, RouteRules, Rule};

/// Rules that allow and rules that deny.
#[derive(Clone, Debug)]
pub(crate) struct RuleSet<R> {
    pub(crate) allow: Vec<R>,
    pub(crate) deny: Vec<R>,
}

/// The rules of one route.
#[derive(Debug)]
pub(crate) struct Combined<R> {
    /// Those that decide.
    pub(crate) in_force: RuleSet<R>,
    /// Those that would, were the candidates of its policies in force. `None` where no policy has one.
    pub(crate) candidate: Option<RuleSet<R>>,
}

/// Combines the rules of every route. `compile` is called once for each rule, however many routes share it, with the name
/// of the policy that it stands in; a rule for which it returns nothing was reported there.
pub(crate) fn routes<'c, R: Clone>(
    config: &'c Config,
    mut compile: impl FnMut(&str, &'c Rule) -> Option<R>,
) -> Vec<Combined<R>> {
    let mut set = |policy: &str, allow: &'c [Rule], deny: &'c [Rule]| {
        let mut compiled = |rules: &'c [Rule]| rules.iter().filter_map(|rule| compile(policy, rule)).collect();
        RuleSet { allow: compiled(allow), deny: compiled(deny) }
    };
    let guard = set("guard", &config.guard.allow, &config.guard.deny);
    let mut policies = Vec::new();
    for policy in &config.policies {
        let in_force = set(&policy.name, &policy.allow, &policy.deny);
        let candidate = policy.shadow.as_ref().map(|shadow| set(&policy.name, &shadow.allow, &shadow.deny));
        policies.push(Combined { in_force, candidate });
    }
    let mut combined = Vec::new();
    for route in &config.routes {
        let inline = set(&route.route, &route.allow, &route.deny);
        combined.push(of_route(route, &guard, &inline, &policies));
    }
    combined
}

fn of_route<R: Clone>(
    route: &RouteRules,
    guard: &RuleSet<R>,
    inline: &RuleSet<R>,
    policies: &[Combined<R>],
) -> Combined<R> {
    let named: Option<Vec<&Combined<R>>> = route.policies.iter().map(|index| policies.get(*index)).collect();
    // A policy that is not there may have held deny rules: without it nothing is allowed.
    let complete = named.is_some();
    let named = named.unwrap_or_default();
    let join = |chosen: Vec<&RuleSet<R>>| {
        let parts: Vec<&RuleSet<R>> = [guard, inline].into_iter().chain(chosen).collect();
        let allow = parts.iter().filter(|_| complete).flat_map(|rules| rules.allow.iter().cloned());
        RuleSet { allow: allow.collect(), deny: parts.iter().flat_map(|rules| rules.deny.iter().cloned()).collect() }
    };
    let candidates = named.iter().any(|policy| policy.candidate.is_some());
    let candidate: Option<Vec<&RuleSet<R>>> =
        candidates.then(|| named.iter().map(|policy| policy.candidate.as_ref().unwrap_or(&policy.in_force)).collect());
    Combined { in_force: join(named.iter().map(|policy| &policy.in_force).collect()), candidate: candidate.map(join) }
}
