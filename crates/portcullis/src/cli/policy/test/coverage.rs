//! Which rules the tests make true, and which false.

use authorize::{Config, Outcome, Rule, RuleExplanation, Version};
use serde_json::{Value, json};

/// What tests made of every rule.
pub(super) struct Coverage(Vec<Covered>);

struct Covered {
    version: Version,
    /// `policy/rule`.
    rule: String,
    held: usize,
    held_not: usize,
    failed: usize,
}

impl Coverage {
    /// Knows every rule, and no test yet.
    pub(super) fn of(config: &Config) -> Self {
        let mut rules = Vec::new();
        let mut add = |version, policy: &str, some: &[Rule]| {
            rules.extend(some.iter().map(|rule| Covered {
                version,
                rule: format!("{policy}/{}", rule.name),
                held: 0,
                held_not: 0,
                failed: 0,
            }));
        };
        for policy in &config.policies {
            add(Version::InForce, &policy.name, &policy.deny);
            add(Version::InForce, &policy.name, &policy.allow);
            if let Some(candidate) = &policy.shadow {
                add(Version::Candidate, &policy.name, &candidate.deny);
                add(Version::Candidate, &policy.name, &candidate.allow);
            }
        }
        Self(rules)
    }

    /// Counts what came of rules in one test, also of those that the decision did not need.
    pub(super) fn note(&mut self, version: Version, rules: &[RuleExplanation]) {
        for rule in rules {
            let mut known = self.0.iter_mut();
            let Some(covered) = known.find(|known| known.version == version && *known.rule == *rule.rule) else {
                continue;
            };
            match &rule.condition.outcome {
                Outcome::Value(value) if *value == true => covered.held += 1,
                Outcome::Value(_) => covered.held_not += 1,
                Outcome::Failed(_) => covered.failed += 1,
                Outcome::Unknown(_) | Outcome::NotEvaluated => {}
            }
        }
    }

    /// Says how many rules were both true and false, and which were not.
    pub(super) fn text(&self) -> String {
        let both = self.0.iter().filter(|rule| rule.held > 0 && rule.held_not > 0).count();
        let mut out =
            format!("coverage: {both} of {} rules were true in one test and false in another\n", self.0.len());
        for rule in &self.0 {
            let what = match (rule.held, rule.held_not, rule.failed) {
                (0, 0, 0) => "not tested",
                (0, 0, _) => "only failed",
                (0, ..) => "never true",
                (_, 0, _) => "never false",
                _ => continue,
            };
            out.push_str(&format!("  {what:<11}  {}{}\n", rule.rule, rule.suffix()));
        }
        out
    }

    pub(super) fn json(&self) -> Value {
        let rule = |rule: &Covered| {
            json!({
                "rule": rule.rule,
                "shadow": rule.version == Version::Candidate,
                "true": rule.held,
                "false": rule.held_not,
                "error": rule.failed,
            })
        };
        self.0.iter().map(rule).collect()
    }
}

impl Covered {
    const fn suffix(&self) -> &'static str {
        match self.version {
            Version::InForce => "",
            Version::Candidate => " (shadow)",
        }
    }
}
