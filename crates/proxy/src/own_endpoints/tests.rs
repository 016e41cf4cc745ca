//! Which paths are ours.

use super::is_own;

#[test]
fn what_is_below_our_names_is_ours_and_nothing_beside() {
    for own in ["/.portcullis", "/.portcullis/", "/.portcullis/sign_in", "/.well-known/portcullis/jwks.json"] {
        assert!(is_own(own), "{own}");
    }
    for other in ["/", "/.portcullisx", "/app/.portcullis/", "/.well-known/openid-configuration"] {
        assert!(!is_own(other), "{other}");
    }
}
