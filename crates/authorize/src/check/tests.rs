//! Tests of `check`: what each mistake is told as, and which characters it points at.

mod habits;

use crate::Severity;
use crate::fixture::problems;

/// Expects one problem at the characters `marked`.
#[track_caller]
fn check(when: &str, marked: &str, message: &str, help: &str) {
    let found: Vec<(String, String, String)> = problems(when)
        .into_iter()
        .map(|problem| {
            let marked = when.chars().skip(problem.at.start).take(problem.at.len()).collect();
            (marked, problem.message, problem.help.unwrap_or_default())
        })
        .collect();
    assert_eq!(found, [(marked.to_owned(), message.to_owned(), help.to_owned())], "{when}");
}

#[test]
fn an_unknown_name_is_pointed_at_with_the_nearest_known_one() {
    check(r#"user.emial == "x""#, "emial", "`user` has no field `emial`", "did you mean `user.email`?");
    check(r#"requst.method == "GET""#, "requst", "unknown variable `requst`", "did you mean `request`?");
    check(
        r#"request.grpc.servce == "a""#,
        "servce",
        "`request.grpc` has no field `servce`",
        "did you mean `request.grpc.service`?",
    );
    check(r#"user.email.endWith("x")"#, "endWith", "unknown function `endWith`", "did you mean `endsWith`?");
    check("foo()", "foo", "unknown function `foo`", "");
    check("user.isAdmin()", "isAdmin", "unknown function `isAdmin`", "");
    check(r#"user.groups.exist(g, g == "x")"#, "exist", "unknown function `exist`", "did you mean `exists`?");
    check("user.groups.exists(grp, gpr == grp)", "gpr", "unknown variable `gpr`", "did you mean `grp`?");
    check("a.b.c == 1", "a", "unknown variable `a`", "a rule sees `request`, `user`, `session` and `route`");
    check(
        "request.tls == 1",
        "request.tls",
        "`request.tls` has no value of its own",
        "its fields are `version`, `sni`, `client_certificate`",
    );
    check("route.nothing == 1", "nothing", "`route` has no field `nothing`", "its fields are `name`, `host`");
}

#[test]
fn places_are_counted_in_characters() {
    let at = |when: &str| problems(when).first().unwrap().at.clone();
    assert_eq!(at(r#"user.emial == "x""#), 5..10);
    assert_eq!(at("user.name == 'äöü€𝄞' && user.emial == 'x'"), 29..34);
    assert_eq!(at("user.name == \"x\" &&\n  user // a comment\n  .emial == \"y\""), 43..48);
    assert_eq!(at("user.name == 'ä' == = 1"), 20..21);
}

#[test]
fn all_mistakes_of_a_rule_are_told_in_order() {
    let found: Vec<usize> = problems("usr.email == 1 && user.emial == 1 && foo(sesion.id)")
        .iter()
        .map(|problem| problem.at.start)
        .collect();
    assert_eq!(found, [0, 23, 37, 41]);
}

#[test]
fn arguments_of_the_wrong_type_are_refused() {
    check(
        "user.email.contains(1)",
        "1",
        "`contains` cannot be called on `string`, `int`",
        "it is called as `string.contains(string) -> bool`",
    );
    check(
        r#"user.email.contains("a", "b")"#,
        "contains",
        "`contains` cannot be called on `string`, `string`, `string`",
        "it is called as `string.contains(string) -> bool`",
    );
    check(
        r#"contains("a", "b")"#,
        "contains",
        "`contains` cannot be called on `string`, `string`",
        "it is called as `string.contains(string) -> bool`",
    );
    check(
        "size(1) == 1",
        "size",
        "`size` cannot be called on `int`",
        "it is called as `size(string) -> int` or `size(bytes) -> int` or `size(list) -> int` or `size(map) -> int`",
    );
    check("user.groups && true", "user.groups", "`&&` takes `bool`; this is `list<string>`", "");
    check("!user.email", "user.email", "`!` takes `bool`; this is `string`", "");
    check("-user.email == 1", "-user.email", "`-` takes a number; this is `string`", "");
    check("1 ? true : false", "1", "the part before `?` takes `bool`; this is `int`", "");
    check(r#"user.email + 1 == "x""#, "user.email + 1", "`+` cannot take `string` and `int`", "");
    check(
        "1 + 1u == 2u",
        "1 + 1u",
        "`+` cannot take `int` and `uint`",
        "convert one with `int()`, `uint()` or `double()`",
    );
    check(r#"user.groups["a"] == "x""#, r#""a""#, "`[]` takes `int` here; this is `string`", "");
    check(r#"user.email[0] == "x""#, "0", "`[]` looks into a list or a map; this is `string`", "");
    check("user.email.domain == 1", "domain", "`string` has no fields, and so no `domain`", "");
    check("{1.5: 2} == {}", "1.5", "a map key is `string`, `int`, `uint` or `bool`; this is `double`", "");
}

#[test]
fn values_of_unlike_types_are_not_compared() {
    check("user.email == 1", "user.email == 1", "`==` cannot compare `string` with `int`", "");
    check(
        r#"user.groups == "admins""#,
        r#"user.groups == "admins""#,
        "`==` cannot compare `list<string>` with `string`",
        "to look into a list, write `x in list`",
    );
    check(
        "user.email != null",
        "user.email != null",
        "`!=` cannot compare `string` with `null`",
        "only claims can be `null`; what is not known is empty",
    );
    check(
        r#"request.time > "2026""#,
        r#"request.time > "2026""#,
        "`>` cannot compare `timestamp` with `string`",
        "write `timestamp(\"...\")`",
    );
    check(
        "user.groups < user.groups",
        "user.groups < user.groups",
        "`<` cannot compare `list<string>` with `list<string>`",
        "",
    );
    check("1 in user.groups", "1", "`in` looks for `int` among `string`: it is never there", "");
    check(r#"user.name in ["a", 1]"#, "1", "`in` looks for `string`; this is `int`", "");
    check(
        r#"user.email in "admins""#,
        r#""admins""#,
        "`in` looks into a list or a map; this is `string`",
        "to look into a text, write `text.contains(part)`",
    );
}

#[test]
fn a_rule_is_true_or_false() {
    check("user.email", "user.email", "a rule is true or false; this is `string`", "compare it with something");
    check("1 + 1", "1 + 1", "a rule is true or false; this is `int`", "compare it with something");
    assert_eq!(problems("user.claims.is_admin"), []);
}

#[test]
fn literals_are_read_at_load() {
    let bad_pattern = "not a regular expression: unclosed group";
    check(
        r#"request.ip.inCIDR("10.0.0.0/99")"#,
        r#""10.0.0.0/99""#,
        "`10.0.0.0/99` is not a CIDR such as `10.0.0.0/8`",
        "",
    );
    check(r#"request.ip.inNetwork("vpm")"#, r#""vpm""#, "unknown network `vpm`", "did you mean `vpn`?");
    check(r#"request.ip.inNetwork("x")"#, r#""x""#, "unknown network `x`", "name it under `networks:`");
    check(
        "request.ip.inNetwork(user.name)",
        "user.name",
        "a network is written as text in quotes, so that it is known at load",
        "",
    );
    check(r#"user.email.matches("(a")"#, r#""(a""#, bad_pattern, "");
    check(r#"matches(user.email, "(a")"#, r#""(a""#, bad_pattern, "");
    check(r#"user.email.matches("(a{1000}){1000}")"#, r#""(a{1000}){1000}""#, "the pattern is too large", "");
    check(r#"ip("10.0.0.999").isLoopback()"#, r#""10.0.0.999""#, "`10.0.0.999` is not an IP address", "");
    check(
        r#"cidr("10.0.0.0").prefixLength() == 8"#,
        r#""10.0.0.0""#,
        "`10.0.0.0` is not a CIDR such as `10.0.0.0/8`",
        "",
    );
    check(r#"duration("1 hour") > duration("1h")"#, r#""1 hour""#, "`1 hour` is not a duration such as `1h30m`", "");
    let form = "not an RFC 3339 timestamp such as `2026-01-07T09:00:00Z`";
    for text in [
        "today",
        "2026-01-07",
        "2026-02-30T00:00:00Z",
        "9999-12-31T00:00:00",
        "2026-01-07 09:00:00Z",
        "2026-01-07T09Z",
        "2026-01-07T09:00:00.Z",
        "20260107T090000Z",
        "2026-01-07T09:00:00+02",
        "2026-01-07T09:00:00Z[UTC]",
    ] {
        let literal = format!("\"{text}\"");
        check(&format!("timestamp({literal}) < request.time"), &literal, &format!("`{text}` is {form}"), "");
    }
    for text in ["9999-12-31T00:00:00Z", "0000-12-31T00:00:00Z"] {
        let literal = format!("\"{text}\"");
        let bounds = "outside of what can be told: 0001-01-01T00:00:00Z to 9999-12-30T22:00:00Z";
        check(&format!("timestamp({literal}) < request.time"), &literal, &format!("`{text}` is {bounds}"), "");
    }
    check(r#"cidr("10.0.0.0/8").containsIP("x")"#, r#""x""#, "`x` is not an IP address", "");
    check(r#"int("x") == 1"#, r#""x""#, "`x` is not an int", "");
    check(
        r#"request.time.getHours("Mars/Base") > 1"#,
        r#""Mars/Base""#,
        "unknown time zone `Mars/Base`",
        "write a name such as `Europe/Berlin` or an offset such as `+02:00`",
    );
    check(
        "request.time.getHours(user.name) > 1",
        "user.name",
        "a time zone is written as text in quotes, so that it is known at load",
        "",
    );
}

#[test]
fn functions_with_a_dot_and_texts_for_format_are_checked() {
    check(r#"strings.quot("a") == "b""#, "quot", "unknown function `strings.quot`", "did you mean `strings.quote`?");
    let clauses = "`%y` is not a text for `format`: it takes %s %d %f %e %b %x %X %o and %%";
    check(r#""%y".format([1]) == "z""#, r#""%y""#, clauses, "");
    let values = "the text takes 2 values; there are 1";
    check(r#""%s %d".format([user.name]) == "z""#, r#""%s %d""#, values, "");
    check(
        r#"request.time.getHours("Europe/Berln") > 1"#,
        r#""Europe/Berln""#,
        "unknown time zone `Europe/Berln`",
        "did you mean `Europe/Berlin`?",
    );
}

#[test]
fn a_network_with_bits_behind_its_prefix_is_a_warning() {
    check(
        r#"request.ip.inCIDR("10.0.0.1/8")"#,
        r#""10.0.0.1/8""#,
        "`10.0.0.1/8` has bits behind its prefix",
        "write `10.0.0.0/8`",
    );
    assert_eq!(problems(r#"request.ip.inCIDR("10.0.0.1/8")"#).first().unwrap().severity, Severity::Warning);
}

#[test]
fn header_names_that_can_never_be_found_are_told() {
    let message = |name: &str| format!("there is never a header `{name}`: names are lower case");
    check(r#"request.headers["X-Role"] == "a""#, r#""X-Role""#, &message("X-Role"), "write `x-role`");
    check(r#"request.headers.Cookie == "a""#, "Cookie", &message("Cookie"), "write `cookie`");
    check(r#""X-Role" in request.headers"#, r#""X-Role""#, &message("X-Role"), "write `x-role`");
    check("has(request.headers.Cookie)", "Cookie", &message("Cookie"), "write `cookie`");
}

#[test]
fn what_a_field_never_is_is_a_warning() {
    let never = |when: &str, literal: &str, field: &str, text: &str, help: &str| {
        check(when, literal, &format!("`{field}` is never `{text}`"), help);
    };
    let network = "write `request.ip.inCIDR(\"10.0.0.0/8\")`";
    never(r#"request.ip == "10.0.0.0/8""#, r#""10.0.0.0/8""#, "request.ip", "10.0.0.0/8", network);
    never(r#"request.ip in ["10.0.0.1", "10.0.0.0/8"]"#, r#""10.0.0.0/8""#, "request.ip", "10.0.0.0/8", network);
    never(
        r#""2001:DB8::1" != request.peer_ip"#,
        r#""2001:DB8::1""#,
        "request.peer_ip",
        "2001:DB8::1",
        "write `2001:db8::1`",
    );
    never(
        r#"request.ip == "::ffff:10.0.0.1""#,
        r#""::ffff:10.0.0.1""#,
        "request.ip",
        "::ffff:10.0.0.1",
        "write `10.0.0.1`",
    );
    let address = "write an address such as `203.0.113.7` or `2001:db8::7`";
    never(r#"request.ip == "010.0.0.1""#, r#""010.0.0.1""#, "request.ip", "010.0.0.1", address);
    never("ip(request.ip).family() == 5", "5", "family", "5", "it is 4 or 6");
    never(r#"request.method == "get""#, r#""get""#, "request.method", "get", "write `GET`");
    never(r#"request.scheme == "HTTPS""#, r#""HTTPS""#, "request.scheme", "HTTPS", "it is one of `http`, `https`");
    let protocols = "it is one of `http/1.1`, `h2`, `h3`";
    never(r#"request.protocol == "HTTP/2""#, r#""HTTP/2""#, "request.protocol", "HTTP/2", protocols);
    let host = "App.example.com:443";
    never(
        r#"request.host == "App.example.com:443""#,
        r#""App.example.com:443""#,
        "request.host",
        host,
        "write `app.example.com`",
    );
    never(
        r#"request.tls.version == "TLSv1.3""#,
        r#""TLSv1.3""#,
        "request.tls.version",
        "TLSv1.3",
        "it is one of `1.2`, `1.3`",
    );
    never(r#"request.tls.sni == "App.test""#, r#""App.test""#, "request.tls.sni", "App.test", "write `app.test`");
    never(r#"request.path == "api/v1""#, r#""api/v1""#, "request.path", "api/v1", "write `/api/v1`");
    let query = "a path has no query: write `/a`, and ask for `request.query`";
    never(r#"request.path in ["/b", "/a?x=1"]"#, r#""/a?x=1""#, "request.path", "/a?x=1", query);
    let dots = "dot segments are resolved before a rule sees the path";
    never(r#"request.path == "/a/../b""#, r#""/a/../b""#, "request.path", "/a/../b", dots);
    let slashes = "slashes in a row are merged before a rule sees the path";
    never(r#"request.path == "/a//b""#, r#""/a//b""#, "request.path", "/a//b", slashes);
    let grpc = "a path `/package.Service/Method` has the service `package.Service` and the method `Method`";
    never(r#"request.grpc.method == "/a.B/C""#, r#""/a.B/C""#, "request.grpc.method", "/a.B/C", grpc);
    let fingerprint = "request.tls.client_certificate.fingerprint_sha256";
    let digits = "it is 64 hexadecimal digits, in lower case";
    never(&format!(r#"{fingerprint} == "abc""#), r#""abc""#, fingerprint, "abc", digits);
    let (written, right) = (["AB"; 32].join(":"), "ab".repeat(32));
    let literal = format!("\"{written}\"");
    never(&format!("{fingerprint} == {literal}"), &literal, fingerprint, &written, &format!("write `{right}`"));
    let id = "it is the issuer and the subject, joined by a vertical bar";
    never(r#"user.id == "ada""#, r#""ada""#, "user.id", "ada", id);
    never("request.time.getDayOfWeek() == 7", "7", "getDayOfWeek", "7", "it is 0 (Sunday) to 6 (Saturday)");
    never("request.time.getMonth('UTC') in [11, 12]", "12", "getMonth", "12", "it is 0 (January) to 11 (December)");
    assert!(problems(r#"request.method == "get""#).iter().all(|problem| problem.severity == Severity::Warning));
    for possible in [
        r#"request.ip in ["10.0.0.1", "2001:db8::1"]"#,
        r#"request.method in ["GET", "PROPFIND", "purge"]"#,
        r#"request.host == "app.example.com" && request.scheme == "https" && request.protocol != "h2""#,
        r#"user.name == "GET" && request.path == "/Get""#,
        r#"request.path == "*" || request.path in ["/", "/a/.b/..c"] || request.tls.version == """#,
        r#"request.time.getDayOfWeek() in [0, 6] || session.created - request.time > duration("1h")"#,
        r#"user.claims.t.getDayOfWeek() == 7 || user.id == """#,
    ] {
        assert_eq!(problems(possible), [], "{possible}");
    }
}

#[test]
fn what_is_never_part_of_a_field_is_a_warning() {
    let never = |when: &str, literal: &str, message: &str, help: &str| {
        check(when, literal, message, help);
        assert_eq!(problems(when).first().unwrap().severity, Severity::Warning);
    };
    never(
        r#"request.path.startsWith("api/")"#,
        r#""api/""#,
        "`request.path` never starts with `api/`",
        "write `/api/`",
    );
    never(r#"request.path.glob("api/**")"#, r#""api/**""#, "`request.path` never matches `api/**`", "write `/api/**`");
    never(
        r#"request.path.contains("?token=")"#,
        r#""?token=""#,
        "`request.path` never contains `?token=`",
        "a path has no query: ask for `request.query`",
    );
    never(
        r#"request.host.endsWith(".Example.com")"#,
        r#"".Example.com""#,
        "`request.host` never ends with `.Example.com`",
        "write `.example.com`",
    );
    never(
        r#"request.grpc.service.startsWith("/shop.")"#,
        r#""/shop.""#,
        "`request.grpc.service` never starts with `/shop.`",
        "neither service nor method has a slash",
    );
    for possible in [
        r#"request.path.glob("**/admin") || request.path.endsWith("admin") || request.path.contains("a")"#,
        r#"request.host.startsWith("app.") && request.path.startsWith("/A")"#,
        r#"user.email.endsWith("@Example.com")"#,
    ] {
        assert_eq!(problems(possible), [], "{possible}");
    }
}

#[test]
fn macros_say_how_they_are_written() {
    let index = r#"has(request.headers["x-role"])"#;
    check(index, index, "`has` takes one field", "write `\"key\" in map`");
    check("has(user)", "has(user)", "`has` takes one field", "write `has(user.claims.department)`");
    check(
        "user.groups.all(g)",
        "user.groups.all(g)",
        "`all` takes a variable and an expression",
        "write `list.all(x, ...)`",
    );
    check("user.groups.all(1, true)", "1", "the first argument of `all` is the name of a variable", "");
    check("user.email.all(c, true)", "user.email", "`all` goes through a list or a map; this is `string`", "");
    check("user.groups.exists(g, size(g))", "size(g)", "`exists` takes `bool`; this is `int`", "");
    check(
        "[1].all(a, [1].all(b, [1].all(c, true)))",
        "all",
        "more than 2 macros inside each other",
        "split it into several rules",
    );
}

#[test]
fn claims_have_any_type() {
    for when in [
        "user.claims.a.b[0].c == 1 || user.claims.d > 2 || user.claims.e + 1 == 3 || user.claims.f.startsWith(\"x\")",
        "user.claims.list.exists(x, x.y == null) || \"a\" in user.claims.z || size(user.claims.q) > 0",
        "(user.authenticated ? user.claims.a : \"b\") == 3",
    ] {
        assert_eq!(problems(when), [], "{when}");
    }
}
