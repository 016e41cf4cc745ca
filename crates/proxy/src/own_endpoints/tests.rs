//! Which paths are ours.

use super::is_own;

#[test]
fn what_is_below_our_names_is_ours_and_nothing_beside() {
    for own in ["/.portcullis", "/.portcullis/", "/.portcullis/sign_in", "/.well-known/portcullis/jwks.json"] {
        assert!(is_own(own), "{own}");
    }
    for spelling in [
        "/.Portcullis/user",
        "//.portcullis/user",
        "/.portcullis%2Fuser",
        "/%2F.portcullis/user",
        "/.portcullis%5Cuser",
        "/\\.portcullis",
        "/.portcullis;x=1/user",
        "/.portcull%69s/",
        "/.well-known//portcullis;v=1/jwks.json",
        "/.WELL-KNOWN/Portcullis",
    ] {
        assert!(is_own(spelling), "{spelling} reaches a route");
    }
    for other in
        ["/", "/.portcullisx", "/app/.portcullis/", "/.well-known/openid-configuration", "/.well-known", "/%ff"]
    {
        assert!(!is_own(other), "{other}");
    }
}
