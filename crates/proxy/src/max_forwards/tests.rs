//! Requests that say how far they may go.

use super::*;

#[test]
fn requests_are_counted_and_the_last_goes_no_further() {
    let check = |method: Method, value: &'static str, ends: bool, left: &str| {
        let mut headers = HeaderMap::from_iter([(MAX_FORWARDS, HeaderValue::from_static(value))]);
        assert_eq!(ends_here(&method, &mut headers), ends, "{method} {value}");
        assert_eq!(headers[MAX_FORWARDS], left, "{method} {value}");
    };
    check(Method::OPTIONS, "0", true, "0");
    check(Method::OPTIONS, "1", false, "0");
    check(Method::OPTIONS, "10", false, "9");
    check(Method::OPTIONS, "-1", false, "-1");
    check(Method::OPTIONS, "many", false, "many");
    check(Method::GET, "0", false, "0");
    assert!(!ends_here(&Method::OPTIONS, &mut HeaderMap::new()));
}
