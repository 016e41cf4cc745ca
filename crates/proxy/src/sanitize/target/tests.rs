//! Tests of the normal form: every bypass that is known by name, and properties over what nobody named yet.

use proptest::prelude::*;

use super::*;

fn normal(text: &str, strictness: Strictness) -> Result<String, &'static str> {
    let uri: Uri = text.parse().map_err(|_| "not-a-uri")?;
    let target = target(&Method::GET, &uri, strictness).map_err(|refusal| refusal.code)?;
    Ok(target.to_path_and_query().unwrap().to_string())
}

fn check(text: &str, strict: Result<&str, &str>, lenient: Result<&str, &str>) {
    assert_eq!(normal(text, Strictness::Strict).as_deref(), strict.as_ref().copied(), "strict {text}");
    assert_eq!(normal(text, Strictness::Lenient).as_deref(), lenient.as_ref().copied(), "lenient {text}");
}

fn check_both(text: &str, expected: Result<&str, &str>) {
    check(text, expected, expected);
}

#[test]
fn a_path_has_one_spelling() {
    check_both("/", Ok("/"));
    check_both("/admin", Ok("/admin"));
    check_both("/%61dmin", Ok("/admin"));
    check_both("/%61%64%6D%69%6e", Ok("/admin"));
    check_both("/a%7eb%2Dc", Ok("/a~b-c"));
    check_both("/caf%c3%a9", Ok("/caf%C3%A9"));
    check_both("/café", Ok("/caf%C3%A9"));
    check_both("/a[1]{2}|^\"", Ok("/a%5B1%5D%7B2%7D%7C%5E%22"));
    check_both("/a%20b%3fc%23d", Ok("/a%20b%3Fc%23d"));
    check_both("/a:b@c!$&'()*+,=", Ok("/a:b@c!$&'()*+,="));
}

#[test]
fn dot_segments_are_resolved() {
    check_both("/a/../admin", Ok("/admin"));
    check_both("/a/%2e%2e/admin", Ok("/admin"));
    check_both("/a/.%2E/admin", Ok("/admin"));
    check_both("/./admin", Ok("/admin"));
    check_both("/%2e/admin", Ok("/admin"));
    check_both("/admin/.", Ok("/admin/"));
    check_both("/admin/..", Ok("/"));
    check_both("/a/b/c/./../../g", Ok("/a/g"));
    check_both("/..", Ok("/"));
    check_both("/../../../etc/passwd", Ok("/etc/passwd"));
    check_both("/.well-known/x", Ok("/.well-known/x"));
    check_both("/...", Ok("/..."));
    check_both("/a..b/.c", Ok("/a..b/.c"));
}

#[test]
fn double_slashes_are_merged_where_paths_decide() {
    check("//admin", Ok("/admin"), Ok("//admin"));
    check("/a//b///c//", Ok("/a/b/c/"), Ok("/a//b///c//"));
    check("//evil/admin", Ok("/evil/admin"), Ok("//evil/admin"));
    check("/a//../admin", Ok("/admin"), Ok("/a/admin"));
    check("/%2e//admin", Ok("/admin"), Ok("//admin"));
}

#[test]
fn a_backslash_is_refused_where_paths_decide() {
    check("/public\\..\\admin", Err("path-backslash"), Ok("/public\\..\\admin"));
}

#[test]
fn an_encoded_slash_stays_for_the_route_to_judge() {
    let slash = |path: &str| {
        let uri: Uri = path.parse().unwrap();
        target(&Method::GET, &uri, Strictness::Strict).unwrap().encoded_slash()
    };
    assert_eq!(slash("/a/b"), EncodedSlash::Absent);
    assert_eq!(slash("/group%2fproject"), EncodedSlash::Present);
    assert_eq!(slash("/a%5cb"), EncodedSlash::Present);
    assert_eq!(slash("/public%2f..%2fadmin"), EncodedSlash::Climbing);
    assert_eq!(slash("/public%5c..%5cadmin"), EncodedSlash::Climbing);
    assert_eq!(slash("/public/%2e%2e%2fadmin"), EncodedSlash::Climbing);
    assert_eq!(slash("/public%2f..;x/admin"), EncodedSlash::Climbing);
    check_both("/api/queues/%2f/name", Ok("/api/queues/%2F/name"));
}

#[test]
fn escapes_are_undone_once() {
    check_both("/%2561dmin", Ok("/%2561dmin"));
    check_both("/%252e%252e/admin", Ok("/%252e%252e/admin"));
}

#[test]
fn what_is_no_path_is_refused() {
    check_both("/%", Err("escape-invalid"));
    check_both("/%4", Err("escape-invalid"));
    check_both("/%zz", Err("escape-invalid"));
    check_both("/%+1", Err("escape-invalid"));
    check_both("/a%00", Err("control-character"));
    check_both("/a%0d%0ab", Err("control-character"));
    check_both("/a%1F", Err("control-character"));
    check_both("/%7f", Err("control-character"));
    check_both("/a%20b", Ok("/a%20b"));
    check_both("/%c0%ae%c0%ae/", Err("path-not-utf8"));
    check_both("/%e9", Err("path-not-utf8"));
    check_both("/%c3/%a9", Err("path-not-utf8"));
    check_both("/%ed%a0%80", Err("path-not-utf8"));
    check_both("/a\u{7f}", Err("not-a-uri"));
    check_both("/a b", Err("not-a-uri"));
    check_both("*", Err("path-invalid"));
    check_both("app.example.com", Err("path-invalid"));
    check_both("http://app.example.com?x", Err("path-invalid"));
    check_both("http://app.example.com", Ok("/"));
    check_both("admin.Svc/Do", Err("not-a-uri"));
}

