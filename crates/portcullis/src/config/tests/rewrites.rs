//! What routes change and answer by themselves: what is read, and what is refused.

use proxy::{Answer, PathRewrite, Rewrites};

use super::{Folder, GOOD};

fn rewrites(config: &str) -> Rewrites {
    Folder::new(config).load().unwrap().proxy.routes.remove(0).rewrites
}

/// Compares what is said first of a route with further keys.
fn refused(more: &str, expected: &str) {
    let problems = Folder::new(&format!("{GOOD}    {more}\n")).problems();
    assert_eq!(problems.lines().next().unwrap_or_default(), format!("portcullis.yaml:{expected}"), "for\n{more}");
}

#[test]
fn paths_are_rewritten_by_prefix_or_pattern() {
    let by_prefix = rewrites(&format!("{GOOD}    prefix: /app/\n    prefix_rewrite: /v1/\n"));
    assert!(matches!(by_prefix.path, Some(PathRewrite::Prefix { from, to }) if from == "/app" && to == "/v1"));
    let to_root = rewrites(&format!("{GOOD}    prefix: /app\n    prefix_rewrite: /\n"));
    assert!(matches!(to_root.path, Some(PathRewrite::Prefix { from, to }) if from == "/app" && to.is_empty()));
    let by_pattern =
        rewrites(&format!("{GOOD}    regex_rewrite: {{ pattern: '/(?P<a>.*)/(.*)', substitution: '/$${{2}}/$a' }}\n"));
    assert!(matches!(by_pattern.path, Some(PathRewrite::Regex { substitution, .. }) if substitution == "/${2}/$a"));
}

#[test]
fn headers_are_set_added_and_removed() {
    let read =
        rewrites(&format!("{GOOD}    request_headers: {{ set: {{ X-A: b }}, add: {{ x-c: d }}, remove: [X-E] }}\n"));
    let edits = read.request_headers;
    assert_eq!((edits.set[0].0.as_str(), edits.set[0].1.as_bytes()), ("x-a", &b"b"[..]));
    assert_eq!((edits.add[0].0.as_str(), edits.remove[0].as_str()), ("x-c", "x-e"));
}

#[test]
fn a_route_may_answer_by_itself() {
    let other = |text: &str| rewrites(&GOOD.replace("to: http://127.0.0.1:8080", text)).answer.unwrap();
    assert_eq!(
        other("redirect: { url: https://b.test, status: 308, append_path: true }"),
        Answer::Redirect {
            status: http::StatusCode::PERMANENT_REDIRECT,
            to: "https://b.test".into(),
            append_path: true
        }
    );
    let Answer::Respond { status, body, content_type } = other("respond: { body: closed, status: 410 }") else {
        panic!("no text");
    };
    assert_eq!(
        (status.as_u16(), body.as_str(), content_type.as_bytes()),
        (410, "closed", &b"text/plain; charset=utf-8"[..])
    );
}

#[test]
fn what_would_break_or_deceive_is_refused() {
    let reserved = "it belongs to the connection, to cookies, or to what apps are told of the caller; remove it";
    for name in
        ["connection", "Host", "content-length", "X-Forwarded-For", "X_Forwarded_User", "cookie", "sec-websocket-key"]
    {
        let column = 36 + name.len();
        let lower = name.to_lowercase();
        refused(
            &format!("request_headers: {{ set: {{ {name}: x }} }}"),
            &format!("7:{}: `request_headers` cannot change `{lower}`: {reserved}", column - 3),
        );
    }
    refused(
        "response_headers: { remove: [set-cookie] }",
        &format!("7:34: `response_headers` cannot change `set-cookie`: {reserved}"),
    );
    refused(
        "request_headers: { set: { authorization: x } }",
        "7:46: `request_headers` cannot set `authorization`: `credential` does, and keeps it secret",
    );
    refused(
        "identity: { headers: { X-Team: name } }\n    request_headers: { set: { x-team: root } }",
        "8:22: `request_headers` cannot change `x-team`, which `identity` sets: choose another",
    );
    refused(
        "regex_rewrite: { pattern: '/(.*)', substitution: '/$2' }",
        "7:54: `pattern` has no group `2`: write `$1` or `$name` of a group, or `$${1}` where letters follow",
    );
    refused(
        "prefix_rewrite: /a/../b",
        "7:21: `prefix_rewrite`: `/a/../b` is a path that climbs or has an empty segment: remove `.`, `..` and `//`",
    );
    refused("path: /a\n    prefix_rewrite: /b", "8:21: `prefix_rewrite` goes with `prefix`: use `regex_rewrite` here");
    refused("redirect: { url: https://b.test }", "7:15: `to` and `redirect` exclude each other: keep one");
    let elsewhere = GOOD.replace("to: http://127.0.0.1:8080", "redirect: { url: //b.test }");
    let problems = Folder::new(&elsewhere).problems();
    assert_eq!(
        problems.lines().next().unwrap(),
        "portcullis.yaml:4:22: `url`: `//b.test` is no URL: write `https://host/path`, or an absolute path"
    );
}

#[test]
fn a_route_that_leads_nowhere_is_refused() {
    let problems = Folder::new(&GOOD.replace("    to: http://127.0.0.1:8080\n", "")).problems();
    assert_eq!(
        problems.lines().next().unwrap(),
        "portcullis.yaml:3:5: the key `to` is missing: add it, or `redirect` or `respond`"
    );
}
