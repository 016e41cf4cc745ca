//! Tests of `inputs`: chosen at load; what of a request is kept is tested through the whole pipeline.

use super::matches;

#[test]
fn patterns_match_whole_names() {
    for (pattern, name, expected) in [
        ("request.headers.x-role", "request.headers.x-role", true),
        ("request.headers.x-role", "request.headers.x-role2", false),
        ("request.headers.*", "request.headers.x-role", true),
        ("*", "user.claims.a", true),
        ("request.headers.x-*-id", "request.headers.x-team-id", true),
        ("request.headers.x-*-id", "request.headers.x-id-id-no", false),
        ("*.x-role", "request.headers.x-role", true),
        ("user.*", "request.headers.x-role", false),
    ] {
        assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
    }
}
