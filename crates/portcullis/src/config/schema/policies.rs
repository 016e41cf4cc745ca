//! Policy files and the rules in them.

use super::{Format, Kind, Presence, Section, key, list, policy_tests};

/// A policy file.
pub(crate) const POLICY_FILE: Section = Section {
    doc: "Named policies and their tests.",
    keys: &[
        key("policies", list(&Kind::Section(&POLICY)), Presence::Default("[]"), "The policies."),
        key(
            "tests",
            list(&Kind::Section(&policy_tests::TEST)),
            Presence::Default("[]"),
            "What the policies are expected to decide; `portcullis policy test` runs them.",
        ),
        key(
            "test_defaults",
            Kind::Section(&policy_tests::GIVEN),
            Presence::Optional("nothing"),
            "Facts that every test of this file starts from, unless its `given` has others.",
        ),
    ],
};

/// Rules that allow and rules that deny.
pub(crate) const RULES: Section = Section {
    doc: "Rules that apply to every route.",
    keys: &[
        key("allow", Kind::Rules, Presence::Default("[]"), "Rules that allow on every route."),
        key("deny", Kind::Rules, Presence::Default("[]"), "Rules that deny on every route."),
    ],
};

/// One rule that is more than its expression.
pub(crate) const RULE: Section = Section {
    doc: "A rule.",
    keys: &[
        key(
            "name",
            Kind::Format(Format::Name),
            Presence::Optional("`allow[0]`, `deny[1]` by place"),
            "What audit records call it.",
        ),
        key("when", Kind::Format(Format::Expression), Presence::Required, "The CEL expression."),
        key("message", Kind::Text, Presence::Optional("none"), "Shown to a person whom the rule refuses."),
    ],
};

pub(crate) const POLICY: Section = Section {
    doc: "A named policy.",
    keys: &[
        key("name", Kind::Format(Format::Name), Presence::Required, "What routes call it."),
        key("description", Kind::Text, Presence::Optional("none"), "For readers."),
        key("allow", Kind::Rules, Presence::Default("[]"), "Rules of which one must hold."),
        key("deny", Kind::Rules, Presence::Default("[]"), "Rules of which none may hold."),
        key(
            "shadow",
            Kind::Section(&CANDIDATE),
            Presence::Optional("none"),
            "A candidate in the place of `allow` and `deny`: decided beside them and recorded; it enforces nothing.",
        ),
    ],
};

/// The rules of a policy that is tried out.
pub(crate) const CANDIDATE: Section = Section {
    doc: "The rules of a policy that is tried out.",
    keys: &[
        key("allow", Kind::Rules, Presence::Default("[]"), "Rules of which one must hold."),
        key("deny", Kind::Rules, Presence::Default("[]"), "Rules of which none may hold."),
    ],
};
