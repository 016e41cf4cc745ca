//! Requests made of the pieces that attacks are made of: whatever reaches an upstream was let through by its own route's
//! rules, in the form that they saw.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use integration::{Seen, Setup, Upstream, raw};
use serde_json::json;

use crate::Result;

const CASES: usize = 200;

const PIECES: [&str; 26] = [
    "/", "/", "//", ".", "..", "%2e", "%2E.", "%2f", "%5C", "\\", ";", ";x=1", "%3b", "%00", "%25", "%252e", "%zz",
    "#", "?", "admin", "%61dmin", "%41dmin", "public", "%70ublic", "x", "\u{1}",
];

const NAMES: [&str; 6] = [
    "x-forwarded-user",
    "x-portcullis-jwt-assertion",
    "X-Auth-Request-Email",
    "x-original-url",
    "Remote-User",
    "forwarded",
];

const SEPARATORS: [&str; 4] = ["-", "_", ".", "~"];

const FRAMINGS: [&str; 6] = [
    "\r\n",
    "content-length: 2\r\n\r\nok",
    "transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "content-length: 2\r\ncontent-length: 2\r\n\r\nok",
    "connection: content-length, x-forwarded-for\r\ncontent-length: 2\r\n\r\nok",
];

/// Numbers that are the same in every run: xorshift64*.
struct Numbers(u64);

impl Numbers {
    fn pick<'t>(&mut self, of: &[&'t str]) -> &'t str {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40).unwrap_or(0);
        of[number % of.len()]
    }

    fn request(&mut self) -> String {
        let method = self.pick(&["GET", "POST", "OPTIONS"]);
        let mut request = format!("{method} /");
        for _ in 0..self.pick(&["1", "123", "12345", "12345678"]).len() {
            request += self.pick(&PIECES);
        }
        request += " HTTP/1.1\r\nhost: app.localhost\r\nconnection: close\r\n";
        let name = self.pick(&NAMES).replace('-', self.pick(&SEPARATORS));
        let _ = write!(request, "{name}: forged\r\n");
        request += self.pick(&FRAMINGS);
        request
    }
}

/// Returns the first segment as the most forgiving of apps reads it.
fn place(path: &str) -> String {
    let decoded = path.replace("%2F", "/").replace("%5C", "/").replace('\\', "/").replace("%3B", ";");
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/').map(|segment| segment.split(';').next().unwrap_or_default()) {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    segments.first().copied().unwrap_or_default().to_owned()
}

fn check(seen: &Seen, request: &str) {
    let target = seen.line.split(' ').nth(1).unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    assert!(path.starts_with('/') && !target.contains('#'), "{request:?} arrived as {seen:?}");
    assert!(target.bytes().all(|byte| byte.is_ascii_graphic()), "{request:?} arrived as {seen:?}");
    assert!(!path.split('/').any(|segment| matches!(segment, "." | "..")), "{request:?} arrived as {seen:?}");
    for hidden in ["//", "\\", "%2e", "%2E", "%2f", "%2F", "%5c", "%5C", "%00", "%61", "%70"] {
        assert!(!path.contains(hidden), "{request:?} arrived as {seen:?}");
    }
    assert!(seen.headers.iter().all(|(_, value)| value != "forged"), "{request:?} arrived as {seen:?}");
    let framings = seen.all("content-length").len() + seen.all("transfer-encoding").len();
    assert!(framings <= 1, "{request:?} arrived as {seen:?}");
}

#[tokio::test]
async fn whatever_reaches_an_upstream_was_allowed_by_its_own_routes_rule() -> Result {
    let (open, public, admin) = (Upstream::hello().await?, Upstream::hello().await?, Upstream::hello().await?);
    let of = |name: &str, rule: &str| json!({ "name": name, "authenticate": "none", "allow": rule });
    let mut below_public = of("public", "request.path == '/public' || request.path.matches('^/public[/;%]')");
    below_public["prefix"] = json!("/public");
    let mut below_admin = of("admin", "request.ip == '192.0.2.1'");
    below_admin["prefix"] = json!("/admin");
    let setup = Setup::default()
        .route("app", &open.url(), &of("open", "request.ip == '127.0.0.1'"))
        .route("app", &public.url(), &below_public)
        .route("app", &admin.url(), &below_admin);
    let proxy = setup.start().await?;
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut requests = Vec::with_capacity(CASES);
    for case in 0..CASES {
        let request = numbers.request().replacen("\r\n", &format!("\r\nx-case: {case}\r\n"), 1);
        // A connection that is closed without a word is an answer too.
        let _answer = raw(&proxy, "app.localhost", request.as_bytes()).await;
        requests.push(request);
    }
    // What nobody waited for has arrived by then.
    proxy.stop().await?;
    let mut arrived = BTreeSet::new();
    for (upstream, is_public) in [(&open, false), (&public, true)] {
        // The recorder takes chunks for requests of their own.
        for seen in upstream.seen().into_iter().filter(|seen| seen.line.ends_with(" HTTP/1.1")) {
            let [case] = seen.all("x-case")[..] else { panic!("nobody sent {seen:?}") };
            let request = &requests[case.parse::<usize>()?];
            assert!(arrived.insert(case.to_owned()), "{request:?} arrived twice");
            check(&seen, request);
            let path = seen.line.split(' ').nth(1).and_then(|target| target.split('?').next()).unwrap_or_default();
            assert_eq!(place(path) == "public", is_public, "{request:?} arrived as {seen:?}");
            assert_ne!(place(path), "admin", "{request:?} arrived as {seen:?}");
        }
    }
    assert!(open.seen().len() + public.seen().len() > CASES / 20, "hardly any request arrives: nothing is tested");
    assert!(!public.seen().is_empty(), "none of them is below `/public`");
    assert!(admin.seen().is_empty(), "{:?}", admin.seen());
    Ok(())
}
