//! What is read from `Cookie`, and what is taken out of it.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use identity::{Origin, Scheme};

use super::{Handle, clear, handles, set, sets_own, strip};

fn headers(lines: &[&str]) -> HeaderMap {
    lines.iter().map(|line| (COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap())).collect()
}

fn pair(handle: &Handle, origin: &str) -> String {
    let origin: Origin = origin.parse().unwrap();
    set(&origin, handle).to_str().unwrap().split(';').next().unwrap().to_owned()
}

#[test]
fn a_secure_origin_gets_a_host_cookie_and_plain_http_one_without_the_prefix() {
    let check = |origin: &str, name: &str, attributes: &str| {
        let origin: Origin = origin.parse().unwrap();
        let given = set(&origin, &Handle::random());
        let (pair, rest) = given.to_str().unwrap().split_once(';').unwrap();
        assert_eq!(pair.strip_prefix(name).and_then(|value| value.strip_prefix('=')).unwrap().len(), 43);
        assert_eq!(format!(";{rest}"), attributes);
        assert!(given.is_sensitive());
        assert_eq!(clear(&origin).to_str().unwrap(), format!("{name}=; Max-Age=0{attributes}"));
    };
    check("https://a.example", "__Host-portcullis", "; Path=/; Secure; HttpOnly; SameSite=Lax");
    check("http://a.example", "portcullis", "; Path=/; HttpOnly; SameSite=Lax");
}

#[test]
fn handles_are_found_on_any_line_among_other_cookies() {
    let handle = Handle::random();
    let ours = pair(&handle, "https://a.example");
    let junk = format!("__Host-portcullis={}", "A".repeat(16_000));
    for lines in [
        &[&*ours][..],
        &[&format!("a=b; {ours};c=d")],
        &["a=b", &ours],
        &["__Host-portcullis=junk", &ours],
        &[&format!("{ours}; __Host-portcullis=")],
        &[&junk, &ours],
    ] {
        let found: Vec<_> = handles(&headers(lines), Scheme::Https).map(|handle| handle.hash()).collect();
        assert_eq!(found, [handle.hash()], "{lines:?}");
    }
}

#[test]
fn nothing_that_is_malformed_counts_as_a_handle() {
    let good = pair(&Handle::random(), "https://a.example");
    let text = good.split_once('=').unwrap().1;
    for line in [
        String::new(),
        ";;;===".into(),
        format!("portcullis={text}"),
        format!("__host-portcullis={text}"),
        format!("__Host-portcullis-x={text}"),
        format!("__Host-portcullis=\"{text}\""),
        format!("{good}="),
        format!("{good}A"),
        good.chars().take(good.len() - 1).collect(),
        format!("__Host-portcullis={}", "!".repeat(43)),
        // The two bits of the last character that stand for nothing must be zero.
        format!("__Host-portcullis={}_", "A".repeat(42)),
        format!("__Host-portcullis={}", "\u{e9}".repeat(8_000)),
    ] {
        assert_eq!(handles(&headers(&[&line]), Scheme::Https).count(), 0, "{line}");
    }
    assert_eq!(handles(&headers(&[&good]), Scheme::Http).count(), 0);
}

#[test]
fn a_flood_of_cookies_is_looked_up_a_few_times_only() {
    let lines: Vec<_> = (0..1000).map(|_| pair(&Handle::random(), "https://a.example")).collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    assert_eq!(handles(&headers(&lines), Scheme::Https).count(), 4);
}

#[test]
fn our_cookies_are_stripped_and_others_stay_as_they_came_in_one_line() {
    let check = |lines: &[&str], expected: &[&str]| {
        let mut map = headers(lines);
        strip(&mut map);
        let left: Vec<_> = map.get_all(COOKIE).iter().map(|line| line.to_str().unwrap()).collect();
        assert_eq!(left, expected, "{lines:?}");
    };
    check(&["a=b;  c=\"d e\" ; f"], &["a=b;  c=\"d e\" ; f"]);
    check(&["__Host-portcullis=x"], &[]);
    check(&["a=b; __Host-portcullis=x; c=d"], &["a=b; c=d"]);
    check(&["__Host-portcullis=x; a=b", "c=d", "portcullis=y"], &["a=b; c=d"]);
    check(&["a=b", "c=\"d, e\"", "__Host-portcullis=x", "f=g; h"], &["a=b; c=\"d, e\"; f=g; h"]);
    check(&["a=b", "c=d"], &["a=b; c=d"]);
    check(&["__Host-portcullis-flow1=x; portcullis-flow2=y; portcullis=z; __host-PORTCULLIS=w"], &[]);
    check(&["=__Host-portcullis=x; = portcullis=y; a=b", " portcullis =x"], &["a=b"]);
    check(
        &["portcullisx=1; xportcullis=2; my__Host-portcullis=3"],
        &["portcullisx=1; xportcullis=2; my__Host-portcullis=3"],
    );
    check(&["theme=portcullis; id=__Host-portcullis"], &["theme=portcullis; id=__Host-portcullis"]);
}

#[test]
fn an_upstream_cannot_set_our_cookies() {
    let check = |text: &str, expected| assert_eq!(sets_own(&text.parse().unwrap()), expected, "{text}");
    check("__Host-portcullis=x; Path=/", true);
    check("  __HOST-portcullis-1=x", true);
    check("portcullis=x", true);
    check("portcullis-flow=x", true);
    check("=portcullis=x", true);
    check("portcullis", true);
    check("grafana_session=portcullis; Path=/portcullis=", false);
    check("portcullisx=1", false);
    check("", false);
}
