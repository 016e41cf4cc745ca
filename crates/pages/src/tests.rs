//! What every page keeps: escaping, the policy's hash, well-formed markup, readable colours.

use aws_lc_rs::digest;
use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::{
    Account, AccountSession, AppLink, Branding, ConfirmProgram, ConfirmSignOut, Fault, Forbidden, Look,
    ProgramSignedIn, ProviderLink, SignIn, SignedOut,
    color::{Color, READABLE},
};

const HOSTILE: &str = "<script>alert(1)</script>\"'><svg onload=x> & ✓ Łukasz 🔐";

/// Renders every page, with `text` wherever text from outside may stand.
fn pages(look: &Look, text: &str) -> Vec<(&'static str, String)> {
    let providers = [
        ProviderLink { name: text.into(), url: format!("/a?next={text}") },
        ProviderLink { name: "Partners".into(), url: "/b".into() },
    ];
    let groups: [Box<str>; 2] = [text.into(), "sre".into()];
    let sessions = [AccountSession { created: text.into(), expires: text.into(), current: true, program: true }];
    let apps = [AppLink { name: text.into(), url: text.into() }];
    let forbidden = Forbidden {
        resource: text,
        user: Some(text),
        message: Some(text),
        request_id: text,
        switch_user_url: Some(text),
    };
    let fault = Fault { status: 502, title: text, message: text, code: text, request_id: text, retry_url: Some(text) };
    vec![
        ("sign-in", SignIn { app: text, providers: &providers }.render(look)),
        ("signed-out", SignedOut { sign_in_url: text }.render(look)),
        ("confirm-sign-out", ConfirmSignOut { user: text, action: text }.render(look)),
        (
            "confirm-program",
            ConfirmProgram {
                user: text,
                host: text,
                program: text,
                expires: text,
                action: text,
                switch_user_url: text,
            }
            .render(look),
        ),
        ("program-signed-in", ProgramSignedIn { host: text }.render(look)),
        (
            "account",
            Account {
                name: text,
                email: text,
                groups: &groups,
                provider: text,
                sessions: &sessions,
                apps: &apps,
                sign_out: text,
            }
            .render(look),
        ),
        ("forbidden", forbidden.render(look)),
        ("forbidden-nobody", Forbidden { user: None, message: None, switch_user_url: None, ..forbidden }.render(look)),
        ("fault", fault.render(look)),
        ("fault-final", Fault { retry_url: None, ..fault }.render(look)),
    ]
}

/// Walks the tags of a document and fails on one that is opened and not closed, or closed out of turn.
fn check_markup(page: &str, html: &str) {
    let mut open = Vec::new();
    let mut rest = html.strip_prefix("<!doctype html>").expect("a doctype");
    while let Some((_, after)) = rest.split_once('<') {
        let (tag, after) = after.split_once('>').unwrap_or_else(|| panic!("{page}: unfinished tag"));
        rest = after;
        let name = tag.split([' ', '\n']).next().unwrap();
        if let Some(name) = name.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{page}: `{name}` is closed out of turn");
        } else if !tag.ends_with('/') && !["meta", "link", "img"].contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{page}: not closed: {open:?}");
}

#[test]
fn whatever_is_put_into_a_page_is_escaped() {
    let branding = Branding { name: HOSTILE.into(), logo: Some(format!("data:,{HOSTILE}")), ..Branding::default() };
    for (page, html) in pages(&Look::new(branding), HOSTILE) {
        for bad in ["<script", "<svg onload", "\"'>", "'>"] {
            assert!(!html.contains(bad), "{page} holds `{bad}`");
        }
        assert!(html.contains("✓ Łukasz 🔐"), "{page} lost its text");
    }
}

#[test]
fn every_page_is_well_formed_and_has_a_language_a_title_and_one_heading() {
    for (page, html) in pages(&Look::new(Branding::default()), HOSTILE) {
        check_markup(page, &html);
        assert!(html.contains("<html lang=\"en\">"), "{page}");
        assert!(html.contains("<title>") && !html.contains("<title> ·"), "{page}");
        assert_eq!(html.matches("<h1>").count(), 1, "{page}");
        assert_eq!(html.matches("<main>").count(), 1, "{page}");
    }
}

#[test]
fn the_policy_allows_the_style_sheet_that_is_in_the_page_and_nothing_else() {
    let look = Look::new(Branding { color: "#c2410c".into(), ..Branding::default() });
    for (page, html) in pages(&look, "x") {
        let style = html.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        let hash = BASE64_STANDARD.encode(digest::digest(&digest::SHA256, style.as_bytes()));
        assert!(look.content_security_policy().contains(&format!("style-src 'sha256-{hash}';")), "{page}");
        for refused in [" style=", "<script", "http:", "https:", " onclick="] {
            assert!(!html.contains(refused), "{page} holds `{refused}`");
        }
    }
    assert!(look.content_security_policy().starts_with("default-src 'none'; "));
    assert!(look.content_security_policy().ends_with("base-uri 'none'; frame-ancestors 'none'"));
}

#[test]
fn a_refusal_names_what_who_why_and_the_way_on() {
    let page = Forbidden {
        resource: "wiki.example.com/admin",
        user: Some("ada@example.com"),
        message: Some("Contractors have read-only access."),
        request_id: "0199-abc",
        switch_user_url: Some("/.portcullis/sign_in?prompt=login"),
    };
    let html = page.render(&Look::new(Branding::default()));
    for part in ["wiki.example.com/admin", "ada@example.com", "Contractors have read-only access.", "0199-abc"] {
        assert!(html.contains(part), "`{part}` is missing");
    }
    assert!(html.contains("href=\"/.portcullis/sign_in?prompt=login\">Sign in as somebody else</a>"));
}

#[test]
fn any_accent_colour_can_be_read_in_both_modes() {
    let dark = Color::new(0x20, 0x26, 0x2e);
    for accent in ["#1f5fbf", "#ffff00", "#000000", "#ffffff", "#c2410c", "#777777", "#00FF00"] {
        let accent = Color::parse(accent).unwrap();
        assert!(accent.darkened_for(&[Color::WHITE]).contrast(Color::WHITE) >= READABLE, "{accent} on white");
        assert!(accent.lightened_for(&[dark]).contrast(dark) >= READABLE, "{accent} on dark");
    }
}

#[test]
fn a_colour_that_reads_well_is_kept_as_it_is() {
    let accent = Color::parse("#1f5fbf").unwrap();
    assert_eq!(accent.darkened_for(&[Color::WHITE]), accent);
}

#[test]
fn a_colour_that_is_none_never_reaches_the_style_sheet() {
    for color in ["red;}body{display:none", "#12345", "#1234567", "#12345é", "", "#+12345"] {
        let look = Look::new(Branding { color: color.into(), ..Branding::default() });
        assert_eq!(look.style(), Look::new(Branding::default()).style(), "`{color}`");
    }
}
