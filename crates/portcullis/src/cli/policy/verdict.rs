//! What a request gets of a route: its policy's decision, or being sent to sign in first.

use std::sync::Arc;

use authorize::{Input, Judgement, Knowledge, Known, Read, Reason, RouteInspector, Version};
use proxy::{Authentication, Route};

use crate::recorded::SignedIn;

/// What a request gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Allow {
        rule: Arc<str>,
    },
    Deny {
        reason: &'static str,
        rule: Option<Arc<str>>,
        message: Option<Arc<str>>,
        error: Option<String>,
    },
    Challenge {
        reason: &'static str,
    },
    /// It depends on these, which are not known.
    Undecidable {
        missing: Vec<String>,
    },
}

impl Verdict {
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::Allow { .. } => "allow",
            Self::Deny { .. } => "deny",
            Self::Challenge { .. } => "challenge",
            Self::Undecidable { .. } => "undecidable",
        }
    }

    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::Allow { .. } => "allow-rule-matched",
            Self::Deny { reason, .. } | Self::Challenge { reason } => reason,
            Self::Undecidable { .. } => "not-recorded",
        }
    }

    pub(super) fn rule(&self) -> Option<&str> {
        match self {
            Self::Allow { rule } => Some(rule),
            Self::Deny { rule, .. } => rule.as_deref(),
            Self::Challenge { .. } | Self::Undecidable { .. } => None,
        }
    }
}

impl From<Judgement> for Verdict {
    fn from(judgement: Judgement) -> Self {
        match judgement {
            Judgement::Allow { rule } => Self::Allow { rule },
            Judgement::Deny { reason, rule, message, error } => {
                Self::Deny { reason: Reason::as_str(reason), rule, message, error }
            }
            Judgement::Undecidable { missing } => {
                Self::Undecidable { missing: missing.iter().map(Read::to_string).collect() }
            }
        }
    }
}

/// Returns whether the policy of a route decides as if nobody were signed in: sessions are not looked at, or the session
/// is another provider's.
pub(super) fn sees_nobody(route: &Route, input: &Input<'_>) -> bool {
    let stranger = || {
        let given = input.user.map(|user| user.provider());
        route.provider.as_ref().zip(given).is_some_and(|(wanted, given)| wanted != given)
    };
    route.authenticate == Authentication::None || stranger()
}

/// Decides as a request on that route is decided: deny rules that need nobody, sign-in, then the policy.
pub(super) fn decide(
    route: &Route,
    rules: &RouteInspector,
    input: &Input<'_>,
    knowledge: &dyn Knowledge,
    signed_in: SignedIn,
) -> Verdict {
    let asks = route.authenticate == Authentication::Required;
    if sees_nobody(route, input) {
        let nobody = Input { user: None, session: None, ..*input };
        let knowledge = &Nobody(knowledge);
        return if asks {
            before(rules, &nobody, knowledge, "other-provider-required")
        } else {
            rules.judge(Version::InForce, &nobody, knowledge).into()
        };
    }
    match (asks, signed_in) {
        (true, SignedIn::No) => before(rules, input, knowledge, "sign-in-required"),
        (true, SignedIn::Unknown) => match rules.judge_before_sign_in(Version::InForce, input, knowledge) {
            // A deny rule that needs nobody refuses either way; the rest depends on who it was.
            Some(denied @ Judgement::Deny { .. }) => denied.into(),
            Some(Judgement::Allow { .. } | Judgement::Undecidable { .. }) | None => {
                Verdict::Undecidable { missing: vec!["user.authenticated".to_owned()] }
            }
        },
        (true, SignedIn::Yes) | (false, _) => stepped_up(route, rules, input, knowledge)
            .unwrap_or_else(|| rules.judge(Version::InForce, input, knowledge).into()),
    }
}

/// Returns what a request gets whose sign-in falls short of the route's `step_up`, or of which that is not known.
fn stepped_up(route: &Route, rules: &RouteInspector, input: &Input<'_>, knowledge: &dyn Knowledge) -> Option<Verdict> {
    let (step_up, user) = (route.step_up.as_ref()?, input.user?);
    let unknown = |read: &Read| knowledge.of(read) != Known::Value;
    let missing: Vec<_> = step_up.looks_at().map(Read::whole).filter(unknown).map(|read| read.to_string()).collect();
    if !missing.is_empty() {
        return Some(Verdict::Undecidable { missing });
    }
    let unmet = step_up.check(user.proof(), input.request.time).is_err();
    unmet.then(|| before(rules, input, knowledge, "step-up-required"))
}

fn before(rules: &RouteInspector, input: &Input<'_>, knowledge: &dyn Knowledge, reason: &'static str) -> Verdict {
    let judged = rules.judge_before_sign_in(Version::InForce, input, knowledge);
    judged.map_or(Verdict::Challenge { reason }, Into::into)
}

/// Knows that nobody is signed in, and what another knows of the rest.
#[derive(Debug)]
pub(super) struct Nobody<'k>(pub(super) &'k dyn Knowledge);

impl Knowledge for Nobody<'_> {
    fn of(&self, read: &Read) -> authorize::Known {
        if read.field.starts_with("user.") || read.field.starts_with("session.") {
            return authorize::Known::Value;
        }
        self.0.of(read)
    }

    fn is(&self, read: &Read, text: &str) -> Option<bool> {
        self.0.is(read, text)
    }
}