#[test]
fn a_query_passes_as_it_came() {
    check_both("/a/../b?x=/../%61&y=%e9&z=a+b", Ok("/b?x=/../%61&y=%e9&z=a+b"));
    check_both("/secret?/public", Ok("/secret?/public"));
    check_both("/?", Ok("/?"));
    check_both("/?x=%", Err("escape-invalid"));
    check_both("/?x=%00", Err("control-character"));
    check_both("/?x=%0d%0a", Ok("/?x=%0d%0a"));
}

#[test]
fn a_fragment_never_takes_part() {
    // `http::Uri` cuts it off, so that neither routes nor policies nor upstreams can see it.
    check_both("/secret#/public", Ok("/secret"));
    check_both("/secret?a#/public", Ok("/secret?a"));
}

#[test]
fn the_asterisk_is_for_options() {
    let uri = Uri::from_static("*");
    assert_eq!(target(&Method::OPTIONS, &uri, Strictness::Strict).unwrap().path(), "*");
    assert_eq!(target(&Method::GET, &uri, Strictness::Strict).unwrap_err().code, "path-invalid");
}

#[test]
fn parameters_are_kept_and_not_compared() {
    let compared = |path: &str| {
        let uri: Uri = path.parse().unwrap();
        target(&Method::GET, &uri, Strictness::Strict).unwrap().without_parameters().into_owned()
    };
    check_both("/admin;x=1", Ok("/admin;x=1"));
    assert_eq!(compared("/admin;x=1"), "/admin");
    assert_eq!(compared("/admin;x=1/users;y"), "/admin/users");
    assert_eq!(compared("/admin%3bx"), "/admin");
    assert_eq!(compared("/;jsessionid=1"), "/");
}

#[test]
fn parameters_on_empty_and_dot_segments_are_refused_where_paths_decide() {
    for path in
        ["/admin;/..;/", "/public/..;/admin", "/public/..;x/admin", "/public/%2e%2e;/admin", "/public/..%3b/admin"]
    {
        assert_eq!(normal(path, Strictness::Strict), Err("path-parameters"), "{path}");
    }
    assert_eq!(normal("/public/.;/admin", Strictness::Strict), Err("path-parameters"));
    assert_eq!(normal("/public/;/../admin", Strictness::Strict), Err("path-parameters"));
    check_both("/;jsessionid=1", Ok("/;jsessionid=1"));
}

#[test]
fn a_normal_target_is_borrowed() {
    for path in ["/", "/a/b?c=d", "/api/v1/users/42", "/a:b@c"] {
        let uri: Uri = path.parse().unwrap();
        let target = target(&Method::GET, &uri, Strictness::Strict).unwrap();
        assert!(matches!(target.path, Cow::Borrowed(_)), "{path}");
    }
}

/// Paths made of the pieces that attacks are made of.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/", "//", ".", "..", "%2e", "%2E", "%2f", "%5C", "\\", ";", "%3b", "a", "admin", "%61", "%25", "%252e", "é",
        "%c3%a9", "%20", "[", "~", ":", "?", "=",
    ]);
    prop::collection::vec(piece, 0..16).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #[test]
    fn the_normal_form_is_its_own_normal_form(path in hostile(), strict in any::<bool>()) {
        let strictness = if strict { Strictness::Strict } else { Strictness::Lenient };
        if let Ok(once) = normal(&path, strictness) {
            prop_assert_eq!(normal(&once, strictness), Ok(once.clone()), "{}", path);
        }
    }

    #[test]
    fn nothing_climbs_or_hides(path in hostile()) {
        if let Ok(once) = normalise(path.split('?').next().unwrap(), Strictness::Strict) {
            prop_assert!(once.starts_with('/') && !once.contains("//") && !once.contains('\\'));
            prop_assert!(once.split('/').all(|segment| !matches!(segment_name(segment), "." | "..")));
            prop_assert!(!once.contains("%61") && !once.contains("%2e") && !once.contains("%2E"));
            prop_assert!(once.is_ascii());
        }
    }

    #[test]
    fn a_quick_look_agrees_with_a_thorough_one(path in hostile()) {
        if is_plain(&path) {
            prop_assert_eq!(resolve_dots(&merge_slashes(&escape::unescape(&path).unwrap())), path);
        }
    }

    #[test]
    fn no_text_panics(path in "/\\PC{0,40}", strict in any::<bool>()) {
        let strictness = if strict { Strictness::Strict } else { Strictness::Lenient };
        let _ = normalise(&path, strictness);
    }
}
