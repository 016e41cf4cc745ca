//! What people write who come from other proxies: it works, or it is refused with a word on what to write instead.

use crate::fixture::{Scene, decide, problems};

/// Expects a condition to load, to hold for Ada or not, and to fail for nobody who is signed out unless said so.
#[track_caller]
fn works(when: &str, for_ada: bool, signed_out: Result<bool, &str>) {
    assert_eq!(decide(&Scene::default(), when), Ok(for_ada), "{when}");
    let found = decide(&Scene::signed_out(), when);
    match signed_out {
        Ok(expected) => assert_eq!(found, Ok(expected), "{when}"),
        Err(part) => assert!(found.as_ref().is_err_and(|error| error.contains(part)), "{when}: {found:?}"),
    }
}

#[test]
fn what_people_write_works() {
    let no = Ok(false);
    works(r#"user.email.endsWith("@example.com")"#, true, no);
    works(r#"user.email.endsWith("@example.com") && user.email_verified"#, true, no);
    works(r#"user.email in ["a@x.org", "ada@example.com"]"#, true, no);
    works(r#"user.email.lowerAscii().endsWith("@example.com")"#, true, no);
    works(r#"user.email.matches(".*@example\\.com$")"#, true, no);
    works(r#"user.email.split("@")[1] == "example.com""#, true, Err("index out of range"));
    works(r#""admins" in user.groups && request.method != "DELETE""#, true, no);
    works(r#"user.groups.exists(g, g.startsWith("eng"))"#, true, no);
    works(r#"user.groups.all(g, g != "contractors")"#, true, Ok(true));
    works(r#"["a", "admins"].exists(g, g in user.groups)"#, true, no);
    works("size(user.groups) > 0 && user.groups.size() > 1", true, no);
    works(r#"user.claims.department == "R&D""#, true, Err("no such key: `department`"));
    works(r#"has(user.claims.department) && user.claims.department == "R&D""#, true, no);
    works(r#""department" in user.claims && user.claims["department"].startsWith("R")"#, true, no);
    works("has(user.claims.teams) && user.claims.teams.exists(t, t.lead)", true, no);
    works("user.claims.level > 3", true, Err("no such key"));
    works("has(user.claims.level) && int(user.claims.level) >= 5", true, no);
    works("has(user.claims.email_verified) && user.claims.email_verified", true, no);
    works(r#"has(user.claims.nothing) && user.claims.nothing == "x""#, false, no);
    works(r#"user.authenticated && user.name != """#, true, no);
    works("!user.machine", true, Ok(true));
    works(r#"request.ip.inCIDR("10.0.0.0/8") || request.ip.inNetwork("office")"#, true, Ok(true));
    works(r#"request.ip.startsWith("10.")"#, true, Ok(true));
    works(r#"!ip(request.ip).isLoopback() && ip(request.ip).family() == 4"#, true, Ok(true));
    works(r#"cidr("10.0.0.0/8").containsIP(request.ip)"#, true, Ok(true));
    works(r#"request.path.startsWith("/api/") && request.path.matches("^/api/v[0-9]+/.*")"#, true, Ok(true));
    works(r#"request.host.glob("*.example.com")"#, true, Ok(true));
    works(r#"request.method in ["GET", "HEAD", "OPTIONS"]"#, true, Ok(true));
    works(r#""x-role" in request.headers && request.headers["x-role"].contains("admin")"#, true, no);
    works(r#"request.headers["user-agent"].contains("curl")"#, true, Err("no such key: `user-agent`"));
    works(r#"has(request.query.q) && request.query.q[0] == "a b""#, true, no);
    works(r#"has(request.query.q) && "ä" in request.query["q"]"#, true, no);
    works(
        r#"request.time.getHours("Europe/Berlin") >= 8 && request.time.getHours("Europe/Berlin") < 18"#,
        true,
        Ok(true),
    );
    works("request.time.getDayOfWeek() in [1, 2, 3, 4, 5]", true, Ok(true));
    works(r#"request.time < timestamp("2027-01-01T00:00:00Z")"#, true, Ok(true));
    works(r#"request.time - session.auth_time < duration("12h")"#, true, no);
    works(r#"session.acr == "mfa" || "otp" in session.amr"#, true, no);
    works("has(request.tls.client_certificate)", true, no);
    works(r#"request.tls.client_certificate.san_dns.exists(n, n.endsWith(".example.com"))"#, true, no);
    works(r#"request.tls.version == "1.3""#, true, Ok(true));
    works(r#"request.grpc.service == "shop.Orders" && request.grpc.method.startsWith("Li")"#, true, Ok(true));
    works(r#"route.name == "app" ? user.authenticated : true"#, true, no);
    works("true", true, Ok(true));
    works("false", false, no);
}

#[test]
fn what_cannot_work_is_refused_with_a_word_on_what_to_write() {
    for (when, message, help) in [
        (r#"user.groups == "admins""#, "cannot compare", "write `x in list`"),
        (r#"user.groups.contains("admins")"#, "`contains` cannot be called on `list<string>`", "string.contains"),
        (r#"user.groups in ["admins"]"#, "it is never there", ""),
        (r#"user.group == "admins""#, "no field `group`", "`user.groups`"),
        (r#"user.authenticated == "true""#, "cannot compare `bool` with `string`", ""),
        ("user", "has no value of its own", "`authenticated`"),
        (r#""true""#, "a rule is true or false", ""),
        (r#"request.headers["X-Api-Key"] == "k""#, "names are lower case", "write `x-api-key`"),
        (r#"request.headers["content-length"] > 100"#, "cannot compare `string` with `int`", ""),
        (r#"request.headers.get("x-api-key") == "k""#, "unknown function `get`", ""),
        (r#"has(request.headers["x-api-key"])"#, "`has` takes one field", "\"key\" in map"),
        (r#"request.query.token == "x""#, "cannot compare `list<string>` with `string`", "write `x in list`"),
        (r#"request.url_path.startsWith("/x")"#, "no field `url_path`", "`path`"),
        (r#"request.auth.claims.sub == "x""#, "no field `auth`", "`ip`"),
        (r#"request.ip in ["10.0.0.0/8"]"#, "is never `10.0.0.0/8`", "inCIDR"),
        (r#"request.ip.inCIDR("10.0.0.0/99")"#, "is not a CIDR", ""),
        (r#"request.ip.inNetwork("vpm")"#, "vpm", "vpn"),
        (r#"request.path.matches("(")"#, "not a regular expression", ""),
        (r#"source.address.startsWith("10.")"#, "unknown variable `source`", "`request`"),
        ("connection.mtls", "unknown variable `connection`", "`request`"),
        (r#"now() < timestamp("2027-01-01T00:00:00Z")"#, "unknown function `now`", ""),
        (r#"request.time > "2026""#, "cannot compare `timestamp` with `string`", "timestamp("),
        ("user.email != null", "cannot compare `string` with `null`", "empty"),
        ("user.email = 'x'", "", ""),
        ("user.email == 'x' and true", "", ""),
        ("not user.machine", "", ""),
    ] {
        let found = problems(when);
        let first = found.first().unwrap_or_else(|| panic!("{when} is accepted"));
        let told = first.help.clone().unwrap_or_default();
        assert!(first.message.contains(message) && told.contains(help), "{when}: {} | {told}", first.message);
    }
}
