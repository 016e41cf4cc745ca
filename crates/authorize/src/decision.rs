//! What a decision can be, and the proof of an allow.

use std::sync::Arc;

/// The answer to one request.
#[derive(Debug)]
pub enum Decision {
    /// Let it through.
    Allow(Permit),
    /// Refuse it.
    Deny(Denial),
}

/// Proof that a decision allowed one request. Only this crate can make one, and it cannot be copied: what forwards
/// takes it by value, so nothing is forwarded without a decision of its own.
#[derive(Debug)]
pub struct Permit {
    grounds: Result<Arc<str>, Denial>,
}

impl Permit {
    pub(crate) const fn by_rule(rule: Arc<str>) -> Self {
        Self { grounds: Ok(rule) }
    }

    /// Lets through what was denied. Only for a route in [`Mode::Shadow`](crate::Mode::Shadow).
    pub(crate) const fn despite(denial: Denial) -> Self {
        Self { grounds: Err(denial) }
    }

    /// Returns the rule that allowed, as `policy/rule`, or the denial that a route in shadow mode does not enforce.
    ///
    /// # Errors
    /// No rule allowed.
    pub const fn grounds(&self) -> Result<&Arc<str>, &Denial> {
        self.grounds.as_ref()
    }
}

/// What rules that are not in force would decide. No permit comes of it.
#[derive(Clone, Debug)]
pub enum ShadowDecision {
    /// They would let it through, by this rule.
    Allow(Arc<str>),
    /// They would refuse it.
    Deny(Denial),
    /// They would not refuse it before sign-in, and so ask for that.
    Challenge,
}

/// A refusal.
#[derive(Clone, Debug)]
pub struct Denial {
    /// Why, as a stable code.
    pub reason: Reason,
    /// The deny rule that held or failed, as `policy/rule`.
    pub rule: Option<Arc<str>>,
    /// The rule's `message`, for the person who was refused.
    pub message: Option<Arc<str>>,
    /// What failed while evaluating, without any value of the request: of the deny rule that refused, or of the first
    /// allow rule that failed when none allowed.
    pub error: Option<Arc<str>>,
}

/// Why a policy refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A deny rule holds.
    DenyRuleMatched,
    /// A deny rule failed while it was evaluated.
    DenyRuleFailed,
    /// No allow rule holds.
    NoPolicyMatched,
    /// No allow rule holds, and at least one failed while it was evaluated.
    AllowRuleFailed,
}

impl Reason {
    /// Every reason, for documentation and metrics.
    pub const ALL: [Self; 4] =
        [Self::DenyRuleMatched, Self::DenyRuleFailed, Self::NoPolicyMatched, Self::AllowRuleFailed];

    /// Returns the stable kebab-case code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DenyRuleMatched => "deny-rule-matched",
            Self::DenyRuleFailed => "deny-rule-failed",
            Self::NoPolicyMatched => "no-policy-matched",
            Self::AllowRuleFailed => "allow-rule-failed",
        }
    }
}
