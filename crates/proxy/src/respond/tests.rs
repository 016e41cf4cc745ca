//! Forms of refusals that do not need a request; the others are tested through sockets in `pipeline`.

use std::time::Duration;

use authenticate::StepUp;
use identity::ProviderId;
use percent_encoding::utf8_percent_encode;

use super::told::{told, told_of_upstream};
use super::{GRPC_MESSAGE, Refused, sign_in_path};
use crate::config::Route;
use crate::test_support::route;
use crate::upstream::FailureKind;

#[test]
fn the_way_back_from_sign_in_cannot_leave_its_parameter() {
    let check = |path, query, route, expected: &str| assert_eq!(sign_in_path(path, query, route), expected);
    let asking = Route {
        provider: ProviderId::new("corp&x").ok(),
        step_up: StepUp::new(Some(Duration::from_secs(300)), vec!["urn:a&b".into(), "c".into()]),
        ..route("app.example.com", ([127, 0, 0, 1], 80).into())
    };
    check("/", "", None, "/.portcullis/sign_in?return_to=/");
    check("/a", "b=c&d=%20", None, "/.portcullis/sign_in?return_to=/a%3Fb%3Dc%26d%3D%2520");
    check(
        "/a#\r\n\"",
        "",
        Some(&asking),
        "/.portcullis/sign_in?return_to=/a%23%0D%0A%22&provider=corp%26x&max_age=300&acr_values=urn%3Aa%26b%20c",
    );
    check("/ü", "", None, "/.portcullis/sign_in?return_to=/%C3%BC");
}

#[test]
fn a_grpc_message_is_printable_ascii() {
    assert_eq!(utf8_percent_encode("50% \r\n é ok", GRPC_MESSAGE).to_string(), "50%25 %0D%0A %C3%A9 ok");
}

#[test]
fn every_failure_of_an_upstream_has_its_status_and_code() {
    let check = |kind, status: u16, code: &str, grpc: u16| {
        let told = told_of_upstream(kind);
        assert_eq!((told.status.as_u16(), told.code, told.grpc), (status, code, grpc));
    };
    check(FailureKind::Connect, 502, "upstream_connect_error", 14);
    check(FailureKind::Silence, 502, "upstream_connect_error", 14);
    check(FailureKind::Tls, 502, "upstream_tls_error", 14);
    check(FailureKind::Protocol, 502, "upstream_protocol_error", 14);
    check(FailureKind::Credential, 502, "upstream_credential_error", 14);
    check(FailureKind::NoHealthyUpstream, 503, "no_healthy_upstream", 14);
    check(FailureKind::Timeout, 504, "upstream_timeout", 4);
    check(FailureKind::ClientBody, 400, "request_body_broken", 1);
    check(FailureKind::ClientSilent, 408, "request_body_timeout", 4);
}

#[test]
fn a_store_or_a_log_that_is_away_is_503_and_never_a_challenge() {
    let check = |refused: &Refused, code: &str| {
        let told = told(refused);
        assert_eq!((told.status.as_u16(), told.code, told.grpc), (503, code, 14));
    };
    check(&Refused::SessionStoreUnavailable("x".into()), "session_store_unavailable");
    check(&Refused::AuditUnavailable("x".into()), "audit_unavailable");
    check(&Refused::IdentityUnavailable { reason: "assertion-unsigned", error: "x".into() }, "identity_unavailable");
}
