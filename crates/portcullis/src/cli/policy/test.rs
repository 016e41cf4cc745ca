//! `portcullis policy test`.

mod coverage;
mod report;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use authorize::{
    Decision, Denial, Inspector, Reason, RoutePolicy, RuleExplanation, ShadowDecision, Version, WholeRequest,
};
use clap::{Args, ValueEnum};

use crate::cli::{self, Exit};
use crate::config::{self, Case, Expectation, GivenRows, LoadError, Outcome, PolicySet};
use coverage::Coverage;

/// Run the tests of policy files
///
/// Prints what each test expects and what is decided, and which rules no test makes true or false. Takes policy files
/// alone; what they name (networks, tables) comes from `--config`. Without files, those of the configuration are tested.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  portcullis policy test\n  portcullis policy test --config config/policies.yaml\n  portcullis policy test --config portcullis.yaml policies/engineers.yaml\n  portcullis policy test --config portcullis.yaml --format junit > policies.xml\n\nExit codes: 0 all passed, 1 some failed, 2 a file has errors or tests nothing"
)]
pub(super) struct Test {
    /// Policy files with `tests`
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The configuration with the networks and tables that the policies name; `portcullis.yaml` unless files are given
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How results are printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Text,
    Json,
    Junit,
}

impl Test {
    pub(super) fn execute(&self) -> Exit {
        let unless_given = || self.files.is_empty().then(|| Path::new("portcullis.yaml"));
        let set = match config::load_policies(&self.files, self.config.as_deref().or_else(unless_given)) {
            Ok(set) => set,
            Err(LoadError::Invalid(report)) => {
                cli::complain(report.to_string().trim_end());
                if self.config.is_none() && !self.files.is_empty() {
                    cli::complain(
                        "what policies name, such as networks, comes from a configuration: add `--config FILE`",
                    );
                }
                return Exit::Refused;
            }
            Err(error @ LoadError::Unreadable { .. }) => return cli::refuse(error),
        };
        if !set.warnings.is_empty() {
            cli::complain(set.warnings.to_string().trim_end());
        }
        let Some(results) = run(&set) else {
            return cli::refuse("the policies cannot be taken apart: raise the limits on processes or memory");
        };
        let printed = cli::print(match self.format {
            Format::Text => report::text(&results),
            Format::Json => format!("{:#}", report::json(&results)),
            Format::Junit => report::junit(&results),
        });
        if printed == Exit::Done && !results.checks.iter().all(Check::passed) { Exit::Negative } else { printed }
    }
}

/// What came of all tests.
struct Results {
    checks: Vec<Check>,
    coverage: Coverage,
}

/// One test of one policy.
struct Check {
    file: PathBuf,
    line: usize,
    name: String,
    expected: Expectation,
    decided: Decided,
    /// What the candidate decides, where that is expected.
    shadow: Option<Outcome>,
    /// The rules that were asked, with their values.
    because: Vec<RuleExplanation>,
}

/// What a policy decided.
struct Decided {
    outcome: Outcome,
    /// `policy/rule`.
    rule: Option<Arc<str>>,
    reason: &'static str,
    message: Option<Arc<str>>,
    error: Option<Arc<str>>,
}

impl Check {
    fn passed(&self) -> bool {
        self.mismatches().is_empty()
    }

    /// Says what is other than expected: what it is about, what was expected, what came.
    fn mismatches(&self) -> Vec<(&'static str, String, String)> {
        let Expectation { policy, decision, rule, message, error, shadow } = &self.expected;
        let decided = &self.decided;
        let none = || "none".to_owned();
        let shown = |text: &Option<Arc<str>>| text.as_deref().map_or_else(none, str::to_owned);
        let mut found = Vec::new();
        if *decision != decided.outcome {
            found.push(("decision", decision.as_str().to_owned(), decided.outcome.as_str().to_owned()));
        }
        let expected = rule.as_ref().map(|rule| format!("{policy}/{rule}"));
        if expected.as_deref().is_some_and(|rule| decided.rule.as_deref() != Some(rule)) {
            found.push(("rule", expected.unwrap_or_default(), shown(&decided.rule)));
        }
        if message.as_deref().is_some_and(|message| decided.message.as_deref() != Some(message)) {
            found.push(("message", message.clone().unwrap_or_default(), shown(&decided.message)));
        }
        if error.as_deref().is_some_and(|part| decided.error.as_deref().is_none_or(|error| !error.contains(part))) {
            found.push(("error", error.clone().unwrap_or_default(), shown(&decided.error)));
        }
        if let (Some(expected), Some(came)) = (shadow, self.shadow)
            && *expected != came
        {
            found.push(("shadow", expected.as_str().to_owned(), came.as_str().to_owned()));
        }
        found
    }
}

