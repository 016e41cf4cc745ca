//! Tests of what is taken for a preflight.

use bytes::Bytes;
use http::Request;
use http_body_util::{Empty, Full};

use super::*;

fn parts(method: &str, headers: &[(&str, &str)]) -> Parts {
    let request = Request::builder().method(method).uri("/api");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(()).unwrap().into_parts().0
}

const ASKS: [(&str, &str); 2] = [("origin", "https://page.example"), ("access-control-request-method", "PUT")];

#[test]
fn a_preflight_is_known_by_its_method_and_both_headers() {
    let none = Empty::<Bytes>::new();
    assert!(is(&parts("OPTIONS", &ASKS), &none, Upgrade::None));
    for method in ["GET", "HEAD", "POST", "options"] {
        assert!(!is(&parts(method, &ASKS), &none, Upgrade::None), "{method}");
    }
    for headers in [&ASKS[..1], &ASKS[1..], &[]] {
        assert!(!is(&parts("OPTIONS", headers), &none, Upgrade::None), "{headers:?}");
    }
}

#[test]
fn what_could_do_more_than_ask_is_no_preflight() {
    let none = Empty::<Bytes>::new();
    for more in [
        ("cookie", "a=b"),
        ("authorization", "Bearer x"),
        ("origin", "https://other.example"),
        ("access-control-request-method", "GET"),
    ] {
        let headers = [&ASKS[..], &[more]].concat();
        assert!(!is(&parts("OPTIONS", &headers), &none, Upgrade::None), "{more:?}");
    }
    let spaced = [ASKS[0], ("access-control-request-method", "GET /x")];
    assert!(!is(&parts("OPTIONS", &spaced), &none, Upgrade::None));
    assert!(!is(&parts("OPTIONS", &ASKS), &Full::new(Bytes::from_static(b"body")), Upgrade::None));
    for upgrade in [Upgrade::WebSocket, Upgrade::ExtendedConnect] {
        assert!(!is(&parts("OPTIONS", &ASKS), &none, upgrade), "{upgrade:?}");
    }
}
