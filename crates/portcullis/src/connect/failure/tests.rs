//! How refusals read.

use http::StatusCode;
use serde_json::json;

use super::{Failure, Refusal};

#[test]
fn a_refusal_says_what_was_refused_why_and_by_which_request() {
    let body = json!({ "error": "forbidden", "message": "Ask #it-help.", "request_id": "0199-abc" });
    let refusal = Refusal::new("ssh.example.com:22", StatusCode::FORBIDDEN, &body);
    let told =
        "the policy does not let you reach `ssh.example.com:22`: Ask #it-help. (status 403, request id 0199-abc)";
    assert_eq!(refusal.to_string(), told);
    assert!(Failure::from(refusal).is_an_answer());
}

#[test]
fn what_a_proxy_says_steers_no_terminal() {
    let body = json!({ "message": "\u{1b}[2Jgone\r\n\u{202e}", "request_id": "\u{7}".repeat(9_000) });
    let told = Refusal::new("h:1", StatusCode::FORBIDDEN, &body).to_string();
    assert!(told.chars().all(|c| !c.is_control()) && told.chars().count() < 1_000, "{told:?}");
}

#[test]
fn an_answer_without_words_is_worded_all_the_same() {
    for status in [400, 401, 403, 404, 405, 418, 421, 429, 500, 502, 503, 504] {
        let status = StatusCode::from_u16(status).unwrap();
        let told = Refusal::new("h:1", status, &json!(null)).to_string();
        assert!(told.contains("`h:1`") && told.contains(status.as_str()), "{told}");
    }
}
