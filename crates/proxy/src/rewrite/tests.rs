//! Paths that are sent upstream.

use regex::Regex;

use super::*;

fn prefix(from: &str, to: &str) -> PathRewrite {
    PathRewrite::Prefix { from: from.into(), to: to.into() }
}

fn regex(pattern: &str, substitution: &str) -> PathRewrite {
    let pattern = Regex::new(&format!("^(?:{pattern})$")).unwrap();
    PathRewrite::Regex { pattern, substitution: substitution.into() }
}

#[track_caller]
fn check(rewrite: &PathRewrite, asked: &str, expected: Option<&str>) {
    let rewritten = path(rewrite, &asked.parse().unwrap()).ok().map(|uri| uri.to_string());
    assert_eq!(rewritten.as_deref(), expected, "for {asked} by {rewrite:?}");
}

#[test]
fn a_prefix_gives_way_to_another() {
    let rewrite = prefix("/app", "/v2/app");
    check(&rewrite, "/app", Some("/v2/app"));
    check(&rewrite, "/app/", Some("/v2/app/"));
    check(&rewrite, "/app/x?q=/app", Some("/v2/app/x?q=/app"));
    check(&prefix("/app", ""), "/app", Some("/"));
    check(&prefix("/app", ""), "/app/x%2Fy", Some("/x%2Fy"));
    check(&prefix("", "/base"), "/x", Some("/base/x"));
    check(&prefix("", "/base"), "*", Some("*"));
    check(&rewrite, "/app;x=1/secret", None);
}

#[test]
fn a_pattern_makes_another_path_of_its_groups() {
    let rewrite = regex("/users/([^/]+)/(?P<rest>.*)", "/v1/$rest/of/${1}");
    check(&rewrite, "/users/ada/photos?size=1", Some("/v1/photos/of/ada?size=1"));
    check(&rewrite, "/other", Some("/other"));
}

#[test]
fn what_comes_out_cannot_climb() {
    check(&regex("/a/(.*)", "/files/.$1"), "/a/./x", None);
    check(&regex("/a/(.*)", "/files/.$1"), "/a/.", None);
    check(&regex("/a/(.*)x(.*)", "/files/$1$2"), "/a/.x.", None);
    check(&regex("/a/(.*)", "$1"), "/a/x", None);
    check(&regex("/a/(.*)", "//$1"), "/a/x", Some("//x"));
    check(&regex("/a/(.*)", "/%2e/$1"), "/a/x", None);
    check(&regex("/a/(.*)", "/$1?y"), "/a/x", None);
}
