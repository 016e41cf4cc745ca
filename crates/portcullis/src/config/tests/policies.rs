//! Policy files, together with the file that names them.

use super::{Folder, GOOD};

fn check(policies: &str, route: &str, expected: &str) {
    let folder = Folder::new(&format!("{GOOD}    {route}\npolicy_files: [policies/*.yaml]\n"));
    let problems = folder.with("policies/a.yaml", policies).problems();
    assert_eq!(problems.trim_end(), expected.trim_end());
}

#[test]
fn a_policy_of_a_file_can_be_named() {
    let policies = "policies:\n  - name: staff\n    description: Staff\n    allow: ['true', { name: b, when: 'true', message: M }]\n\
                    tests:\n  - name: t\n    given: { user: { groups: [a] }, request: { ip: 10.0.0.1 } }\n    expect: { staff: allow }\n";
    check(policies, "policy: [staff]", "");
}

#[test]
fn a_name_that_is_close_is_suggested() {
    check(
        "policies: [{ name: staff, allow: 'true' }]\ntests: [{ name: t, given: {}, expect: { stuff: deny } }]\n",
        "policy: staf",
        "portcullis.yaml:7:13: no policy is called `staf`: did you mean `staff`?\n  7 |     policy: staf\n    |             ^^^^\n\
         policies/a.yaml:2:41: no policy is called `stuff`: did you mean `staff`?\n  2 | tests: [{ name: t, given: {}, expect: { stuff: deny } }]\n    |                                         ^^^^^",
    );
}

#[test]
fn mistakes_of_both_files_are_reported_in_one_run() {
    check(
        "policies:\n  - name: staff\n    alow: 'true'\n  - name: staff\n",
        "polcy: staff",
        "portcullis.yaml:7:5: unknown key `polcy`: did you mean `policy`?\n  7 |     polcy: staff\n    |     ^^^^^\n\
         policies/a.yaml:3:5: unknown key `alow`: did you mean `allow`?\n  3 |     alow: 'true'\n    |     ^^^^\n\
         policies/a.yaml:4:11: two policies are called `staff`: give one another `name`\n  4 |   - name: staff\n    |           ^^^^^",
    );
}

#[test]
fn an_empty_policy_file_says_what_to_write() {
    check("", "policy: []", "policies/a.yaml:1:1: the file is empty: write `policies`, or leave the file out");
}

#[test]
fn a_policy_file_that_is_no_text_is_named() {
    let folder = Folder::new(&format!("{GOOD}policy_files: [p.yaml]\n")).with("p.yaml", b"policies: []\n# \xff\n");
    let problems = folder.problems();
    assert!(problems.contains("p.yaml:2:3: the file is not UTF-8 here: save it as UTF-8"), "{problems}");
}

#[test]
fn a_mistake_in_an_expression_has_a_caret_below_it() {
    check(
        "policies:\n  - name: staff\n    allow:\n      - 'user.emial == \"x\"'\n      - when: |\n          true &&\n          user.emial == \"x\"\n      - \"request.ip.inNetwork(\\\"vpn\\\")\"\n",
        "policy: staff",
        "policies/a.yaml:4:15: `user` has no field `emial`: did you mean `user.email`?\n  4 |       - 'user.emial == \"x\"'\n    |               ^^^^^\n\
         policies/a.yaml:7:16: `user` has no field `emial`: did you mean `user.email`?\n  7 |           user.emial == \"x\"\n    |                ^^^^^\n\
         policies/a.yaml:8:31: unknown network `vpn`: name it under `networks:`\n  8 |       - \"request.ip.inNetwork(\\\"vpn\\\")\"\n    |                               ^^^^^^^",
    );
}

#[test]
fn a_rule_is_an_expression_in_each_of_its_forms() {
    check("policies: [{ name: a, allow: [true, { when: true }, { when: 'true' }], deny: false }]\n", "policy: a", "");
    let empty = "the expression is empty: write a condition, or `true` for everybody";
    check(
        "policies: [{ name: a, allow: '', deny: [{ when: ' ' }] }]\n",
        "policy: a",
        &format!(
            "policies/a.yaml:1:31: {empty}\n  1 | policies: [{{ name: a, allow: '', deny: [{{ when: ' ' }}] }}]\n    |                               ^\n\
         policies/a.yaml:1:50: {empty}\n  1 | policies: [{{ name: a, allow: '', deny: [{{ when: ' ' }}] }}]\n    |                                                  ^"
        ),
    );
}

#[test]
fn carets_stand_below_what_they_mean_behind_wide_characters() {
    check(
        "policies: [{ name: a, allow: '\"日本\" in user.grups' }]\n",
        "policy: a",
        "policies/a.yaml:1:44: `user` has no field `grups`: did you mean `user.groups`?\n  1 | policies: [{ name: a, allow: '\"日本\" in user.grups' }]\n    |                                \u{3000}\u{3000}          ^^^^^",
    );
}

#[test]
fn what_is_in_shadow_is_checked_and_warned_of() {
    check(
        "policies:\n  - name: staff\n    allow: 'true'\n    shadow: { deny: 'user.emial == \"x\"' }\n  - { name: b, shadow: {} }\n",
        "policy: [staff, b]\n    mode: shadow",
        "portcullis.yaml:8:11: warning: this route is in shadow mode: whoever its policy refuses is let through, and only recorded; \
         write `enforce` once the records are as they should be\n  8 |     mode: shadow\n    |           ^^^^^^\n\
         policies/a.yaml:4:27: `user` has no field `emial`: did you mean `user.email`?\n  4 |     shadow: { deny: 'user.emial == \"x\"' }\n    |                           ^^^^^\n\
         policies/a.yaml:5:24: `shadow` has no rules: write `allow` or `deny`, or remove the key\n  5 |   - { name: b, shadow: {} }\n    |                        ^",
    );
}
