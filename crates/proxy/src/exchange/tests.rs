//! What is taken from a request into its record.

use http::HeaderMap;

use super::{grpc_status, query_keys};

#[test]
fn names_of_parameters_are_kept_once_and_values_never() {
    let check = |query: &str, expected: &[&str]| assert_eq!(query_keys(query), expected, "{query}");
    check("", &[]);
    check("token=secret&x=1&x=2", &["token", "x"]);
    check("a%20b=1", &["a b"]);
    check("ticket-without-name", &[]);
    check("=value", &[""]);
    assert_eq!(query_keys(&(0..1000).map(|n| format!("k{n}=&")).collect::<String>()).len(), super::MAX_QUERY_KEYS);
}

#[test]
fn a_grpc_status_is_a_number_or_nothing() {
    let check = |value: &str, expected| {
        let headers: HeaderMap =
            [(http::HeaderName::from_static("grpc-status"), value.parse().unwrap())].into_iter().collect();
        assert_eq!(grpc_status(&headers), expected, "{value}");
    };
    check("14", Some(14));
    check("x", None);
    assert_eq!(grpc_status(&HeaderMap::new()), None);
}