impl Decided {
    fn by(decision: &Decision) -> Self {
        match decision {
            Decision::Allow(permit) => match permit.grounds() {
                Ok(rule) => Self::allowed(rule),
                Err(denial) => Self::denied(denial),
            },
            Decision::Deny(denial) => Self::denied(denial),
        }
    }

    fn allowed(rule: &Arc<str>) -> Self {
        let rule = Some(Arc::clone(rule));
        Self { outcome: Outcome::Allow, rule, reason: "allow-rule-matched", message: None, error: None }
    }

    fn denied(denial: &Denial) -> Self {
        let Denial { reason, rule, message, error } = denial.clone();
        let outcome = match reason {
            Reason::DenyRuleMatched | Reason::NoPolicyMatched => Outcome::Deny,
            Reason::DenyRuleFailed | Reason::AllowRuleFailed => Outcome::Error,
        };
        // No allow rule decides; the first that failed is named with its error.
        let failed = error.as_deref().filter(|_| reason == Reason::AllowRuleFailed);
        let (rule, error) = match failed.and_then(|error| error.split_once(": ")) {
            Some((rule, error)) => (Some(rule.into()), Some(error.into())),
            None => (rule, error),
        };
        Self { outcome, rule, reason: reason.as_str(), message, error }
    }
}

fn run(set: &PolicySet) -> Option<Results> {
    let inspector = Inspector::new(&set.rules)?;
    let mut coverage = Coverage::of(&set.rules);
    let mut checks = Vec::new();
    for case in &set.cases {
        let checked = GivenRows::lend(&case.tables, || checks_of(set, case, &inspector, &mut coverage))?;
        checks.extend(checked);
    }
    Some(Results { checks, coverage })
}

fn checks_of(set: &PolicySet, case: &Case, inspector: &Inspector, coverage: &mut Coverage) -> Option<Vec<Check>> {
    let mut checks = Vec::new();
    for expected in &case.expect {
        let index = set.rules.policies.iter().position(|policy| policy.name == expected.policy)?;
        let (policy, parts) = (set.authorizer.route(index)?, inspector.route(index)?);
        let input = case.given.input();
        let explained = parts.explain(Version::InForce, &input, &WholeRequest).rules;
        coverage.note(Version::InForce, &explained);
        if parts.has_candidate() {
            let candidate = parts.explain(Version::Candidate, &input, &WholeRequest).rules;
            coverage.note(Version::Candidate, &candidate);
        }
        checks.push(check(set, case, expected, policy, explained));
    }
    Some(checks)
}

fn check(
    set: &PolicySet,
    case: &Case,
    expected: &Expectation,
    policy: &RoutePolicy,
    explained: Vec<RuleExplanation>,
) -> Check {
    let input = case.given.input();
    let decision = policy.decide(&input);
    let shadow = policy.shadow(&input, &decision).map(|shadow| match shadow {
        ShadowDecision::Allow(rule) => Decided::allowed(&rule).outcome,
        ShadowDecision::Deny(denial) => Decided::denied(&denial).outcome,
        ShadowDecision::Challenge => Outcome::Deny,
    });
    let (file, line) = set.warnings.line(case.place).map(|(file, line)| (file.to_owned(), line)).unwrap_or_default();
    Check {
        file,
        line,
        name: case.name.clone(),
        expected: expected.clone(),
        decided: Decided::by(&decision),
        shadow,
        because: explained.into_iter().filter(|rule| rule.asked).collect(),
    }
}
